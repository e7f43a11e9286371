use std::time::Duration;

use super::{Limits, Retention};

/// The options of a registry. The methods of [`SessionsBuilder`](super::SessionsBuilder) document
/// each.
#[derive(Debug, Clone)]
pub(super) struct SessionsOptions {
    pub(super) limits: Limits,
    pub(super) retention: Retention,
    pub(super) lease: Duration,
    pub(super) tombstone: Duration,
    pub(super) hot_bytes: usize,
    pub(super) total_hot_bytes: usize,
    pub(super) outage_buffer: usize,
    pub(super) outage_timeout: Duration,
    pub(super) follower_linger: Duration,
    pub(super) max_claims: usize,
}

impl Default for SessionsOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            retention: Retention::default(),
            lease: Duration::from_secs(10),
            tombstone: Duration::from_secs(24 * 60 * 60),
            hot_bytes: 1024 * 1024,
            total_hot_bytes: 256 * 1024 * 1024,
            outage_buffer: 1024 * 1024,
            outage_timeout: Duration::from_secs(10),
            follower_linger: Duration::from_secs(5),
            max_claims: 16,
        }
    }
}

/// The longest time that is added to a clock.
pub(super) const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

impl SessionsOptions {
    /// Returns the time for which the tombstone of a reserved id is kept, and of the session for which it is
    /// reserved: no shorter than a session is kept that ended before, also one whose ending waits in the outbox.
    pub(super) fn reserved_tombstone(&self, outbox: Option<Duration>) -> Duration {
        let ended = self.retention.keep.max(outbox.unwrap_or_default());
        self.tombstone.max(ended).min(LONGEST)
    }

    /// Caps every duration, so that adding it to the clock can't overflow.
    pub(super) fn clamp_durations(mut self) -> Self {
        for time in [
            &mut self.limits.idle,
            &mut self.limits.age,
            &mut self.retention.keep,
            &mut self.lease,
            &mut self.tombstone,
            &mut self.outage_timeout,
            &mut self.follower_linger,
        ] {
            *time = LONGEST.min(*time);
        }
        self.retention.released = self.retention.released.map(|grace| LONGEST.min(grace));
        self
    }
}
