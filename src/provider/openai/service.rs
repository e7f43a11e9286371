use std::{
    env, fmt,
    sync::Arc,
    task::{Context, Poll},
};

use serde_json::{Map, Value};
use tower_service::Service;

use super::{OpenAiBuilder, decoder::OpenAiDecoder, request};
use crate::{
    chat::{ChatRequest, ProviderError},
    provider::http::{AnswerFuture, AnswerStream, CallIds, ConfigError, Upstream},
};

/// A provider that asks an OpenAI-compatible server. The [module](super) has the rest.
///
/// Cheap to clone; clones share their connections. Its `Debug` shows neither key nor address.
#[derive(Clone)]
pub struct OpenAi {
    upstream: Arc<Upstream>,
    config: Arc<OpenAiConfig>,
}

pub(super) struct OpenAiConfig {
    pub(super) model: String,
    pub(super) fields: Map<String, Value>,
    pub(super) usage: bool,
    pub(super) max_event_bytes: usize,
}

impl OpenAi {
    /// Takes `OPENAI_BASE_URL` (OpenAI's own server unless set), `OPENAI_API_KEY` (which other
    /// servers may not need) and `OPENAI_MODEL` from the environment.
    ///
    /// # Errors
    ///
    /// When something is missing or malformed; the error says what, and never shows the key.
    pub fn from_env() -> Result<Self, ConfigError> {
        OpenAiBuilder::from_vars(env::var)?.build()
    }

    /// Builds one.
    pub fn builder() -> OpenAiBuilder {
        OpenAiBuilder::new()
    }

    pub(super) fn new(upstream: Upstream, config: OpenAiConfig) -> Self {
        Self {
            upstream: Arc::new(upstream),
            config: Arc::new(config),
        }
    }
}

impl Service<ChatRequest> for OpenAi {
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
            Box::new(OpenAiDecoder::new(ids.clone(), max_bytes))
        })
    }
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAi")
            .field("has_key", &self.upstream.has_key())
            .field("model", &self.config.model)
            .field("idle_timeout", &self.upstream.idle_timeout())
            .finish_non_exhaustive()
    }
}
