use std::{
    env, fmt,
    sync::Arc,
    task::{Context, Poll},
};

use serde_json::{Map, Value};
use tower_service::Service;

use super::{OllamaBuilder, decoder::OllamaDecoder, request};
use crate::{
    chat::{ChatRequest, ProviderError},
    provider::http::{AnswerFuture, AnswerStream, CallIds, ConfigError, Upstream},
};

/// A provider that asks an Ollama server. The [module](super) has the rest.
///
/// Cheap to clone; clones share their connections. Its `Debug` shows neither key nor address.
#[derive(Clone)]
pub struct Ollama {
    upstream: Arc<Upstream>,
    config: Arc<OllamaConfig>,
}

pub(super) struct OllamaConfig {
    pub(super) model: String,
    pub(super) fields: Map<String, Value>,
    pub(super) options: Map<String, Value>,
    pub(super) max_event_bytes: usize,
}

impl Ollama {
    /// Takes `OLLAMA_HOST` (as Ollama's own client does: an address with or without scheme and port;
    /// `127.0.0.1:11434` unless set), `OLLAMA_API_KEY` (which only Ollama's cloud needs) and
    /// `OLLAMA_MODEL` from the environment.
    ///
    /// # Errors
    ///
    /// When something is missing or malformed; the error says what, and never shows the key.
    pub fn from_env() -> Result<Self, ConfigError> {
        OllamaBuilder::from_vars(env::var)?.build()
    }

    /// Builds one.
    pub fn builder() -> OllamaBuilder {
        OllamaBuilder::new()
    }

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
        let body = request::body(&self.config, &chat);
        let ids = CallIds::after(&chat.messages);
        let max_bytes = self.config.max_event_bytes;
        self.upstream.ask(body, move || {
            Box::new(OllamaDecoder::new(ids.clone(), max_bytes))
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
