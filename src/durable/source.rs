use std::{
    collections::HashSet,
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
    chat::{ChatEvent, ChatRequest, ErrorEvent, InputId, ProviderError},
    log::{ErrorCode, Outcome},
    session::{Limits, Mark, Source},
};

pin_project! {
    /// The [`Source`] of a session's records: a provider's answer to one request.
    ///
    /// The provider is called when the source is first polled. That is after the session's first
    /// record was acknowledged, so that a start that fails costs nothing. An error of the provider
    /// becomes the terminal event. An event that follows a terminal one replaces it by an error, if it
    /// is ready together with it; otherwise the stream is dropped before.
    ///
    /// From an `input_request` to its `input_resolved` the session's status is `waiting`, and the
    /// provider may be silent without a timeout.
    ///
    /// ```
    /// # use futures_util::stream;
    /// # use unbroken::chat::ProviderError;
    /// use unbroken::{chat::{Capabilities, ChatEvent, ChatRequest, provider_fn}, durable::{ProviderSource, digest_of}, log::SessionId, session::{SessionSpec, Sessions}};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sessions = Sessions::in_memory();
    /// let provider = provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]));
    ///
    /// let first = ChatEvent::session_info(Capabilities::new()).to_json().freeze();
    /// let digest = digest_of(["mine", "Hi"]);
    /// let spec = SessionSpec::new(SessionId::random(), "mine".into(), digest, first);
    /// let source = ProviderSource::new(provider, ChatRequest::from_user("Hi"))
    ///     .event_bytes(sessions.limits().event_bytes);
    /// let started = sessions.start(sessions.permit(None)?, spec, source).await?;
    /// assert!(started.created);
    /// # Ok(()) }
    /// ```
    pub struct ProviderSource<S>
    where
        S: Service<ChatRequest>,
    {
        #[pin]
        state: SourceState<S, S::Future, S::Response>,
        event_bytes: usize,
        // The questions without an `input_resolved`.
        open: HashSet<InputId>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum SourceState<S, F, T> {
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
    /// Creates a source of the answer to `request`. It waits until the provider is ready.
    pub fn new(provider: S, request: ChatRequest) -> Self {
        let so_far = request.so_far.iter();
        let open = so_far.flat_map(|so_far| so_far.open_inputs());
        Self {
            open: open.map(|asked| asked.input_id.clone()).collect(),
            state: SourceState::Idle {
                call: Some((provider, request)),
            },
            event_bytes: Limits::default().event_bytes,
        }
    }

    /// Sets the maximum size of a record, in bytes. Default that of [`Limits`]; set it to the
    /// [`Limits::event_bytes`] of the sessions.
    ///
    /// The text of a `complete` event that would be larger is left out, so that the session ends as
    /// complete: clients have the text from the events before. The messages of a larger
    /// `conversation_state` are left out as well: clients continue with their own
    /// ([`ConversationState`](crate::chat::ConversationState)).
    pub fn event_bytes(mut self, most: usize) -> Self {
        self.event_bytes = most;
        self
    }
}

// The bound of `Provider` but for `Clone`: a source calls its provider once.
impl<S> Source for ProviderSource<S>
where
    S: Service<
            ChatRequest,
            Response: TryStream<Ok = ChatEvent, Error: Into<BoxError>> + Send,
            Error: Into<BoxError>,
            Future: Send,
        > + Send
        + 'static,
{
    fn poll_record(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
    ) -> Poll<Option<Mark>> {
        let this = self.project();
        let mut state = this.state;
        loop {
            let event = match state.as_mut().project() {
                StateProjection::Idle { call } => {
                    let (provider, _) = call.as_mut().expect("the state is left at once");
                    match ready!(provider.poll_ready(cx)) {
                        Ok(()) => {
                            let (mut provider, request) = call.take().expect("it was there");
                            let future = provider.call(request);
                            state.set(SourceState::Calling { future });
                            continue;
                        }
                        Err(error) => failure(&error.into()),
                    }
                }
                StateProjection::Calling { future } => match ready!(future.poll(cx)) {
                    Ok(stream) => {
                        state.set(SourceState::Streaming { stream });
                        continue;
                    }
                    Err(error) => failure(&error.into()),
                },
                StateProjection::Streaming { mut stream } => {
                    match ready!(stream.as_mut().try_poll_next(cx)) {
                        Some(Ok(event)) if event.is_terminal() => {
                            checked_terminal(event, stream.try_poll_next(cx))
                        }
                        Some(Ok(event)) => event,
                        Some(Err(error)) => failure(&error.into()),
                        None => {
                            state.set(SourceState::Done);
                            return Poll::Ready(None);
                        }
                    }
                }
                StateProjection::Done => return Poll::Ready(None),
            };
            let mark = match outcome(&event) {
                Some(outcome) => Mark::Terminal(outcome),
                None if update_open_inputs(this.open, &event) => Mark::Waiting,
                None if event.is_barrier() => Mark::Barrier,
                None => Mark::Event,
            };
            if let Mark::Terminal(_) = mark {
                state.set(SourceState::Done);
            }
            write(event, *this.event_bytes, out);
            return Poll::Ready(Some(mark));
        }
    }
}

/// Updates the open questions by an event. Returns true if any is open then.
fn update_open_inputs(open: &mut HashSet<InputId>, event: &ChatEvent) -> bool {
    match event {
        ChatEvent::InputRequest(asked) => {
            open.insert(asked.input_id.clone());
        }
        ChatEvent::InputResolved(resolved) => {
            open.remove(&resolved.input_id);
        }
        ChatEvent::Restarted(_) => open.clear(),
        _ => {}
    }
    !open.is_empty()
}

/// Writes an event. Leaves out what clients have already if the record has more than `most` bytes
/// otherwise.
fn write(mut event: ChatEvent, most: usize, out: &mut BytesMut) {
    let before = out.len();
    event.write_json(out);
    if out.len() - before <= most {
        return;
    }
    let shorter = match &mut event {
        ChatEvent::Complete(complete) => complete.text.take().is_some(),
        ChatEvent::ConversationState(event) => {
            let messages = std::mem::take(&mut event.conversation_state.messages);
            !messages.is_empty()
        }
        _ => false,
    };
    if shorter {
        out.truncate(before);
        event.write_json(out);
    }
}

/// Returns the terminal event, or an error if the stream has another event ready after it.
fn checked_terminal<E>(event: ChatEvent, next: Poll<Option<Result<ChatEvent, E>>>) -> ChatEvent
where
    E: Into<BoxError>,
{
    match next {
        Poll::Ready(Some(Ok(next))) => {
            tracing::warn!(
                ending = event.kind(),
                next = next.kind(),
                "the provider sent an event after its terminal event"
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

/// Makes the error event of a provider's error: with the public message of a [`ProviderError`] among
/// the sources, else with a fixed text, because other errors may hold secrets.
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
        .recoverable(true)
        .into()
}

fn outcome(event: &ChatEvent) -> Option<Outcome> {
    Some(match event {
        ChatEvent::Complete(_) => Outcome::Complete,
        ChatEvent::Aborted(_) => Outcome::Aborted,
        ChatEvent::Error(error) => Outcome::Error(error.code),
        _ => return None,
    })
}

impl<S> fmt::Debug for ProviderSource<S>
where
    S: Service<ChatRequest>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            SourceState::Idle { .. } => "idle",
            SourceState::Calling { .. } => "calling",
            SourceState::Streaming { .. } => "streaming",
            SourceState::Done => "done",
        };
        f.debug_tuple("ProviderSource").field(&state).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::{Arc, Mutex},
    };

    use futures_util::stream;

    use super::*;
    use crate::chat::{
        ConversationState, InputAction, InputRequest, InputResolved, Message, ToolCall,
        ToolProgress, provider_fn,
    };

    #[derive(Debug, thiserror::Error)]
    #[error("a layer between")]
    struct LayeredError(#[source] BoxError);

    /// Returns the records of a provider with these events, and the mark of each.
    async fn records(events: Vec<Result<ChatEvent, BoxError>>) -> Vec<(Mark, serde_json::Value)> {
        let events = Arc::new(Mutex::new(Some(events)));
        let provider = provider_fn(move |_| {
            let events = events.lock().unwrap().take();
            stream::iter(events.expect("the provider is called once"))
        });
        let mut source = Box::pin(ProviderSource::new(provider, ChatRequest::default()));
        let mut records = Vec::new();
        let mut out = BytesMut::new();
        while let Some(mark) = poll_fn(|cx| source.as_mut().poll_record(cx, &mut out)).await {
            records.push((mark, serde_json::from_slice(&out.split()).unwrap()));
        }
        assert!(out.is_empty());
        records
    }

    #[tokio::test]
    async fn the_end_of_the_stream_is_the_end_of_the_source() {
        let records = records(vec![Ok(ChatEvent::text("a")), Ok(ChatEvent::text("b"))]).await;
        let marks: Vec<_> = records.iter().map(|(mark, _)| *mark).collect();
        assert_eq!(marks, [Mark::Event, Mark::Event]);
    }

    #[tokio::test]
    async fn each_terminal_event_has_its_outcome() {
        for (event, outcome) in [
            (ChatEvent::complete(), Outcome::Complete),
            (ChatEvent::aborted(), Outcome::Aborted),
            (
                ChatEvent::error(ErrorCode::Limit, "too much"),
                Outcome::Error(ErrorCode::Limit),
            ),
        ] {
            let records = records(vec![Ok(event.clone())]).await;
            assert_eq!(records.len(), 1);
            assert_eq!(records[0].0, Mark::Terminal(outcome));
            assert_eq!(records[0].1["type"], event.kind());
        }
    }

    #[tokio::test]
    async fn events_with_effects_are_barriers() {
        let call = ToolCall::new("1", "pay", serde_json::json!({}));
        let started = ToolProgress::new("1", "pay");
        let half = started.clone().progress(0.5, None);
        let events = vec![
            Ok(ChatEvent::tool_calls([call])),
            Ok(started.into()),
            Ok(half.into()),
            Ok(ChatEvent::tool_result("1", "pay", "done")),
            Ok(ChatEvent::tool_error("2", "pay", "no")),
            Ok(ChatEvent::isomorphic_handoff(
                "3",
                "map",
                serde_json::json!({}),
            )),
        ];
        let marks: Vec<_> = records(events)
            .await
            .into_iter()
            .map(|(mark, _)| mark)
            .collect();
        let barrier = Mark::Barrier;
        let expected = [barrier, barrier, Mark::Event, barrier, barrier, barrier];
        assert_eq!(marks, expected);
    }

    #[test]
    fn the_messages_of_a_state_are_left_out_where_they_do_not_fit() {
        let mut state = ConversationState::new([Message::user("Hi")]);
        state.assistant_content = "Let me see.".into();
        let event = ChatEvent::conversation_state(state.clone());
        let whole = event.to_json().len();
        for (most, messages) in [(whole, state.messages.clone()), (whole - 1, Vec::new())] {
            let mut out = BytesMut::from("before");
            write(event.clone(), most, &mut out);
            let record = out.split_off("before".len());
            assert!(record.len() <= most);
            let json: serde_json::Value = serde_json::from_slice(&record).unwrap();
            let written = &json["conversationState"];
            assert_eq!(written.get("messages").is_some(), !messages.is_empty());
            let read: ConversationState = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(read.messages, messages);
            assert_eq!(read.assistant_content, "Let me see.");
        }
    }

    #[tokio::test]
    async fn the_session_waits_while_any_question_is_open() {
        let id = |id: &str| id.parse::<InputId>().unwrap();
        let resolved = |name| InputResolved::new(id(name), InputAction::Decline);
        let events = vec![
            Ok(InputRequest::approval(id("a"), "May I?").into()),
            Ok(ChatEvent::text("meanwhile")),
            Ok(InputRequest::question(id("b"), "When?").into()),
            Ok(resolved("a").into()),
            Ok(resolved("never-asked").into()),
            Ok(resolved("b").into()),
            Ok(ChatEvent::text("on")),
            Ok(InputRequest::question(id("c"), "Why?").into()),
            Ok(ChatEvent::restarted("again")),
        ];
        let marks: Vec<_> = records(events)
            .await
            .into_iter()
            .map(|(mark, _)| mark)
            .collect();
        let mut expected = vec![Mark::Waiting; 5];
        expected.extend([Mark::Barrier, Mark::Event, Mark::Waiting, Mark::Event]);
        assert_eq!(marks, expected);
    }

    #[tokio::test]
    async fn questions_of_the_partial_answer_are_open_after_a_takeover() {
        let id = InputId::random();
        let asked = InputRequest::question(id.clone(), "When?").into();
        let request = ChatRequest {
            so_far: Some(std::sync::Arc::new([asked].iter().collect())),
            ..ChatRequest::default()
        };
        let events = [
            ChatEvent::text("meanwhile"),
            InputResolved::new(id, InputAction::Accept).into(),
        ];
        let provider = provider_fn(move |_| stream::iter(events.clone().map(Ok::<_, BoxError>)));
        let mut source = Box::pin(ProviderSource::new(provider, request));
        let mut marks = Vec::new();
        let mut out = BytesMut::new();
        while let Some(mark) = poll_fn(|cx| source.as_mut().poll_record(cx, &mut out)).await {
            marks.push(mark);
        }
        assert_eq!(marks, [Mark::Waiting, Mark::Barrier]);
    }

    #[tokio::test]
    async fn nothing_follows_an_error() {
        let error = ProviderError::new("no more");
        let records = records(vec![Err(error.into()), Ok(ChatEvent::text("more"))]).await;
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].1["message"], "no more");
    }

    #[tokio::test]
    async fn a_public_message_is_found_behind_other_errors() {
        let public: BoxError = ProviderError::new("overloaded").recoverable(true).into();
        let wrapped = LayeredError(LayeredError(public).into());
        let found = &records(vec![Err(wrapped.into())]).await[0].1;
        assert_eq!(found["message"], "overloaded");
        assert_eq!(found["recoverable"], true);
        let private = LayeredError("10.0.0.7 refused".into());
        let hidden = &records(vec![Err(private.into())]).await[0].1;
        assert_eq!(hidden["message"], "The provider failed. Try again.");
        assert_eq!(hidden["code"], "provider");
    }

    #[tokio::test]
    async fn an_error_after_the_terminal_event_changes_nothing() {
        let records = records(vec![Ok(ChatEvent::complete()), Err("late".into())]).await;
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].0, Mark::Terminal(Outcome::Complete));
    }

    #[tokio::test]
    async fn an_event_after_the_terminal_one_is_an_internal_error() {
        let events = vec![Ok(ChatEvent::complete()), Ok(ChatEvent::complete())];
        let records = records(events).await;
        let internal = Outcome::Error(ErrorCode::Internal);
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].0, Mark::Terminal(internal));
    }
}
