use std::{sync::Arc, time::Duration};

use tokio::{sync::SemaphorePermit, time::Instant};

use crate::{
    BoxFuture,
    log::{Epoch, SessionId},
    session::{
        registry::Registry,
        writer::{Retry, within},
    },
    store::{Claimed, LeaseChange, SessionState, StoreError, Token},
};

/// The longest time that giving back a lease takes. Up to half of it waits for renewals under way.
const GIVE_BACK: Duration = Duration::from_secs(1);

/// An orphan that this server has claimed.
pub(super) struct ClaimedOrphan<'a> {
    pub(super) claimed: Claimed,
    /// The time from which its lease counts.
    pub(super) at: Instant,
    /// A permit among the claims under way.
    pub(super) slot: SemaphorePermit<'a>,
}

/// The longest time that a claim waits for others. After a planned deploy all sessions of a server are claimed at
/// once.
const TURN: Duration = Duration::from_secs(1);

/// Claims a session, if it is still as seen. Returns `None` if too many claims are under way.
pub(super) async fn claim<'a>(
    shared: &'a Arc<Registry>,
    id: &SessionId,
    seen: &SessionState,
) -> Result<Option<ClaimedOrphan<'a>>, StoreError> {
    if shared.formats.find(seen.meta.format).is_none() {
        return Err(StoreError::Unsupported {
            format: seen.meta.format,
        });
    }
    let turn = tokio::time::timeout(TURN, shared.claims.acquire());
    let Ok(Ok(slot)) = turn.await else {
        return Ok(None);
    };
    let (token, lease) = (Token::random(), shared.options.lease);
    // Counted from the first attempt: if that one was applied, a repetition has extended nothing.
    let at = Instant::now();
    let claim = || shared.store.claim(id, seen.epoch, token, lease);
    let claimed = repeat(shared, claim).await?;
    Ok(Some(ClaimedOrphan { claimed, at, slot }))
}

/// Gives back the lease of a session, so that any server can claim it at once. The caller must have
/// cleared the ownership before.
pub(in crate::session) async fn give_back(shared: &Registry, id: &SessionId, epoch: Epoch) {
    let lease = [(id.clone(), epoch)];
    // A renewal that hangs must leave time for the call below.
    let _turn = tokio::time::timeout(GIVE_BACK / 2, shared.renewing.read()).await;
    let given_back = shared.store.renew(&lease, LeaseChange::GiveBack);
    // If the store doesn't answer, the lease runs out by itself.
    let _ = tokio::time::timeout(GIVE_BACK, given_back).await;
}

/// Repeats a call unchanged while the store doesn't answer it, for one lease at most.
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
