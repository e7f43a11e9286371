use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

use super::{ToolFuture, config::ToolConfig, conversation::Conversation};
use crate::chat::{ChatRequest, Provider};

/// The provider that [`ToolLayer`](super::ToolLayer) makes of another.
#[derive(Debug, Clone)]
pub struct ToolService<S> {
    inner: S,
    config: Arc<ToolConfig>,
}

impl<S> ToolService<S> {
    pub(super) fn new(inner: S, config: Arc<ToolConfig>) -> Self {
        Self { inner, config }
    }
}

/// Ready when the inner provider is. The inner provider is called again for each turn; the stream
/// waits until it is ready.
impl<S> Service<ChatRequest> for ToolService<S>
where
    S: Provider,
{
    type Response = super::ToolStream<S>;
    type Error = S::Error;
    type Future = ToolFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: ChatRequest) -> ToolFuture<S> {
        // Only the polled service is ready, not its clone.
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        let mut conversation = Conversation::new(Arc::clone(&self.config), request);
        let call = (!conversation.runs_tools()).then(|| inner.call(conversation.next_request()));
        ToolFuture::new(inner, conversation, call)
    }
}
