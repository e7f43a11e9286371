use std::time::Duration;

/// The rule for how long a finished session is kept.
///
/// A session whose ending waits in the [outbox](crate::store::Store::endings) is kept until it is delivered.
///
/// ```
/// use std::time::Duration;
/// use unbroken::session::Retention;
///
/// let an_hour = Retention::for_duration(Duration::from_secs(3600));
/// let frugal = Retention::until_released().grace(Duration::from_secs(5));
/// assert_ne!(an_hour, frugal);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// The longest time that a finished session is kept after its end. Default: 5 minutes.
    pub keep: Duration,
    /// The time after which a released session is deleted; `None` keeps it for
    /// [`keep`](field@Self::keep). A session is released once a reader received the terminal record
    /// and no client is left. A reader that was cut before the terminal record doesn't count.
    pub released: Option<Duration>,
}

impl Retention {
    const KEEP: Duration = Duration::from_secs(5 * 60);
    const GRACE: Duration = Duration::from_secs(60);

    /// Keeps a session for `keep` after its end.
    pub const fn for_duration(keep: Duration) -> Self {
        Self {
            keep,
            released: None,
        }
    }

    /// Deletes a session 60 seconds after its release, and 5 minutes after its end in any case.
    pub const fn until_released() -> Self {
        Self {
            keep: Self::KEEP,
            released: Some(Self::GRACE),
        }
    }

    /// Sets for how long a session is kept after its release. Turns
    /// [`for_duration`](Self::for_duration) into [`until_released`](Self::until_released).
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.released = Some(grace);
        self
    }

    /// Sets the longest time that a session is kept after its end.
    pub const fn at_most(mut self, keep: Duration) -> Self {
        self.keep = keep;
        self
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self::for_duration(Self::KEEP)
    }
}
