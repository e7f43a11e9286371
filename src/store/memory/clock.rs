use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// The clock of a [`Memory`](super::Memory) store: tokio's, so that a paused runtime drives it, and
/// whatever it was set forward by. Clones are the same clock.
#[derive(Clone)]
pub struct Clock {
    origin: Instant,
    // Nanoseconds; some 584 years fit.
    ahead: Arc<AtomicU64>,
}

impl Clock {
    /// A clock that starts now.
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
            ahead: Arc::default(),
        }
    }

    /// The time since its origin.
    pub fn now(&self) -> Duration {
        let ahead = Duration::from_nanos(self.ahead.load(Ordering::SeqCst));
        self.origin.elapsed().saturating_add(ahead)
    }

    /// Sets it forward, as if the host's clock had been. Nobody is woken.
    #[cfg(feature = "testing")]
    pub fn jump(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.ahead.fetch_add(by, Ordering::SeqCst);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}
