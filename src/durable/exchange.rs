use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures_core::TryStream;
use http::{Method, Request, Response, header, request::Parts};
use http_body::Body;
use tower_service::Service;

use super::{
    MountPath, Reply, SessionBody, config::LayerConfig, refusals, request_body::IncomingBody,
};
use crate::{
    BoxError,
    access::{Action, SessionRef},
    chat::{ChatEvent, ChatRequest},
    dialect::{Encoder, Intent, Refusal, ResponseData, Route, SessionView},
    log::{Lsn, Owner, SessionId, Status},
    session::Session,
    store::{SessionState, StoreError},
};

/// One request under way: who asks, and what everything needs to know.
pub(super) struct Exchange {
    pub(super) config: Arc<LayerConfig>,
    pub(super) owner: Option<Owner>,
    mount: Option<MountPath>,
}

pub(super) type Served = Result<Response<SessionBody>, Refusal>;

/// Answers one request.
pub(super) async fn serve<S, B>(
    config: Arc<LayerConfig>,
    provider: S,
    request: Request<B>,
) -> Response<SessionBody>
where
    S: Service<ChatRequest> + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    S::Response: TryStream<Ok = ChatEvent> + Send,
    <S::Response as TryStream>::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Buf + Send,
    B::Error: Into<BoxError>,
{
    let (mut head, body) = request.into_parts();
    let bodyless = head.method == Method::HEAD;
    let (dialect, max_body) = (config.dialect.clone(), config.max_body);
    let sessions = config.sessions.clone();
    let mut body = IncomingBody::new(body);
    let response = match answer(config, provider, &mut head, &mut body).await {
        Ok(response) => response,
        Err(refusal) => {
            tracing::debug!(problem = refusal.problem.urn(), "a request is refused");
            dialect.refuse(&refusal).map(SessionBody::document)
        }
    };
    body.forget(max_body.saturating_mul(2), sessions);
    if bodyless {
        without_body(response)
    } else {
        response
    }
}

async fn answer<S, B>(
    config: Arc<LayerConfig>,
    provider: S,
    head: &mut Parts,
    body: &mut IncomingBody<B>,
) -> Served
where
    S: Service<ChatRequest> + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    S::Response: TryStream<Ok = ChatEvent> + Send,
    <S::Response as TryStream>::Error: Into<BoxError>,
    B: Body,
    B::Data: Buf,
    B::Error: Into<BoxError>,
{
    // What may be asked is no secret: browsers ask without credentials.
    if head.method == Method::OPTIONS
        && let Route::Known(Intent::Options { allow }) = config.dialect.route(head)?
    {
        let answer = config.dialect.respond(&ResponseData::Options { allow });
        return Ok(answer.map(SessionBody::document));
    }
    let owner = match config.access.identify(head).await {
        Ok(owner) => owner,
        Err(response) => return Ok(response.map(SessionBody::document)),
    };
    let mut raw = Bytes::new();
    let intent = match config.dialect.route(head)? {
        Route::Known(intent) => intent,
        Route::Body => {
            raw = body.read(config.max_body, config.body_timeout).await?;
            config.dialect.decode(head, &raw)?
        }
    };
    let exchange = Exchange {
        mount: config
            .mount
            .clone()
            .or_else(|| head.extensions.get().cloned()),
        config,
        owner,
    };
    match intent {
        Intent::Start(start) => {
            let digest = super::digest::digest(
                &exchange.config.service,
                exchange.config.dialect.name(),
                exchange.owner.as_ref(),
                start.identity.as_deref().unwrap_or(&raw),
            );
            let extensions = std::mem::take(&mut head.extensions);
            exchange.start(*start, digest, extensions, provider).await
        }
        Intent::Read(read) => exchange.read(read).await,
        Intent::Page(page) => exchange.page(page, head.method == Method::HEAD).await,
        Intent::FullLog(whole) => exchange.whole(whole).await,
        Intent::Abort(abort) => exchange.abort(abort).await,
        Intent::Answer {
            session,
            input,
            answer,
        } => exchange.answer_input(&session, &input, &answer).await,
        Intent::Delete { id } => exchange.delete(&id).await,
        Intent::List(list) => exchange.list(list).await,
        Intent::Options { allow } => Ok(exchange.answer(&ResponseData::Options { allow })),
    }
}

impl Exchange {
    /// The response to what was granted, with the dialect's own body.
    pub(super) fn answer(&self, answer: &ResponseData<'_>) -> Response<SessionBody> {
        self.config
            .dialect
            .respond(answer)
            .map(SessionBody::document)
    }

    /// The response whose body is a stream of this encoder's.
    pub(super) fn reply(&self, encoder: Box<dyn Encoder>) -> Reply {
        Reply::shared(self.config.dialect.clone(), encoder)
            .heartbeat(self.config.heartbeat)
            .event_bytes(self.config.sessions.limits().event_bytes)
            .mounted(self.mount.clone())
    }

    pub(super) fn view<'a>(
        &'a self,
        session: &'a Session,
        status: Status,
        tail: Lsn,
    ) -> SessionView<'a> {
        SessionView::new(session.id(), status, tail)
            .event_bytes(self.config.sessions.limits().event_bytes)
            .chat(session.info().chat.as_ref())
            .mount(self.mount.as_ref().map(MountPath::as_str))
    }

    pub(super) fn view_of<'a>(
        &'a self,
        id: &'a SessionId,
        state: &'a SessionState,
    ) -> SessionView<'a> {
        SessionView::new(id, state.status, state.tail)
            .event_bytes(self.config.sessions.limits().event_bytes)
            .chat(state.info.chat.as_ref())
            .mount(self.mount.as_ref().map(MountPath::as_str))
    }

    pub(super) async fn allows(&self, action: Action, session: Option<SessionRef<'_>>) -> bool {
        let who = self.owner.as_ref();
        self.config.access.allow(who, action, session).await
    }

    /// A session that is there, if the caller may do this with it; else the same as if it weren't.
    /// Only who may becomes a client of it.
    pub(super) async fn session(&self, id: &SessionId, action: Action) -> Result<Session, Refusal> {
        let sessions = &self.config.sessions;
        let info = match sessions.info(id).await {
            Ok(info) => info,
            Err(error) => return Err(self.absent(id, action, &error).await),
        };
        let known = SessionRef::new(id, info.owner.as_ref(), info.chat.as_ref());
        if !self.allows(action, Some(known)).await {
            return Err(refusals::not_found());
        }
        match sessions.attach(id).await {
            Ok(session) => Ok(session),
            Err(error) => Err(self.absent(id, action, &error).await),
        }
    }

    /// The same, by the store's word and without a handle.
    pub(super) async fn state(
        &self,
        id: &SessionId,
        action: Action,
    ) -> Result<SessionState, Refusal> {
        let state = match self.config.sessions.state(id).await {
            Ok(state) => state,
            Err(error) => return Err(self.absent(id, action, &error).await),
        };
        let known = SessionRef::new(id, state.info.owner.as_ref(), state.info.chat.as_ref());
        if self.allows(action, Some(known)).await {
            Ok(state)
        } else {
            Err(refusals::not_found())
        }
    }

    /// What to say of a session that the store doesn't give: that it is gone only to whom it was
    /// open.
    pub(super) async fn absent(
        &self,
        id: &SessionId,
        action: Action,
        error: &StoreError,
    ) -> Refusal {
        let StoreError::Gone(tombstone) = error else {
            return refusals::store(error);
        };
        let known = SessionRef::new(id, tombstone.owner.as_ref(), None);
        if self.allows(action, Some(known)).await {
            refusals::gone()
        } else {
            refusals::not_found()
        }
    }
}

/// The same head; HTTP/2 resets a stream whose empty body doesn't say that it is empty.
fn without_body(response: Response<SessionBody>) -> Response<SessionBody> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact()
        && length > 0
    {
        head.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Response::from_parts(head, SessionBody::empty())
}
