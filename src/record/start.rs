use std::{pin::pin, task::Poll, time::Duration};

use bytes::{Buf, Bytes};
use http::{Method, Request, Response, request, response};
use http_body::Body;
use tokio::{sync::oneshot, time::timeout};
use tower_service::Service;

use super::{
    body::RecordBody,
    exchange::{Declined, RecordCaller},
    found_head::{FoundHead, HeadMissing},
    inner_body::InnerBody,
    records,
    reply::{RecordReply, Wanted},
    source::{RecordSource, WrappedAnswer},
};
use crate::{
    BoxError,
    dialect::{Problem, Refusal},
    exchange::{UsedId, ready, refusals},
    log::{Digest, SessionId},
    session::{Permit, Session, SessionSpec, StartError},
    store::StoreError,
};

/// A request to start a session that the policy allows: attach to what exists, or create it and wait for the head of the
/// response.
pub(super) struct StartRecording<'a> {
    pub(super) caller: &'a RecordCaller,
    pub(super) reply: &'a RecordReply,
    pub(super) id: SessionId,
    /// True if the client has named the session.
    pub(super) is_named: bool,
    pub(super) digest: Digest,
    /// The head for the wrapped service.
    pub(super) head: &'a request::Parts,
    pub(super) body: Bytes,
}

/// The most sessions of the same request that a start waits for in vain.
const ROUNDS: u32 = 64;
/// The pause after each of them: its id becomes free in a moment.
const PAUSE: Duration = Duration::from_millis(2);

/// The longest wait for the end of a session whose response isn't recorded.
const WITHDRAWN_WITHIN: Duration = Duration::from_secs(1);

/// The frames that a start wants: all.
const ALL: Wanted = Wanted {
    after: None,
    starts: true,
};

impl StartRecording<'_> {
    /// Serves the start. Begins anew whenever a session that it attached to is withdrawn, because its response was not
    /// recorded.
    pub(super) async fn run<S, B, R>(
        self,
        service: S,
    ) -> Result<Response<RecordBody<R>>, Declined<S::Error>>
    where
        S: Service<Request<InnerBody<B>>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError> + Send + 'static,
        B: Send + 'static,
        R: Body + Send + 'static,
        R::Data: Buf,
        R::Error: Into<BoxError>,
    {
        for round in 0..ROUNDS {
            if round > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let is_taken = match self.used().await? {
                UsedId::Free => false,
                UsedId::Taken => true,
                UsedId::Session(session) => match self.attach(&session).await? {
                    Some(response) => return Ok(response),
                    None => continue,
                },
            };
            let mut service = service.clone();
            let permit = match self.permit(&mut service).await? {
                Ok(permit) => permit,
                Err(full) => match self.started_meanwhile().await? {
                    None => return Err(full.into()),
                    Some(session) => match self.attach(&session).await? {
                        Some(response) => return Ok(response),
                        None => continue,
                    },
                },
            };
            if is_taken {
                return Err(refusals::in_use().into());
            }
            if let Some(response) = self.start(permit, service).await? {
                return Ok(response);
            }
        }
        Err(Refusal::new(
            Problem::ServiceNotReady,
            "too many requests under this id had a response that is not recorded; try again",
        )
        .retry_after(refusals::SOON)
        .into())
    }

    /// Finds out what stands under the id.
    async fn used(&self) -> Result<UsedId, Refusal> {
        if !self.is_named {
            return Ok(UsedId::Free);
        }
        self.caller.look_up(&self.id, self.digest).await
    }

    async fn started_meanwhile(&self) -> Result<Option<Session>, Refusal> {
        if !self.is_named {
            return Ok(None);
        }
        self.caller.started_meanwhile(&self.id, self.digest).await
    }

    /// Takes a permit, and waits until the service is ready. A refusal that a session of the same request outdoes is
    /// inside.
    async fn permit<S, B>(
        &self,
        service: &mut S,
    ) -> Result<Result<Permit, Refusal>, Declined<S::Error>>
    where
        S: Service<Request<InnerBody<B>>>,
    {
        let registry = self.caller.sessions().registry();
        let permit = match registry.permit(self.caller.owner.as_ref()) {
            Ok(permit) => permit,
            Err(busy) => return Ok(Err(busy.into())),
        };
        match ready(service, self.caller.config.ready_timeout).await {
            Poll::Ready(Ok(())) => Ok(Ok(permit)),
            Poll::Ready(Err(error)) => Err(Declined::Failed(error)),
            Poll::Pending => {
                let detail = "the service takes no more requests now; try again";
                let refusal = Refusal::new(Problem::ServiceNotReady, detail);
                Ok(Err(refusal.retry_after(refusals::SOON)))
            }
        }
    }

    /// Responds with a session that exists. `None` if it is withdrawn.
    async fn attach<R>(
        &self,
        session: &Session,
    ) -> Result<Option<Response<RecordBody<R>>>, Refusal> {
        // An event source repeats its GET after every end, and must be told that there is nothing more.
        let wanted = Wanted {
            starts: self.head.method != Method::GET,
            ..ALL
        };
        match FoundHead::wait(session).await {
            Ok(found) => self
                .reply
                .recording(session, found, None, wanted)
                .await
                .map(Some),
            Err(HeadMissing::Withdrawn) => Ok(None),
            Err(HeadMissing::Refused(refusal)) => Err(refusal),
        }
    }

    /// Creates the session, or attaches to one that the same request has created meanwhile, and waits for the head.
    /// `None` if that session is withdrawn.
    async fn start<S, B, R>(
        &self,
        permit: Permit,
        service: S,
    ) -> Result<Option<Response<RecordBody<R>>>, Declined<S::Error>>
    where
        S: Service<Request<InnerBody<B>>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError> + Send + 'static,
        B: Send + 'static,
        R: Body + Send + 'static,
        R::Data: Buf,
        R::Error: Into<BoxError>,
    {
        let caller = self.caller;
        let request = Request::from_parts(self.head.clone(), InnerBody::read(self.body.clone()));
        let (source, answered) = RecordSource::new(caller.config.clone(), service, request);
        let name = caller.config.service.clone();
        let spec = SessionSpec::new(self.id.clone(), name, self.digest, records::begin())
            .owner(caller.owner.clone());
        let started = match caller.sessions().start(permit, spec, source).await {
            Ok(started) => started,
            Err(StartError::Gone(tombstone)) => {
                return Err(caller.tombstone_refusal(&tombstone).into());
            }
            // The session of another start, which was withdrawn while this one attached to it.
            Err(StartError::Store(StoreError::NotFound)) => return Ok(None),
            Err(error) => return Err(Refusal::from(error).into()),
        };
        let session = started.session;
        let (inner, found) = match wait(&session, answered).await? {
            Waited::Passed(response) => return Ok(Some(response.map(RecordBody::inner))),
            Waited::Head(inner, Ok(found)) => (inner, found),
            // The service was called for this start, and the store has lost the session.
            Waited::Head(_, Err(HeadMissing::Withdrawn)) if started.created => {
                return Err(Refusal::new(
                    Problem::Interrupted,
                    "the session was lost before there was a response; start a new one",
                )
                .into());
            }
            Waited::Head(_, Err(HeadMissing::Withdrawn)) => return Ok(None),
            Waited::Head(_, Err(HeadMissing::Refused(refusal))) => return Err(refusal.into()),
        };
        let response = self.reply.recording(&session, found, inner, ALL).await?;
        Ok(Some(response))
    }
}

/// What a start has waited for.
enum Waited<R> {
    /// A response that isn't recorded.
    Passed(Response<R>),
    /// The head in the log, or the reason why there is none; and the head of the response that this start got.
    Head(Option<response::Parts>, Result<FoundHead, HeadMissing>),
}

/// Waits until the head is in the log, or until the source of this start has another answer.
async fn wait<R, E>(
    session: &Session,
    mut answered: oneshot::Receiver<WrappedAnswer<R, E>>,
) -> Result<Waited<R>, Declined<E>>
where
    E: Into<BoxError>,
{
    let mut head = pin!(FoundHead::wait(session));
    // First the source, which answers before it writes.
    let answer = tokio::select! {
        biased;
        answer = &mut answered => answer.ok(),
        found = &mut head => return Ok(Waited::Head(None, found)),
    };
    if answer
        .as_ref()
        .is_some_and(|it| !matches!(it, WrappedAnswer::Recorded(_)))
    {
        // Until the id is free.
        let _ = timeout(WITHDRAWN_WITHIN, &mut head).await;
    }
    match answer {
        // Another start's session; this one's source is dropped.
        None => Ok(Waited::Head(None, head.await)),
        Some(WrappedAnswer::Recorded(parts)) => Ok(Waited::Head(Some(*parts), head.await)),
        Some(WrappedAnswer::Passed(response)) => Ok(Waited::Passed(response)),
        Some(WrappedAnswer::Refused(refusal)) => Err(refusal.into()),
        Some(WrappedAnswer::Failed(error)) => Err(Declined::Failed(error)),
    }
}
