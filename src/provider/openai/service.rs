use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

use super::{config::OpenAiConfig, decoder::decoder, request};
use crate::{
    chat::{ChatRequest, ProviderError},
    provider::http::{AnswerFuture, AnswerStream, CallIds, CallReports, Upstream},
};

/// A provider that calls an OpenAI-compatible server. The [module](super) has an example.
///
/// Cheap to clone; clones share their connections. `Debug` shows neither key nor address.
#[derive(Clone)]
pub struct OpenAi {
    upstream: Arc<Upstream>,
    config: Arc<OpenAiConfig>,
}

impl OpenAi {
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
        let body = chat.check_continuation(self.config.continues);
        let body = match body.and_then(|()| request::body(&self.config, &chat)) {
            Ok(body) => body,
            Err(error) => return AnswerFuture::failed(error),
        };
        let ids = CallIds::after(&chat.messages);
        let (max_bytes, think_tags) = (self.config.max_event_bytes, self.config.think_tags);
        let sound_format = request::sound_format(&self.config, &chat);
        let reports = CallReports::of(&chat);
        self.upstream.ask(body, reports, move || {
            let (ids, sound_format) = (ids.clone(), sound_format.clone());
            Box::new(decoder(ids, max_bytes, think_tags, sound_format))
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
