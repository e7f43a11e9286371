use std::sync::Arc;

use bytes::{Buf, Bytes};
use http::{Method, Request, Response, header, request::Parts};
use http_body::Body;
use tower_service::Service;

use super::{
    body::RecordBody,
    config::RecordConfig,
    found_head::{FoundHead, HeadMissing},
    inner_body::InnerBody,
    reply::{RecordReply, Wanted},
    route::{RecordRoute, SessionName},
    start::StartRecording,
};
use crate::{
    BoxError,
    access::{Action, NamedByPeer, SessionRef},
    dialect::{Refusal, hash, query_without},
    exchange::{IncomingBody, LayerCaller, refusals},
    log::{Digest, SessionId},
    store::AbortRequest,
};

/// The client of one request to a recording layer.
pub(super) type RecordCaller = LayerCaller<RecordConfig>;

/// The reason why a request has no response of a recording.
pub(super) enum Declined<E> {
    /// The request is refused.
    Refused(Refusal),
    /// The access policy responds itself.
    Identified(Response<Bytes>),
    /// The wrapped service failed.
    Failed(E),
}

impl<E> From<Refusal> for Declined<E> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// One HTTP request and its response.
pub(super) struct RecordExchange<S> {
    config: Arc<RecordConfig>,
    service: S,
}

impl<S> RecordExchange<S> {
    pub(super) const fn new(config: Arc<RecordConfig>, service: S) -> Self {
        Self { config, service }
    }

    pub(super) async fn serve<B, R>(
        self,
        request: Request<B>,
    ) -> Result<Response<RecordBody<R>>, S::Error>
    where
        S: Service<Request<InnerBody<B>>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError> + Send + 'static,
        B: Body + Send + 'static,
        B::Data: Buf + Send,
        B::Error: Into<BoxError>,
        R: Body + Send + 'static,
        R::Data: Buf,
        R::Error: Into<BoxError>,
    {
        let (mut head, body) = request.into_parts();
        let route = match RecordRoute::of(&head, &self.config) {
            Ok(RecordRoute::Inner) => return self.pass(Request::from_parts(head, body)).await,
            route => route,
        };
        let is_head = head.method == Method::HEAD;
        let config = self.config.clone();
        let mut body = IncomingBody::new(body);
        let served = match route {
            Ok(route) => self.respond(route, &mut head, &mut body).await,
            Err(refusal) => Err(refusal.into()),
        };
        let response = match served {
            Ok(response) => response,
            Err(Declined::Identified(response)) => response.map(RecordBody::document),
            Err(Declined::Refused(refusal)) => {
                tracing::debug!(problem = refusal.problem.urn(), "a request is refused");
                RecordReply::refused(&refusal)
            }
            Err(Declined::Failed(error)) => return Err(error),
        };
        let registry = config.sessions.registry().clone();
        body.drain(config.max_body.saturating_mul(2), registry);
        Ok(if is_head {
            without_body(response)
        } else {
            response
        })
    }

    /// Hands a request to the wrapped service as it is.
    async fn pass<B, R>(mut self, request: Request<B>) -> Result<Response<RecordBody<R>>, S::Error>
    where
        S: Service<Request<InnerBody<B>>, Response = Response<R>>,
    {
        std::future::poll_fn(|cx| self.service.poll_ready(cx)).await?;
        let response = self.service.call(request.map(InnerBody::client)).await?;
        Ok(response.map(RecordBody::inner))
    }

    async fn respond<B, R>(
        self,
        route: RecordRoute,
        head: &mut Parts,
        body: &mut IncomingBody<B>,
    ) -> Result<Response<RecordBody<R>>, Declined<S::Error>>
    where
        S: Service<Request<InnerBody<B>>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError> + Send + 'static,
        B: Body + Send + 'static,
        B::Data: Buf + Send,
        B::Error: Into<BoxError>,
        R: Body + Send + 'static,
        R::Data: Buf,
        R::Error: Into<BoxError>,
    {
        let config = self.config;
        match route {
            RecordRoute::Start(_) => config.cross_site.check_start(head)?,
            _ => config.cross_site.check(head)?,
        }
        head.extensions.remove::<NamedByPeer>();
        let owner = config.access.identify(head).await;
        let owner = owner.map_err(Declined::Identified)?;
        let peer = head.extensions.remove::<NamedByPeer>();
        let reply = RecordReply::new(&config, head);
        let caller = RecordCaller::new(config, owner, peer);
        let id = |name| id_of(&caller, name);
        match route {
            RecordRoute::Inner => unreachable!("such a request is passed on"),
            RecordRoute::Start(name) => {
                let is_named = name.is_some();
                let id = name.map_or_else(|| Ok(SessionId::random()), id)?;
                let asked = SessionRef::new(&id, caller.owner.as_ref(), None);
                if !caller.is_allowed(Action::Start, Some(asked)).await {
                    return Err(refusals::forbidden(
                        "you may not start a session here; sign in, or ask the operator of this server",
                    )
                    .into());
                }
                let (max, within) = (caller.config.max_body, caller.config.body_timeout);
                let body = body.read(max, within).await?;
                let digest = digest(&caller, head, &body);
                head.headers.remove(header::ACCEPT_ENCODING);
                head.extensions.insert(id.clone());
                let start = StartRecording {
                    caller: &caller,
                    reply: &reply,
                    id,
                    is_named,
                    digest,
                    head,
                    body,
                };
                start.run(self.service).await
            }
            RecordRoute::Read(name, after) => {
                let session = caller.attach(&id(name)?, Action::Read).await?;
                let found = FoundHead::wait(&session).await;
                let found = found.map_err(|missing| match missing {
                    HeadMissing::Withdrawn => refusals::not_found(),
                    HeadMissing::Refused(refusal) => refusal,
                })?;
                let starts = false;
                let wanted = Wanted { after, starts };
                Ok(reply.recording(&session, found, None, wanted).await?)
            }
            RecordRoute::Outcome(name) => {
                let session = caller.attach(&id(name)?, Action::Read).await?;
                Ok(reply.outcome(&session).await?)
            }
            RecordRoute::Abort(name) => {
                let id = id(name)?;
                let state = caller.abort(&id, AbortRequest::default()).await?;
                Ok(reply.aborted(&id, state.status, state.tail))
            }
            RecordRoute::Delete(name) => {
                caller.delete(&id(name)?).await?;
                Ok(RecordReply::deleted())
            }
        }
    }
}

/// Returns the id that a request names.
fn id_of(caller: &RecordCaller, name: SessionName) -> Result<SessionId, Refusal> {
    match name {
        SessionName::Id(id) => Ok(id),
        SessionName::Key(key) => {
            if !caller.is_identified && !key.is_secret() {
                return Err(refusals::guessable_key());
            }
            Ok(caller.key_id(&key, 0))
        }
    }
}

/// Returns the digest of a request: two with the same one are the same request.
fn digest(caller: &RecordCaller, head: &Parts, body: &Bytes) -> Digest {
    let owner: [&[u8]; 2] = match &caller.owner {
        None => [b"nobody", b""],
        Some(owner) => [b"owner", owner.as_str().as_bytes()],
    };
    let content_type = head.headers.get(header::CONTENT_TYPE);
    Digest(hash([
        caller.config.service.as_str().as_bytes(),
        owner[0],
        owner[1],
        head.method.as_str().as_bytes(),
        head.uri.path().as_bytes(),
        query_without(head, &["sessionId", "lastLsn"]).as_bytes(),
        content_type.map_or(b"", |content_type| content_type.as_bytes()),
        body,
    ]))
}

/// Empties the body and keeps the head. HTTP/2 resets a stream whose empty body doesn't say that it
/// is empty.
fn without_body<R>(response: Response<RecordBody<R>>) -> Response<RecordBody<R>> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.document_len() {
        head.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Response::from_parts(head, RecordBody::empty())
}
