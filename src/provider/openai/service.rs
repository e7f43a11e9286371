use std::{
    env, fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use reqwest::{
    Client, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde_json::{Map, Value};
use tower_service::Service;

use super::{ConfigError, OpenAiBuilder, ResponseFuture, request};
use crate::chat::{ChatRequest, ProviderError};

/// A provider that asks an OpenAI-compatible server. The [module](super) has the rest.
///
/// Cheap to clone; clones share their connections. Its `Debug` shows neither key nor address.
#[derive(Clone)]
pub struct OpenAi {
    client: Client,
    config: Arc<Config>,
}

pub(super) struct Config {
    pub(super) url: Url,
    pub(super) authorization: Option<HeaderValue>,
    pub(super) model: String,
    pub(super) fields: Map<String, Value>,
    pub(super) usage: bool,
    pub(super) idle_timeout: Duration,
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

    pub(super) fn new(client: Client, config: Config) -> Self {
        Self {
            client,
            config: Arc::new(config),
        }
    }
}

impl Service<ChatRequest> for OpenAi {
    type Response = super::OpenAiStream;
    type Error = ProviderError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProviderError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, chat: ChatRequest) -> ResponseFuture {
        let config = Arc::clone(&self.config);
        let mut request = self
            .client
            .post(config.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "text/event-stream")
            .body(request::body(&config, &chat));
        if let Some(authorization) = &config.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        ResponseFuture::new(request, config)
    }
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAi")
            .field("has_key", &self.config.authorization.is_some())
            .field("model", &self.config.model)
            .field("idle_timeout", &self.config.idle_timeout)
            .finish_non_exhaustive()
    }
}
