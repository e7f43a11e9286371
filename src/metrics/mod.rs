//! What a server does, as metrics of the facade [`metrics`](https://docs.rs/metrics).
//!
//! The application installs a recorder, for example `metrics-exporter-prometheus`, before its first session. Then it calls
//! [`describe`]. Without a recorder nothing is recorded.
//!
//! | name | kind | unit | labels | meaning |
//! |---|---|---|---|---|
//! | `unbroken.sessions.started` | counter | 1 | `service` | sessions that this server created |
//! | `unbroken.sessions.attached` | counter | 1 |  | attaches to sessions that exist, by repeated starts too |
//! | `unbroken.sessions.running` | gauge | 1 |  | sessions that run on this server, starts under way included; sessions that wait are in the next row |
//! | `unbroken.sessions.waiting` | gauge | 1 |  | sessions of this server that wait for a person or a client tool |
//! | `unbroken.sessions.ended` | counter | 1 | `service`, `outcome`, `code` | sessions that this server sealed; `code` is `none` unless `outcome` is `error` |
//! | `unbroken.events.written` | counter | 1 | `service` | records that the store acknowledged |
//! | `unbroken.bytes.written` | counter | By | `service` | bytes of those records |
//! | `unbroken.readers.open` | gauge | 1 |  | readers of sessions on this server |
//! | `unbroken.events.read` | counter | 1 |  | records that readers were given |
//! | `unbroken.store.call.duration` | histogram | s | `call` | time of a call that the store answered, or failed |
//! | `unbroken.store.call.failures` | counter | 1 | `call` | calls that the store didn't answer |
//! | `unbroken.refusals` | counter | 1 | `type` | requests that were refused, by the type of the problem |
//!
//! No label holds an id, an owner or a chat. The first 64 services of a process have labels of their own, and all others
//! are `other`.

#[cfg(feature = "metrics")]
mod label_sets;
mod metric;
#[cfg(not(feature = "metrics"))]
mod not_recorded;
#[cfg(feature = "metrics")]
mod recorded;
mod table;

use self::metric::Metric;
pub(crate) use self::{metric::Stopwatch, table::*};
use crate::log::{Outcome, ServiceName, Status};

/// Counts the end of a session, where it is sealed.
pub(crate) fn count_ended(service: &ServiceName, outcome: Outcome) {
    let code = match outcome {
        Outcome::Error(code) => code.as_str(),
        Outcome::Complete | Outcome::Aborted => "none",
    };
    let outcome = Status::Ended(outcome).as_str();
    let labels = [
        ("service", service.as_str()),
        ("outcome", outcome),
        ("code", code),
    ];
    SESSIONS_ENDED.count(1, &labels);
}

/// Registers the units and the descriptions of all metrics with the recorder that is installed. Safe to repeat.
#[cfg(feature = "metrics")]
pub fn describe() {
    for metric in ALL {
        recorded::describe(*metric);
    }
}
