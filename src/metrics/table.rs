//! The table of the metrics.

use super::Metric;

pub(crate) const SESSIONS_STARTED: Metric = Metric::counter(
    "unbroken.sessions.started",
    "1",
    "sessions that this server created",
);
pub(crate) const SESSIONS_ATTACHED: Metric = Metric::counter(
    "unbroken.sessions.attached",
    "1",
    "attaches to sessions that exist, by repeated starts too",
);
pub(crate) const SESSIONS_RUNNING: Metric = Metric::gauge(
    "unbroken.sessions.running",
    "1",
    "sessions that run on this server, starts under way included; sessions that wait are in the next row",
);
pub(crate) const SESSIONS_WAITING: Metric = Metric::gauge(
    "unbroken.sessions.waiting",
    "1",
    "sessions of this server that wait for a person or a client tool",
);
pub(crate) const SESSIONS_ENDED: Metric = Metric::counter(
    "unbroken.sessions.ended",
    "1",
    "sessions that this server sealed; `code` is `none` unless `outcome` is `error`",
);
pub(crate) const EVENTS_WRITTEN: Metric = Metric::counter(
    "unbroken.events.written",
    "1",
    "records that the store acknowledged",
);
pub(crate) const BYTES_WRITTEN: Metric =
    Metric::counter("unbroken.bytes.written", "By", "bytes of those records");
pub(crate) const READERS_OPEN: Metric = Metric::gauge(
    "unbroken.readers.open",
    "1",
    "readers of sessions on this server",
);
pub(crate) const EVENTS_READ: Metric = Metric::counter(
    "unbroken.events.read",
    "1",
    "records that readers were given",
);
pub(crate) const STORE_CALL_DURATION: Metric = Metric::histogram(
    "unbroken.store.call.duration",
    "s",
    "time of a call that the store answered, or failed",
);
pub(crate) const STORE_CALL_FAILURES: Metric = Metric::counter(
    "unbroken.store.call.failures",
    "1",
    "calls that the store didn't answer",
);
pub(crate) const REFUSALS: Metric = Metric::counter(
    "unbroken.refusals",
    "1",
    "requests that were refused, by the type of the problem",
);

#[cfg(feature = "metrics")]
pub(super) const ALL: &[Metric] = &[
    SESSIONS_STARTED,
    SESSIONS_ATTACHED,
    SESSIONS_RUNNING,
    SESSIONS_WAITING,
    SESSIONS_ENDED,
    EVENTS_WRITTEN,
    BYTES_WRITTEN,
    READERS_OPEN,
    EVENTS_READ,
    STORE_CALL_DURATION,
    STORE_CALL_FAILURES,
    REFUSALS,
];
