use std::{sync::Arc, time::Duration};

use super::{Format, Limits, Retention, Sessions, options::SessionsOptions, registry::Registry};
use crate::store::Store;

/// Builds [`Sessions`]. Needs no running runtime: tasks are spawned by the first start or attach.
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
    format: Arc<dyn Format>,
    options: SessionsOptions,
}

impl SessionsBuilder {
    pub(super) fn new(store: Arc<dyn Store>, format: Arc<dyn Format>) -> Self {
        Self {
            store,
            format,
            options: SessionsOptions::default(),
        }
    }

    /// What one session may take, and how many may run.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// For how long a finished session is kept. Default 5 minutes.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.options.retention = retention;
        self
    }

    /// For how long this server owns a session without renewing; after that another one may claim
    /// it. Default 10 seconds; at least 100 ms.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.options.lease = lease.max(Duration::from_millis(100));
        self
    }

    /// For how long the id of a session that is gone answers "gone" and can't be used again.
    /// Default 24 hours.
    pub fn tombstone(mut self, tombstone: Duration) -> Self {
        self.options.tombstone = tombstone;
        self
    }

    /// The bytes of one session that are kept at hand for its readers while it runs. Default 1 MiB.
    /// Readers that are further behind read from the store.
    pub fn hot_bytes(mut self, bytes: usize) -> Self {
        self.options.hot_bytes = bytes;
        self
    }

    /// The same for all sessions together. Default 256 MiB.
    pub fn hot_bytes_in_all(mut self, bytes: usize) -> Self {
        self.options.hot_bytes_in_all = bytes;
        self
    }

    /// The bytes of a session that may wait for the store to acknowledge them; then the source is
    /// no longer pulled. Default 1 MiB.
    pub fn outage_buffer(mut self, bytes: usize) -> Self {
        self.options.outage_buffer = bytes;
        self
    }

    /// For how long the store may be silent before readers are told that it is lost. Default 10
    /// seconds. Writers go on trying.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.options.patience = patience;
        self
    }

    /// For how long a session of another server is followed after its last reader here has gone.
    /// Default 5 seconds.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.options.linger = linger;
        self
    }

    /// How many orphans this server claims at a time. Default 16.
    pub fn claims(mut self, claims: usize) -> Self {
        self.options.claims = claims;
        self
    }

    /// The sessions. A duration of more than 30 years is taken as 30 years.
    pub fn build(self) -> Sessions {
        let options = self.options.within_reason();
        Sessions::from_shared(Registry::new(self.store, self.format, options))
    }
}
