use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::{
    entry::{Ownership, SessionEntry},
    registry::Registry,
    writer::{Retry, WriterCommand, within},
};
use crate::{
    log::{Outcome, Status},
    store::{AbortRequest, SessionState, StoreError},
};

/// The longest time that an abort by the owner's server waits for the store.
const STORED_WITHIN: Duration = Duration::from_millis(500);
/// The longest wait for the store's answer to one call.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// Stops a session that this server writes: its writer drops the source at once, and seals the session
/// as soon as the store takes the record.
///
/// The request is stored as well, on a task of its own, so that it reaches the server that claims the
/// session if this one loses it. Returns the state in the store, or what this server knows of it if
/// the store doesn't answer in time.
///
/// # Errors
///
/// [`StoreError::NotFound`] or [`StoreError::Gone`] if the store has lost the session.
pub(super) async fn stop(
    shared: &Arc<Registry>,
    entry: &Arc<SessionEntry>,
    owned: &Ownership,
    abort: AbortRequest,
) -> Result<SessionState, StoreError> {
    let before = SessionState {
        abort: Some(abort.clone()),
        ..entry.state_here(owned)
    };
    owned.commands.send(WriterCommand::Abort(abort.clone()));
    let (answered, answer) = oneshot::channel();
    let delivery = deliver(shared.clone(), entry.clone(), abort, answered);
    tokio::spawn(tracing::Instrument::in_current_span(delivery));
    match tokio::time::timeout(STORED_WITHIN, answer).await {
        Ok(Ok(Err(error))) if !error.is_unavailable() => Err(error),
        // Unless it has ended because of this call.
        Ok(Ok(Ok(state))) if state.status != Status::Ended(Outcome::Aborted) => Ok(state),
        _ => Ok(before),
    }
}

/// Stores an abort request. Sends the first answer of the store to `answered`. If the store doesn't
/// take the request, repeats the call until it does, the session is sealed, or this server shuts down.
async fn deliver(
    shared: Arc<Registry>,
    entry: Arc<SessionEntry>,
    abort: AbortRequest,
    answered: oneshot::Sender<Result<SessionState, StoreError>>,
) {
    let store = || {
        let stored = shared.store.abort(&entry.id, abort.clone());
        within(ANSWERED_WITHIN, stored)
    };
    let first = store().await;
    let mut is_over = !first.as_ref().is_err_and(StoreError::is_unavailable);
    let _ = answered.send(first);
    // One task repeats the call for all aborts of a session.
    if is_over || !entry.begin_abort_delivery() {
        return;
    }
    let mut retry = Retry::default();
    retry.failed();
    let give_up = shared.options.limits.age + shared.options.outage_timeout;
    while !is_over {
        retry.ready().await;
        is_over = shared.is_releasing()
            || entry.log.outcome().is_some()
            || retry.outage() > Some(give_up)
            || !store().await.is_err_and(|error| error.is_unavailable());
        retry.failed();
    }
    entry.end_abort_delivery();
}
