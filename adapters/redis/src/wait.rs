use std::time::Duration;

use tokio::time::Instant;
use unbroken::{
    log::SessionId,
    store::{Seen, SessionState, StoreError},
};

use crate::Redis;

/// The longest wait. A waiter then reads the session again, in case a message was lost.
const MAX_WAIT: Duration = Duration::from_secs(2);

impl Redis {
    pub(crate) async fn wait(
        &self,
        id: &SessionId,
        seen: Seen,
        within: Duration,
    ) -> Result<SessionState, StoreError> {
        let deadline = Instant::now() + within.min(MAX_WAIT);
        if within.is_zero() {
            return Ok(self.look_supported(id).await?.state);
        }
        let keys = &self.inner.keys;
        let channel = if seen.is_owner() {
            keys.turns(id)
        } else {
            keys.records(id)
        };
        let mut watch = self.inner.channels.watch(channel);
        if !watch.listen() {
            // A change that has happened need not wait for the subscription.
            let state = self.look_supported(id).await?.state;
            if seen.is_behind(&state.version()) {
                return Ok(state);
            }
            watch.subscribed(deadline).await;
        }
        loop {
            // Before the state is read: a message that comes in between ends the wait.
            let subscribed = watch.listen();
            let look = self.look_supported(id).await?;
            let changed = seen.is_behind(&look.state.version());
            if changed || !subscribed || Instant::now() >= deadline {
                return Ok(look.state);
            }
            let expires = look
                .expires_in
                .and_then(|left| Instant::now().checked_add(left));
            let until = expires.map_or(deadline, |expires| expires.min(deadline));
            watch.published(until).await;
        }
    }
}
