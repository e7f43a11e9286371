use std::{pin::pin, time::Duration};

use tokio::time::{Instant, timeout_at};

use crate::{
    log::SessionId,
    store::{
        Seen, SessionState, StoreError,
        table::{SessionTable, entry::HasMachine},
    },
};

/// The longest wait, so that a waiter reads again even if a wake-up was lost.
const MAX_WAIT: Duration = Duration::from_secs(2);

impl<S: HasMachine, T> SessionTable<S, T> {
    /// Waits for a change as [`Store::changed`](crate::store::Store::changed) does.
    ///
    /// It needs a tokio runtime with time. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`StoreError::Gone`], [`StoreError::NotFound`], [`StoreError::Unsupported`].
    pub async fn changed(
        &self,
        id: &SessionId,
        seen: Seen,
        within: Duration,
    ) -> Result<SessionState, StoreError> {
        let limit = within.min(MAX_WAIT);
        let deadline = Instant::now().checked_add(limit);
        loop {
            let entry = self.entry(id)?;
            let notify = entry.notify(seen.is_owner());
            // Created before the state is read, so that a change in between completes it.
            let notified = pin!(notify.notified());
            // In a block, so that the future keeps no state while it waits.
            let until = {
                let now = self.now();
                let (state, gone_at) = {
                    let session = entry.lock();
                    (session.machine().observe(now)?, session.machine().gone_at())
                };
                let changed = seen.is_behind(&state.version());
                let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
                if changed || limit.is_zero() || over {
                    return Ok(state);
                }
                let left = |at: Duration| at.saturating_sub(now);
                let expires = gone_at.and_then(|at| Instant::now().checked_add(left(at)));
                deadline.into_iter().chain(expires).min()
            };
            match until {
                Some(until) => drop(timeout_at(until, notified).await),
                None => notified.await,
            }
        }
    }
}
