-- Names have 1 to 128 bytes now. This version can't read a session with another one, so it could never
-- end a running one, nor compare the owner of a tombstone. Ended ones stay until they expire.
WITH d AS (
    DELETE FROM @S.sessions s
    WHERE (s.kind IS NULL OR s.deleted IS NOT NULL) AND (octet_length(s.owner) NOT BETWEEN 1 AND 128
        OR s.deleted IS NULL AND (octet_length(s.chat) NOT BETWEEN 1 AND 128
            OR octet_length(s.service) NOT BETWEEN 1 AND 128))
    RETURNING s.number
), c AS (DELETE FROM @S.chunks USING d WHERE chunks.session = d.number
), r AS (DELETE FROM @S.requests USING d WHERE requests.session = d.number)
DELETE FROM @S.answers USING d WHERE answers.session = d.number;

-- A list, and a look for the sessions of a chat, is a range of one of four indexes for each status.
DROP INDEX @S.sessions_owner;
DROP INDEX @S.sessions_chat;
DROP INDEX @S.sessions_kind;

-- The key of these indexes: the last byte is the status, which is a kind, or 3 for streaming and 4 for
-- waiting. The cost is not that of a call. It rules out every plan that would call the function for rows,
-- so that each query reads a range of its own index, in order, whatever the statistics say.
CREATE FUNCTION @S.list_key(scope bytea, kind smallint, waiting boolean) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 1000000 AS $$
BEGIN
    RETURN set_byte(scope, 31, CASE WHEN kind IS NOT NULL THEN kind WHEN waiting THEN 4 ELSE 3 END);
END
$$;

-- Newest first. An append leaves all columns of these indexes as they are.
CREATE INDEX sessions_list_all ON @S.sessions
    (@S.list_key(sha256(''), kind, waiting), (-number)) WHERE deleted IS NULL;
CREATE INDEX sessions_list_owner ON @S.sessions
    (@S.list_key(sha256(owner), kind, waiting), (-number)) WHERE deleted IS NULL;
CREATE INDEX sessions_list_chat ON @S.sessions
    (@S.list_key(sha256(chat), kind, waiting), (-number)) WHERE deleted IS NULL;
CREATE INDEX sessions_list_owner_chat ON @S.sessions
    (@S.list_key(sha256(coalesce(sha256(owner), '') || sha256(chat)), kind, waiting), (-number))
    WHERE deleted IS NULL;

-- Tombstones are numbered in the order in which they were made, so that the oldest beyond a number are a
-- range of an index. They keep the owner and the digest only.
CREATE SEQUENCE @S.tombstone_numbers;
ALTER TABLE @S.sessions ADD COLUMN tombstone_number bigint;
UPDATE @S.sessions s SET tombstone_number = o.place, chat = NULL, service = '', abort_reason = NULL
FROM (
    SELECT number, row_number() OVER (ORDER BY deleted, number) AS place
    FROM @S.sessions WHERE deleted IS NOT NULL
) o WHERE s.number = o.number;
SELECT setval('@S.tombstone_numbers', max(tombstone_number))
FROM @S.sessions HAVING max(tombstone_number) IS NOT NULL;
CREATE INDEX sessions_tombstones ON @S.sessions (tombstone_number) WHERE tombstone_number IS NOT NULL;
