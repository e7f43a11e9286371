use std::{error::Error, task::Poll, time::Duration};

use tokio::time::{Instant, sleep};

use super::{caller::Caller, questions::SessionQuestions, refusals};
use crate::{
    access::{Action, SessionRef},
    chat::Provider,
    dialect::{Concurrency, Problem, Refusal},
    exchange,
    log::{Digest, SessionId, Status},
    session::{Permit, Session},
    store::{AbortRequest, Listed, StoreError},
};

/// The longest wait for the permit of a session that was just aborted in favour of a new one.
const ABORTED_WITHIN: Duration = Duration::from_secs(1);

/// Admission of one more session: a permit of the registry, and readiness of the provider.
pub(super) struct Admission<'a, S> {
    caller: &'a Caller,
    provider: &'a mut S,
    /// The id and digest under which the same request may have started a session meanwhile.
    same: Option<(&'a SessionId, Digest)>,
}

/// The result of an admission.
pub(super) enum Admitted {
    /// The session may start.
    Permit(Permit),
    /// A session that the same request started a moment ago.
    Attached(Session),
}

/// Returns the sessions among these that no client has aborted.
pub(super) fn not_aborted(running: &[Listed]) -> impl Iterator<Item = &Listed> {
    running.iter().filter(|it| it.state.abort.is_none())
}

impl<'a, S: Provider> Admission<'a, S> {
    pub(super) const fn new(
        caller: &'a Caller,
        provider: &'a mut S,
        same: Option<(&'a SessionId, Digest)>,
    ) -> Self {
        Self {
            caller,
            provider,
            same,
        }
    }

    /// Admits one more session beside those of its chat that run.
    ///
    /// A start that cancels questions answers those that wait. A start that supersedes aborts those, and gets their permit if the server is full. It aborts
    /// them only if it can start afterwards.
    pub(super) async fn admit(
        mut self,
        concurrency: Concurrency,
        running: &[Listed],
    ) -> Result<Admitted, Refusal> {
        let admitted = self.admit_or_attach().await;
        match concurrency {
            Concurrency::Supersede => {}
            Concurrency::CancelQuestions => {
                if let Ok(Admitted::Permit(_)) = &admitted {
                    cancel_questions(self.caller, running).await?;
                }
                return admitted;
            }
            Concurrency::Allow | Concurrency::Refuse => return admitted,
        }
        match admitted {
            Ok(Admitted::Permit(permit)) => {
                supersede(self.caller, running).await?;
                Ok(Admitted::Permit(permit))
            }
            Err(full) if would_free_permit(self.caller, &full, running).await => {
                self.ready().await?;
                supersede(self.caller, running).await?;
                self.admit_when_free().await
            }
            admitted => admitted,
        }
    }

    async fn permit(&mut self) -> Result<Permit, Refusal> {
        let sessions = self.caller.registry();
        let permit = sessions.permit(self.caller.owner.as_ref());
        let permit = permit.map_err(refusals::busy)?;
        self.ready().await?;
        Ok(permit)
    }

    async fn admit_or_attach(&mut self) -> Result<Admitted, Refusal> {
        let full = match self.permit().await {
            Ok(permit) => return Ok(Admitted::Permit(permit)),
            Err(full) => full,
        };
        if let Some((id, digest)) = self.same
            && let Some(session) = self.caller.started_meanwhile(id, digest).await?
        {
            return Ok(Admitted::Attached(session));
        }
        Err(full)
    }

    /// Admits the session once an aborted one has ended.
    async fn admit_when_free(&mut self) -> Result<Admitted, Refusal> {
        let since = Instant::now();
        loop {
            match self.admit_or_attach().await {
                Err(full)
                    if full.problem == Problem::OverLimit && since.elapsed() < ABORTED_WITHIN =>
                {
                    sleep(Duration::from_millis(10)).await;
                }
                admitted => return admitted,
            }
        }
    }

    /// Waits until the provider takes a request, for the layer's ready timeout at most.
    async fn ready(&mut self) -> Result<(), Refusal> {
        let within = self.caller.config.ready_timeout;
        let not_ready = || {
            Refusal::new(
                Problem::ProviderNotReady,
                "the model takes no more requests now; try again",
            )
            .retry_after(refusals::SOON)
        };
        match exchange::ready(self.provider, within).await {
            Poll::Ready(Ok(())) => Ok(()),
            Poll::Pending => Err(not_ready()),
            Poll::Ready(Err(error)) => {
                let error = error.into();
                tracing::warn!(error = &*error as &dyn Error, "the provider is not ready");
                Err(not_ready())
            }
        }
    }
}

/// Returns true if a start is over the limit because of these sessions: one of them runs on this
/// server, or ended a moment ago.
async fn would_free_permit(caller: &Caller, full: &Refusal, sessions: &[Listed]) -> bool {
    if full.problem != Problem::OverLimit {
        return false;
    }
    for Listed { id, .. } in sessions {
        if caller.registry().runs(id) {
            return true;
        }
        let state = caller.sessions().state(id).await;
        if state.is_ok_and(|state| state.status.outcome().is_some()) {
            return true;
        }
    }
    false
}

/// Answers what the waiting sessions of the chat ask with `cancel`.
async fn cancel_questions(caller: &Caller, running: &[Listed]) -> Result<(), Refusal> {
    for Listed { id, .. } in not_aborted(running) {
        let state = match caller.state(id, Action::Answer).await {
            Ok(state) => state,
            Err(refusal) if matches!(refusal.problem, Problem::NotFound | Problem::Gone) => {
                continue;
            }
            Err(refusal) => return Err(refusal),
        };
        match state.status {
            Status::Waiting => SessionQuestions::cancel_open(caller, id, state).await?,
            // Answered since it was listed.
            Status::Streaming => return Err(refusals::chat_busy()),
            Status::Ended(_) => {}
        }
    }
    Ok(())
}

/// Aborts the running sessions of the chat.
async fn supersede(caller: &Caller, running: &[Listed]) -> Result<(), Refusal> {
    for Listed { id, state } in not_aborted(running) {
        let meta = &state.meta;
        let session = SessionRef::new(id, meta.owner.as_ref(), meta.chat.as_ref());
        if !caller.is_allowed(Action::Abort, Some(session)).await {
            return Err(refusals::chat_busy());
        }
        let abort = AbortRequest {
            reason: Some("superseded".into()),
        };
        match caller.registry().abort(id, abort).await {
            Ok(_) | Err(StoreError::NotFound | StoreError::Gone(_)) => {}
            Err(error) => return Err(refusals::store(&error)),
        }
    }
    Ok(())
}
