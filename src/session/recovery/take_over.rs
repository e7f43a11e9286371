use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use super::{
    Continuation, Orphan, RecoveryHandler,
    claim::{ClaimedOrphan, claim, give_back, repeat},
    seal::seal_claimed,
};
use crate::{
    log::{Epoch, Position, Status},
    session::{
        Permit, Session,
        entry::{Ownership, SessionEntry},
        registry::Registry,
        writer::{LogUsage, WriterCommand},
    },
    store::{AbortRequest, Claimed, RecordPage, SessionState, StoreError},
};

/// The most bytes that one read asks for.
const PAGE_BYTES: usize = 256 * 1024;

/// What came of an orphan.
pub(in crate::session) enum TakeOver {
    /// This server carries it on.
    Over(Box<ContinuedSession>),
    /// It is sealed, or somebody else was faster.
    Not,
    /// It was given back: this server shuts down.
    Released,
}

/// An orphan that this server carries on: what its writer needs.
pub(in crate::session) struct ContinuedSession {
    pub(in crate::session) permit: Permit,
    pub(in crate::session) epoch: Epoch,
    pub(in crate::session) written: LogUsage,
    pub(in crate::session) age: Duration,
    pub(in crate::session) commands: mpsc::UnboundedReceiver<WriterCommand>,
    pub(in crate::session) on: Continuation,
}

/// Claims the session that this entry follows, as it was seen, and seals it or says how it goes on.
///
/// # Errors
///
/// If the store doesn't answer, or the session is gone.
pub(in crate::session) async fn take_over(
    shared: &Arc<Registry>,
    entry: &Arc<SessionEntry>,
    seen: &SessionState,
) -> Result<TakeOver, StoreError> {
    if shared.is_closing() {
        return Ok(TakeOver::Not);
    }
    let restarter = shared.recovery_handlers.of(seen);
    let permit = match &restarter {
        None => None,
        // As many run here as may: another server may have room, or we later.
        Some(_) => match Permit::new(shared, seen.info.owner.as_ref()) {
            Ok(permit) => Some(permit),
            Err(_) => return Ok(TakeOver::Not),
        },
    };
    let claim = match claim(shared, &entry.id, seen).await {
        Ok(Some(claim)) => claim,
        // Somebody else was faster, or its owner is back.
        Ok(None) | Err(StoreError::Held | StoreError::Sealed) => return Ok(TakeOver::Not),
        Err(error) => return Err(error),
    };
    let ClaimedOrphan {
        mut claimed,
        at,
        slot,
    } = claim;
    if let (Some(restarter), Some(permit), None) = (restarter, permit, &claimed.state.abort) {
        // From here on the permits bound how many there are.
        drop(slot);
        let mut commands = own(shared, entry, claimed.epoch, at);
        let verdict = judge(shared, entry, &claimed, restarter, &mut commands).await;
        if let RecoveryDecision::GoesOn(on, written) = verdict {
            tracing::info!(attempt = claimed.state.attempts, "an orphan is carried on");
            return Ok(TakeOver::Over(Box::new(ContinuedSession {
                permit,
                epoch: claimed.epoch,
                written,
                age: claimed.state.age,
                commands,
                on,
            })));
        }
        entry.disown();
        match verdict {
            RecoveryDecision::Ends(abort) => claimed.state.abort = abort,
            RecoveryDecision::Released => {
                give_back(shared, &entry.id, claimed.epoch).await;
                return Ok(TakeOver::Released);
            }
            RecoveryDecision::Unknown(error) => return Err(error),
            RecoveryDecision::Lost | RecoveryDecision::GoesOn(..) => return Ok(TakeOver::Not),
        }
    }
    seal_claimed(shared, &entry.id, &claimed).await?;
    Ok(TakeOver::Not)
}

/// What becomes of what was claimed.
enum RecoveryDecision {
    GoesOn(Continuation, LogUsage),
    /// As aborted, if somebody wants that.
    Ends(Option<AbortRequest>),
    /// This server shuts down.
    Released,
    /// Another server has it.
    Lost,
    /// The store doesn't answer.
    Unknown(StoreError),
}

/// Has the restarter decide, unless something else does meanwhile. Who never decides is waited for
/// as long as a source may be silent.
async fn judge(
    shared: &Arc<Registry>,
    entry: &Arc<SessionEntry>,
    claimed: &Claimed,
    restarter: Arc<dyn RecoveryHandler>,
    commands: &mut mpsc::UnboundedReceiver<WriterCommand>,
) -> RecoveryDecision {
    let limits = &shared.options.limits;
    let decided = tokio::time::timeout(
        limits.idle.min(limits.age),
        decide(shared, entry, claimed, restarter),
    );
    let decided = tokio::select! {
        biased;
        verdict = told(commands) => return verdict,
        decided = decided => decided,
    };
    match decided {
        Ok(Ok(Some((on, written)))) => RecoveryDecision::GoesOn(on, written),
        Ok(Ok(None)) => RecoveryDecision::Ends(None),
        Ok(Err(error)) if error.is_unavailable() => RecoveryDecision::Unknown(error),
        Ok(Err(error)) => {
            tracing::error!(%error, "the log of an orphan can't be read");
            RecoveryDecision::Ends(None)
        }
        Err(_) => {
            tracing::error!("nobody decided in time how an orphan goes on");
            RecoveryDecision::Ends(None)
        }
    }
}

/// What somebody else has decided. Pending for as long as nobody has.
async fn told(commands: &mut mpsc::UnboundedReceiver<WriterCommand>) -> RecoveryDecision {
    while let Some(command) = commands.recv().await {
        match command {
            WriterCommand::Abort(abort) => return RecoveryDecision::Ends(Some(abort)),
            WriterCommand::Fenced => return RecoveryDecision::Lost,
            WriterCommand::Release => return RecoveryDecision::Released,
            // The writer to come finds them in the store.
            WriterCommand::Answered(_) => {}
        }
    }
    std::future::pending().await
}

/// From here on the lease is renewed, and commands are kept for the writer to come.
fn own(
    shared: &Registry,
    entry: &SessionEntry,
    epoch: Epoch,
    at: Instant,
) -> mpsc::UnboundedReceiver<WriterCommand> {
    let (commands, received) = mpsc::unbounded_channel();
    entry.own(Ownership {
        epoch,
        lease_until: at + shared.options.lease,
        commands,
    });
    if shared.is_releasing() {
        entry.command(WriterCommand::Release);
    }
    received
}

/// Has the restarter decide, once the hot log has all that the former owner wrote.
async fn decide(
    shared: &Arc<Registry>,
    entry: &Arc<SessionEntry>,
    claimed: &Claimed,
    restarter: Arc<dyn RecoveryHandler>,
) -> Result<Option<(Continuation, LogUsage)>, StoreError> {
    let Claimed { state, request, .. } = claimed;
    catch_up(shared, entry, state).await?;
    let gone = || StoreError::unavailable(false, "the session is no longer followed here");
    let client = shared.enter(&entry.id).ok_or_else(gone)?;
    let orphan = Orphan::new(Session::new(client), request.clone(), state);
    // A task of its own, so that a panic of somebody else's code stays in it; a set, so that it ends
    // if nobody waits for it any more.
    let mut decision = JoinSet::new();
    decision.spawn(tracing::Instrument::in_current_span(async move {
        restarter.carry_on(orphan).await
    }));
    let on = match decision.join_next().await {
        Some(Ok(Ok(Some(on)))) => on,
        Some(Ok(Ok(None))) => return Ok(None),
        Some(Ok(Err(error))) => return Err(StoreError::unavailable(false, error)),
        Some(Err(error)) if error.is_panic() => {
            tracing::error!(%error, "what should carry on an orphan panicked");
            return Ok(None);
        }
        // The runtime ends.
        Some(Err(_)) | None => return Err(gone()),
    };
    let written = written(shared, entry, state).await?;
    Ok(Some((on, written)))
}

/// Publishes what the former owner wrote before it was fenced.
async fn catch_up(
    shared: &Registry,
    entry: &SessionEntry,
    state: &SessionState,
) -> Result<(), StoreError> {
    let tail = state.tail;
    if entry.log.tail() > tail {
        // The store has lost what readers here were shown: nothing may follow that.
        return Err(StoreError::Rewound { tail });
    }
    while entry.log.tail() < tail {
        let from = entry.log.end();
        let RecordPage { chunks, .. } =
            repeat(shared, || shared.store.read(&entry.id, from, PAGE_BYTES)).await?;
        let reached = chunks.last().is_some_and(|last| last.last() >= tail);
        let status = if reached {
            state.status
        } else {
            Status::Streaming
        };
        let joins_on = !chunks.is_empty() && entry.log.publish(chunks, status);
        if !joins_on {
            return Err(StoreError::Rewound {
                tail: entry.log.tail(),
            });
        }
    }
    Ok(())
}

/// What counts against the limits of the session.
async fn written(
    shared: &Registry,
    entry: &SessionEntry,
    state: &SessionState,
) -> Result<LogUsage, StoreError> {
    let tail = state.tail;
    let mut bytes = 0;
    let mut at = Position::START;
    while at.lsn < tail {
        let RecordPage { chunks, .. } =
            repeat(shared, || shared.store.read(&entry.id, at, PAGE_BYTES)).await?;
        let Some(last) = chunks.last() else {
            return Err(StoreError::Rewound { tail: at.lsn });
        };
        at = Position::tagged(last.last(), last.epoch().tag());
        bytes += chunks.iter().map(|chunk| chunk.bytes() as u64).sum::<u64>();
    }
    Ok(LogUsage {
        tail,
        bytes,
        waiting: state.status == Status::Waiting,
    })
}
