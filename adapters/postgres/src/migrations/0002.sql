-- The names of what was answered, in order, and the bytes of all of it; none once it is sealed. In the
-- row itself, so that who comes second under a name sees it though it waited for the lock.
ALTER TABLE @S.sessions ADD COLUMN answers bytea[] NOT NULL DEFAULT '{}',
    ADD COLUMN answered bigint NOT NULL DEFAULT 0;

-- What was answered. An answer that came while the seal waited for the row may stay behind: it counts
-- only while the session is not sealed, and goes with it.
CREATE TABLE @S.answers (
    session bigint NOT NULL,
    number bigint NOT NULL,
    name bytea NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (session, number)
);
