use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// The clock of a store that keeps its state in the process.
///
/// It is tokio's clock, so that a runtime with paused time drives it, plus the time by which it was set
/// forward. Clones share one clock.
#[derive(Clone)]
pub struct StoreClock {
    origin: Instant,
    // The time at `origin`.
    start: Duration,
    // In nanoseconds, up to 584 years.
    ahead: Arc<AtomicU64>,
}

impl StoreClock {
    /// Creates a clock that shows zero now.
    pub fn new() -> Self {
        Self::at(Duration::ZERO)
    }

    /// Creates a clock that shows this time now.
    pub fn at(start: Duration) -> Self {
        Self {
            origin: Instant::now(),
            start,
            ahead: Arc::default(),
        }
    }

    /// Returns the time.
    pub fn now(&self) -> Duration {
        let ahead = Duration::from_nanos(self.ahead.load(Ordering::SeqCst));
        let passed = self.origin.elapsed().saturating_add(ahead);
        self.start.saturating_add(passed)
    }

    /// Sets the clock forward, as if the host's clock had been set. It wakes no waiting task.
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
