use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{self, Context, Poll},
};

use tower_service::Service;

use super::{
    config::ResponsesConfig,
    decoder::SharedTurn,
    logged::LoggedTail,
    request,
    run::BackgroundRun,
    stream::{CancelOnDrop, ResponsesStream},
    turn::ResponsesTurn,
};
use crate::{
    chat::{ChatRequest, ProviderError},
    provider::http::{CallIds, Upstream},
};

/// A provider that calls a server of OpenAI's Responses API. The [module](super) has an example.
///
/// Cheap to clone; clones share their connections. `Debug` shows neither key nor address.
#[derive(Clone)]
pub struct ResponsesUpstream {
    upstream: Arc<Upstream>,
    config: Arc<ResponsesConfig>,
}

/// A future that waits for the first event of the answer, or for its end. It retries as the
/// [module `http`](crate::provider::http) describes.
///
/// Dropping it drops the request.
pub struct ResponsesFuture {
    inner: Pin<Box<dyn Future<Output = Result<ResponsesStream, ProviderError>> + Send>>,
}

impl ResponsesUpstream {
    pub(super) fn new(upstream: Upstream, config: ResponsesConfig) -> Self {
        Self {
            upstream: Arc::new(upstream),
            config: Arc::new(config),
        }
    }

    async fn ask(self, body: Vec<u8>, chat: ChatRequest) -> Result<ResponsesStream, ProviderError> {
        let ids = CallIds::after(&chat.messages);
        let config = &self.config;
        let (max_bytes, background) = (config.max_event_bytes, config.background);
        let new_turn =
            || ResponsesTurn::new(ids.clone(), max_bytes, config.think_tags, background);
        let turn = SharedTurn::new(new_turn());
        // Each try has a turn of its own.
        let decoder = || {
            turn.replace(new_turn());
            Box::new(turn.decoder(max_bytes)) as _
        };
        let liveness = chat.liveness.clone();
        if !background {
            let answer = self.upstream.answer(body.into(), liveness, decoder).await?;
            return Ok(ResponsesStream::new(answer));
        }
        let run = CancelOnDrop::new(BackgroundRun {
            upstream: Arc::clone(&self.upstream),
            turn: turn.clone(),
            liveness: liveness.clone(),
            max_bytes,
        });
        let answer = self.upstream.answer(body.into(), liveness, decoder).await?;
        Ok(ResponsesStream::in_background(
            answer,
            run,
            LoggedTail::default(),
        ))
    }
}

impl Service<ChatRequest> for ResponsesUpstream {
    type Response = ResponsesStream;
    type Error = ProviderError;
    type Future = ResponsesFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProviderError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, chat: ChatRequest) -> ResponsesFuture {
        let body = request::body(&self.config, &chat);
        let provider = self.clone();
        ResponsesFuture {
            inner: Box::pin(async move { provider.ask(body?, chat).await }),
        }
    }
}

impl Future for ResponsesFuture {
    type Output = Result<ResponsesStream, ProviderError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx)
    }
}

impl fmt::Debug for ResponsesFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponsesFuture").finish_non_exhaustive()
    }
}

impl fmt::Debug for ResponsesUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponsesUpstream")
            .field("has_key", &self.upstream.has_key())
            .field("model", &self.config.model)
            .field("background", &self.config.background)
            .field("idle_timeout", &self.upstream.idle_timeout())
            .finish_non_exhaustive()
    }
}
