use std::{
    collections::{HashSet, VecDeque},
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_core::TryStream;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    answer_check::{AnswerCheck, DefaultFormat},
    answer_usage::AnswerUsage,
    decline::Decline,
    event_record::{self, RecordSizes},
    followed_calls::FollowedCalls,
    format::terminal_event,
    input_budget::InputBudget,
    successor_ids::SuccessorIds,
};
use crate::{
    BoxError,
    chat::{
        ChatEvent, ChatRequest, ErrorEvent, InputId, Liveness, ProviderError, SeamCheck, ToolInput,
        Usage, poll_checked,
    },
    log::{Ending, ErrorCode, Outcome},
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
    /// use unbroken::{chat::{Capabilities, ChatEvent, ChatRequest, provider_fn}, durable::{ProviderSource, digest_of}, log::{ServiceName, SessionId}, session::{SessionSpec, Sessions}};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sessions = Sessions::in_memory();
    /// let provider = provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]));
    ///
    /// let first = ChatEvent::session_info(Capabilities::new()).to_json().freeze();
    /// let digest = digest_of(["mine", "Hi"]);
    /// let spec = SessionSpec::new(SessionId::random(), ServiceName::new("mine"), digest, first);
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
        sizes: RecordSizes,
        // Events to write before the next one of the provider: pieces of text that was too long for one
        // record. Before its first one: the word that the answer restarts, and the ends of the arguments that
        // streamed when another server was lost.
        rest: VecDeque<ChatEvent>,
        // False until the provider's first event. `rest` waits until then, so that a provider that declines
        // leaves no trace.
        begun: bool,
        // That first event, while `rest` is written.
        held: Option<ChatEvent>,
        decline: Decline,
        liveness: Liveness,
        // The questions without an `input_resolved`.
        open: HashSet<InputId>,
        usage: AnswerUsage,
        check: Option<AnswerCheck>,
        inputs: InputBudget,
        // After a takeover.
        ids: Option<SuccessorIds>,
        // Until the first text of a resumed answer is judged.
        seam: Option<Box<SeamCheck>>,
        followed: FollowedCalls,
    }
}

pin_project! {
    #[project = StateProjection]
    enum SourceState<S, F, T> {
        // Boxed, so that a stream doesn't keep room for the request.
        Idle { call: Option<Box<(S, ChatRequest)>> },
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
    pub fn new(provider: S, mut request: ChatRequest) -> Self {
        let liveness = Liveness::new();
        request.liveness = liveness.clone();
        let usage = AnswerUsage::after(request.so_far.as_deref());
        request.turn_usage = usage.of_turn.clone();
        let so_far = request.so_far.iter();
        let open = so_far.flat_map(|so_far| so_far.open_inputs());
        let event_bytes = Limits::default().event_bytes;
        let mut rest = VecDeque::new();
        let reads_on = request.reads_on();
        if !reads_on {
            let cut = request.runs.announced().map(ToolInput::cut);
            rest.extend(cut.map(ChatEvent::from));
        }
        Self {
            begun: rest.is_empty(),
            rest,
            held: None,
            decline: Decline::Fails,
            ids: SuccessorIds::after(&request.runs, reads_on),
            check: AnswerCheck::of(&request, event_bytes),
            seam: SeamCheck::of(&request),
            open: open.map(|asked| asked.input_id.clone()).collect(),
            state: SourceState::Idle {
                call: Some(Box::new((provider, request))),
            },
            sizes: RecordSizes::of(&Limits::default()),
            liveness,
            usage,
            inputs: InputBudget::default(),
            followed: FollowedCalls::default(),
        }
    }

    /// Creates a source whose text is checked by the application's format, if the request asks for that.
    pub(super) fn in_format(provider: S, request: ChatRequest, format: &DefaultFormat) -> Self {
        #[cfg(feature = "tools")]
        if let Some(schema) = format.schema(&request) {
            return Self::new(provider, request).schema(schema);
        }
        let _ = format;
        Self::new(provider, request)
    }

    /// Sets the schema that the final text is checked by, if the request asks for a JSON Schema:
    /// [`Complete::mismatch`](field@crate::chat::Complete::mismatch) tells where it doesn't fit. By default
    /// the request's own schema is checked by, in bounds
    /// ([`ClientFields::response_format`](crate::durable::ClientFields::response_format)).
    ///
    /// Not for schemas of clients: compiling one may take exponential time.
    #[cfg(feature = "tools")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tools")))]
    pub fn schema(mut self, schema: std::sync::Arc<crate::chat::Schema>) -> Self {
        self.check = self.check.map(|check| check.schema(schema));
        self
    }

    /// Sets the event that goes before the provider's first one, and the usage of the answer that it drops: an answer that
    /// ends before has it.
    pub(super) fn restarted(mut self, event: ChatEvent, dropped: Option<Usage>) -> Self {
        self.rest.push_front(event);
        self.begun = false;
        self.usage.replaces(dropped);
        self
    }

    /// Ends the source without a record if the provider can't continue an interrupted answer, and says so before
    /// its first event.
    pub(super) fn ends_if_declined(mut self) -> Self {
        self.begun = false;
        self.decline = Decline::Ends;
        self
    }

    /// Takes the reason for which the provider has declined; `None` if it hasn't.
    pub(super) fn take_declined(self: Pin<&mut Self>) -> Option<String> {
        match self.project().decline {
            Decline::Ended(reason) => Some(std::mem::take(reason)),
            Decline::Fails | Decline::Ends => None,
        }
    }

    /// Sets the maximum size of a record, in bytes. Default that of [`Limits`]; set it to the
    /// [`Limits::event_bytes`] of the sessions.
    ///
    /// Longer text, thinking and streamed arguments are split into several records. A larger record with the arguments or
    /// the result of a tool is written as it is, up to [`session_bytes`](Self::session_bytes). Any
    /// other record that is too large is replaced by a terminal error with the code
    /// [`ErrorCode::Limit`](crate::log::ErrorCode::Limit), which names the limit.
    ///
    /// The text of a `complete` event that would be larger is left out, so that the session ends as
    /// complete: clients have the text from the events before. The messages of a larger
    /// `conversation_state` are left out as well: clients continue with their own
    /// ([`ConversationState`](crate::chat::ConversationState)).
    pub fn event_bytes(mut self, most: usize) -> Self {
        self.sizes.event = most;
        if let Some(check) = &mut self.check {
            check.max_bytes(most);
        }
        self
    }

    /// Sets the maximum size of a record with the arguments or the result of a tool, a medium or provider
    /// state, in bytes. Default that of [`Limits`]; set it to the [`Limits::session_bytes`] of the sessions.
    ///
    /// Arguments that stream before their calls (`tool_input`) have an eighth of it. Past that, calls come
    /// whole.
    pub fn session_bytes(mut self, most: u64) -> Self {
        self.sizes.value = usize::try_from(most).unwrap_or(usize::MAX);
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
    #[expect(
        clippy::too_many_lines,
        reason = "one loop over the states of a call, in order"
    )]
    fn poll_record(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
    ) -> Poll<Option<Mark>> {
        let this = self.project();
        let mut state = this.state;
        loop {
            if *this.begun
                && let Some(piece) = this.rest.pop_front()
            {
                piece.write_json(out);
                let waits = !this.open.is_empty();
                let mark = if waits { Mark::Waiting } else { Mark::Event };
                return Poll::Ready(Some(mark));
            }
            let event = match state.as_mut().project() {
                _ if this.held.is_some() => Ok(this.held.take().expect("it is there")),
                _ if this.followed.has_next() => Ok(this.followed.next().expect("it is there")),
                StateProjection::Idle { call } => {
                    let (provider, _) = &mut **call.as_mut().expect("the state is left at once");
                    match ready!(provider.poll_ready(cx)) {
                        Ok(()) => {
                            let (mut provider, request) = *call.take().expect("it was there");
                            let future = provider.call(request);
                            state.set(SourceState::Calling { future });
                            continue;
                        }
                        Err(error) => Err(error.into()),
                    }
                }
                StateProjection::Calling { future } => match ready!(future.poll(cx)) {
                    Ok(stream) => {
                        state.set(SourceState::Streaming { stream });
                        continue;
                    }
                    Err(error) => Err(error.into()),
                },
                StateProjection::Streaming { mut stream } => {
                    let mut next = ready!(poll_checked(this.seam, stream.as_mut(), cx));
                    if let Some(Ok(event)) = &mut next
                        && this.followed.receive(event, this.ids.as_mut())
                    {
                        continue;
                    }
                    match next {
                        Some(Ok(event)) if event.is_terminal() => {
                            Ok(checked_terminal(event, stream.try_poll_next(cx)))
                        }
                        Some(Ok(ChatEvent::ToolInput(input)))
                            if !this
                                .inputs
                                .takes(&input, this.sizes.value, this.sizes.event) =>
                        {
                            // A stream that is always ready leaves the task to others too.
                            cx.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                        Some(Ok(event)) => Ok(event),
                        Some(Err(error)) => Err(error),
                        None => {
                            state.set(SourceState::Done);
                            *this.begun = true;
                            this.usage.begin();
                            continue;
                        }
                    }
                }
                StateProjection::Done => return Poll::Ready(None),
            };
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    if !*this.begun && this.decline.takes(&error) {
                        state.set(SourceState::Done);
                        this.rest.clear();
                        return Poll::Ready(None);
                    }
                    failure(&error, this.usage)
                }
            };
            if !*this.begun {
                *this.begun = true;
                if let ChatEvent::Error(_) = event {
                    // What clients have of the answer stays.
                    this.rest.clear();
                } else {
                    this.usage.begin();
                }
                if !this.rest.is_empty() {
                    *this.held = Some(event);
                    continue;
                }
            }
            let before = out.len();
            let mut event = this.usage.apply(event);
            if let Some(check) = this.check {
                check.take(&mut event);
            }
            let event = event_record::split(event, this.sizes.event, this.rest);
            let event = write_with_usage(event, this.usage, *this.sizes, out);
            let large = out.len() - before > this.sizes.event;
            let mark = this.followed.mark(mark(&event, this.open, large), large);
            if let Mark::Terminal(_) = mark {
                this.liveness.end();
                state.set(SourceState::Done);
            }
            return Poll::Ready(Some(mark));
        }
    }

    fn silence(&self) -> Option<Duration> {
        self.liveness.silence()
    }

    fn end(&self) {
        self.liveness.end();
    }

    fn ending(&self, ending: &Ending) -> Option<Bytes> {
        self.usage.so_far()?;
        let event = self.usage.clone().apply(terminal_event(ending));
        let mut out = BytesMut::new();
        let written = event_record::write(event.clone(), self.sizes, &mut out);
        // Not if its usage can't be written.
        (written == event).then(|| out.freeze())
    }
}

/// Returns the mark of an event, and updates the open questions.
fn mark(event: &ChatEvent, open: &mut HashSet<InputId>, large: bool) -> Mark {
    match outcome(event) {
        Some(outcome) => Mark::Terminal(outcome),
        None if update_open_inputs(open, event) => Mark::Waiting,
        None if event.is_barrier() || large => Mark::Barrier,
        None => Mark::Event,
    }
}

/// Writes an event. The error of one that can't be written gets the usage too.
fn write_with_usage(
    event: ChatEvent,
    usage: &mut AnswerUsage,
    sizes: RecordSizes,
    out: &mut BytesMut,
) -> ChatEvent {
    let before = out.len();
    let event = event_record::write(event, sizes, out);
    if !usage.lacks_in(&event) {
        return event;
    }
    out.truncate(before);
    event_record::write(usage.apply(event), sizes, out)
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
/// the sources, else with a fixed text, because other errors may hold secrets. The usage of the turn that
/// failed is added to that of the turns before.
fn failure(error: &BoxError, usage: &AnswerUsage) -> ChatEvent {
    tracing::warn!(error = &**error as &dyn Error, "the provider failed");
    if let Some(public) = ProviderError::find(&**error) {
        let mut event = ErrorEvent::from(public);
        event.usage = event.usage.map(|of_turn| usage.with_turn(of_turn));
        return event.into();
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

#[cfg(all(test, feature = "tools"))]
mod followed_tests;
#[cfg(test)]
mod tests;
