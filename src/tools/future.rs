use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::{ToolStream, conversation::Conversation};
use crate::chat::ChatRequest;

pin_project! {
    /// A future that waits for the provider's stream, or completes at once if tools have to run
    /// first.
    pub struct ToolFuture<S>
    where
        S: Service<ChatRequest>,
    {
        parts: Option<(S, Box<Conversation>)>,
        #[pin]
        call: Option<S::Future>,
    }
}

impl<S> ToolFuture<S>
where
    S: Service<ChatRequest>,
{
    pub(super) fn new(inner: S, conversation: Conversation, call: Option<S::Future>) -> Self {
        Self {
            parts: Some((inner, Box::new(conversation))),
            call,
        }
    }
}

impl<S> Future for ToolFuture<S>
where
    S: Service<ChatRequest>,
{
    type Output = Result<ToolStream<S>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let stream = match this.call.as_pin_mut() {
            Some(call) => Some(ready!(call.poll(cx))?),
            None => None,
        };
        let (inner, conversation) = this
            .parts
            .take()
            .expect("a future is not polled after its end");
        Poll::Ready(Ok(ToolStream::new(inner, conversation, stream)))
    }
}

impl<S> fmt::Debug for ToolFuture<S>
where
    S: Service<ChatRequest>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolFuture").finish_non_exhaustive()
    }
}
