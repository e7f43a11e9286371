use std::{sync::Mutex, time::Duration};

use tokio::time::Instant;

/// For how long the store has been reachable without a break, by our own clock.
#[derive(Debug, Default)]
pub(super) struct Reach {
    // Since when, and when we last saw it.
    seen: Mutex<Option<(Instant, Instant)>>,
}

impl Reach {
    /// The store answered. If the last time was longer ago than `break_after`, it begins anew: a
    /// server that was stopped for a while knows nothing of that while.
    pub(super) fn reached(&self, break_after: Duration) {
        let now = Instant::now();
        let mut seen = self.seen.lock().expect("nothing panics under this lock");
        let since = match *seen {
            Some((since, last)) if now - last <= break_after => since,
            _ => now,
        };
        *seen = Some((since, now));
    }

    pub(super) fn lost(&self) {
        *self.seen.lock().expect("nothing panics under this lock") = None;
    }

    pub(super) fn lasts(&self) -> Option<Duration> {
        let seen = *self.seen.lock().expect("nothing panics under this lock");
        seen.map(|(since, _)| since.elapsed())
    }
}
