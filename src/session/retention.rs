use std::time::Duration;

/// For how long a finished session is kept.
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
    /// The longest that a finished session is kept after its end. Default 5 minutes.
    pub keep: Duration,
    /// If set, it is deleted this long after a reader was given the terminal record and none is
    /// left. A reader that was cut before does not count.
    pub released: Option<Duration>,
}

impl Retention {
    const KEEP: Duration = Duration::from_secs(5 * 60);
    const GRACE: Duration = Duration::from_secs(60);

    /// Kept for this long after the end.
    pub const fn for_duration(keep: Duration) -> Self {
        Self {
            keep,
            released: None,
        }
    }

    /// Deleted 60 seconds after a reader was given the terminal record and none is left, and after
    /// 5 minutes in any case.
    pub const fn until_released() -> Self {
        Self {
            keep: Self::KEEP,
            released: Some(Self::GRACE),
        }
    }

    /// Sets how long it is kept once it is released; makes it [`until_released`](Self::until_released).
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.released = Some(grace);
        self
    }

    /// Sets the longest that it is kept.
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
