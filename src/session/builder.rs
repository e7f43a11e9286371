use std::{sync::Arc, time::Duration};

use super::{
    Format, Limits, Retention, Sessions, formats::Formats, options::SessionsOptions,
    registry::Registry,
};
use crate::store::Store;

/// Builds [`Sessions`].
///
/// [`Sessions::builder`] returns one for chat sessions and recordings. Building needs no runtime: the first start
/// or attach spawns the background tasks. A duration of more than 30 years counts as 30 years.
///
/// ```
/// use std::time::Duration;
/// use unbroken::{
///     session::{Limits, Retention, Sessions},
///     store::Memory,
/// };
///
/// let sessions = Sessions::builder(Memory::new())
///     .limits(Limits::default().running(100))
///     .retention(Retention::for_duration(Duration::from_secs(3600)))
///     .build();
/// ```
#[derive(Debug)]
#[must_use = "`build` makes the sessions"]
pub struct SessionsBuilder {
    store: Arc<dyn Store>,
    formats: Formats,
    options: SessionsOptions,
}

impl SessionsBuilder {
    /// Creates a builder for sessions that live in `store` and end with records of `format`.
    ///
    /// Use [`Sessions::builder`] for chat sessions and recordings. [`format`](Self::format) adds further formats.
    pub fn new(store: impl Store, format: impl Format) -> Self {
        Self {
            store: Arc::new(store),
            formats: Formats::new(Arc::new(format)),
            options: SessionsOptions::default(),
        }
    }

    /// Adds a format beside that of [`new`](Self::new). A session names its format with
    /// [`SessionSpec::format`](super::SessionSpec::format). The server claims orphans of all its formats, and leaves
    /// those of others alone.
    ///
    /// # Panics
    ///
    /// Panics if the builder has a format of the same [number](Format::number).
    pub fn format(mut self, format: impl Format) -> Self {
        self.formats.add(Arc::new(format));
        self
    }

    /// Sets the limits of one session, and of how many run at once.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Sets for how long a finished session is kept. Default: 5 minutes.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.options.retention = retention;
        self
    }

    /// Sets for how long this server owns a session without renewing its lease. Another server may
    /// claim the session after that. Default: 10 seconds; at least 100 ms.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.options.lease = lease.max(Duration::from_millis(100));
        self
    }

    /// Sets for how long the id of a deleted or expired session stays reserved. Until then it
    /// answers "gone". Default: 24 hours. The outputs of a client's tools stay taken for so long, or for
    /// [`Retention::keep`] if that is longer.
    pub fn tombstone(mut self, tombstone: Duration) -> Self {
        self.options.tombstone = tombstone;
        self
    }

    /// Sets how many bytes of a running session stay in memory for its readers. Readers that are
    /// further behind read from the store. Default: 1 MiB.
    pub fn hot_bytes(mut self, bytes: usize) -> Self {
        self.options.hot_bytes = bytes;
        self
    }

    /// Sets how many bytes of all sessions together stay in memory for readers. Default: 256 MiB.
    pub fn total_hot_bytes(mut self, bytes: usize) -> Self {
        self.options.total_hot_bytes = bytes;
        self
    }

    /// Sets how many bytes of a session may wait for the store's acknowledgement. Its source is not
    /// polled while the buffer is full. Default: 1 MiB.
    pub fn outage_buffer(mut self, bytes: usize) -> Self {
        self.options.outage_buffer = bytes;
        self
    }

    /// Sets for how long the store may leave calls unanswered before readers fail with
    /// [`ReadError::Unavailable`](super::ReadError::Unavailable). Writers keep retrying. Default: 10
    /// seconds.
    pub fn outage_timeout(mut self, timeout: Duration) -> Self {
        self.options.outage_timeout = timeout;
        self
    }

    /// Sets for how long this server follows another server's session after its last reader here
    /// has left. Default: 5 seconds.
    pub fn follower_linger(mut self, linger: Duration) -> Self {
        self.options.follower_linger = linger;
        self
    }

    /// Sets how many orphans this server claims at a time. Default: 16.
    pub fn max_claims(mut self, claims: usize) -> Self {
        self.options.max_claims = claims;
        self
    }

    /// Builds the sessions.
    ///
    /// # Panics
    ///
    /// Panics if the operating system gives no randomness.
    pub fn build(self) -> Sessions {
        let options = self.options.clamp_durations();
        Sessions::from_registry(Registry::new(self.store, self.formats, options))
    }
}
