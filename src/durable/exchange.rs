use std::sync::Arc;

use bytes::{Buf, Bytes};
use http::{Method, Request, Response, header, request::Parts};
use http_body::Body;

use super::{
    SessionBody,
    answers::AnswerRequest,
    caller::Caller,
    config::LayerConfig,
    digest::digest,
    manage::ManageRequest,
    read::ReadRequest,
    request_body::IncomingBody,
    responder::{Responder, Served},
    start::StartRequest,
};
use crate::{
    BoxError,
    chat::Provider,
    dialect::{Intent, ResponseData, Route},
};

/// One HTTP request and its response: identify, decode, then serve what the client wants.
pub(super) struct Exchange<S> {
    config: Arc<LayerConfig>,
    provider: S,
}

impl<S: Provider> Exchange<S> {
    pub(super) const fn new(config: Arc<LayerConfig>, provider: S) -> Self {
        Self { config, provider }
    }

    pub(super) async fn serve<B>(self, request: Request<B>) -> Response<SessionBody>
    where
        B: Body + Send + 'static,
        B::Data: Buf + Send,
        B::Error: Into<BoxError>,
    {
        let (mut head, body) = request.into_parts();
        let is_head = head.method == Method::HEAD;
        let config = self.config.clone();
        let mut body = IncomingBody::new(body);
        let response = match self.respond(&mut head, &mut body).await {
            Ok(response) => response,
            Err(refusal) => {
                tracing::debug!(problem = refusal.problem.urn(), "a request is refused");
                config.dialect.refuse(&refusal).map(SessionBody::document)
            }
        };
        body.drain(config.max_body.saturating_mul(2), config.sessions.clone());
        if is_head {
            without_body(response)
        } else {
            response
        }
    }

    async fn respond<B>(self, head: &mut Parts, body: &mut IncomingBody<B>) -> Served
    where
        B: Body,
        B::Data: Buf,
        B::Error: Into<BoxError>,
    {
        let config = self.config;
        // Before the policy is asked: browsers send OPTIONS without credentials.
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
        let responder = Responder::new(&config, head);
        let caller = Caller::new(config, owner);
        match intent {
            Intent::Start(start) => {
                let digest = digest(
                    caller.config.service(),
                    caller.config.dialect.name(),
                    caller.owner.as_ref(),
                    start.identity.as_deref().unwrap_or(&raw),
                );
                let extensions = std::mem::take(&mut head.extensions);
                StartRequest::new(&caller, &responder, *start, digest)
                    .run(extensions, self.provider)
                    .await
            }
            Intent::Read(read) => ReadRequest::new(&caller, &responder).stream(read).await,
            Intent::Page(page) => {
                let head_only = head.method == Method::HEAD;
                let request = ReadRequest::new(&caller, &responder);
                request.page(page, head_only).await
            }
            Intent::FullLog(log) => ReadRequest::new(&caller, &responder).full_log(log).await,
            Intent::Abort(abort) => ManageRequest::new(&caller, &responder).abort(abort).await,
            Intent::Answer {
                session,
                input,
                answer,
            } => {
                let request = AnswerRequest::new(&caller);
                let (id, state) = request.answer(&session, &input, &answer).await?;
                Ok(responder.document(&ResponseData::Answered {
                    session: responder.state_view(&id, &state),
                    input: &input,
                }))
            }
            Intent::Delete { id } => ManageRequest::new(&caller, &responder).delete(&id).await,
            Intent::List(list) => ManageRequest::new(&caller, &responder).list(list).await,
            Intent::Options { allow } => Ok(responder.document(&ResponseData::Options { allow })),
        }
    }
}

/// Empties the body and keeps the head. HTTP/2 resets a stream whose empty body doesn't say that it
/// is empty.
fn without_body(response: Response<SessionBody>) -> Response<SessionBody> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact()
        && length > 0
    {
        head.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Response::from_parts(head, SessionBody::empty())
}
