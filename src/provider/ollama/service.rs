use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

use super::{config::OllamaConfig, decoder::OllamaDecoder, request};
use crate::{
    chat::{ChatRequest, ProviderError},
    provider::http::{AnswerFuture, AnswerStream, CallIds, Upstream},
};

/// A provider that calls a server of Ollama. The [module](super) has an example.
///
/// Cheap to clone; clones share their connections. `Debug` shows neither key nor address.
#[derive(Clone)]
pub struct Ollama {
    upstream: Arc<Upstream>,
    config: Arc<OllamaConfig>,
}

impl Ollama {
    pub(super) fn new(upstream: Upstream, config: OllamaConfig) -> Self {
        Self {
            upstream: Arc::new(upstream),
            config: Arc::new(config),
        }
    }
}

impl Service<ChatRequest> for Ollama {
    type Response = AnswerStream;
    type Error = ProviderError;
    type Future = AnswerFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProviderError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, chat: ChatRequest) -> AnswerFuture {
        let body = chat.check_continuation(self.config.continues);
        let body = match body.and_then(|()| request::body(&self.config, &chat)) {
            Ok(body) => body,
            Err(error) => return AnswerFuture::failed(error),
        };
        let ids = CallIds::after(&chat.messages);
        let (max_bytes, think_tags) = (self.config.max_event_bytes, self.config.think_tags);
        let liveness = chat.liveness.clone();
        self.upstream.ask(body, liveness, move || {
            Box::new(OllamaDecoder::new(ids.clone(), max_bytes, think_tags))
        })
    }
}

impl fmt::Debug for Ollama {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ollama")
            .field("has_key", &self.upstream.has_key())
            .field("model", &self.config.model)
            .field("idle_timeout", &self.upstream.idle_timeout())
            .finish_non_exhaustive()
    }
}
