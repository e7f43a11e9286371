use std::sync::Arc;

use bytes::Bytes;

use super::{
    claim::{claim, give_back, repeat},
    log_pages::each_page,
};
use crate::{
    log::{ChunkBuilder, Ending, Epoch, Lsn, SessionId},
    session::{registry::Registry, waiting_start::has_not_begun, writer::within},
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
    let (tail, ending) = (claimed.state.tail, ending(claimed.state.abort.as_ref()));
    let record = terminal_record(shared, id, tail, &ending).await;
    append_seal(shared, id, claimed.epoch, tail, &ending, &record).await?;
    tracing::info!("an orphan was sealed");
    Ok(())
}

/// Seals a session that never began and that this server owns at `epoch`, as interrupted.
pub(in crate::session) async fn seal_empty(
    shared: &Arc<Registry>,
    id: &SessionId,
    epoch: Epoch,
) -> Result<(), StoreError> {
    let ending = ending(None);
    let record = shared.format.ending(&ending);
    append_seal(shared, id, epoch, Lsn::ZERO, &ending, &record).await
}

fn ending(abort: Option<&AbortRequest>) -> Ending {
    match abort {
        Some(abort) => Ending::Aborted {
            reason: abort.reason.clone(),
        },
        None => Ending::Interrupted,
    }
}

/// Returns the terminal record of an ending, with what the log tells if that can be read in time.
async fn terminal_record(shared: &Registry, id: &SessionId, tail: Lsn, ending: &Ending) -> Bytes {
    let fold = shared.format.fold().filter(|_| tail > Lsn::ZERO);
    let Some(mut fold) = fold else {
        return shared.format.ending(ending);
    };
    let read = each_page(shared, id, tail, |chunks| {
        for chunk in &chunks {
            fold.push(chunk);
        }
    });
    // The seal must be written while the lease runs.
    if let Err(error) = within(shared.options.lease / 2, read).await {
        tracing::debug!(%error, "an orphan is sealed without what its log tells");
        return shared.format.ending(ending);
    }
    let record = fold.ending(ending);
    if record.len() > shared.options.limits.event_bytes {
        return shared.format.ending(ending);
    }
    record
}

async fn append_seal(
    shared: &Arc<Registry>,
    id: &SessionId,
    epoch: Epoch,
    tail: Lsn,
    ending: &Ending,
    terminal: &[u8],
) -> Result<(), StoreError> {
    let mut record = ChunkBuilder::new();
    record.push(terminal);
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
