use std::sync::Arc;

use super::claim::{claim, repeat};
use crate::{
    log::{ChunkBuilder, Ending, SessionId},
    session::registry::Registry,
    store::{AfterAppend, Claimed, Seal, SessionState, StoreError},
};

/// Claims a session, if it is still as seen, and seals it. Gives up if another server is faster or
/// the store doesn't answer: the next sweep finds the orphan again.
pub(in crate::session) async fn seal(shared: &Arc<Registry>, id: &SessionId, seen: SessionState) {
    let sealed = async {
        match claim(shared, id, &seen).await? {
            Some(claim) => seal_claimed(shared, id, &claim.claimed).await,
            None => Ok(()),
        }
    };
    if let Err(error) = sealed.await {
        tracing::debug!(%error, "an orphan was not recovered this time");
    }
}

/// Seals a claimed session: as aborted if an abort is stored, else as interrupted.
pub(super) async fn seal_claimed(
    shared: &Arc<Registry>,
    id: &SessionId,
    claimed: &Claimed,
) -> Result<(), StoreError> {
    let ending = match &claimed.state.abort {
        Some(abort) => Ending::Aborted {
            reason: abort.reason.clone(),
        },
        None => Ending::Interrupted,
    };
    let mut record = ChunkBuilder::new();
    record.push(&shared.format.ending(&ending));
    let Some(chunk) = record.take(claimed.state.tail.next(), claimed.epoch) else {
        return Ok(());
    };
    let then = AfterAppend::Seal(Seal {
        outcome: ending.outcome(),
        keep: shared.options.retention.keep,
    });
    repeat(shared, || shared.store.append(id, chunk.clone(), then)).await?;
    tracing::info!(outcome = ?ending.outcome(), "an orphan was sealed");
    Ok(())
}
