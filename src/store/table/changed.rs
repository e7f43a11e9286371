use std::{pin::pin, time::Duration};

use tokio::time::{Instant, timeout_at};

use crate::{
    log::SessionId,
    store::{
        Seen, SessionState, StoreError,
        table::{SessionTable, entry::HasMachine},
    },
};

/// No wait is longer: whoever waits looks again, should a wake-up have been lost.
const CAP: Duration = Duration::from_secs(2);

impl<K: HasMachine> SessionTable<K> {
    pub async fn changed(
        &self,
        id: &SessionId,
        seen: Seen,
        within: Duration,
    ) -> Result<SessionState, StoreError> {
        let limit = within.min(CAP);
        let deadline = Instant::now().checked_add(limit);
        loop {
            let entry = self.entry(id)?;
            let changes = entry.changes(seen.is_owner());
            // Made before the look: what changes in between completes it.
            let change = pin!(changes.notified());
            let now = self.now();
            let (state, due) = {
                let kept = entry.lock();
                (kept.machine().observe(now)?, kept.machine().due(now))
            };
            let moved = seen.is_behind(&state.version());
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
