use std::{
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

use super::{Script, ScriptedStream, call_counter::CallCounter, demo};
use crate::chat::{ChatRequest, ProviderError};

/// A provider that follows a script. Its [`Default`] is the demo. The [module](super) describes
/// scripts.
#[derive(Debug, Clone)]
pub struct Scripted {
    script: Arc<Script>,
    counter: CallCounter,
}

impl Scripted {
    /// Creates a provider that follows this script, unless a request brings its own.
    pub fn new(script: Script) -> Self {
        Self {
            script: Arc::new(script),
            counter: CallCounter::default(),
        }
    }
}

impl Default for Scripted {
    fn default() -> Self {
        Self::new(
            Script::default()
                .thinking(demo::THINKING)
                .tool_input()
                .model(demo::MODEL),
        )
    }
}

impl Service<ChatRequest> for Scripted {
    type Response = ScriptedStream;
    type Error = ProviderError;
    type Future = Ready<Result<ScriptedStream, ProviderError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProviderError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ChatRequest) -> Self::Future {
        let stream = Script::of(&request, &self.script).and_then(|brought| {
            let script = brought.unwrap_or_else(|| Script::clone(&self.script));
            ScriptedStream::new(script, &request, &self.counter)
        });
        ready(stream)
    }
}
