use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use futures_core::TryStream;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    BoxError,
    chat::{ChatEvent, ChatRequest, ErrorCode, ErrorEvent, ProviderError},
    session::{self, Mark, Outcome, Source},
};

pin_project! {
    /// A provider's answer to one request, as a [`Source`] of records.
    ///
    /// The provider is called when the source is first polled, which is after the session's first
    /// record was acknowledged: a start that fails costs nothing. Its errors become the terminal
    /// event. So does an event that follows a terminal one, for the provider broke the rules then.
    ///
    /// ```
    /// # use futures_util::stream;
    /// # use unbroken::chat::ProviderError;
    /// use unbroken::{
    ///     chat::{Capabilities, ChatEvent, ChatRequest, provider_fn},
    ///     durable::ProviderSource,
    ///     session::{Digest, SessionId, Sessions, Start},
    /// };
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sessions = Sessions::in_memory();
    /// let provider = provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]));
    ///
    /// let first = ChatEvent::session_info(Capabilities::new()).to_json().freeze();
    /// let start = Start::new(SessionId::random(), "mine".into(), Digest([0; 32]), first);
    /// let source = ProviderSource::new(provider, ChatRequest::from_user("Hi"));
    /// let started = sessions.start(sessions.permit(None)?, start, source).await?;
    /// assert!(started.created);
    /// # Ok(()) }
    /// ```
    pub struct ProviderSource<S>
    where
        S: Service<ChatRequest>,
    {
        #[pin]
        state: State<S, S::Future, S::Response>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F, T> {
        Idle { call: Option<(S, ChatRequest)> },
        Calling { #[pin] future: F },
        Streaming { #[pin] stream: T },
        Done,
    }
}

impl<S> ProviderSource<S>
where
    S: Service<ChatRequest>,
{
    /// The answer to `request`. The provider must have been polled until it was ready, where it
    /// asks for that.
    pub fn new(provider: S, request: ChatRequest) -> Self {
        Self {
            state: State::Idle {
                call: Some((provider, request)),
            },
        }
    }
}

impl<S> Source for ProviderSource<S>
where
    S: Service<ChatRequest> + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    S::Response: TryStream<Ok = ChatEvent> + Send,
    <S::Response as TryStream>::Error: Into<BoxError>,
{
    fn poll_record(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
    ) -> Poll<Option<Mark>> {
        let mut state = self.project().state;
        loop {
            let event = match state.as_mut().project() {
                StateProjection::Idle { call } => {
                    let (mut provider, request) = call.take().expect("the state is left at once");
                    let future = provider.call(request);
                    state.set(State::Calling { future });
                    continue;
                }
                StateProjection::Calling { future } => match ready!(future.poll(cx)) {
                    Ok(stream) => {
                        state.set(State::Streaming { stream });
                        continue;
                    }
                    Err(error) => failure(&error.into()),
                },
                StateProjection::Streaming { mut stream } => {
                    match ready!(stream.as_mut().try_poll_next(cx)) {
                        Some(Ok(event)) if event.is_terminal() => {
                            followed(event, stream.try_poll_next(cx))
                        }
                        Some(Ok(event)) => event,
                        Some(Err(error)) => failure(&error.into()),
                        None => {
                            state.set(State::Done);
                            return Poll::Ready(None);
                        }
                    }
                }
                StateProjection::Done => return Poll::Ready(None),
            };
            let mark = outcome(&event).map_or(Mark::Event, Mark::Terminal);
            if let Mark::Terminal(_) = mark {
                state.set(State::Done);
            }
            event.write_json(out);
            return Poll::Ready(Some(mark));
        }
    }
}

/// A terminal event, and what the stream had ready after it.
fn followed<E>(event: ChatEvent, next: Poll<Option<Result<ChatEvent, E>>>) -> ChatEvent
where
    E: Into<BoxError>,
{
    match next {
        Poll::Ready(Some(Ok(next))) => {
            tracing::warn!(
                ending = event.kind(),
                next = next.kind(),
                "the provider went on after its terminal event"
            );
            ErrorEvent::new(
                ErrorCode::Internal,
                "The provider went on after the end of its answer.",
            )
            .into()
        }
        Poll::Ready(Some(Err(error))) => {
            let error = error.into();
            tracing::warn!(
                error = &*error as &dyn Error,
                "the provider failed after its answer"
            );
            event
        }
        Poll::Ready(None) | Poll::Pending => event,
    }
}

/// What clients hear of an error: what a [`ProviderError`] says in public, wherever it is in the
/// chain; a fixed text for any other, since nobody knows what that would tell strangers.
fn failure(error: &BoxError) -> ChatEvent {
    tracing::warn!(error = &**error as &dyn Error, "the provider failed");
    let mut next: Option<&(dyn Error + 'static)> = Some(&**error);
    while let Some(this) = next {
        if let Some(public) = this.downcast_ref::<ProviderError>() {
            return ErrorEvent::from(public).into();
        }
        next = this.source();
    }
    ErrorEvent::new(ErrorCode::Provider, "The provider failed. Try again.")
        .with_recoverable(true)
        .into()
}

fn outcome(event: &ChatEvent) -> Option<Outcome> {
    Some(match event {
        ChatEvent::Complete(_) => Outcome::Complete,
        ChatEvent::Aborted(_) => Outcome::Aborted,
        ChatEvent::Error(error) => Outcome::Error(match error.code {
            ErrorCode::Provider => session::ErrorCode::Provider,
            ErrorCode::Timeout => session::ErrorCode::Timeout,
            ErrorCode::Interrupted => session::ErrorCode::Interrupted,
            ErrorCode::Limit => session::ErrorCode::Limit,
            ErrorCode::Internal => session::ErrorCode::Internal,
        }),
        _ => return None,
    })
}

impl<S> fmt::Debug for ProviderSource<S>
where
    S: Service<ChatRequest>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Idle { .. } => "idle",
            State::Calling { .. } => "calling",
            State::Streaming { .. } => "streaming",
            State::Done => "done",
        };
        f.debug_tuple("ProviderSource").field(&state).finish()
    }
}
