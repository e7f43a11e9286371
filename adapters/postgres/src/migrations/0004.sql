-- The outbox. `outbox` is the longest time for which an ending waits for its delivery; null if it is not
-- delivered. While an ending waits, `ending_due` (when it may be taken) and `ending_until` (when it is
-- dropped) are set, the session is kept for as long (`keep_until`), and `retained_until` is the end of its
-- retention without the ending and without later holds. So it expires and is swept like any other.
ALTER TABLE @S.sessions
    ADD COLUMN outbox bigint,
    ADD COLUMN ending_due bigint,
    ADD COLUMN ending_until bigint,
    ADD COLUMN retained_until bigint,
    -- How often the ending was taken.
    ADD COLUMN deliveries bigint NOT NULL DEFAULT 0,
    ADD COLUMN summary bytea;

-- Returns the value. As with list_key, the cost is not that of a call: it rules out every plan that would
-- call the function for rows. So a look into the outbox reads a range of its index, and a sweep reads what is
-- due, also by a plan that was made while the table was small.
CREATE FUNCTION @S.costly(value bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 1000000 AS $$
BEGIN
    RETURN value;
END
$$;

-- Endings that wait, those of sessions that were deleted too.
CREATE INDEX sessions_endings ON @S.sessions (@S.costly(service), ending_due) WHERE ending_due IS NOT NULL;
-- Endings by the time at which a sweep drops them. That of a deleted session goes when the session is due.
CREATE INDEX sessions_endings_over ON @S.sessions (ending_until)
    WHERE ending_until IS NOT NULL AND deleted IS NULL;
