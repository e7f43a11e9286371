use std::{error::Error, future::poll_fn, task::Poll, time::Duration};

use tokio::time::{Instant, sleep};
use tower_service::Service;

use super::{exchange::Exchange, refusals};
use crate::{
    BoxError,
    access::{Action, SessionRef},
    chat::ChatRequest,
    dialect::{Concurrency, Problem, Refusal},
    log::{Digest, SessionId},
    session::{Permit, Session},
    store::{AbortRequest, Listed, StoreError},
};

/// How long a session that was stopped may take to end: the other one, which stands in its place,
/// waits for its room.
const STOPPED: Duration = Duration::from_secs(1);

/// Admission for a session, or the one that has it.
pub(super) enum Admission {
    Free(Permit),
    Same(Session),
}

/// Those that nobody has stopped.
pub(super) fn unstopped(running: &[Listed]) -> impl Iterator<Item = &Listed> {
    running.iter().filter(|it| it.state.abort.is_none())
}

impl Exchange {
    /// Admission for one more session, here and at the provider; or the session that has taken it, if the
    /// same request came a moment ago.
    ///
    /// A start that supersedes stops what runs of its conversation, and has that room; but it stops
    /// nothing in vain.
    pub(super) async fn take_room<S>(
        &self,
        provider: &mut S,
        same: Option<(&SessionId, Digest)>,
        concurrency: Concurrency,
        running: &[Listed],
    ) -> Result<Admission, Refusal>
    where
        S: Service<ChatRequest>,
        S::Error: Into<BoxError>,
    {
        let room = self.room_or_same(provider, same).await;
        if concurrency != Concurrency::Supersede {
            return room;
        }
        match room {
            Ok(Admission::Free(permit)) => {
                self.supersede(running).await?;
                Ok(Admission::Free(permit))
            }
            Err(full) if self.would_make_room(&full, running).await => {
                ready(provider, self.config.ready_timeout).await?;
                self.supersede(running).await?;
                self.room_soon(provider, same).await
            }
            room => room,
        }
    }

    /// Admission for one more session, here and at the provider.
    async fn room<S>(&self, provider: &mut S) -> Result<Permit, Refusal>
    where
        S: Service<ChatRequest>,
        S::Error: Into<BoxError>,
    {
        let permit = self.config.sessions.permit(self.owner.as_ref());
        let permit = permit.map_err(refusals::busy)?;
        ready(provider, self.config.ready_timeout).await?;
        Ok(permit)
    }

    /// The same; or the session that has taken the room, if the same request came a moment ago.
    async fn room_or_same<S>(
        &self,
        provider: &mut S,
        same: Option<(&SessionId, Digest)>,
    ) -> Result<Admission, Refusal>
    where
        S: Service<ChatRequest>,
        S::Error: Into<BoxError>,
    {
        let full = match self.room(provider).await {
            Ok(permit) => return Ok(Admission::Free(permit)),
            Err(full) => full,
        };
        if let Some((id, digest)) = same
            && let Some(session) = self.existing(id, digest).await?
        {
            return Ok(Admission::Same(session));
        }
        Err(full)
    }

    /// The same, once those that were stopped a moment ago have ended.
    async fn room_soon<S>(
        &self,
        provider: &mut S,
        same: Option<(&SessionId, Digest)>,
    ) -> Result<Admission, Refusal>
    where
        S: Service<ChatRequest>,
        S::Error: Into<BoxError>,
    {
        let begun = Instant::now();
        loop {
            match self.room_or_same(provider, same).await {
                Err(full) if full.problem == Problem::OverLimit && begun.elapsed() < STOPPED => {
                    sleep(Duration::from_millis(10)).await;
                }
                room => return room,
            }
        }
    }

    /// Whether there is no room because of sessions that run here, and these are among them, or have
    /// been until a moment ago.
    async fn would_make_room(&self, full: &Refusal, these: &[Listed]) -> bool {
        if full.problem != Problem::OverLimit {
            return false;
        }
        for Listed { id, .. } in these {
            if self.config.sessions.runs(id) {
                return true;
            }
            let state = self.config.sessions.state(id).await;
            if state.is_ok_and(|state| state.status.outcome().is_some()) {
                return true;
            }
        }
        false
    }

    /// Stops what another start of the conversation left running.
    async fn supersede(&self, running: &[Listed]) -> Result<(), Refusal> {
        for Listed { id, state } in unstopped(running) {
            let info = &state.info;
            let known = SessionRef::new(id, info.owner.as_ref(), info.chat.as_ref());
            if !self.allows(Action::Abort, Some(known)).await {
                return Err(refusals::chat_busy());
            }
            let abort = AbortRequest {
                reason: Some("superseded".into()),
            };
            match self.config.sessions.abort(id, abort).await {
                Ok(_) | Err(StoreError::NotFound | StoreError::Gone(_)) => {}
                Err(error) => return Err(refusals::store(&error)),
            }
        }
        Ok(())
    }
}

/// Waits until the provider takes a request.
async fn ready<S>(provider: &mut S, within: Duration) -> Result<(), Refusal>
where
    S: Service<ChatRequest>,
    S::Error: Into<BoxError>,
{
    let not_ready = || {
        Refusal::new(
            Problem::ProviderNotReady,
            "the model takes no more requests now; try again",
        )
        .retry_after(refusals::SOON)
    };
    let ready = if within.is_zero() {
        poll_fn(|cx| Poll::Ready(provider.poll_ready(cx))).await
    } else {
        let ready = poll_fn(|cx| provider.poll_ready(cx));
        match tokio::time::timeout(within, ready).await {
            Ok(ready) => Poll::Ready(ready),
            Err(_) => Poll::Pending,
        }
    };
    match ready {
        Poll::Ready(Ok(())) => Ok(()),
        Poll::Pending => Err(not_ready()),
        Poll::Ready(Err(error)) => {
            let error = error.into();
            tracing::warn!(error = &*error as &dyn Error, "the provider is not ready");
            Err(not_ready())
        }
    }
}
