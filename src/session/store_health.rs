use std::{sync::Mutex, time::Duration};

use tokio::time::Instant;

/// A record of how long the store has been reachable without a break, by this server's clock.
#[derive(Debug, Default)]
pub(super) struct StoreHealth {
    // The beginning of the current period, and the last answer in it.
    seen: Mutex<Option<(Instant, Instant)>>,
}

impl StoreHealth {
    /// Records an answer of the store. If the last one is older than `break_after`, a new period
    /// begins: a server that was suspended doesn't know whether the store was reachable meanwhile.
    pub(super) fn record_reachable(&self, break_after: Duration) {
        let now = Instant::now();
        let mut seen = self.seen.lock().expect("nothing panics under this lock");
        let since = match *seen {
            Some((since, last)) if now - last <= break_after => since,
            _ => now,
        };
        *seen = Some((since, now));
    }

    /// Records a call that the store did not answer.
    pub(super) fn record_unreachable(&self) {
        *self.seen.lock().expect("nothing panics under this lock") = None;
    }

    /// Returns for how long the store has been reachable without a break. Returns `None` if its last
    /// answer is older than `break_after`.
    pub(super) fn reachable_for(&self, break_after: Duration) -> Option<Duration> {
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
    async fn a_suspension_longer_than_the_break_begins_a_new_period() {
        let store_health = StoreHealth::default();
        assert_eq!(store_health.reachable_for(LEASE), None);
        for _ in 0..20 {
            store_health.record_reachable(LEASE);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(store_health.reachable_for(LEASE), Some(LEASE * 2));
        // Before the store answers again, and after.
        tokio::time::advance(LEASE).await;
        assert_eq!(store_health.reachable_for(LEASE), None);
        store_health.record_reachable(LEASE);
        assert_eq!(store_health.reachable_for(LEASE), Some(Duration::ZERO));
        store_health.record_unreachable();
        assert_eq!(store_health.reachable_for(LEASE), None);
    }
}
