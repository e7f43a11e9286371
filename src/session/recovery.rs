//! What becomes of an orphan: a session whose writer died or hangs. By the policy `fail` it is
//! sealed as interrupted, or as aborted if somebody wanted that.

use std::sync::Arc;

use super::{
    ChunkBuilder, Ending, SessionId,
    registry::Shared,
    writer::{Retry, within},
};
use crate::store::{BoxFuture, Seal, State, StoreError, Then, Token};

/// Claims the session as it was seen, and seals it. Does nothing if somebody else is faster, and
/// gives up on a store that doesn't answer: the next sweep finds the orphan again.
pub(super) async fn recover(shared: &Arc<Shared>, id: &SessionId, seen: State) {
    if let Err(error) = claim_and_seal(shared, id, seen).await {
        tracing::debug!(%error, "an orphan was not recovered this time");
    }
}

async fn claim_and_seal(
    shared: &Arc<Shared>,
    id: &SessionId,
    seen: State,
) -> Result<(), StoreError> {
    if seen.info.format != shared.format.number() {
        return Err(StoreError::Unsupported {
            format: seen.info.format,
        });
    }
    let Ok(_permit) = shared.claims.try_acquire() else {
        return Ok(());
    };
    let (token, lease) = (Token::random(), shared.options.lease);
    let claimed = repeat(shared, || shared.store.claim(id, seen.epoch, token, lease)).await?;
    let ending = match claimed.state.abort {
        Some(abort) => Ending::Aborted {
            reason: abort.reason,
        },
        None => Ending::Interrupted,
    };
    let mut record = ChunkBuilder::new();
    record.push(&shared.format.ending(&ending));
    let Some(chunk) = record.take(claimed.state.tail.next(), claimed.epoch) else {
        return Ok(());
    };
    let then = Then::Seal(Seal {
        outcome: ending.outcome(),
        keep: shared.options.retention.keep,
    });
    repeat(shared, || shared.store.append(id, chunk.clone(), then)).await?;
    tracing::info!(outcome = ?ending.outcome(), "an orphan was sealed");
    Ok(())
}

/// Makes a call again, unchanged, while the store doesn't answer it, for one lease at the most.
async fn repeat<'a, T>(
    shared: &Shared,
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
