use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::{
    Continuation, Orphan, RecoveryHandler,
    claim::{ClaimedOrphan, claim, give_back, repeat},
    log_pages::{PAGE_BYTES, each_page},
    seal::{has_begun_since, seal_claimed},
};
use crate::{
    log::{Epoch, Lsn, Status},
    session::{
        Permit, Session,
        entry::SessionEntry,
        registry::Registry,
        waiting_start::has_not_begun,
        writer::{CommandQueue, LogUsage, WriterCommand},
    },
    store::{AbortRequest, Claimed, RecordPage, SessionState, StoreError},
};

/// The result of an attempt to take over an orphan.
pub(in crate::session) enum TakeOver {
    /// This server continues the session.
    Continued(Box<ContinuedSession>),
    /// This server has sealed the session. The place that it held here, if it did, is free once readers have
    /// the seal.
    Sealed(Option<Permit>),
    /// There is nothing to continue here: another server has the session, or this one has no room.
    Declined,
    /// The lease was given back, because this server shuts down.
    Released,
}

/// An orphan that this server continues, with what its writer needs.
pub(in crate::session) struct ContinuedSession {
    pub(in crate::session) permit: Permit,
    pub(in crate::session) epoch: Epoch,
    pub(in crate::session) usage: LogUsage,
    pub(in crate::session) age: Duration,
    pub(in crate::session) commands: Arc<CommandQueue>,
    pub(in crate::session) continuation: Continuation,
}

/// Claims the session that this entry follows, if it is still as seen. Then seals it, or returns
/// how it continues. A session that has not begun begins if a start of the same request waits here.
///
/// # Errors
///
/// [`StoreError`] if the store doesn't answer, or the session is gone.
pub(in crate::session) async fn take_over(
    shared: &Arc<Registry>,
    entry: &Arc<SessionEntry>,
    seen: &SessionState,
) -> Result<TakeOver, StoreError> {
    if shared.is_closing() {
        return Ok(TakeOver::Declined);
    }
    if has_not_begun(seen) {
        return begin(shared, entry, seen).await;
    }
    let continuing = match shared.recovery_handlers.of(seen) {
        None => None,
        // No room here. Another server may have some, or this one later.
        Some(handler) => match Permit::new(shared, seen.meta.owner.as_ref()) {
            Ok(permit) => Some((handler, permit)),
            Err(_) => return Ok(TakeOver::Declined),
        },
    };
    let Some(claim) = claim_if_free(shared, entry, seen).await? else {
        return Ok(TakeOver::Declined);
    };
    let ClaimedOrphan {
        mut claimed,
        at,
        slot,
    } = claim;
    let mut place = None;
    let mut until = at + shared.options.lease;
    if let (Some((handler, permit)), None) = (continuing, &claimed.state.abort)
        // A store that lost its records leaves nothing to continue.
        && !has_not_begun(&claimed.state)
    {
        // From here on the permit counts the session.
        drop(slot);
        let commands = shared.take_ownership(entry, claimed.state.clone(), at);
        let decision = decide_or_interrupt(shared, entry, &claimed, handler, &commands).await;
        if !matches!(decision, RecoveryDecision::Continue(..)) {
            until = entry.owned().map_or(until, |owned| owned.lease_until);
            entry.clear_owned();
        }
        match decision {
            RecoveryDecision::Continue(continuation, usage) => {
                tracing::info!(
                    claims = claimed.state.epoch.claims(),
                    "an orphan is continued"
                );
                return Ok(TakeOver::Continued(Box::new(ContinuedSession {
                    permit,
                    epoch: claimed.epoch,
                    usage,
                    age: claimed.state.age,
                    commands,
                    continuation,
                })));
            }
            RecoveryDecision::Seal(abort) => claimed.state.abort = abort,
            RecoveryDecision::Released => {
                give_back(shared, &entry.id, claimed.epoch).await;
                return Ok(TakeOver::Released);
            }
            RecoveryDecision::Unavailable(error) => return Err(error),
            RecoveryDecision::Lost => return Ok(TakeOver::Declined),
        }
        place = Some(permit);
    }
    seal_claimed(shared, &entry.id, &claimed, until).await?;
    Ok(TakeOver::Sealed(place))
}

/// Claims the session. `None` if another server was faster, or the owner is back.
async fn claim_if_free<'a>(
    shared: &'a Arc<Registry>,
    entry: &SessionEntry,
    seen: &SessionState,
) -> Result<Option<ClaimedOrphan<'a>>, StoreError> {
    match claim(shared, &entry.id, seen).await {
        Err(StoreError::Held | StoreError::Sealed) => Ok(None),
        claim => claim,
    }
}

/// Claims a session that has not begun. Begins it with the start that waits here, or else seals it.
async fn begin(
    shared: &Arc<Registry>,
    entry: &Arc<SessionEntry>,
    seen: &SessionState,
) -> Result<TakeOver, StoreError> {
    let Some(claim) = claim_if_free(shared, entry, seen).await? else {
        return Ok(TakeOver::Declined);
    };
    let ClaimedOrphan { claimed, at, .. } = claim;
    if has_begun_since(seen, &claimed) {
        give_back(shared, &entry.id, claimed.epoch).await;
        return Ok(TakeOver::Declined);
    }
    let waiting = entry.take_waiting_start();
    let (Some(start), None) = (waiting, &claimed.state.abort) else {
        seal_claimed(shared, &entry.id, &claimed, at + shared.options.lease).await?;
        return Ok(TakeOver::Sealed(None));
    };
    let (permit, continuation) = start.into_continuation();
    let commands = shared.take_ownership(entry, claimed.state.clone(), at);
    tracing::info!("a session is begun by a repeated start");
    Ok(TakeOver::Continued(Box::new(ContinuedSession {
        permit,
        epoch: claimed.epoch,
        usage: LogUsage {
            tail: Lsn::ZERO,
            bytes: 0,
            waiting: false,
        },
        age: claimed.state.age,
        commands,
        continuation,
    })))
}

/// The decision about a claimed orphan.
enum RecoveryDecision {
    Continue(Continuation, LogUsage),
    /// Seal it, as aborted if there is an abort request.
    Seal(Option<AbortRequest>),
    /// Give it back: this server shuts down.
    Released,
    /// Leave it: another server has claimed it.
    Lost,
    /// Leave it: the store doesn't answer.
    Unavailable(StoreError),
}

/// Lets the handler decide, unless a command decides first. The handler has as much time as a source
/// may be silent.
async fn decide_or_interrupt(
    shared: &Arc<Registry>,
    entry: &Arc<SessionEntry>,
    claimed: &Claimed,
    handler: Arc<dyn RecoveryHandler>,
    commands: &CommandQueue,
) -> RecoveryDecision {
    let limits = &shared.options.limits;
    let decided = tokio::time::timeout(
        limits.idle.min(limits.age),
        decide(shared, entry, claimed, handler),
    );
    let decided = tokio::select! {
        biased;
        decision = interrupted_by(commands) => return decision,
        decided = decided => decided,
    };
    match decided {
        Ok(Ok(Some((continuation, usage)))) => RecoveryDecision::Continue(continuation, usage),
        Ok(Ok(None)) => RecoveryDecision::Seal(None),
        Ok(Err(error)) if error.is_unavailable() => RecoveryDecision::Unavailable(error),
        Ok(Err(error)) => {
            tracing::error!(%error, "the log of an orphan can't be read");
            RecoveryDecision::Seal(None)
        }
        Err(_) => {
            tracing::error!("the recovery handler did not decide in time how an orphan continues");
            RecoveryDecision::Seal(None)
        }
    }
}

/// Waits for a command that ends the decision.
async fn interrupted_by(commands: &CommandQueue) -> RecoveryDecision {
    loop {
        match commands.next().await {
            WriterCommand::Abort(abort) => return RecoveryDecision::Seal(Some(abort)),
            WriterCommand::Fenced => return RecoveryDecision::Lost,
            WriterCommand::Release => return RecoveryDecision::Released,
            WriterCommand::Interrupt => return RecoveryDecision::Seal(None),
            // The writer will read them from the store.
            WriterCommand::Answered(_) => {}
        }
    }
}

/// Publishes all that the former owner wrote, then asks the handler.
async fn decide(
    shared: &Arc<Registry>,
    entry: &Arc<SessionEntry>,
    claimed: &Claimed,
    handler: Arc<dyn RecoveryHandler>,
) -> Result<Option<(Continuation, LogUsage)>, StoreError> {
    let Claimed { state, request, .. } = claimed;
    catch_up(shared, entry, state).await?;
    let gone = || StoreError::unavailable(false, "the session is no longer followed here");
    let client = shared.enter(&entry.id).ok_or_else(gone)?;
    let orphan = Orphan::new(Session::new(client), request.clone(), state);
    // A task of its own contains a panic of the handler; the set aborts it if this future is dropped.
    let mut decision = JoinSet::new();
    decision.spawn(tracing::Instrument::in_current_span(async move {
        handler.recover(orphan).await
    }));
    let continuation = match decision.join_next().await {
        Some(Ok(Ok(Some(continuation)))) => continuation,
        Some(Ok(Ok(None))) => return Ok(None),
        Some(Ok(Err(error))) => return Err(StoreError::unavailable(false, error)),
        Some(Err(error)) if error.is_panic() => {
            tracing::error!(%error, "the recovery handler of an orphan panicked");
            return Ok(None);
        }
        // The runtime ends.
        Some(Err(_)) | None => return Err(gone()),
    };
    let usage = measure_log(shared, entry, state).await?;
    Ok(Some((continuation, usage)))
}

/// Publishes to the hot log what the former owner wrote before it was fenced.
async fn catch_up(
    shared: &Registry,
    entry: &SessionEntry,
    state: &SessionState,
) -> Result<(), StoreError> {
    let tail = state.tail;
    if entry.log.tail() > tail {
        // The store has lost records that readers here have seen. Nothing may follow those.
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

/// Measures the log, for the limits of the session.
async fn measure_log(
    shared: &Registry,
    entry: &SessionEntry,
    state: &SessionState,
) -> Result<LogUsage, StoreError> {
    let mut bytes = 0;
    each_page(shared, &entry.id, state.tail, |chunks| {
        bytes += chunks.iter().map(|chunk| chunk.bytes() as u64).sum::<u64>();
    })
    .await?;
    Ok(LogUsage {
        tail: state.tail,
        bytes,
        waiting: state.status == Status::Waiting,
    })
}
