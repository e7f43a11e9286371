use std::{error::Error, future::poll_fn, sync::Arc, task::Poll, time::Duration};

use futures_core::TryStream;
use http::Extensions;
use tokio::sync::oneshot;
use tower_service::Service;

use super::{
    ProviderSource,
    hooks::{Begun, Booked, Bookkeeping},
    refuse,
    serve::{Exchange, Served},
};
use crate::{
    BoxError,
    access::{Action, SessionInfo},
    chat::{ChatEvent, ChatRequest},
    dialect::{Answer, Answering, Problem, Refusal, Start},
    session::{self, Digest, Permit, Session, SessionId, StartError},
    store::{StoreError, Tombstone},
};

impl Exchange {
    /// Authorise, compare with what exists, limits, readiness, create: everything that can be
    /// refused is refused before the session exists.
    pub(super) async fn start<S>(
        &self,
        mut start: Start,
        digest: Digest,
        extensions: Extensions,
        mut provider: S,
    ) -> Served
    where
        S: Service<ChatRequest> + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        S::Response: TryStream<Ok = ChatEvent> + Send,
        <S::Response as TryStream>::Error: Into<BoxError>,
    {
        self.config.open.admit(&mut start.request)?;
        let id = start.id.clone().unwrap_or_else(SessionId::random);
        let new = SessionInfo::new(&id, self.owner.as_ref(), start.chat.as_ref());
        if !self.allows(Action::Start, Some(new)).await {
            return Err(refuse::forbidden(
                "you may not start a session here; sign in, or ask whoever runs this server",
            ));
        }
        if start.id.is_some()
            && let Some(session) = self.existing(&id, digest).await?
        {
            return self.begin(&session, start.answering, false).await;
        }
        let sessions = &self.config.sessions;
        let permit = sessions.permit(self.owner.as_ref()).map_err(refuse::busy)?;
        ready(&mut provider, self.config.ready_timeout).await?;
        let answering = start.answering;
        let started = self
            .create(
                permit,
                id,
                start.request,
                (start.chat, digest),
                extensions,
                provider,
            )
            .await?;
        self.begin(&started.session, answering, started.created)
            .await
    }

    /// The session that this request started before, if it did.
    async fn existing(&self, id: &SessionId, digest: Digest) -> Result<Option<Session>, Refusal> {
        let sessions = &self.config.sessions;
        let found = async {
            let info = sessions.info(id).await?;
            if info.owner != self.owner || info.digest != digest {
                return Ok(None);
            }
            sessions.attach(id).await.map(Some)
        };
        match found.await {
            Ok(Some(session)) => Ok(Some(session)),
            Ok(None) => Err(refuse::in_use()),
            Err(StoreError::NotFound) => Ok(None),
            Err(StoreError::Gone(tombstone)) => Err(self.buried(&tombstone)),
            Err(error) => Err(refuse::store(&error)),
        }
    }

    /// Whoever it belonged to may know that it is gone; others only that the id is taken.
    fn buried(&self, tombstone: &Tombstone) -> Refusal {
        if tombstone.owner == self.owner {
            refuse::gone()
        } else {
            refuse::in_use()
        }
    }

    async fn create<S>(
        &self,
        permit: Permit,
        id: SessionId,
        mut request: ChatRequest,
        (chat, digest): (Option<session::ChatId>, Digest),
        extensions: Extensions,
        provider: S,
    ) -> Result<session::Started, Refusal>
    where
        S: Service<ChatRequest> + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        S::Response: TryStream<Ok = ChatEvent> + Send,
        <S::Response as TryStream>::Error: Into<BoxError>,
    {
        let config = &self.config;
        let stored = serde_json::to_vec(&request).map_err(|error| {
            tracing::error!(error = &error as &dyn Error, "a request can't be stored");
            Refusal::new(Problem::Internal, "the request can't be stored; change it")
        })?;
        request.session_id = Some(id.as_str().into());
        request.owner = self.owner.as_ref().map(|owner| owner.as_str().into());
        request.extensions = extensions;

        let first = ChatEvent::from(config.info.clone()).to_json().freeze();
        let mut start = session::Start::new(id.clone(), config.service.clone(), digest, first)
            .owner(self.owner.clone())
            .chat(chat)
            .request(stored.into());
        let (give, given) = oneshot::channel();
        let books = config.hooks.any().then(|| {
            let begun = Begun {
                id,
                owner: self.owner.clone(),
                request: Arc::new(request.clone()),
            };
            Bookkeeping::new(config.hooks.clone(), begun)
        });
        if let Some(books) = books.clone() {
            let sessions = config.sessions.clone();
            start = start.on_sealed(move |outcome| books.end(outcome, sessions, given));
        }
        let booked = books.is_some();
        let source = ProviderSource::new(provider, request)
            .event_bytes(config.sessions.limits().event_bytes);
        let source = Booked::new(Box::pin(source), books);
        let started = match config.sessions.start(permit, start, source).await {
            Ok(started) => started,
            Err(StartError::Gone(tombstone)) => return Err(self.buried(&tombstone)),
            Err(error) => return Err(error.into()),
        };
        if booked && started.created {
            let _ = give.send(started.session.clone());
        }
        Ok(started)
    }

    /// The answer to a start: the stream from its beginning, or a document.
    async fn begin(&self, session: &Session, answering: Answering, started: bool) -> Served {
        match answering {
            Answering::Stream(encoder) => self.reply(encoder).started(started).with(session).await,
            Answering::Document => {
                let session = self.view(session, session.status(), session.tail());
                Ok(self.answer(&Answer::Document { session, started }))
            }
        }
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
        .retry_after(refuse::SOON)
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
