use std::time::Duration;

use crate::log::DEFAULT_EVENT_BYTES;

/// The limits of one session, and of how many run at once. Each limit is inclusive: a value equal
/// to it passes.
///
/// [`SessionsBuilder::limits`](super::SessionsBuilder::limits) sets them. Clients see a limit in one of
/// two ways:
///
/// * A start that passes [`running`](field@Self::running) or
///   [`running_per_owner`](field@Self::running_per_owner) is refused with 429 and a `Retry-After`
///   ([`Busy`](super::Busy) in a handler of the application's own).
/// * A session that passes another limit ends with an `error` event. Its code is
///   [`ErrorCode::Timeout`](crate::log::ErrorCode::Timeout) for [`idle`](field@Self::idle) and
///   [`age`](field@Self::age), and [`ErrorCode::Limit`](crate::log::ErrorCode::Limit) for bytes and
///   records.
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
    pub running: usize,
    /// The most sessions that run on this server for one owner. Default: 16. Sessions without an
    /// owner count only against [`running`](field@Self::running).
    pub running_per_owner: usize,
    /// The most bytes of one record. Default: 256 KiB.
    pub event_bytes: usize,
    /// The most bytes of all records of a session. Default: 16 MiB. The terminal record isn't
    /// counted, so that there is always room for it.
    pub session_bytes: u64,
    /// The most records of a session. Default: 200,000. The terminal record isn't counted.
    pub session_events: u64,
    /// The longest silence of the source. Default: 5 minutes. The clock stops while the session
    /// waits for a person or a client tool, and while the store is unavailable.
    pub idle: Duration,
    /// The longest time that a session runs, waiting included. Default: 1 hour.
    pub age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            running: 1024,
            running_per_owner: 16,
            event_bytes: DEFAULT_EVENT_BYTES,
            session_bytes: 16 * 1024 * 1024,
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
    running: usize, running_per_owner: usize, event_bytes: usize, session_bytes: u64,
    session_events: u64, idle: Duration, age: Duration
}
