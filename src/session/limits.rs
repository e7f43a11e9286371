use std::time::Duration;

/// What one session may take, and how many may run at once. Each limit is inclusive: what is equal
/// to it passes.
///
/// ```
/// use std::time::Duration;
/// use unbroken::session::Limits;
///
/// let limits = Limits::default().running(200).running_per_owner(2).idle(Duration::from_secs(60));
/// assert_eq!(limits.event_bytes, 256 * 1024);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Sessions running on this server. Default 1,024.
    pub running: usize,
    /// Sessions running on this server for one owner. Default 16. Sessions without an owner count
    /// only among all.
    pub running_per_owner: usize,
    /// Bytes of one record. Default 256 KiB.
    pub event_bytes: usize,
    /// Bytes of all records of a session. Default 16 MiB. The terminal record isn't counted: there
    /// is always room for it.
    pub session_bytes: u64,
    /// Records of a session. Default 200,000. The terminal record isn't counted.
    pub session_events: u64,
    /// How long the source may be silent. Default 5 minutes. Doesn't run while the session waits
    /// for a person or a client tool, nor while the store is unavailable.
    pub idle: Duration,
    /// How long a session may run in all, what it waits for people included. Default 1 hour.
    pub age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            running: 1024,
            running_per_owner: 16,
            event_bytes: 256 * 1024,
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
