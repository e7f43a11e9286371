use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// The clock of a store that lives in the process: tokio's, so that a paused runtime drives it, and
/// whatever it was set forward by. Clones are the same clock.
#[derive(Clone)]
pub struct StoreClock {
    origin: Instant,
    // What it showed then.
    shown: Duration,
    // Nanoseconds; some 584 years fit.
    ahead: Arc<AtomicU64>,
}

impl StoreClock {
    /// A clock that starts now.
    pub fn new() -> Self {
        Self::at(Duration::ZERO)
    }

    /// A clock that shows this now.
    pub fn at(shown: Duration) -> Self {
        Self {
            origin: Instant::now(),
            shown,
            ahead: Arc::default(),
        }
    }

    /// What it shows.
    pub fn now(&self) -> Duration {
        let ahead = Duration::from_nanos(self.ahead.load(Ordering::SeqCst));
        let passed = self.origin.elapsed().saturating_add(ahead);
        self.shown.saturating_add(passed)
    }

    /// Sets it forward, as if the host's clock had been. Nobody is woken.
    pub fn jump(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.ahead.fetch_add(by, Ordering::SeqCst);
    }
}

impl Default for StoreClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for StoreClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoreClock").field(&self.now()).finish()
    }
}
