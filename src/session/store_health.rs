use std::{sync::Mutex, time::Duration};

use tokio::time::Instant;

/// For how long the store has been reachable without a break, by our own clock.
#[derive(Debug, Default)]
pub(super) struct StoreHealth {
    // Since when, and when we last saw it.
    seen: Mutex<Option<(Instant, Instant)>>,
}

impl StoreHealth {
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

    /// For how long the store has been reachable without a break; `None` where it was last seen
    /// longer ago than `break_after`.
    pub(super) fn lasts(&self, break_after: Duration) -> Option<Duration> {
        let seen = *self.seen.lock().expect("nothing panics under this lock");
        let (since, last) = seen?;
        (last.elapsed() <= break_after).then(|| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_server_that_was_stopped_knows_nothing_of_that_while() {
        let reach = StoreHealth::default();
        assert_eq!(reach.lasts(LEASE), None);
        for _ in 0..20 {
            reach.reached(LEASE);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(reach.lasts(LEASE), Some(LEASE * 2));
        // Asked before anything was heard of the store again, and after.
        tokio::time::advance(LEASE).await;
        assert_eq!(reach.lasts(LEASE), None);
        reach.reached(LEASE);
        assert_eq!(reach.lasts(LEASE), Some(Duration::ZERO));
        reach.lost();
        assert_eq!(reach.lasts(LEASE), None);
    }
}
