use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::conversation::{Conversation, EventAction};
use crate::{
    BoxError,
    chat::{ChatEvent, ChatRequest, Provider, poll_checked},
};

pin_project! {
    /// The stream of an answer with tools: the turns of the model, and the events of tools between
    /// them.
    ///
    /// Dropping it drops the provider's stream, and aborts the running tools.
    pub struct ToolStream<S>
    where
        S: Service<ChatRequest>,
    {
        inner: S,
        conversation: Box<Conversation>,
        #[pin]
        state: ToolStreamState<S::Future, S::Response>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum ToolStreamState<F, T> {
        Tools,
        // The provider is called once it is ready.
        Asking,
        Calling { #[pin] future: F },
        Streaming { #[pin] stream: T },
        // The layer's own last events follow.
        Closing,
        Over,
    }
}

impl<S> ToolStream<S>
where
    S: Service<ChatRequest>,
{
    pub(super) fn new(
        inner: S,
        conversation: Box<Conversation>,
        stream: Option<S::Response>,
    ) -> Self {
        Self {
            inner,
            conversation,
            state: match stream {
                Some(stream) => ToolStreamState::Streaming { stream },
                None => ToolStreamState::Tools,
            },
        }
    }
}

impl<S> Stream for ToolStream<S>
where
    S: Provider,
{
    type Item = Result<ChatEvent, BoxError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        let (mut state, conversation) = (this.state, this.conversation);
        let error = loop {
            match state.as_mut().project() {
                StateProjection::Streaming { stream } => {
                    match ready!(poll_checked(&mut conversation.seam, stream, cx)) {
                        // The hot path: text is only appended.
                        Some(Ok(ChatEvent::Text(text))) => {
                            conversation.push_text(&text);
                            return Poll::Ready(Some(Ok(ChatEvent::Text(text))));
                        }
                        // Terminal: no tool runs after these.
                        Some(Ok(mut event @ (ChatEvent::Error(_) | ChatEvent::Aborted(_)))) => {
                            conversation.usage.break_off(&mut event);
                            state.set(ToolStreamState::Over);
                            return Poll::Ready(Some(Ok(event)));
                        }
                        Some(Ok(mut event)) => match conversation.push(&mut event) {
                            EventAction::Pass => return Poll::Ready(Some(Ok(event))),
                            EventAction::Hold => {}
                            EventAction::RunTools => match conversation.begin_tools() {
                                Ok(()) => state.set(ToolStreamState::Tools),
                                Err(error) => break error.into(),
                            },
                            EventAction::Close => state.set(ToolStreamState::Closing),
                        },
                        Some(Err(error)) => break error,
                        None => match conversation.end() {
                            EventAction::RunTools => match conversation.begin_tools() {
                                Ok(()) => state.set(ToolStreamState::Tools),
                                Err(error) => break error.into(),
                            },
                            _ => state.set(ToolStreamState::Closing),
                        },
                    }
                }
                StateProjection::Tools => match ready!(conversation.poll_tools(cx)) {
                    Some(event) => return Poll::Ready(Some(Ok(event))),
                    None if conversation.is_handed_over() => state.set(ToolStreamState::Closing),
                    None => match conversation.may_ask() {
                        Ok(()) => state.set(ToolStreamState::Asking),
                        Err(error) => break error.into(),
                    },
                },
                StateProjection::Asking => match ready!(this.inner.poll_ready(cx)) {
                    Ok(()) => {
                        let future = this.inner.call(conversation.next_request());
                        state.set(ToolStreamState::Calling { future });
                    }
                    Err(error) => break error.into(),
                },
                StateProjection::Calling { future } => match ready!(future.poll(cx)) {
                    Ok(stream) => state.set(ToolStreamState::Streaming { stream }),
                    Err(error) => break error.into(),
                },
                StateProjection::Closing => match conversation.closing() {
                    Some(event) => return Poll::Ready(Some(Ok(event))),
                    None => state.set(ToolStreamState::Over),
                },
                StateProjection::Over => return Poll::Ready(None),
            }
        };
        state.set(ToolStreamState::Over);
        Poll::Ready(Some(Err(error)))
    }
}

impl<S> fmt::Debug for ToolStream<S>
where
    S: Service<ChatRequest>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            ToolStreamState::Tools => "tools run",
            ToolStreamState::Asking | ToolStreamState::Calling { .. } => "asking",
            ToolStreamState::Streaming { .. } => "streaming",
            ToolStreamState::Closing => "closing",
            ToolStreamState::Over => "over",
        };
        f.debug_tuple("ToolStream").field(&state).finish()
    }
}
