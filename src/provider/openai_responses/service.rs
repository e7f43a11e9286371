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
    position::StreamPosition,
    request,
    run::{BackgroundRun, ReadOnFailure},
    stream::{CancelOnDrop, ResponsesStream},
    turn::ResponsesTurn,
};
use crate::{
    chat::{ChatRequest, LoggedTail, ProviderError},
    provider::http::{CallIds, CallReports, Upstream},
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

    /// Reads the rest of an answer that another server began.
    async fn read_on(self, chat: ChatRequest) -> Result<ResponsesStream, ProviderError> {
        let so_far = chat.so_far.as_ref();
        let state = so_far.and_then(|so_far| so_far.stream_state());
        let position = state.and_then(StreamPosition::read).ok_or_else(|| {
            ProviderError::cannot_continue("the answer doesn't run in the background")
        })?;
        let logged = so_far.map(|so_far| so_far.logged_tail());
        let (ids, config) = (CallIds::after(&chat.messages), &self.config);
        let turn = ResponsesTurn::new(ids, config.max_event_bytes, config.think_tags, true);
        let run = BackgroundRun {
            upstream: Arc::clone(&self.upstream),
            turn: SharedTurn::new(turn.read_on(position)),
            reports: CallReports::of(&chat),
            max_bytes: config.max_event_bytes,
        };
        let cancel = CancelOnDrop::new(run.clone());
        match run.clone().read_on(None).await {
            Ok(answer) => Ok(ResponsesStream::in_background(
                answer,
                cancel,
                logged.unwrap_or_default(),
            )),
            Err(ReadOnFailure::Gone(error)) => {
                let gone = "the model's server no longer has the answer";
                Err(ProviderError::cannot_continue(gone).with_source(error))
            }
            // It ended otherwise than with an answer, and may do better once more.
            Err(ReadOnFailure::Failed(error))
                if error.is_recoverable() && run.turn.lock().running().is_none() =>
            {
                let failed = "the model's server has stopped the answer";
                Err(ProviderError::cannot_continue(failed).with_source(error))
            }
            Err(ReadOnFailure::Failed(error)) => Err(error),
        }
    }

    async fn ask(self, body: Vec<u8>, chat: ChatRequest) -> Result<ResponsesStream, ProviderError> {
        let ids = CallIds::after(&chat.messages);
        let config = &self.config;
        let (max_bytes, background) = (config.max_event_bytes, config.background);
        let new_turn = || ResponsesTurn::new(ids.clone(), max_bytes, config.think_tags, background);
        let turn = SharedTurn::new(new_turn());
        // Each try has a turn of its own.
        let decoder = || {
            turn.replace(new_turn());
            Box::new(turn.decoder(max_bytes)) as _
        };
        let reports = CallReports::of(&chat);
        if !background {
            let answer = self.upstream.answer(body.into(), reports, decoder).await?;
            return Ok(ResponsesStream::new(answer));
        }
        let run = CancelOnDrop::new(BackgroundRun {
            upstream: Arc::clone(&self.upstream),
            turn: turn.clone(),
            reports: reports.clone(),
            max_bytes,
        });
        let answer = self.upstream.answer(body.into(), reports, decoder).await?;
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
        let provider = self.clone();
        if chat.reattach {
            return ResponsesFuture {
                inner: Box::pin(provider.read_on(chat)),
            };
        }
        // OpenAI's models begin anew after a part of an answer.
        let body = chat
            .check_continuation(false)
            .and_then(|()| request::body(&self.config, &chat));
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
