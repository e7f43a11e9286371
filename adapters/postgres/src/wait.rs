use std::{pin::pin, time::Duration};

use tokio::time::{Instant, sleep_until};
use unbroken::{
    log::SessionId,
    store::{Seen, SessionState, StoreError},
};

use crate::{Postgres, row::SessionRow};

/// No wait is longer: whoever waits looks again, should a notification have been lost.
const CAP: Duration = Duration::from_secs(2);

/// The server's clock and ours may differ by this when a session expires.
const TICK: Duration = Duration::from_millis(5);

impl Postgres {
    pub(crate) async fn wait(
        &self,
        id: &SessionId,
        seen: Seen,
        within: Duration,
    ) -> Result<SessionState, StoreError> {
        if within.is_zero() {
            return self.readable(id).await.map(|stored| stored.state());
        }
        let deadline = Instant::now() + within.min(CAP);
        let wake = &self.inner.wake;
        let subscription = wake.subscribe(id);
        let mut link = wake.link();
        let mut lost = false;
        loop {
            // In this order: what changes after the look completes `change` or arrives on the
            // channel that is listened to by then.
            let change = subscription.changes(seen.is_owner()).notified();
            let mut change = pin!(change);
            change.as_mut().enable();
            link.mark_unchanged();
            let listening = wake.listening(id, deadline).await;
            let stored = self.readable(id).await?;
            let state = stored.state();
            let now = Instant::now();
            if lost || now >= deadline || seen.is_behind(&state.version()) {
                return Ok(state);
            }
            let mut until = deadline;
            if let Some(expires) = stored.expires_in() {
                until = until.min(now + expires.saturating_add(TICK));
            }
            if !listening {
                until = until.min(now + wake.poll);
            }
            tokio::select! {
                () = change => {}
                () = sleep_until(until) => {}
                _ = link.changed(), if listening => lost = true,
            }
        }
    }

    async fn readable(&self, id: &SessionId) -> Result<SessionRow, StoreError> {
        let id = id.clone();
        let looking = self.on_task(|inner| async move { inner.find(&id).await });
        let stored = looking.await?;
        stored.readable().map(|()| stored)
    }
}
