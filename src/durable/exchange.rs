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
    permission::{self, Permission},
    read::ReadRequest,
    responder::{Responder, Served},
    start::StartRequest,
};
use crate::{
    BoxError,
    access::NamedByPeer,
    chat::Provider,
    dialect::{Intent, Refusal, ResponseData, Route, Subject, check_names},
    exchange::IncomingBody,
};

/// One HTTP request and its response: identify, authorise, decode, then serve what the client wants.
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
                crate::metrics::REFUSALS.count(1, &[("type", refusal.problem.urn())]);
                tracing::debug!(problem = refusal.problem.urn(), "a request is refused");
                config.dialect.refuse(&refusal).map(SessionBody::document)
            }
        };
        body.drain(config.max_body.saturating_mul(2), config.registry().clone());
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
        config.cross_site.check(head)?;
        head.extensions.remove::<NamedByPeer>();
        let owner = match config.access.identify(head).await {
            Ok(owner) => owner,
            Err(response) => return Ok(response.map(SessionBody::document)),
        };
        let peer = head.extensions.remove::<NamedByPeer>();
        let route = config.dialect.route(head)?;
        let responder = Responder::new(&config, head);
        let caller = Caller::new(config, owner, peer);
        let (intent, permission, raw) = match route {
            Route::Known(intent) => {
                let permission = Permission::ask_about(&caller, &intent).await?;
                (intent, permission, Bytes::new())
            }
            Route::Body => decode(&caller, head, body).await?,
        };
        match (intent, permission) {
            (Intent::Start(start), Permission::Start { id: asked, .. }) => {
                check_names(&start.request)?;
                let digest = digest(
                    caller.config.service(),
                    caller.config.dialect.name(),
                    caller.owner.as_ref(),
                    start.identity.as_deref().unwrap_or(&raw),
                );
                // The response may wait for the end of the session.
                drop(raw);
                let extensions = std::mem::take(&mut head.extensions);
                StartRequest::new(&caller, &responder, *start, digest, asked)
                    .run(extensions, self.provider)
                    .await
            }
            (Intent::Answer { input, answer, .. }, Permission::Answer { sessions, .. }) => {
                let request = AnswerRequest::new(&caller);
                let (id, state) = request.answer(sessions, &input, &answer).await?;
                Ok(responder.document(&ResponseData::Answered {
                    session: responder.state_view(&id, &state),
                    input: &input,
                }))
            }
            (Intent::Start(_) | Intent::Answer { .. }, _) => Err(permission::contradiction()),
            (Intent::Read(read), _) => ReadRequest::new(&caller, &responder).stream(read).await,
            (Intent::Page(page), _) => {
                let head_only = head.method == Method::HEAD;
                let request = ReadRequest::new(&caller, &responder);
                request.page(page, head_only).await
            }
            (Intent::FullLog(log), _) => ReadRequest::new(&caller, &responder).full_log(log).await,
            (Intent::Abort(abort), _) => ManageRequest::new(&caller, &responder).abort(abort).await,
            (Intent::Delete { id }, _) => ManageRequest::new(&caller, &responder).delete(&id).await,
            (Intent::List(list), _) => ManageRequest::new(&caller, &responder).list(list).await,
            (Intent::Options { allow }, _) => {
                Ok(responder.document(&ResponseData::Options { allow }))
            }
        }
    }
}

/// Reads a body, asks the policy about its subject, and then decodes it.
async fn decode<B>(
    caller: &Caller,
    head: &Parts,
    body: &mut IncomingBody<B>,
) -> Result<(Intent, Permission, Bytes), Refusal>
where
    B: Body,
    B::Data: Buf,
    B::Error: Into<BoxError>,
{
    let config = &caller.config;
    let raw = body.read(config.max_body, config.body_timeout).await?;
    let subject = config.dialect.subject(head, &raw)?;
    if let Subject::Known(intent) = subject {
        let permission = Permission::ask_about(caller, &intent).await?;
        return Ok((intent, permission, raw));
    }
    let permission = Permission::ask(caller, subject).await?;
    let intent = config.dialect.decode(head, &raw, &config.request_limits)?;
    permission.check(&intent)?;
    Ok((intent, permission, raw))
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
