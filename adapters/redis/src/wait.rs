use std::time::Duration;

use tokio::time::Instant;
use unbroken::{
    log::SessionId,
    store::{Seen, SessionState, StoreError, Version},
};

use crate::Redis;

/// No wait is longer: whoever waits looks again, should a message have been lost.
const CAP: Duration = Duration::from_secs(2);

impl Redis {
    pub(crate) async fn wait(
        &self,
        id: &SessionId,
        seen: Seen,
        within: Duration,
    ) -> Result<SessionState, StoreError> {
        let deadline = Instant::now() + within.min(CAP);
        if within.is_zero() {
            return Ok(self.look_readable(id).await?.state);
        }
        let keys = &self.inner.keys;
        let channel = if seen.is_owner() {
            keys.turns(id)
        } else {
            keys.records(id)
        };
        let mut watch = self.inner.bells.watch(channel);
        if !watch.listen() {
            // What has moved on already needn't wait for the subscription.
            let state = self.look_readable(id).await?.state;
            if seen.is_behind(&state.version()) {
                return Ok(state);
            }
            watch.subscribed(deadline).await;
        }
        loop {
            // Before the look: what is published in between rings.
            let live = watch.listen();
            let look = self.look_readable(id).await?;
            let moved = seen.is_behind(&look.state.version());
            if moved || !live || Instant::now() >= deadline {
                return Ok(look.state);
            }
            let expires = look.left.and_then(|left| Instant::now().checked_add(left));
            let until = expires.map_or(deadline, |expires| expires.min(deadline));
            watch.rung(until).await;
        }
    }
}
