use std::{pin::pin, time::Duration};

use tokio::time::{Instant, sleep_until};
use unbroken::{
    log::SessionId,
    store::{Seen, SessionState, StoreError},
};

use crate::{Postgres, row::SessionRow};

/// The longest wait. A waiter then reads the session again, in case a notification was lost.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// The margin for the clocks of the server and this process when a session expires.
const TICK: Duration = Duration::from_millis(5);

impl Postgres {
    pub(crate) async fn wait(
        &self,
        id: &SessionId,
        seen: Seen,
        within: Duration,
    ) -> Result<SessionState, StoreError> {
        if within.is_zero() {
            return self.find_supported(id).await.map(|stored| stored.state());
        }
        let deadline = Instant::now() + within.min(MAX_WAIT);
        let wake = &self.inner.wake;
        let subscription = wake.subscribe(id);
        let mut link = wake.link();
        let mut lost = false;
        loop {
            // The order matters: a change after the read completes `change`, or arrives on the channel,
            // which is listened to by then.
            let change = subscription.changes(seen.is_owner()).notified();
            let mut change = pin!(change);
            change.as_mut().enable();
            link.mark_unchanged();
            let listening = wake.listening(id, deadline).await;
            let stored = self.find_supported(id).await?;
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

    async fn find_supported(&self, id: &SessionId) -> Result<SessionRow, StoreError> {
        let id = id.clone();
        let looking = self.on_task(|inner| async move { inner.find(&id).await });
        let stored = looking.await?;
        stored.check_format().map(|()| stored)
    }
}
