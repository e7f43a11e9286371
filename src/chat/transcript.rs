use std::fmt;

use super::{
    Aborted, ChatEvent, Complete, ConversationState, Custom, ErrorEvent, FinishReason, InputId,
    InputOutcome, InputRequest, IsomorphicHandoff, Message, ToolCall, ToolError, ToolResult, Usage,
    turns::Turn,
};

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
    pub(super) text: String,
    pub(super) thinking: String,
    pub(super) tool_calls: Vec<ToolCall>,
    pub(super) tool_results: Vec<ToolResult>,
    pub(super) tool_errors: Vec<ToolError>,
    pub(super) turns: Vec<Turn>,
    inputs: Vec<Input>,
    pub(super) handoffs: Vec<IsomorphicHandoff>,
    state: Option<ConversationState>,
    custom: Vec<Custom>,
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
        match event {
            ChatEvent::Text(text) => self.text.push_str(&text.content),
            ChatEvent::Thinking(thinking) => self.thinking.push_str(&thinking.content),
            ChatEvent::ToolCalls(more) => {
                self.tool_calls.extend_from_slice(&more.calls);
                self.end_turn();
            }
            ChatEvent::ToolResult(result) => {
                self.record_outcome();
                self.tool_results.push(ToolResult::clone(result));
            }
            ChatEvent::ToolError(error) => {
                self.record_outcome();
                self.tool_errors.push(ToolError::clone(error));
            }
            ChatEvent::InputRequest(request) => self.inputs.push(Input {
                request: InputRequest::clone(request),
                outcome: None,
            }),
            ChatEvent::InputResolved(resolved) => {
                let of = |input: &&mut Input| input.request.input_id == resolved.input_id;
                if let Some(input) = self.inputs.iter_mut().rfind(of) {
                    input.outcome.get_or_insert_with(|| resolved.action.clone());
                }
            }
            ChatEvent::IsomorphicHandoff(handoff) => {
                self.record_outcome();
                self.handoffs.push(IsomorphicHandoff::clone(handoff));
            }
            ChatEvent::ConversationState(event) => {
                self.state = Some(event.conversation_state.clone());
            }
            ChatEvent::Custom(custom) => self.custom.push(Custom::clone(custom)),
            ChatEvent::Restarted(_) => *self = Self::new(),
            ChatEvent::Complete(complete) => {
                // A provider that doesn't stream sends the whole text at the end.
                if let (true, Some(text)) = (self.text.is_empty(), &complete.text) {
                    self.text.clone_from(text);
                }
                self.ending = Some(TranscriptEnd::Complete(Complete::clone(complete)));
            }
            ChatEvent::Aborted(aborted) => {
                self.ending = Some(TranscriptEnd::Aborted(aborted.clone()));
            }
            ChatEvent::Error(error) => self.ending = Some(TranscriptEnd::Error(error.clone())),
            ChatEvent::SessionInfo(_) | ChatEvent::ToolProgress(_) | ChatEvent::Unknown(_) => {}
        }
    }

    /// Returns the assistant's message: its text, and the tools that it asked for.
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

    /// Returns the usage, if the answer is complete and the provider reported it.
    pub fn usage(&self) -> Option<&Usage> {
        self.complete()?.usage.as_ref()
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
mod tests {
    use proptest::{collection::vec, prelude::*};
    use serde_json::json;

    use super::*;
    use crate::{
        chat::{Capabilities, InputResolved, ToolProgress},
        log::ErrorCode,
    };

    fn event() -> impl Strategy<Value = ChatEvent> {
        prop_oneof![
            6 => "\\PC{0,6}".prop_map(ChatEvent::text),
            3 => "\\PC{0,6}".prop_map(ChatEvent::thinking),
            1 => Just(ChatEvent::session_info(Capabilities::new())),
            1 => "[a-z]".prop_map(|id| ChatEvent::tool_calls([ToolCall::new(id, "t", json!({}))])),
            1 => "[a-z]".prop_map(|id| ChatEvent::tool_result(id, "t", "done")),
            1 => "[a-z]".prop_map(|id| ChatEvent::tool_error(id, "t", "failed")),
            1 => "[a-z]".prop_map(|id| ChatEvent::isomorphic_handoff(id, "t", json!(1))),
            1 => Just(ChatEvent::conversation_state(ConversationState::new([Message::user("Hi")]))),
            1 => "[ab]".prop_map(|id| InputRequest::question(id.parse().unwrap(), "?").into()),
            1 => "[ab]".prop_map(|id| {
                InputResolved::new(id.parse().unwrap(), InputOutcome::Decline).into()
            }),
            1 => Just(ToolProgress::new("a", "t").message("soon").into()),
            1 => Just(ChatEvent::custom("mood", json!("good"))),
            1 => Just(ChatEvent::restarted("again")),
            1 => Just(Complete::new().text("whole").usage(Usage::new(1, 2)).into()),
            1 => Just(ChatEvent::aborted()),
            1 => Just(ChatEvent::error(ErrorCode::Provider, "no")),
        ]
    }

    // Splits an event in two.
    fn halves(event: &ChatEvent) -> Vec<ChatEvent> {
        let cut = |content: &str| {
            let middle = content.chars().count() / 2;
            let at = content.char_indices().nth(middle).map_or(0, |(at, _)| at);
            let (left, right) = content.split_at(at);
            (left.to_owned(), right.to_owned())
        };
        match event {
            ChatEvent::Text(text) => {
                let (left, right) = cut(&text.content);
                vec![ChatEvent::text(left), ChatEvent::text(right)]
            }
            ChatEvent::Thinking(thinking) => {
                let (left, right) = cut(&thinking.content);
                vec![ChatEvent::thinking(left), ChatEvent::thinking(right)]
            }
            other => vec![other.clone()],
        }
    }

    proptest! {
        #[test]
        fn folding_is_the_same_in_any_split(events in vec(event(), 0..40), at in 0..40_usize) {
            let whole: Transcript = events.iter().collect();

            let (head, tail) = events.split_at(at.min(events.len()));
            let mut pieces: Transcript = head.iter().collect();
            pieces.extend(tail);
            prop_assert_eq!(&pieces, &whole);

            let finer: Vec<_> = events.iter().flat_map(halves).collect();
            prop_assert_eq!(&finer.iter().collect::<Transcript>(), &whole);
        }

        #[test]
        fn events_before_a_restart_leave_no_trace(
            before in vec(event(), 0..20),
            after in vec(event(), 0..20),
        ) {
            prop_assume!(!before.iter().any(ChatEvent::is_terminal));
            let mut transcript: Transcript = before.iter().collect();
            transcript.push(&ChatEvent::restarted("again"));
            transcript.extend(&after);
            prop_assert_eq!(transcript, after.iter().collect::<Transcript>());
        }
    }

    #[test]
    fn events_fold_into_the_assistants_message() {
        let call = ToolCall::new("1", "now", json!({}));
        let transcript: Transcript = [
            ChatEvent::session_info(Capabilities::new()),
            ChatEvent::thinking("Hm. "),
            ChatEvent::thinking("Well."),
            ChatEvent::text("It is "),
            ChatEvent::tool_calls([call.clone()]),
            ChatEvent::tool_result("1", "now", "noon"),
            ChatEvent::text("noon."),
            Complete::new()
                .usage(Usage::new(5, 7))
                .finish_reason(FinishReason::Length)
                .into(),
            ChatEvent::text("too late"),
        ]
        .iter()
        .collect();
        assert_eq!(
            transcript.message(),
            Message::assistant("It is noon.").tool_calls([call])
        );
        assert_eq!(transcript.thinking(), "Hm. Well.");
        assert_eq!(transcript.tool_results()[0].content, "noon");
        assert_eq!(transcript.usage().map(Usage::total_tokens), Some(12));
        assert_eq!(transcript.finish_reason(), Some(&FinishReason::Length));
    }

    #[test]
    fn a_question_is_open_until_it_is_resolved_or_the_answer_ends() {
        let id = |id: &str| id.parse::<InputId>().unwrap();
        let mut transcript: Transcript = [
            InputRequest::approval(id("a"), "May I?").into(),
            InputRequest::question(id("b"), "When?").into(),
            InputResolved::new(id("a"), InputOutcome::Timeout).into(),
            InputResolved::new(id("a"), InputOutcome::Accept).into(),
            InputResolved::new(id("never-asked"), InputOutcome::Accept).into(),
        ]
        .iter()
        .collect();
        let open: Vec<_> = transcript.open_inputs().collect();
        assert_eq!(open.len(), 1);
        assert_eq!(open[0].message, "When?");
        let first = transcript.input(&id("a")).unwrap();
        assert_eq!(first.outcome, Some(InputOutcome::Timeout));
        assert!(transcript.input(&id("c")).is_none());
        transcript.push(&ChatEvent::aborted());
        assert_eq!(transcript.open_inputs().count(), 0);
        assert_eq!(transcript.inputs().len(), 2);
    }

    #[test]
    fn the_text_of_the_end_counts_only_if_nothing_was_streamed() {
        let end = ChatEvent::from(Complete::new().text("Hello"));
        let alone: Transcript = [&end].into_iter().collect();
        assert_eq!(alone.text(), "Hello");
        let streamed: Transcript = [&ChatEvent::text("Hello, streamed"), &end]
            .into_iter()
            .collect();
        assert_eq!(streamed.text(), "Hello, streamed");
    }

    #[test]
    fn debug_does_not_show_content() {
        let transcript: Transcript = [ChatEvent::text("a private matter")].iter().collect();
        assert!(!format!("{transcript:?}").contains("private"));
    }
}
