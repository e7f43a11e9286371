//! The events of an answer, folded into the AI SDK's chunks.

mod calls;
mod content;
mod data;
mod end;
mod restart;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::{
    approvals::Approvals,
    chunk::{ChunkSink, DeltaKind, UiChunk},
    notes::MessageNotes,
    replay,
};
use crate::{
    chat::{
        ChatEvent, InputId, InputKind, InputOutcome, InputRequest, InputResolved, ProviderState,
        SessionInfo, TextKind, Usage, text_content,
    },
    log::Record,
};

/// Folds the events of a log into the chunks of a UI message stream.
///
/// The chunks of a record depend on that record and those before it only.
#[derive(Debug)]
pub(super) struct UiMessageFold {
    message_id: String,
    stage: MessageStage,
    open: Option<OpenPart>,
    /// The number of parts of text and reasoning, which their ids count.
    parts: u64,
    /// True if the turn is over, or tools have given outputs. The next output of the model begins a new
    /// step.
    step_is_over: bool,
    /// The calls that the client has received. It treats an output of another call as an error.
    calls: HashSet<String>,
    /// The calls of this step that the client has received the beginning of, with their tools.
    announced: BTreeMap<String, String>,
    /// Provider state of calls that have yet to come.
    states: HashMap<String, ProviderState>,
    /// The usage of the turns that are over, and the model of the last one.
    usage: Option<Usage>,
    model: Option<String>,
    has_text: bool,
    approvals: Approvals,
    /// The open questions that are no approvals of a call.
    questions: HashSet<String>,
    /// True if the parts that the message had before this session are written too.
    previous_parts: bool,
    /// What tells whether clients can drop the answer so far.
    answer: restart::AnswerSoFar,
}

/// The progress of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MessageStage {
    /// No chunk is written.
    New,
    /// The message is started, and has no step.
    Started,
    /// A step is open.
    Running,
    /// The client waits for an approval; a `finish` chunk is written.
    Paused,
}

/// A part that may get more deltas.
#[derive(Debug)]
struct OpenPart {
    kind: TextKind,
    id: String,
}

impl UiMessageFold {
    /// Creates a fold. The id of the message is that of the session, unless the first record has
    /// another one.
    pub(super) fn new() -> Self {
        Self {
            message_id: String::new(),
            stage: MessageStage::New,
            open: None,
            parts: 0,
            step_is_over: false,
            calls: HashSet::new(),
            announced: BTreeMap::new(),
            states: HashMap::new(),
            usage: None,
            model: None,
            has_text: false,
            approvals: Approvals::default(),
            questions: HashSet::new(),
            previous_parts: false,
            answer: restart::AnswerSoFar::default(),
        }
    }

    /// Sets whether the client reads `tool-approval-response`.
    pub(super) fn approval_responses(mut self, reads: bool) -> Self {
        self.approvals.client_reads_responses = reads;
        self
    }

    /// Returns true if the client reads `tool-approval-response`.
    pub(super) fn writes_responses(&self) -> bool {
        self.approvals.client_reads_responses
    }

    /// Writes the parts that the message had before this session, for a client that has nothing of it.
    pub(super) fn with_previous_parts(mut self) -> Self {
        self.previous_parts = true;
        self
    }

    /// Sets the questions that the client has answered.
    pub(super) fn answered(&mut self, inputs: impl IntoIterator<Item = InputId>) {
        self.approvals.answered(inputs);
    }

    /// Begins another stream, for a client that has the message up to here. Returns false if no chunk
    /// was written yet: the client then has answered nothing of this session.
    pub(super) fn restart(&mut self) -> bool {
        match self.stage {
            MessageStage::New => self.approvals.forget_answers(),
            MessageStage::Running => self.stage = MessageStage::Paused,
            MessageStage::Started | MessageStage::Paused => {}
        }
        self.stage != MessageStage::New
    }

    /// Returns true if the client waits for an approval.
    pub(super) fn is_paused(&self) -> bool {
        self.stage == MessageStage::Paused
    }

    /// Sets the id of the message.
    pub(super) fn name(&mut self, message_id: &str) {
        message_id.clone_into(&mut self.message_id);
    }

    /// Adds a record.
    pub(super) fn push(&mut self, record: &Record<'_>, sink: &mut impl ChunkSink) {
        if let Some((kind, json)) = text_content(record.bytes) {
            self.begin(sink);
            if json != br#""""# {
                self.open_part(kind, sink);
                if let Some(open) = &self.open {
                    sink.delta(delta(kind), &open.id, json);
                }
            }
            self.pause(sink);
        } else if let Ok(event) = serde_json::from_slice::<ChatEvent>(record.bytes) {
            self.push_event(&event, sink);
        }
    }

    /// Adds an event.
    pub(super) fn push_event(&mut self, event: &ChatEvent, sink: &mut impl ChunkSink) {
        if let ChatEvent::SessionInfo(info) = event {
            self.take_note(info, sink);
        }
        self.begin(sink);
        self.add(event, sink);
        self.pause(sink);
    }

    fn add(&mut self, event: &ChatEvent, sink: &mut impl ChunkSink) {
        match event {
            ChatEvent::Text(text) => self.piece(TextKind::Text, &text.content, sink),
            ChatEvent::Thinking(it) => self.piece(TextKind::Thinking, &it.content, sink),
            ChatEvent::Source(source) => self.source(source, sink),
            ChatEvent::Media(media) => self.media(media, sink),
            ChatEvent::ProviderState(state) => self.provider_state(state, sink),
            ChatEvent::Turn(turn) => self.turn(turn, sink),
            ChatEvent::ToolInput(input) => self.tool_input(input, sink),
            ChatEvent::ToolCalls(asked) => self.calls(&asked.calls, sink),
            ChatEvent::ToolResult(result) => self.result(result, sink),
            ChatEvent::ToolError(error) => self.failed(&error.id, &error.message, sink),
            ChatEvent::ToolProgress(progress) => data::tool_progress(progress, sink),
            ChatEvent::InputRequest(request) => self.ask(request, sink),
            ChatEvent::InputResolved(resolved) => self.resolved(resolved, sink),
            ChatEvent::IsomorphicHandoff(handoff) => self.handoff(handoff, sink),
            ChatEvent::Restarted(restarted) => self.restarted(restarted, sink),
            ChatEvent::Custom(event) => data::custom(event, sink),
            ChatEvent::Complete(complete) => self.complete(complete, sink),
            ChatEvent::Aborted(aborted) => self.aborted(aborted, sink),
            ChatEvent::Error(error) => self.error(error, sink),
            ChatEvent::SessionInfo(_) | ChatEvent::ConversationState(_) | ChatEvent::Unknown(_) => {
            }
        }
    }

    fn take_note(&mut self, info: &SessionInfo, sink: &mut impl ChunkSink) {
        let notes = MessageNotes::of(info);
        if let Some(message_id) = notes.message_id {
            self.message_id = message_id;
        }
        self.answer.begins_with(&notes.calls);
        self.calls.extend(notes.calls);
        if self.previous_parts && self.stage == MessageStage::New {
            self.start(sink);
            replay::replay(&notes.parts, sink);
        }
    }

    fn start(&mut self, sink: &mut impl ChunkSink) {
        sink.chunk(&UiChunk::Start {
            message_id: &self.message_id,
        });
        self.stage = MessageStage::Started;
    }

    fn begin(&mut self, sink: &mut impl ChunkSink) {
        match self.stage {
            MessageStage::Running => return,
            MessageStage::New => {
                self.start(sink);
                self.start_step(sink);
            }
            MessageStage::Started => self.start_step(sink),
            // In the step of the approval, to which the outputs of its calls belong.
            MessageStage::Paused => self.start(sink),
        }
        self.stage = MessageStage::Running;
    }

    fn start_step(&mut self, sink: &mut impl ChunkSink) {
        self.answer.steps += 1;
        sink.chunk(&UiChunk::StartStep);
    }

    fn ask(&mut self, request: &InputRequest, sink: &mut impl ChunkSink) {
        let call = request.call_id.as_deref();
        let known = call.filter(|call| self.calls.contains(*call));
        if let (InputKind::Approval, Some(tool_call_id)) = (&request.kind, known) {
            self.close(sink);
            let approval_id = request.input_id.as_str();
            sink.chunk(&UiChunk::ToolApprovalRequest {
                approval_id,
                tool_call_id,
            });
            self.approvals.ask(approval_id, tool_call_id);
            self.answer.asked = true;
        } else {
            self.questions.insert(request.input_id.as_str().to_owned());
            data::input_request(request, sink);
        }
    }

    fn resolved(&mut self, resolved: &InputResolved, sink: &mut impl ChunkSink) {
        let input = resolved.input_id.as_str();
        // The first outcome of a question counts.
        match self.approvals.resolve(resolved) {
            Some(was_open) if was_open && self.writes_responses() => {
                let approved = match resolved.action {
                    InputOutcome::Accept => true,
                    InputOutcome::Decline | InputOutcome::Cancel => false,
                    // Nobody decided; the call gets its outcome.
                    InputOutcome::Timeout | InputOutcome::Other(_) => return,
                };
                sink.chunk(&UiChunk::ToolApprovalResponse {
                    approval_id: input,
                    approved,
                });
            }
            Some(_) => {}
            None => {
                if self.questions.remove(input) {
                    data::input_resolved(resolved, sink);
                }
            }
        }
    }

    /// Ends the message for the client if an approval is open, because the client sends its response
    /// only then. Called after every event.
    fn pause(&mut self, sink: &mut impl ChunkSink) {
        if self.stage == MessageStage::Running && self.approvals.is_waiting() {
            self.close(sink);
            sink.chunk(&UiChunk::FinishStep);
            end::finish("tool-calls", None, sink);
            self.stage = MessageStage::Paused;
        }
    }

    /// Begins a new step if the turn is over or tools have given outputs. Not while an approval is open,
    /// because the client looks for it in the last step.
    fn step(&mut self, sink: &mut impl ChunkSink) {
        if self.step_is_over && !self.approvals.is_open() {
            self.step_is_over = false;
            self.close(sink);
            self.give_up_announced(sink);
            sink.chunk(&UiChunk::FinishStep);
            self.start_step(sink);
        }
    }

    /// Opens a part of this kind, unless one is open.
    fn open_part(&mut self, kind: TextKind, sink: &mut impl ChunkSink) {
        self.has_text |= kind == TextKind::Text;
        self.step(sink);
        if self.open.as_ref().is_some_and(|open| open.kind == kind) {
            return;
        }
        self.close(sink);
        self.parts += 1;
        let id = match kind {
            TextKind::Text => format!("t{}", self.parts),
            TextKind::Thinking => format!("r{}", self.parts),
        };
        sink.chunk(&match kind {
            TextKind::Text => UiChunk::TextStart { id: &id },
            TextKind::Thinking => UiChunk::ReasoningStart { id: &id },
        });
        self.open = Some(OpenPart { kind, id });
    }

    /// Closes the open part.
    pub(super) fn close(&mut self, sink: &mut impl ChunkSink) {
        self.close_with(None, sink);
    }

    fn close_with(&mut self, provider_metadata: Option<&Value>, sink: &mut impl ChunkSink) {
        if let Some(OpenPart { kind, id }) = self.open.take() {
            let id = &*id;
            sink.chunk(&match kind {
                TextKind::Text => UiChunk::TextEnd {
                    id,
                    provider_metadata,
                },
                TextKind::Thinking => UiChunk::ReasoningEnd {
                    id,
                    provider_metadata,
                },
            });
        }
    }

    /// Closes the open part, all approvals, and the calls that never came or never ended.
    fn end(&mut self, sink: &mut impl ChunkSink) {
        self.close(sink);
        let decided = self.approvals.clear();
        calls::give_up_decided(&decided, sink);
        self.give_up_announced(sink);
    }

    fn piece(&mut self, kind: TextKind, delta: &str, sink: &mut impl ChunkSink) {
        if delta.is_empty() {
            return;
        }
        self.open_part(kind, sink);
        if let Some(OpenPart { id, .. }) = &self.open {
            sink.chunk(&match kind {
                TextKind::Text => UiChunk::TextDelta { id, delta },
                TextKind::Thinking => UiChunk::ReasoningDelta { id, delta },
            });
        }
    }
}

fn delta(kind: TextKind) -> DeltaKind {
    match kind {
        TextKind::Text => DeltaKind::Text,
        TextKind::Thinking => DeltaKind::Reasoning,
    }
}
