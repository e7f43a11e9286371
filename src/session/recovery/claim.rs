use std::{sync::Arc, time::Duration};

use tokio::{sync::SemaphorePermit, time::Instant};

use crate::{
    log::{Epoch, SessionId},
    session::{
        registry::Registry,
        writer::{Retry, within},
    },
    store::{BoxFuture, Claimed, LeaseChange, SessionState, StoreError, Token},
};

/// How long it may take to give a lease back; half of that goes to renewals that are under way.
const GIVE_BACK: Duration = Duration::from_secs(1);

/// An orphan that this server has claimed.
pub(super) struct ClaimedOrphan<'a> {
    pub(super) claimed: Claimed,
    /// From when on its lease counts.
    pub(super) at: Instant,
    /// Counts among the claims that are under way.
    pub(super) slot: SemaphorePermit<'a>,
}

/// Claims a session as it was seen; `None` if as many claims are under way as may be.
pub(super) async fn claim<'a>(
    shared: &'a Arc<Registry>,
    id: &SessionId,
    seen: &SessionState,
) -> Result<Option<ClaimedOrphan<'a>>, StoreError> {
    if seen.info.format != shared.format.number() {
        return Err(StoreError::Unsupported {
            format: seen.info.format,
        });
    }
    let Ok(slot) = shared.claims.try_acquire() else {
        return Ok(None);
    };
    let (token, lease) = (Token::random(), shared.options.lease);
    // Counted from the first attempt: where that one was applied, a later one extended nothing.
    let at = Instant::now();
    let claim = || shared.store.claim(id, seen.epoch, token, lease);
    let claimed = repeat(shared, claim).await?;
    Ok(Some(ClaimedOrphan { claimed, at, slot }))
}

/// Lets anybody claim the session at once. It is to be disowned by then.
pub(in crate::session) async fn give_back(shared: &Registry, id: &SessionId, epoch: Epoch) {
    let lease = [(id.clone(), epoch)];
    // A renewal that hangs is not waited for until there is no time left.
    let _turn = tokio::time::timeout(GIVE_BACK / 2, shared.renewing.read()).await;
    let given_back = shared.store.renew(&lease, LeaseChange::GiveBack);
    // If the store doesn't answer, the lease runs out.
    let _ = tokio::time::timeout(GIVE_BACK, given_back).await;
}

/// Makes a call again, unchanged, while the store doesn't answer it, for one lease at the most.
pub(super) async fn repeat<'a, T>(
    shared: &Registry,
    mut call: impl FnMut() -> BoxFuture<'a, Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let mut retry = Retry::default();
    loop {
        match within(shared.options.lease, call()).await {
            Err(error) if error.is_unavailable() && retry.outage() < Some(shared.options.lease) => {
                retry.failed();
                retry.ready().await;
            }
            answer => return answer,
        }
    }
}
