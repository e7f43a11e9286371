//! The events of an answer, folded into its current state.

mod logged_tail;
mod pieces;
mod turns;

use std::fmt;

use self::{pieces::PieceAt, turns::Turn};
use super::{
    Aborted, ChatEvent, Citation, Complete, ConversationState, Custom, ErrorEvent, FinishReason,
    InputId, InputOutcome, InputRequest, IsomorphicHandoff, Media, Message, ProviderState,
    ProviderStateEvent, StateOf, ToolCall, ToolError, ToolResult, TurnEnd, Usage,
};

pub use self::{logged_tail::LoggedTail, pieces::Piece};

/// The events of an answer, folded into its current state.
///
/// The result doesn't depend on how text is split into events. A `restarted` event drops everything
/// before it. Events after a terminal event, and types that this version doesn't know, are ignored.
///
/// ```
/// use unbroken::chat::{ChatEvent, Message, Transcript};
///
/// let events = [ChatEvent::text("Hel"), ChatEvent::text("lo"), ChatEvent::complete()];
/// let transcript: Transcript = events.iter().collect();
/// assert_eq!(transcript.message(), Message::assistant("Hello"));
/// assert!(transcript.ending().is_some());
/// ```
///
/// `Debug` shows counts, not contents.
#[derive(Clone, Default, PartialEq)]
pub struct Transcript {
    text: String,
    thinking: String,
    media: Vec<Media>,
    sources: Vec<Citation>,
    states: Vec<ProviderStateEvent>,
    tool_calls: Vec<ToolCall>,
    tool_results: Vec<ToolResult>,
    tool_errors: Vec<ToolError>,
    turn_ends: Vec<TurnEnd>,
    inputs: Vec<Input>,
    handoffs: Vec<IsomorphicHandoff>,
    state: Option<ConversationState>,
    custom: Vec<Custom>,
    // Of the turn that runs, or of the whole answer.
    stream: Option<ProviderState>,
    spans_turns: bool,
    // After that.
    tail: LoggedTail,
    /// All of these, in the order in which they were streamed.
    order: Vec<PieceAt>,
    turns: Vec<Turn>,
    ending: Option<TranscriptEnd>,
}

/// A question and its outcome.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Input {
    /// The question.
    pub request: InputRequest,
    /// The outcome; `None` while the question is open.
    pub outcome: Option<InputOutcome>,
}

/// The end of the answer in a [`Transcript`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TranscriptEnd {
    /// The answer is complete.
    Complete(Complete),
    /// The answer was stopped.
    Aborted(Aborted),
    /// The answer failed.
    Error(ErrorEvent),
}

impl Transcript {
    /// Creates an empty transcript.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one event.
    pub fn push(&mut self, event: &ChatEvent) {
        if self.ending.is_some() {
            return;
        }
        if ends_stream(event) && !self.spans_turns {
            self.stream = None;
            self.tail = LoggedTail::default();
        } else if self.stream.is_some() {
            self.tail.push(event);
        }
        match event {
            ChatEvent::Text(text) => self.push_text(&text.content),
            ChatEvent::Thinking(thinking) => self.push_thinking(&thinking.content),
            ChatEvent::Media(media) => {
                self.order.push(PieceAt::Media(self.media.len()));
                self.media.push(Media::clone(media));
            }
            ChatEvent::Source(source) => {
                self.order.push(PieceAt::Source(self.sources.len()));
                self.sources.push(Citation::clone(source));
            }
            ChatEvent::ProviderState(state) => self.push_state(state),
            ChatEvent::ToolCalls(more) => {
                let calls = self.tool_calls.len()..self.tool_calls.len() + more.calls.len();
                self.order.extend(calls.map(PieceAt::Call));
                self.tool_calls.extend_from_slice(&more.calls);
                self.end_turn();
            }
            ChatEvent::ToolResult(result) => {
                self.record_outcome();
                self.order.push(PieceAt::Result(self.tool_results.len()));
                self.tool_results.push(ToolResult::clone(result));
            }
            ChatEvent::ToolError(error) => {
                self.record_outcome();
                self.order.push(PieceAt::Error(self.tool_errors.len()));
                self.tool_errors.push(ToolError::clone(error));
            }
            ChatEvent::Turn(end) => {
                self.order.push(PieceAt::TurnEnd(self.turn_ends.len()));
                self.turn_ends.push(TurnEnd::clone(end));
            }
            ChatEvent::InputRequest(request) => {
                self.order.push(PieceAt::Input(self.inputs.len()));
                self.inputs.push(Input {
                    request: InputRequest::clone(request),
                    outcome: None,
                });
            }
            ChatEvent::InputResolved(resolved) => {
                let of = |input: &Input| input.request.input_id == resolved.input_id;
                if let Some(at) = self.inputs.iter().rposition(of)
                    && self.inputs[at].outcome.is_none()
                {
                    self.inputs[at].outcome = Some(resolved.action.clone());
                    self.order.push(PieceAt::Resolved(at));
                }
            }
            ChatEvent::IsomorphicHandoff(handoff) => {
                self.record_outcome();
                self.order.push(PieceAt::Handoff(self.handoffs.len()));
                self.handoffs.push(IsomorphicHandoff::clone(handoff));
            }
            ChatEvent::ConversationState(event) => {
                self.state = Some(event.conversation_state.clone());
            }
            ChatEvent::Custom(custom) => {
                self.order.push(PieceAt::Custom(self.custom.len()));
                self.custom.push(Custom::clone(custom));
            }
            ChatEvent::Restarted(_) => *self = Self::new(),
            ChatEvent::Complete(complete) => {
                // A provider that doesn't stream sends the whole text at the end.
                if let (true, Some(text)) = (self.text.is_empty(), &complete.text) {
                    self.push_text(text);
                }
                self.ending = Some(TranscriptEnd::Complete(Complete::clone(complete)));
            }
            ChatEvent::Aborted(aborted) => {
                self.ending = Some(TranscriptEnd::Aborted(Aborted::clone(aborted)));
            }
            ChatEvent::Error(error) => {
                self.ending = Some(TranscriptEnd::Error(ErrorEvent::clone(error)));
            }
            ChatEvent::SessionInfo(_)
            | ChatEvent::ToolInput(_)
            | ChatEvent::ToolProgress(_)
            | ChatEvent::Unknown(_) => {}
        }
    }

    fn push_text(&mut self, piece: &str) {
        let at = self.text.len();
        self.text.push_str(piece);
        let end = self.text.len();
        match self.order.last_mut() {
            _ if piece.is_empty() => {}
            Some(PieceAt::Text(last)) => last.end = end,
            _ => self.order.push(PieceAt::Text(at..end)),
        }
    }

    fn push_thinking(&mut self, piece: &str) {
        let at = self.thinking.len();
        self.thinking.push_str(piece);
        let end = self.thinking.len();
        match self.order.last_mut() {
            _ if piece.is_empty() => {}
            Some(PieceAt::Thinking(last)) => last.end = end,
            _ => self.order.push(PieceAt::Thinking(at..end)),
        }
    }

    fn push_state(&mut self, event: &ProviderStateEvent) {
        if event.of == StateOf::Stream {
            self.stream = Some(event.state.clone());
            self.spans_turns = event.spans_turns;
            return;
        }
        if let StateOf::Call(id) = &event.of
            && let Some(call) = self.tool_calls.iter_mut().rfind(|call| call.id == *id)
        {
            call.provider_state = Some(event.state.clone());
        }
        self.order.push(PieceAt::State(self.states.len()));
        self.states.push(event.clone());
    }

    /// Returns the assistant's message: the text of all its turns, and the tools that it asked for.
    /// [`messages`](Self::messages) has the turns, with everything that belongs to each.
    pub fn message(&self) -> Message {
        Message::assistant(self.text.clone()).tool_calls(self.tool_calls.iter().cloned())
    }

    /// Returns the text so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the thinking so far.
    pub fn thinking(&self) -> &str {
        &self.thinking
    }

    /// Returns the pictures, sounds and files that the model made, in order.
    pub fn media(&self) -> &[Media] {
        &self.media
    }

    /// Returns the sources that the text rests on, in order.
    pub fn sources(&self) -> &[Citation] {
        &self.sources
    }

    /// Returns the state of the provider's stream in the turn that runs ([`StateOf::Stream`]): the latest one,
    /// from which a provider reads on. `None` if the turn left none, or is over; a state that
    /// [spans turns](field@ProviderStateEvent::spans_turns) stays.
    pub fn stream_state(&self) -> Option<&ProviderState> {
        self.stream.as_ref()
    }

    /// Returns true if that state is of a stream that has the whole answer: the provider's server runs its tools.
    #[cfg(feature = "tools")]
    pub(crate) fn stream_spans_turns(&self) -> bool {
        self.stream.is_some() && self.spans_turns
    }

    /// Returns what the log has after that state. A provider that reads on leaves it out.
    pub fn logged_tail(&self) -> LoggedTail {
        self.tail.clone()
    }

    /// Returns what the provider must be handed back with the turns and calls, in order.
    pub fn provider_states(&self) -> &[ProviderStateEvent] {
        &self.states
    }

    /// Returns the ends of the model's turns, in order.
    pub fn turn_ends(&self) -> &[TurnEnd] {
        &self.turn_ends
    }

    /// Returns the calls that the model asked for, in order.
    pub fn tool_calls(&self) -> &[ToolCall] {
        &self.tool_calls
    }

    /// Returns the results of tools, in order.
    pub fn tool_results(&self) -> &[ToolResult] {
        &self.tool_results
    }

    /// Returns the failures of tools, in order.
    pub fn tool_errors(&self) -> &[ToolError] {
        &self.tool_errors
    }

    /// Returns the questions, in order.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Returns the question with this id.
    pub fn input(&self, id: &InputId) -> Option<&Input> {
        let of = |input: &&Input| input.request.input_id == *id;
        self.inputs.iter().rfind(of)
    }

    /// Returns the questions that are still open, in order; none once the answer has ended.
    ///
    /// ```
    /// use unbroken::chat::{ChatEvent, InputAction, InputId, InputRequest, InputResolved, Transcript};
    ///
    /// let id = InputId::random();
    /// let mut transcript = Transcript::new();
    /// transcript.push(&InputRequest::approval(id.clone(), "Send the mail?").into());
    /// assert_eq!(transcript.open_inputs().count(), 1);
    /// transcript.push(&InputResolved::new(id, InputAction::Accept).into());
    /// assert_eq!(transcript.open_inputs().count(), 0);
    /// ```
    pub fn open_inputs(&self) -> impl Iterator<Item = &InputRequest> {
        let running = self.ending.is_none();
        let open = self
            .inputs
            .iter()
            .filter(move |input| running && input.outcome.is_none());
        open.map(|input| &input.request)
    }

    /// Returns the calls that were handed to the client, in order.
    pub fn handoffs(&self) -> &[IsomorphicHandoff] {
        &self.handoffs
    }

    /// Returns the state that the client sends back to continue the conversation, if it waits for
    /// client tools.
    pub fn conversation_state(&self) -> Option<&ConversationState> {
        self.state.as_ref()
    }

    /// Returns the application's own events, in order.
    pub fn custom(&self) -> &[Custom] {
        &self.custom
    }

    /// Returns the end of the answer; `None` while it runs.
    pub fn ending(&self) -> Option<&TranscriptEnd> {
        self.ending.as_ref()
    }

    /// Returns the usage, as far as the provider reported it: of the whole answer once that has ended,
    /// else of the turns that are over.
    pub fn usage(&self) -> Option<Usage> {
        let ending = match &self.ending {
            Some(TranscriptEnd::Complete(end)) => end.usage.clone(),
            Some(TranscriptEnd::Aborted(end)) => end.usage.clone(),
            Some(TranscriptEnd::Error(end)) => end.usage.clone(),
            None => None,
        };
        ending.or_else(|| {
            let turns = self.turn_ends.iter().filter_map(|end| end.usage.clone());
            turns.reduce(|mut all, turn| {
                all += turn;
                all
            })
        })
    }

    /// Returns the model that answered the last turn, if the provider named it.
    pub fn model(&self) -> Option<&str> {
        self.turn_ends
            .iter()
            .rev()
            .find_map(|end| end.model.as_deref())
    }

    /// Returns the reason why the model stopped, if the answer is complete.
    pub fn finish_reason(&self) -> Option<&FinishReason> {
        Some(&self.complete()?.finish_reason)
    }

    fn complete(&self) -> Option<&Complete> {
        match &self.ending {
            Some(TranscriptEnd::Complete(complete)) => Some(complete),
            _ => None,
        }
    }
}

// Nothing after these events is read from the stream of the turn before them.
fn ends_stream(event: &ChatEvent) -> bool {
    matches!(
        event,
        ChatEvent::Turn(_)
            | ChatEvent::ToolProgress(_)
            | ChatEvent::ToolResult(_)
            | ChatEvent::ToolError(_)
            | ChatEvent::IsomorphicHandoff(_)
    )
}

impl<'a> Extend<&'a ChatEvent> for Transcript {
    fn extend<I>(&mut self, events: I)
    where
        I: IntoIterator<Item = &'a ChatEvent>,
    {
        for event in events {
            self.push(event);
        }
    }
}

impl<'a> FromIterator<&'a ChatEvent> for Transcript {
    fn from_iter<I>(events: I) -> Self
    where
        I: IntoIterator<Item = &'a ChatEvent>,
    {
        let mut transcript = Self::new();
        transcript.extend(events);
        transcript
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcript")
            .field("text_bytes", &self.text.len())
            .field("thinking_bytes", &self.thinking.len())
            .field("tool_calls", &self.tool_calls.len())
            .field("ended", &self.ending.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
