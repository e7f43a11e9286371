use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::{
    SealedOrphan,
    claim::{claim, give_back, repeat},
};
use crate::{
    log::{ChunkBuilder, Ending, Epoch, Lsn, SessionId},
    session::{registry::Registry, waiting_start::has_not_begun},
    store::{AbortRequest, AfterAppend, Claimed, Seal, SessionState, StoreError},
};

/// The most time for which a handler may end what a sealed orphan left behind.
const CLEAN_UP: Duration = Duration::from_secs(5);

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
    clean_up(shared, id, claimed).await;
    Ok(())
}

/// Lets the handler of a sealed orphan end what the writer left behind. On a task of its own, which contains a panic.
async fn clean_up(shared: &Arc<Registry>, id: &SessionId, claimed: &Claimed) {
    let Some(handler) = shared.recovery_handlers.of_begun(&claimed.state) else {
        return;
    };
    let orphan = SealedOrphan::new(shared.store.clone(), id.clone(), claimed);
    let mut task = JoinSet::new();
    task.spawn(tracing::Instrument::in_current_span(async move {
        handler.sealed(orphan).await;
    }));
    match tokio::time::timeout(CLEAN_UP, task.join_next()).await {
        Ok(Some(Err(error))) if error.is_panic() => {
            tracing::error!(%error, "the recovery handler of a sealed orphan panicked");
        }
        Ok(_) => {}
        Err(_) => tracing::warn!("what a sealed orphan left behind was not ended in time"),
    }
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
