use std::{pin::pin, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{Shelf, slot::Lives};
use crate::{
    session::{SessionId, rule::Rule},
    store::{State, StoreError, Version},
};

/// No wait is longer: whoever waits looks again, should a wake-up have been lost.
const CAP: Duration = Duration::from_secs(2);

impl<K: Lives> Shelf<K> {
    pub(in crate::store) async fn wait(
        &self,
        id: &SessionId,
        seen: Version,
        within: Duration,
    ) -> Result<State, StoreError> {
        let mut limit = within;
        if self.rules.hold(Rule::WakeCap) {
            limit = limit.min(CAP);
        }
        if !self.rules.hold(Rule::WakeWithin) {
            limit = CAP;
        }
        let deadline = Instant::now().checked_add(limit);
        let mut level = self.rules.hold(Rule::WakeLevel);
        loop {
            let slot = self.slot(id)?;
            let changes = slot.changes(seen.is_for_owner());
            // Made before the look: what changes in between completes it.
            let change = pin!(changes.notified());
            let now = self.now();
            let (state, due) = {
                let kept = slot.lock();
                (kept.life().look(now)?, kept.life().due(now))
            };
            let moved = seen.is_behind(&state.version()) && level;
            level = true;
            let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if moved || limit.is_zero() || over {
                return Ok(state);
            }
            let expires = due.and_then(|due| Instant::now().checked_add(due.saturating_sub(now)));
            match deadline.into_iter().chain(expires).min() {
                Some(until) => drop(timeout_at(until, change).await),
                None => change.await,
            }
        }
    }
}
