use std::sync::Arc;

use super::claim::{claim, give_back, repeat};
use crate::{
    log::{ChunkBuilder, Ending, Epoch, Lsn, SessionId},
    session::{registry::Registry, waiting_start::has_not_begun},
    store::{AbortRequest, AfterAppend, Claimed, Seal, SessionState, StoreError},
};

/// Claims a session, if it is still as seen, and seals it. Gives up if another server is faster or
/// the store doesn't answer: the next sweep finds the orphan again.
pub(in crate::session) async fn seal(shared: &Arc<Registry>, id: &SessionId, seen: SessionState) {
    let sealed = async {
        match claim(shared, id, &seen).await? {
            Some(claim) if has_begun_since(&seen, &claim.claimed) => {
                give_back(shared, id, claim.claimed.epoch).await;
                Ok(())
            }
            Some(claim) => seal_claimed(shared, id, &claim.claimed).await,
            None => Ok(()),
        }
    };
    if let Err(error) = sealed.await {
        tracing::debug!(%error, "an orphan was not recovered this time");
    }
}

/// Returns true if a former owner wrote the first record after the session was seen, so that a
/// recovery handler has to decide.
pub(super) fn has_begun_since(seen: &SessionState, claimed: &Claimed) -> bool {
    has_not_begun(seen) && !has_not_begun(&claimed.state)
}

/// Seals a claimed session: as aborted if an abort is stored, else as interrupted.
pub(super) async fn seal_claimed(
    shared: &Arc<Registry>,
    id: &SessionId,
    claimed: &Claimed,
) -> Result<(), StoreError> {
    let (tail, abort) = (claimed.state.tail, claimed.state.abort.as_ref());
    seal_at(shared, id, claimed.epoch, tail, abort).await?;
    tracing::info!("an orphan was sealed");
    Ok(())
}

/// Seals a session whose log ends at `tail` and that this server owns at `epoch`: as aborted if there
/// is an abort request, else as interrupted.
pub(in crate::session) async fn seal_at(
    shared: &Arc<Registry>,
    id: &SessionId,
    epoch: Epoch,
    tail: Lsn,
    abort: Option<&AbortRequest>,
) -> Result<(), StoreError> {
    let ending = match abort {
        Some(abort) => Ending::Aborted {
            reason: abort.reason.clone(),
        },
        None => Ending::Interrupted,
    };
    let mut record = ChunkBuilder::new();
    record.push(&shared.format.ending(&ending));
    let Some(chunk) = record.take(tail.next(), epoch) else {
        return Ok(());
    };
    let then = AfterAppend::Seal(Seal {
        outcome: ending.outcome(),
        keep: shared.options.retention.keep,
    });
    repeat(shared, || shared.store.append(id, chunk.clone(), then)).await?;
    Ok(())
}
