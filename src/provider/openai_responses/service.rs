use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::time::sleep;
use tower_service::Service;

use super::{
    config::ResponsesConfig,
    decoder::SharedTurn,
    future::{ResponsesFuture, StopFlag},
    position::StreamPosition,
    request,
    run::{BackgroundRun, ReadOnFailure},
    stream::{CancelOnDrop, ResponsesStream},
    turn::ResponsesTurn,
};
use crate::{
    chat::{ChatRequest, LoggedTail, ProviderError, Transcript},
    provider::http::{CallIds, CallReports, Retries, Upstream, may_have_begun},
};

/// A provider that calls a server of OpenAI's Responses API. The [module](super) has an example.
///
/// Cheap to clone; clones share their connections. `Debug` shows neither key nor address.
#[derive(Clone)]
pub struct ResponsesUpstream {
    upstream: Arc<Upstream>,
    config: Arc<ResponsesConfig>,
}

impl ResponsesUpstream {
    pub(super) fn new(upstream: Upstream, config: ResponsesConfig) -> Self {
        Self {
            upstream: Arc::new(upstream),
            config: Arc::new(config),
        }
    }

    /// Reads the rest of an answer that another server began.
    ///
    /// # Errors
    ///
    /// If that left no position.
    fn read_on(
        &self,
        chat: &ChatRequest,
    ) -> Result<impl Future<Output = Result<ResponsesStream, ProviderError>> + use<>, ProviderError>
    {
        let so_far = chat.so_far.as_deref();
        let position = so_far
            .and_then(Transcript::stream_state)
            .and_then(StreamPosition::read)
            .ok_or_else(|| {
                ProviderError::cannot_continue("the answer doesn't run in the background")
            })?;
        let logged = so_far.map(Transcript::logged_tail).unwrap_or_default();
        let told = so_far.map_or(&[][..], Transcript::sources);
        let told = &told[..told.len().saturating_sub(logged.sources())];
        let turn = self.turn(CallIds::after(&chat.messages), true);
        let run = self.run(SharedTurn::new(turn.read_on(position, told)), chat);
        // It is there before the first poll, so that an answer that is stopped meanwhile is cancelled.
        let cancel = CancelOnDrop::new(run.clone());
        Ok(async move {
            match run.clone().read_on(None).await {
                Ok(answer) => Ok(ResponsesStream::in_background(answer, cancel, logged)),
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
        })
    }

    /// Asks for an answer that lives as long as its connection.
    async fn ask(self, body: Vec<u8>, chat: ChatRequest) -> Result<ResponsesStream, ProviderError> {
        let ids = CallIds::after(&chat.messages);
        let max_bytes = self.config.max_event_bytes;
        let decoder = || {
            let turn = SharedTurn::new(self.turn(ids.clone(), false));
            Box::new(turn.decoder(max_bytes)) as _
        };
        let reports = CallReports::of(&chat);
        let answer = self.upstream.answer(body.into(), reports, decoder).await?;
        Ok(ResponsesStream::new(answer))
    }

    /// Asks for an answer in the background. A request that the server may work on is not repeated: the work of
    /// both would be paid for. Nor is one after `stop`.
    async fn ask_in_background(
        self,
        body: Vec<u8>,
        chat: ChatRequest,
        stop: StopFlag,
    ) -> Result<ResponsesStream, ProviderError> {
        let ids = CallIds::after(&chat.messages);
        let turn = SharedTurn::new(self.turn(ids.clone(), true));
        let run = CancelOnDrop::new(self.run(turn.clone(), &chat));
        let reports = CallReports::of(&chat);
        let body = Bytes::from(body);
        let mut retries = Retries::new(self.upstream.retries());
        loop {
            // Each try has a turn of its own.
            turn.replace(self.turn(ids.clone(), true));
            let decoder = Box::new(turn.decoder(self.config.max_event_bytes));
            let asked = self.upstream.answer_once(body.clone(), &reports, decoder);
            let failure = match asked.await {
                Ok(answer) => {
                    let logged = LoggedTail::default();
                    return Ok(ResponsesStream::in_background(answer, run, logged));
                }
                Err(failure) => failure,
            };
            if may_have_begun(&failure.error) || turn.lock().running().is_some() {
                tracing::warn!(
                    error = ?failure.error,
                    "the model's server may work on a request that was lost; it isn't repeated"
                );
                run.cancel();
                return Err(failure.error);
            }
            let Some(wait) = retries.next(&failure).filter(|_| !stop.is_set()) else {
                return Err(failure.error);
            };
            tracing::debug!(error = ?failure.error, ?wait, "the model's server is asked again");
            sleep(wait).await;
            if stop.is_set() {
                return Err(failure.error);
            }
        }
    }

    fn turn(&self, ids: CallIds, background: bool) -> ResponsesTurn {
        let config = &self.config;
        let turn = ResponsesTurn::new(ids, config.max_event_bytes, config.think_tags, background);
        turn.stored(config.store || background)
    }

    fn run(&self, turn: SharedTurn, chat: &ChatRequest) -> BackgroundRun {
        BackgroundRun {
            upstream: Arc::clone(&self.upstream),
            turn,
            reports: CallReports::of(chat),
            max_bytes: self.config.max_event_bytes,
            encrypted_reasoning: self.config.encrypted_reasoning,
        }
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
        if chat.reattach {
            return match self.read_on(&chat) {
                Ok(read) => ResponsesFuture::new(read),
                Err(error) => ResponsesFuture::failed(error),
            };
        }
        // OpenAI's models begin anew after a part of an answer.
        let body = chat
            .check_continuation(false)
            .and_then(|()| request::body(&self.config, &chat));
        let provider = self.clone();
        match body {
            Err(error) => ResponsesFuture::failed(error),
            Ok(body) if self.config.background => {
                let stop = StopFlag::default();
                let asked = provider.ask_in_background(body, chat, stop.clone());
                ResponsesFuture::in_background(asked, stop)
            }
            Ok(body) => ResponsesFuture::new(provider.ask(body, chat)),
        }
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
