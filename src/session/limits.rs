use std::time::Duration;

use crate::log::{DEFAULT_EVENT_BYTES, DEFAULT_SESSION_BYTES};

/// The limits of one session, and of how many run and wait at once. Each limit is inclusive: a value
/// equal to it passes.
///
/// [`SessionsBuilder::limits`](super::SessionsBuilder::limits) sets them. Clients see a limit in one of
/// three ways:
///
/// * A start that passes [`running`](field@Self::running) or
///   [`running_per_owner`](field@Self::running_per_owner) is refused with 429 and a `Retry-After`
///   ([`Busy`](super::Busy) in a handler of the application's own).
/// * If more sessions wait than [`waiting`](field@Self::waiting) or
///   [`waiting_per_owner`](field@Self::waiting_per_owner), the one that has waited longest ends with
///   an `error` event of the code [`ErrorCode::Limit`](crate::log::ErrorCode::Limit).
/// * A session that passes another limit ends with an `error` event. Its code is
///   [`ErrorCode::Timeout`](crate::log::ErrorCode::Timeout) for [`idle`](field@Self::idle) and
///   [`age`](field@Self::age), and [`ErrorCode::Limit`](crate::log::ErrorCode::Limit) for bytes and
///   records.
///
/// # Memory
///
/// A session of a [`DurableLayer`](crate::durable::DurableLayer) holds at most about three times the
/// bytes of its request and 16 KiB while it runs or waits, the copy in a memory store included, however
/// small the elements of the request are. To that come its unacknowledged records
/// ([`outage_buffer`](super::SessionsBuilder::outage_buffer)), and the events for its readers
/// ([`total_hot_bytes`](super::SessionsBuilder::total_hot_bytes)). With the defaults, the requests of
/// 1,024 running and 1,024 waiting sessions of 1 MiB each
/// ([`max_body`](crate::durable::DurableLayer::max_body)) take at most 2,048 × (3 MiB + 16 KiB), about 6 GiB; on a
/// smaller machine, lower `running`, `waiting` or `max_body`. While a provider is called, the request is
/// decoded: a provider that doesn't drop it holds more.
///
/// # Sizes
///
/// The sizes of an answer, from the model's server to the log:
///
/// | size | default | above it |
/// |---|---|---|
/// | one event of the model's server, and the calls of a turn (`max_event_bytes` of a provider) | 16 MiB ([`DEFAULT_SESSION_BYTES`]) | an `error` event of the code `limit`, which names the limit |
/// | one record of text, thinking or `tool_input` ([`event_bytes`](field@Self::event_bytes)) | 256 KiB ([`DEFAULT_EVENT_BYTES`]) | it is split into several |
/// | one record with the arguments or the result of a tool: `tool_calls`, `tool_result`, `isomorphic_handoff`, `input_request`, `conversation_state` ([`session_bytes`](field@Self::session_bytes)) | 16 MiB ([`DEFAULT_SESSION_BYTES`]) | an `error` event of the code `limit`, which names the limit |
/// | any other record ([`event_bytes`](field@Self::event_bytes)) | 256 KiB ([`DEFAULT_EVENT_BYTES`]) | likewise; the text of `complete` is left out |
/// | all `tool_input` of a session | an eighth of [`session_bytes`](field@Self::session_bytes) | the calls come whole |
/// | a tool's result with its media (`ToolLayer::result_bytes`) | 128 KiB | the model is told |
/// | all records of a session ([`session_bytes`](field@Self::session_bytes)) | 16 MiB ([`DEFAULT_SESSION_BYTES`]) | an `error` event of the code `limit` |
///
/// A store may take less in one append: those on disk and in databases take 16 MiB by default.
///
/// JSON in what a model's server or a tool sends is bounded by these sizes only, not by a number of values:
/// arguments of 16 MiB may be 8 million numbers. The values that clients send are counted
/// ([`RequestLimits::values`](field@crate::dialect::RequestLimits::values)).
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use unbroken::{
///     log::Owner,
///     session::{Busy, Limits, Sessions},
///     store::Memory,
/// };
///
/// let limits = Limits::default().running_per_owner(1).idle(Duration::from_secs(60));
/// assert_eq!(limits.event_bytes, 256 * 1024);
///
/// let sessions = Sessions::builder(Memory::new()).limits(limits).build();
/// let ann = Owner::new("ann");
/// let first = sessions.permit(Some(&ann))?;
/// assert_eq!(sessions.permit(Some(&ann)).unwrap_err(), Busy::RunningPerOwner); // over HTTP a 429
/// # drop(first);
/// # Ok::<_, Busy>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most sessions that run on this server. Default: 1,024.
    ///
    /// A session that waits for a person or a client tool doesn't run. When it goes on after an
    /// answer it counts again, even if as many run as may; starts are refused meanwhile. So at most
    /// `running + waiting` sessions run.
    pub running: usize,
    /// The most sessions that run on this server for one owner. Default: 16. Sessions without an
    /// owner count only against [`running`](field@Self::running);
    /// [`PerPeer`](crate::access::PerPeer) gives them owners.
    pub running_per_owner: usize,
    /// The most sessions of this server that wait for a person or a client tool. Default: 1,024.
    ///
    /// One more takes the place of another: of the owner with the most waiting sessions, the session
    /// that has waited longest. All sessions without an owner count as those of one owner here. A
    /// session that another server took over waits from then on.
    pub waiting: usize,
    /// The most sessions of this server that wait for a person or a client tool, for one owner.
    /// Default: 8. One more takes the place of the owner's session that has waited longest. Sessions
    /// without an owner count only against [`waiting`](field@Self::waiting).
    pub waiting_per_owner: usize,
    /// The most bytes of one record that isn't a [barrier](super::Mark::Barrier). Default: 256 KiB. A
    /// barrier may have as many as [`session_bytes`](field@Self::session_bytes).
    pub event_bytes: usize,
    /// The most bytes of all records of a session. Default: 16 MiB. The terminal record isn't
    /// counted, so that there is always room for it.
    pub session_bytes: u64,
    /// The most records of a session. Default: 200,000. The terminal record isn't counted.
    pub session_events: u64,
    /// The longest silence of the source. Default: 5 minutes. Every record ends a silence, and so do
    /// bytes that a model's server sends without an event ([`Source::silence`](super::Source::silence)).
    /// The clock stops while the session waits for a person or a client tool, and while the store is
    /// unavailable.
    pub idle: Duration,
    /// The longest time that a session runs, waiting included. Default: 1 hour.
    pub age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            running: 1024,
            running_per_owner: 16,
            waiting: 1024,
            waiting_per_owner: 8,
            event_bytes: DEFAULT_EVENT_BYTES,
            session_bytes: DEFAULT_SESSION_BYTES as u64,
            session_events: 200_000,
            idle: Duration::from_secs(5 * 60),
            age: Duration::from_secs(60 * 60),
        }
    }
}

macro_rules! setters {
    ($($field:ident: $Type:ty),*) => {
        impl Limits {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](field@Self::", stringify!($field), ").")]
                pub fn $field(mut self, $field: $Type) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

setters! {
    running: usize, running_per_owner: usize, waiting: usize, waiting_per_owner: usize,
    event_bytes: usize, session_bytes: u64, session_events: u64, idle: Duration, age: Duration
}
