use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::{
    SealedOrphan,
    claim::{claim, give_back, repeat},
    log_pages::each_page,
};
use crate::{
    log::{ChunkBuilder, Ending, Epoch, Lsn, SessionId},
    session::{
        Format, format::summary, registry::Registry, waiting_start::has_not_begun, writer::within,
    },
    store::{AbortRequest, AfterAppend, Claimed, Seal, SessionMeta, SessionState, StoreError},
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
            Some(claim) => {
                let until = claim.at + shared.options.lease;
                seal_claimed(shared, id, &claim.claimed, until).await
            }
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

/// Seals a claimed session whose lease runs until then: as aborted if an abort is stored, else as interrupted.
pub(super) async fn seal_claimed(
    shared: &Arc<Registry>,
    id: &SessionId,
    claimed: &Claimed,
    until: Instant,
) -> Result<(), StoreError> {
    let (tail, ending) = (claimed.state.tail, ending(claimed.state.abort.as_ref()));
    let meta = &claimed.state.meta;
    let seal = async |record: &[u8]| {
        append_seal(shared, id, meta, (claimed.epoch, tail), &ending, record).await
    };
    let format = &**shared.formats.of(meta);
    let sealed = match folded_record(shared, format, (id, tail), &ending, until).await {
        Some(record) => seal(&record).await,
        None => seal(&format.ending(&ending)).await,
    };
    if let Err(StoreError::TooLarge { .. }) = sealed {
        seal(&format.ending(&ending)).await?;
    } else {
        sealed?;
    }
    tracing::info!("an orphan was sealed");
    clean_up(shared, id, claimed);
    Ok(())
}

/// Lets the handler of a sealed orphan end what the writer left behind. On a task of its own: it contains a panic, and
/// readers get the seal meanwhile.
fn clean_up(shared: &Arc<Registry>, id: &SessionId, claimed: &Claimed) {
    let Some(handler) = shared.recovery_handlers.of_begun(&claimed.state) else {
        return;
    };
    let orphan = SealedOrphan::new(shared.store.clone(), id.clone(), claimed);
    let run = async move {
        if timeout(CLEAN_UP, handler.sealed(orphan)).await.is_err() {
            tracing::warn!("what a sealed orphan left behind was not ended in time");
        }
    };
    tokio::spawn(run.in_current_span());
}

/// Seals a session that never began and that this server owns at `epoch`, as interrupted.
pub(in crate::session) async fn seal_empty(
    shared: &Arc<Registry>,
    id: &SessionId,
    meta: &SessionMeta,
    epoch: Epoch,
) -> Result<(), StoreError> {
    let ending = ending(None);
    let record = shared.formats.of(meta).ending(&ending);
    append_seal(shared, id, meta, (epoch, Lsn::ZERO), &ending, &record).await
}

fn ending(abort: Option<&AbortRequest>) -> Ending {
    match abort {
        Some(abort) => Ending::Aborted {
            reason: abort.reason.clone(),
        },
        None => Ending::Interrupted,
    }
}

/// Returns the terminal record of an ending with what the log tells, if that can be read in half of what is left of
/// the lease.
async fn folded_record(
    shared: &Registry,
    format: &dyn Format,
    (id, tail): (&SessionId, Lsn),
    ending: &Ending,
    until: Instant,
) -> Option<Bytes> {
    let mut fold = format.fold().filter(|_| tail > Lsn::ZERO)?;
    let mut has_panicked = false;
    let read = each_page(shared, id, tail, |chunks| {
        let mut push = || chunks.iter().for_each(|chunk| fold.push(chunk));
        has_panicked |= catch_unwind(AssertUnwindSafe(&mut push)).is_err();
    });
    let left = until.saturating_duration_since(Instant::now());
    if let Err(error) = within(left / 2, read).await {
        tracing::debug!(%error, "an orphan is sealed without what its log tells");
        return None;
    }
    let folded = || (!has_panicked).then(|| fold.ending(ending));
    let Ok(Some(record)) = catch_unwind(AssertUnwindSafe(folded)) else {
        tracing::error!("the fold of an orphan's log panicked");
        return None;
    };
    (record.len() <= shared.options.limits.event_bytes).then_some(record)
}

async fn append_seal(
    shared: &Arc<Registry>,
    id: &SessionId,
    meta: &SessionMeta,
    (epoch, tail): (Epoch, Lsn),
    ending: &Ending,
    terminal: &[u8],
) -> Result<(), StoreError> {
    let mut record = ChunkBuilder::new();
    record.push(terminal);
    let Some(chunk) = record.take(tail.next(), epoch) else {
        return Ok(());
    };
    let format = meta.outbox.map(|_| &**shared.formats.of(meta));
    let seal = Seal::new(ending.outcome(), shared.options.retention.keep);
    let then = AfterAppend::Seal(seal.summary(summary(format, &chunk)));
    repeat(shared, || {
        shared.store.append(id, chunk.clone(), then.clone())
    })
    .await?;
    crate::metrics::count_ended(&meta.service, ending.outcome());
    if meta.outbox.is_some() {
        shared.outbox.wake();
    }
    Ok(())
}
