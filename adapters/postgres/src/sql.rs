//! The statements. Each write decides and acts in one statement, under the lock of the session's row. Of
//! two concurrent writes the second sees the result of the first (READ COMMITTED).

use tokio_postgres::types::Type;

use crate::list_statement::{ListOrder, ListScope, numbers};

/// A statement and the types of its parameters.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) types: Vec<Type>,
}

/// All statements, with the name of the schema.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) create: Statement,
    pub(crate) bury: Statement,
    pub(crate) state: Statement,
    pub(crate) states: Statement,
    pub(crate) claim: Statement,
    pub(crate) request: Statement,
    pub(crate) renew: Statement,
    pub(crate) append: Statement,
    pub(crate) seal: Statement,
    pub(crate) abort: Statement,
    pub(crate) answer: Statement,
    pub(crate) answers: Statement,
    pub(crate) hold: Statement,
    pub(crate) delete: Statement,
    pub(crate) clear: Statement,
    pub(crate) withdraw: Statement,
    pub(crate) forget: Statement,
    pub(crate) read: Statement,
    pub(crate) of_chat: Statement,
    pub(crate) orphans: Statement,
    pub(crate) endings: Statement,
    pub(crate) postpone: Statement,
    pub(crate) ending: Statement,
    pub(crate) delivered: Statement,
    pub(crate) sweep: Statement,
    pub(crate) drop_endings: Statement,
    pub(crate) evict: Statement,
    pub(crate) notify: Statement,
}

/// The columns of a [`SessionRow`](crate::row::SessionRow).
const STATE: &str = "s.number, s.id, s.owner, s.chat, s.service, s.digest, s.format, s.created, \
    s.token, s.counter, s.bits, s.attempts, s.tail, s.tail_counter, s.tail_bits, s.waiting, \
    s.kind, s.code, s.aborted, s.abort_reason, s.lease, s.lease_until, s.keep_until, s.deleted, \
    s.tombstone, @NOW, cardinality(s.answers), s.outbox, s.ending_until";

/// The present time. The statement may have waited for a lock since its start.
const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// The time at the start of the statement, which an index can be searched for.
const THEN: &str = "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint";

/// The row is a session, not a tombstone.
const HERE: &str = "(s.deleted IS NULL AND (s.kind IS NULL OR s.keep_until > @NOW))";

/// Empties a session that becomes a tombstone. Of what clients chose, its id and its owner stay.
const EMPTY: &str = "chat = NULL, service = '', abort_reason = NULL, holds = '{}', answers = '{}', \
    answered = 0, @NO_ENDING, tombstone_number = nextval('@S.tombstone_numbers')";

/// True for each row, at a cost that rules out every plan which would evaluate it for more rows than it needs. A
/// plan that was made while the table was small would walk it later.
const COSTLY: &str = "@S.costly(s.digest) <> ''";

/// Removes the ending from the outbox.
const NO_ENDING: &str =
    "ending_due = NULL, ending_until = NULL, retained_until = NULL, deliveries = 0, summary = NULL";

const BOOL: Type = Type::BOOL;
const INT2: Type = Type::INT2;
const INT4: Type = Type::INT4;
const INT8: Type = Type::INT8;
const INT8_ARRAY: Type = Type::INT8_ARRAY;
const FLOAT8: Type = Type::FLOAT8;
const TEXT: Type = Type::TEXT;
const TEXT_ARRAY: Type = Type::TEXT_ARRAY;
const BYTEA: Type = Type::BYTEA;

impl Statements {
    pub(crate) fn new(schema: &str) -> Self {
        let make = |text: &str, types: &[Type]| Statement {
            text: fill(schema, text),
            types: types.to_vec(),
        };
        Self {
            create: make(
                CREATE,
                &[
                    TEXT, BYTEA, BYTEA, BYTEA, BYTEA, INT4, BYTEA, INT8, INT8, INT8, INT8, BYTEA,
                    INT8,
                ],
            ),
            bury: make(BURY, &[TEXT]),
            state: make("SELECT @STATE FROM @S.sessions s WHERE s.id = $1", &[TEXT]),
            states: make(
                "SELECT @STATE FROM @S.sessions s WHERE s.id = ANY($1)",
                &[TEXT_ARRAY],
            ),
            claim: make(CLAIM, &[TEXT, INT8, INT8, BYTEA, INT8, INT8, INT4, INT8]),
            request: make(
                "SELECT octet_length(r.request), CASE WHEN octet_length(r.request) <= $2 THEN r.request END
                FROM @S.requests r WHERE r.session = $1",
                &[INT8, INT8],
            ),
            renew: make(RENEW, &[TEXT_ARRAY, INT8_ARRAY, INT8_ARRAY, INT8]),
            append: make(APPEND, &[TEXT, INT8, INT8, INT8, INT8, BOOL, BYTEA, BYTEA]),
            seal: make(
                SEAL,
                &[
                    TEXT, INT8, INT8, INT8, INT8, INT2, INT2, INT8, BYTEA, BYTEA, BYTEA,
                ],
            ),
            abort: make(ABORT, &[TEXT, BYTEA]),
            answer: make(ANSWER, &[TEXT, BYTEA, BYTEA, INT8, INT8]),
            answers: make(ANSWERS, &[TEXT, INT8]),
            hold: make(HOLD, &[TEXT, TEXT, INT8]),
            delete: make(DELETE, &[TEXT, TEXT]),
            clear: make(CLEAR, &[TEXT]),
            withdraw: make(WITHDRAW, &[TEXT, INT8, INT8]),
            forget: make(FORGET, &[INT8]),
            read: make(READ, &[TEXT, INT8, INT8, FLOAT8, INT8]),
            of_chat: ListScope::OwnerAndChat.statement(
                schema,
                numbers(None).unwrap_or_default(),
                ListOrder::RunningFirst,
            ),
            orphans: make(ORPHANS, &[INT8]),
            endings: make(ENDINGS, &[BYTEA, INT8, INT8, INT8, INT8, INT8]),
            postpone: make(POSTPONE, &[TEXT, INT8, INT8]),
            ending: make(ENDING, &[TEXT]),
            delivered: make(DELIVERED, &[TEXT, INT8, INT8]),
            sweep: make(SWEEP, &[INT8]),
            drop_endings: make(DROP_ENDINGS, &[INT8]),
            evict: make(EVICT, &[INT8, INT8]),
            notify: make(NOTIFY, &[TEXT_ARRAY, TEXT_ARRAY]),
        }
    }
}

/// Fills the name of the schema and the constants into a statement.
pub(crate) fn fill(schema: &str, text: &str) -> String {
    text.replace("@STATE", STATE)
        .replace("@HERE", HERE)
        .replace("@EMPTY", EMPTY)
        .replace("@NO_ENDING", NO_ENDING)
        .replace("@COSTLY", COSTLY)
        .replace("@NOW", NOW)
        .replace("@THEN", THEN)
        .replace("@S", &format!("\"{schema}\""))
}

/// id, owner, chat, service, digest, format, token, bits, lease, tombstone, counter, request, outbox.
const CREATE: &str = "
WITH t AS (SELECT @NOW AS now), n AS (
  INSERT INTO @S.sessions (id, owner, chat, service, digest, format, token, bits, lease, tombstone,
    counter, created, lease_until, lease_mark, outbox)
  SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, t.now, t.now + $9, t.now + $9, $13 FROM t
  ON CONFLICT (id) DO NOTHING
  RETURNING number
), r AS (INSERT INTO @S.requests (session, request) SELECT number, $12 FROM n)
SELECT number FROM n";

/// Removes an expired tombstone, with the rows that a sweep hasn't removed.
const BURY: &str = "
WITH d AS (
  DELETE FROM @S.sessions s
  WHERE s.id = $1 AND NOT @HERE AND coalesce(s.deleted, s.keep_until) + s.tombstone <= @NOW
    AND (s.ending_until IS NULL OR s.ending_until <= @NOW)
  RETURNING s.number
), r AS (DELETE FROM @S.requests USING d WHERE requests.session = d.number
), a AS (DELETE FROM @S.answers USING d WHERE answers.session = d.number)
DELETE FROM @S.chunks USING d WHERE chunks.session = d.number";

/// id, counter and bits seen, token, new bits, lease, the latest format, new counter.
const CLAIM: &str = "
UPDATE @S.sessions s SET token = $4, counter = $8, bits = $5, 
  attempts = s.attempts + CASE WHEN s.lease > 0 AND (s.tail_counter, s.tail_bits) <> (s.counter, s.bits) THEN 1 ELSE 0 END,
  lease = $6, lease_until = @NOW + $6, lease_mark = @NOW + $6
WHERE s.id = $1 AND s.counter = $2 AND s.bits = $3 AND s.kind IS NULL AND s.deleted IS NULL
  AND s.format <= $7 AND (s.lease = 0 OR s.lease_until <= @NOW)
  AND NOT (s.token = $4 AND s.counter > 1)
RETURNING @STATE";

/// ids, counters, bits, lease. Locks in the order of creation, so that two renewals don't wait for
/// each other.
const RENEW: &str = "
WITH o AS MATERIALIZED (
  SELECT s.number FROM @S.sessions s
  JOIN unnest($1::text[], $2::bigint[], $3::bigint[]) AS u (id, counter, bits)
    ON s.id = u.id AND s.counter = u.counter AND s.bits = u.bits
  WHERE s.kind IS NULL AND s.deleted IS NULL
  ORDER BY s.number FOR UPDATE OF s
)
UPDATE @S.sessions s SET lease = $4, lease_until = @NOW + $4, lease_mark = @NOW + $4
FROM o WHERE s.number = o.number RETURNING @STATE";

/// id, counter, bits, the tail before, the tail after, waiting, lengths, data. A mark that is ahead by
/// more than the length of a lease was written before the clock was set back.
const APPEND: &str = "
WITH l AS (
  UPDATE @S.sessions s SET tail = $5, tail_counter = $2, tail_bits = $3,
    bytes = s.bytes + octet_length($8), chunks = s.chunks + 1, waiting = $6,
    lease_until = @NOW + s.lease,
    lease_mark = CASE
      WHEN s.lease > 0 AND s.lease_mark NOT BETWEEN @NOW + s.lease / 2 AND @NOW + s.lease
      THEN @NOW + s.lease ELSE s.lease_mark END
  WHERE s.id = $1 AND s.counter = $2 AND s.bits = $3 AND s.tail = $4 AND s.kind IS NULL
    AND s.deleted IS NULL
  RETURNING s.number, s.aborted, s.abort_reason
), c AS (
  INSERT INTO @S.chunks (session, last, first, counter, bits, lengths, data)
  SELECT l.number, $5, $4 + 1, $2, $3, $7, $8 FROM l
)
SELECT l.aborted, l.abort_reason FROM l";

/// id, counter, bits, the tail before, the tail after, kind, code, keep, lengths, data, summary. The end of the
/// lease becomes the time of the seal. The request is kept while an ending waits. `greatest` and `least` pass
/// over nulls.
const SEAL: &str = "
WITH l AS (
  UPDATE @S.sessions s SET tail = $5, tail_counter = $2, tail_bits = $3,
    bytes = s.bytes + octet_length($10), chunks = s.chunks + 1, waiting = false,
    kind = $6, code = $7, lease_until = @NOW,
    keep_until = greatest(s.keep_until, @NOW + $8, @NOW + s.outbox),
    due = greatest(s.keep_until, @NOW + $8, @NOW + s.outbox),
    retained_until = CASE WHEN s.outbox IS NOT NULL THEN greatest(s.keep_until, @NOW + $8) END,
    ending_due = CASE WHEN s.outbox IS NOT NULL THEN @NOW END, ending_until = @NOW + s.outbox,
    summary = CASE WHEN s.outbox IS NOT NULL THEN $11 END,
    answers = '{}', answered = 0
  WHERE s.id = $1 AND s.counter = $2 AND s.bits = $3 AND s.tail = $4 AND s.kind IS NULL
    AND s.deleted IS NULL
  RETURNING s.number, s.aborted, s.abort_reason, s.outbox
), c AS (
  INSERT INTO @S.chunks (session, last, first, counter, bits, lengths, data)
  SELECT l.number, $5, $4 + 1, $2, $3, $9, $10 FROM l
), r AS (DELETE FROM @S.requests USING l WHERE requests.session = l.number AND l.outbox IS NULL
), a AS (DELETE FROM @S.answers USING l WHERE answers.session = l.number)
SELECT l.aborted, l.abort_reason FROM l";

/// id, reason.
const ABORT: &str = "
UPDATE @S.sessions s SET aborted = true, abort_reason = $2
WHERE s.id = $1 AND s.kind IS NULL AND s.deleted IS NULL AND NOT s.aborted
RETURNING @STATE";

/// id, name, content, the most answers, the most bytes of them.
const ANSWER: &str = "
WITH l AS (
  UPDATE @S.sessions s SET answers = array_append(s.answers, $2),
    answered = s.answered + octet_length($2) + octet_length($3)
  WHERE s.id = $1 AND s.kind IS NULL AND s.deleted IS NULL AND NOT $2 = ANY(s.answers)
    AND cardinality(s.answers) < $4
    AND s.answered + octet_length($2) + octet_length($3) <= $5
  RETURNING @STATE
), a AS (
  INSERT INTO @S.answers (session, number, name, content)
  SELECT l.number, l.cardinality, $2, $3 FROM l
)
SELECT * FROM l";

/// id, the number of known answers. Returns the state, and the names and contents of the others.
const ANSWERS: &str = "
SELECT @STATE, p.*
FROM @S.sessions s
CROSS JOIN LATERAL (
  SELECT array_agg(a.name ORDER BY a.number), array_agg(a.content ORDER BY a.number)
  FROM @S.answers a WHERE a.session = s.number AND a.number > $2 AND s.kind IS NULL
) p
WHERE s.id = $1";

/// id, holder, keep. Removes expired holds.
const HOLD: &str = "
UPDATE @S.sessions s SET keep_until = greatest(s.keep_until, @NOW + $3),
  due = CASE WHEN s.kind IS NOT NULL THEN greatest(s.keep_until, @NOW + $3) END,
  holds = (
    SELECT coalesce(jsonb_object_agg(h.key, h.value), '{}') FROM jsonb_each(s.holds) h
    WHERE h.value::bigint > @NOW
  ) || jsonb_build_object($2::text, greatest((s.holds ->> $2)::bigint, @NOW + $3))
WHERE s.id = $1 AND @HERE RETURNING s.number";

/// id; the holder that released it, or null. Holds are in the row itself, so that the statement sees a
/// hold that came while it waited for the lock. An ending stays, with the chat and the service of its session,
/// until it is delivered or a sweep finds that its time is over. Such a session is due at once, so that a sweep
/// removes its records and its request if the next statement doesn't.
const DELETE: &str = "
UPDATE @S.sessions s SET deleted = @NOW, due = CASE WHEN s.ending_until IS NULL THEN @NOW + s.tombstone ELSE @NOW END,
  abort_reason = NULL, holds = '{}', answers = '{}', answered = 0,
  chat = CASE WHEN s.ending_until IS NOT NULL THEN s.chat END,
  service = CASE WHEN s.ending_until IS NOT NULL THEN s.service ELSE '' END,
  tombstone_number = CASE WHEN s.ending_until IS NULL THEN nextval('@S.tombstone_numbers') END
WHERE s.id = $1 AND @HERE AND ($2 IS NULL OR (s.ending_until IS NULL OR s.ending_until <= @NOW) AND NOT EXISTS (
  SELECT FROM jsonb_each_text(s.holds) h WHERE h.key <> $2 AND h.value::bigint > @NOW
))
RETURNING s.number";

/// Removes everything of a deleted or expired session but its row, and the ending that waits in it.
const CLEAR: &str = "
WITH d AS (SELECT s.number FROM @S.sessions s WHERE s.id = $1 AND NOT @HERE
), r AS (DELETE FROM @S.requests USING d WHERE requests.session = d.number
), a AS (DELETE FROM @S.answers USING d WHERE answers.session = d.number
), u AS (
  UPDATE @S.sessions s SET due = s.ending_until
  WHERE s.id = $1 AND s.deleted IS NOT NULL AND s.due < s.ending_until
)
DELETE FROM @S.chunks USING d WHERE chunks.session = d.number";

/// id, counter, bits. Removes a session that is not sealed, with all that it has. Returns its number.
const WITHDRAW: &str = "
WITH d AS (
  DELETE FROM @S.sessions s
  WHERE s.id = $1 AND s.counter = $2 AND s.bits = $3 AND s.kind IS NULL AND s.deleted IS NULL
  RETURNING s.number
), r AS (DELETE FROM @S.requests USING d WHERE requests.session = d.number
), a AS (DELETE FROM @S.answers USING d WHERE answers.session = d.number
), c AS (DELETE FROM @S.chunks USING d WHERE chunks.session = d.number)
SELECT d.number FROM d";

/// number. Removes what was written while the statement before waited for the lock of the row.
const FORGET: &str = "
WITH a AS (DELETE FROM @S.answers WHERE session = $1)
DELETE FROM @S.chunks WHERE session = $1";

/// id, the LSN to read after, bytes, and a factor for the number of rows to read. Returns the state; the
/// epoch that wrote the record at the position; and rows, as many as fit at the average size of the
/// session's rows times the factor, up to the bytes. The chunk of the position may be among them. Only
/// its records after the position are read, so its bytes don't count. Last the most bytes of the reply: if the rows
/// have more, it has their number only.
const READ: &str = "
SELECT @STATE, w.first, w.counter, w.bits, n.rows, p.*
FROM @S.sessions s
LEFT JOIN LATERAL (
  SELECT c.first, c.counter, c.bits FROM @S.chunks c
  WHERE c.session = s.number AND c.last >= $2 ORDER BY c.last LIMIT 1
) w ON $2 > 0
CROSS JOIN LATERAL (
  SELECT least(1e9, $4 * (8 + 2 * $3::float8 * s.chunks / greatest(s.bytes, 1)))::bigint AS rows
) n
CROSS JOIN LATERAL (
  SELECT array_agg(b.first), array_agg(b.last), array_agg(b.counter), array_agg(b.bits),
    array_agg(b.lengths),
    CASE WHEN sum(octet_length(b.data)) <= $5 THEN array_agg(b.data) END,
    sum(octet_length(b.data))
  FROM (
    SELECT a.*, sum(octet_length(a.data)) OVER o - octet_length(a.data)
        - CASE WHEN first_value(a.first) OVER o <= $2
            THEN first_value(octet_length(a.data)) OVER o ELSE 0 END AS before
    FROM (
      SELECT c.first, c.last, c.counter, c.bits, c.lengths, c.data FROM @S.chunks c
      WHERE c.session = s.number AND c.last > $2 ORDER BY c.last LIMIT n.rows
    ) a WINDOW o AS (ORDER BY a.last)
  ) b WHERE b.before < $3
) p
WHERE s.id = $1";

/// limit.
const ORPHANS: &str = "
SELECT @STATE FROM @S.sessions s
WHERE s.kind IS NULL AND s.deleted IS NULL AND s.lease_mark <= @THEN AND s.lease_until <= @THEN
ORDER BY s.lease_mark LIMIT $1";

/// service, limit, lease, bytes, the least number, bytes of the reply. Takes endings, as many as have so many bytes
/// with their requests and summaries, but at least the least number. The first ones are measured without a lock, so
/// that no more are locked than fit. Skips those that another server is taking. The costly function stands in all
/// conditions, so that a plan which was made while the table was small doesn't walk it later. Returns the state, the
/// summary, the number of the delivery, the bytes of the request, the bytes of all up to this one, the request
/// itself if the reply has room for it, and the number of endings that were there to be taken, up to the limit.
const ENDINGS: &str = "
WITH f AS MATERIALIZED (
  SELECT s.ending_due AS due, s.number, coalesce(octet_length(s.summary), 0) + coalesce((
    SELECT octet_length(r.request) FROM @S.requests r WHERE r.session = s.number
  ), 0)::bigint AS bytes
  FROM @S.sessions s
  WHERE @S.costly(s.service) = (SELECT $1) AND s.ending_due <= @THEN AND s.ending_until > @THEN
  ORDER BY s.ending_due LIMIT $2
), n AS MATERIALIZED (
  SELECT count(*) AS found, greatest($5, count(*) FILTER (WHERE m.bytes <= $4)) AS fit
  FROM (SELECT sum(f.bytes) OVER (ORDER BY f.due, f.number) AS bytes FROM f) m
), d AS MATERIALIZED (
  SELECT s.number, s.ending_due AS due, coalesce(octet_length(s.summary), 0) AS summary
  FROM @S.sessions s
  WHERE @S.costly(s.service) = (SELECT $1) AND s.ending_due <= @THEN AND s.ending_until > @THEN
  ORDER BY s.ending_due LIMIT (SELECT n.fit FROM n) FOR UPDATE SKIP LOCKED
), b AS (
  SELECT d.number, d.due, d.summary, coalesce((
    SELECT octet_length(r.request) FROM @S.requests r WHERE r.session = d.number
  ), 0) AS request
  FROM d
), p AS MATERIALIZED (
  SELECT c.number, c.due, c.request, c.bytes FROM (
    SELECT b.*, row_number() OVER o AS place, (sum(b.request + b.summary::bigint) OVER o)::bigint AS bytes
    FROM b WINDOW o AS (ORDER BY b.due, b.number)
  ) c WHERE c.place <= $5 OR c.bytes <= $4
), u AS (
  UPDATE @S.sessions s SET ending_due = @NOW + $3, deliveries = s.deliveries + 1
  FROM p WHERE s.number = p.number AND @COSTLY
  RETURNING @STATE, s.summary, s.deliveries, p.request, p.bytes, p.due
)
SELECT u.*, CASE WHEN u.bytes <= $6 AND u.deleted IS NULL THEN (
    SELECT r.request FROM @S.requests r WHERE r.session = u.number
  ) END, (SELECT n.found FROM n)
FROM u ORDER BY u.due, u.number";

/// id, the number of the delivery, the time from now on.
const POSTPONE: &str = "
UPDATE @S.sessions s SET ending_due = @NOW + $3
WHERE s.id = $1 AND s.deliveries = $2 AND s.ending_until > @NOW
RETURNING s.number";

/// id. Returns the number of the last delivery if the ending is in the outbox.
const ENDING: &str =
    "SELECT s.deliveries FROM @S.sessions s WHERE s.id = $1 AND s.ending_until > @NOW";

/// id, counter, bits. A session that was kept only for its ending is gone now. A hold that was removed had ended
/// before a later one that is still there, so the holds show the end of the retention. A deleted session that is due
/// before the end of its ending wasn't cleared yet, and stays due. Returns true if the session is gone.
const DELIVERED: &str = "
WITH l AS (
  UPDATE @S.sessions s SET @NO_ENDING,
    keep_until = CASE WHEN s.deleted IS NULL THEN greatest(s.retained_until, least(@NOW, s.ending_until), (
        SELECT max(h.value::bigint) FROM jsonb_each_text(s.holds) h
      )) ELSE s.keep_until END,
    due = CASE WHEN s.deleted IS NULL THEN greatest(s.retained_until, least(@NOW, s.ending_until), (
        SELECT max(h.value::bigint) FROM jsonb_each_text(s.holds) h
      )) WHEN s.due < s.ending_until THEN s.due ELSE s.deleted + s.tombstone END,
    chat = CASE WHEN s.deleted IS NULL THEN s.chat END,
    service = CASE WHEN s.deleted IS NULL THEN s.service ELSE '' END,
    tombstone_number = CASE WHEN s.deleted IS NOT NULL THEN nextval('@S.tombstone_numbers') END
  WHERE s.id = $1 AND s.counter = $2 AND s.bits = $3 AND s.ending_until IS NOT NULL
  RETURNING s.number, s.deleted IS NULL AND s.keep_until <= @NOW AS expired
), r AS (DELETE FROM @S.requests USING l WHERE requests.session = l.number)
SELECT l.expired FROM l";

/// limit. Drops endings that were not delivered in their time, of sessions that are kept for longer. None counts.
const DROP_ENDINGS: &str = "
WITH d AS MATERIALIZED (
  SELECT s.number FROM @S.sessions s WHERE s.ending_until <= @THEN AND s.deleted IS NULL AND @COSTLY
  ORDER BY s.ending_until LIMIT $1 FOR UPDATE SKIP LOCKED
), r AS (DELETE FROM @S.requests USING d WHERE requests.session = d.number
), u AS (
  UPDATE @S.sessions s SET @NO_ENDING
  FROM d WHERE s.number = d.number AND @COSTLY
)
SELECT count(*), 0::bigint FROM d";

/// limit. Skips the sessions that another sweep has locked. A deleted session whose ending waits keeps its row until
/// the end of that, and isn't counted. Returns the numbers of those that were due and of those that count.
const SWEEP: &str = "
WITH d AS MATERIALIZED (
  SELECT s.number, coalesce(s.deleted, s.keep_until) + s.tombstone <= @THEN AS over,
    s.deleted IS NOT NULL AND s.ending_until IS NOT NULL AND s.ending_until > @THEN AS waits
  FROM @S.sessions s WHERE s.due <= @THEN AND @COSTLY ORDER BY s.due LIMIT $1 FOR UPDATE SKIP LOCKED
), c AS (DELETE FROM @S.chunks USING d WHERE chunks.session = d.number
), r AS (DELETE FROM @S.requests USING d WHERE requests.session = d.number
), a AS (DELETE FROM @S.answers USING d WHERE answers.session = d.number
), x AS (DELETE FROM @S.sessions s USING d WHERE s.number = d.number AND d.over AND NOT d.waits AND @COSTLY
), w AS (
  UPDATE @S.sessions s SET due = s.ending_until FROM d WHERE s.number = d.number AND d.waits AND @COSTLY
), t AS (
  UPDATE @S.sessions s SET deleted = coalesce(s.deleted, s.keep_until),
    due = coalesce(s.deleted, s.keep_until) + s.tombstone, @EMPTY
  FROM d WHERE s.number = d.number AND NOT d.over AND NOT d.waits AND @COSTLY
)
SELECT count(*), count(*) FILTER (WHERE NOT d.waits) FROM d";

/// limit, the greatest number of tombstones. Removes older ones, as far as they have been numbered: as many
/// newer ones have been made since.
const EVICT: &str = "
WITH d AS MATERIALIZED (
  SELECT s.number FROM @S.sessions s
  WHERE s.tombstone_number <= (
      SELECT s.tombstone_number FROM @S.sessions s WHERE s.tombstone_number IS NOT NULL AND @COSTLY
      ORDER BY s.tombstone_number DESC LIMIT 1
    ) - $2 AND @COSTLY
  ORDER BY s.tombstone_number LIMIT $1 FOR UPDATE SKIP LOCKED
), c AS (DELETE FROM @S.chunks USING d WHERE chunks.session = d.number
), r AS (DELETE FROM @S.requests USING d WHERE requests.session = d.number
), a AS (DELETE FROM @S.answers USING d WHERE answers.session = d.number
), x AS (DELETE FROM @S.sessions s USING d WHERE s.number = d.number AND @COSTLY)
SELECT count(*), count(*) FROM d";

/// channels, payloads.
const NOTIFY: &str = "SELECT pg_notify(n.channel, n.payload) FROM unnest($1::text[], $2::text[]) AS n (channel, payload)";
