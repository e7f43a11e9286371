use std::time::Duration;

use super::{Limits, Retention};

/// What the [builder](super::SessionsBuilder) says of a registry; its methods have the meanings.
#[derive(Debug, Clone)]
pub(super) struct SessionsOptions {
    pub(super) limits: Limits,
    pub(super) retention: Retention,
    pub(super) lease: Duration,
    pub(super) tombstone: Duration,
    pub(super) hot_bytes: usize,
    pub(super) hot_bytes_in_all: usize,
    pub(super) outage_buffer: usize,
    pub(super) patience: Duration,
    pub(super) linger: Duration,
    pub(super) claims: usize,
}

impl Default for SessionsOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            retention: Retention::default(),
            lease: Duration::from_secs(10),
            tombstone: Duration::from_secs(24 * 60 * 60),
            hot_bytes: 1024 * 1024,
            hot_bytes_in_all: 256 * 1024 * 1024,
            outage_buffer: 1024 * 1024,
            patience: Duration::from_secs(10),
            linger: Duration::from_secs(5),
            claims: 16,
        }
    }
}

impl SessionsOptions {
    /// Times that can be added to the clock without passing its end.
    pub(super) fn within_reason(mut self) -> Self {
        const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
        for time in [
            &mut self.limits.idle,
            &mut self.limits.age,
            &mut self.retention.keep,
            &mut self.lease,
            &mut self.tombstone,
            &mut self.patience,
            &mut self.linger,
        ] {
            *time = LONGEST.min(*time);
        }
        self.retention.released = self.retention.released.map(|grace| LONGEST.min(grace));
        self
    }
}
