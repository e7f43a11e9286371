use std::collections::HashSet;

use bytes::BufMut;
use serde_json::Value;

use super::{event::AgUiEvent, restart::ConversationNote};
use crate::{
    chat::{
        ChatEvent, ProviderState, ProviderStateEvent, StateOf, TextKind, ToolCall, Usage,
        text_content,
    },
    dialect::{frames::JsonFrames, sealed::SealedState},
};

/// Folds a log into AG-UI's events.
///
/// The events of a record depend on that record and those before it only. A run must finish with all
/// blocks closed, so a new block closes the one before it.
#[derive(Debug)]
pub(super) struct AgUiFold {
    pub(super) run: String,
    pub(super) thread: String,
    pub(super) stage: RunStage,
    open: OpenBlock,
    /// The id of the open block.
    id: String,
    /// True if a message begins before its thinking, and not with its text.
    message_first: bool,
    /// The id of a started message that has thinking and no text yet.
    started_message: Option<String>,
    /// The number of ids so far.
    ids: u64,
    /// The message that tool calls belong to, until one of them has its result.
    pub(super) parent: Option<String>,
    /// The message that the state of its turn is written with.
    pub(super) with_state: Option<String>,
    /// The ids of the calls that were written.
    pub(super) written_calls: HashSet<String>,
    /// Calls without an outcome, which the client or a server tool may run.
    pub(super) calls: Vec<ToolCall>,
    /// The ids of the calls that the client is to run.
    pub(super) pending: Vec<String>,
    pub(super) has_text: bool,
    /// The calls whose arguments are being streamed, and the arguments so far.
    pub(super) inputs: Vec<(String, String)>,
    /// The ids of the calls that were written, and ended before they were whole.
    pub(super) cut_calls: HashSet<String>,
    /// The state of calls that aren't whole yet.
    pub(super) call_states: Vec<(String, ProviderState)>,
    /// The usage and the model of the turns so far.
    pub(super) usage: Option<Usage>,
    pub(super) model: Option<String>,
    /// The messages before the answer, if they are kept with it.
    pub(super) conversation: Option<Vec<Value>>,
    /// The ids of the messages of reasoning, of clients that keep these apart.
    pub(super) reasoning: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunStage {
    Before,
    Running,
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpenBlock {
    Nothing,
    Text,
    Thinking,
}

impl AgUiFold {
    pub(super) fn new(run: &str, thread: &str, message_first: bool) -> Self {
        Self {
            run: run.to_owned(),
            thread: thread.to_owned(),
            stage: RunStage::Before,
            open: OpenBlock::Nothing,
            id: String::new(),
            message_first,
            started_message: None,
            ids: 0,
            parent: None,
            with_state: None,
            written_calls: HashSet::new(),
            calls: Vec::new(),
            pending: Vec::new(),
            has_text: false,
            inputs: Vec::new(),
            cut_calls: HashSet::new(),
            call_states: Vec::new(),
            usage: None,
            model: None,
            conversation: None,
            reasoning: Vec::new(),
        }
    }

    /// Returns true if the run has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.stage != RunStage::Before
    }

    /// Returns true if the run has ended.
    pub(super) fn ended(&self) -> bool {
        self.stage == RunStage::Over
    }

    /// Writes the events of a record.
    pub(super) fn push(&mut self, record: &[u8], out: &mut JsonFrames) {
        self.start(out);
        match text_content(record) {
            Some((TextKind::Text, content)) => self.text(content, out),
            Some((TextKind::Thinking, content)) => self.thinking(content, out),
            None => {
                if let Ok(event) = serde_json::from_slice::<ChatEvent>(record) {
                    self.event(event, out);
                }
            }
        }
    }

    fn start(&mut self, out: &mut JsonFrames) {
        if self.stage == RunStage::Before {
            self.stage = RunStage::Running;
            out.push(&AgUiEvent::RunStarted {
                thread_id: &self.thread,
                run_id: &self.run,
            });
        }
    }

    fn event(&mut self, event: ChatEvent, out: &mut JsonFrames) {
        match event {
            ChatEvent::Text(text) => self.text(&json(&text.content), out),
            ChatEvent::Thinking(thinking) => self.thinking(&json(&thinking.content), out),
            ChatEvent::ToolCalls(more) => {
                for call in more.calls {
                    self.call(&call, out);
                    self.calls.push(call);
                }
            }
            ChatEvent::ToolResult(result) => self.result(&result, out),
            ChatEvent::ToolError(error) => self.failure(&error, out),
            ChatEvent::IsomorphicHandoff(handoff) => self.handoff(&handoff, out),
            ChatEvent::Custom(custom) => out.push(&AgUiEvent::Custom {
                name: &custom.name,
                value: &custom.data,
            }),
            ChatEvent::Restarted(_) => {
                self.close(out);
                self.parent = None;
                self.calls.clear();
                self.pending.clear();
                self.call_states.clear();
                self.cut_inputs(out);
                (self.has_text, self.usage, self.model) = (false, None, None);
                self.drop_answer(out);
                custom(&event, out);
            }
            ChatEvent::ToolInput(input) => self.tool_input(&input, out),
            ChatEvent::ProviderState(state) => self.provider_state(&state, out),
            ChatEvent::Turn(end) => {
                self.cut_inputs(out);
                if let Some(usage) = end.usage {
                    *self.usage.get_or_insert_default() += usage;
                }
                self.model = end.model.or(self.model.take());
            }
            ChatEvent::Source(_)
            | ChatEvent::Media(_)
            | ChatEvent::ToolProgress(_)
            | ChatEvent::InputRequest(_)
            | ChatEvent::InputResolved(_) => custom(&event, out),
            ChatEvent::Complete(complete) => self.complete(&complete, out),
            ChatEvent::Aborted(aborted) => self.aborted(&aborted, out),
            ChatEvent::Error(error) => self.error(&error, out),
            ChatEvent::SessionInfo(info) => {
                self.conversation = ConversationNote::of(&info).and_then(|note| note.messages);
            }
            // The client has the conversation already.
            _ => {}
        }
    }

    /// Writes text. `content` is a JSON string.
    pub(super) fn text(&mut self, content: &[u8], out: &mut JsonFrames) {
        if content == EMPTY {
            return;
        }
        self.has_text = true;
        if self.open != OpenBlock::Text {
            self.close_block(out);
            self.open = OpenBlock::Text;
            self.id = match self.started_message.take() {
                Some(started) => started,
                None => self.begin_message(out),
            };
        }
        self.content(
            br#"{"type":"TEXT_MESSAGE_CONTENT","messageId":""#,
            content,
            out,
        );
    }

    /// Writes thinking. `content` is a JSON string.
    fn thinking(&mut self, content: &[u8], out: &mut JsonFrames) {
        if content == EMPTY {
            return;
        }
        self.begin_thinking(out);
        self.content(
            br#"{"type":"REASONING_MESSAGE_CONTENT","messageId":""#,
            content,
            out,
        );
    }

    fn begin_thinking(&mut self, out: &mut JsonFrames) {
        if self.open == OpenBlock::Thinking {
            return;
        }
        self.close(out);
        self.open = OpenBlock::Thinking;
        if self.message_first {
            self.started_message = Some(self.begin_message(out));
        }
        self.id = self.next_id();
        if !self.message_first && self.conversation.is_some() {
            self.reasoning.push(self.id.clone());
        }
        let message_id = &self.id;
        out.push(&AgUiEvent::ReasoningStart { message_id });
        out.push(&AgUiEvent::ReasoningMessageStart {
            message_id,
            role: "reasoning",
        });
    }

    /// Writes what the client hands back: with its call, with the reasoning before it, or as reasoning
    /// without text.
    fn provider_state(&mut self, event: &ProviderStateEvent, out: &mut JsonFrames) {
        match &event.of {
            StateOf::Call(id) if self.is_whole(id) => state_of_call(id, &event.state, out),
            // A client drops what belongs to a call that it doesn't know.
            StateOf::Call(id) => self.call_states.push((id.clone(), event.state.clone())),
            // For the server only.
            StateOf::Stream => {}
            StateOf::Turn => self.state_of_turn(&event.state, out),
        }
    }

    /// Writes the state of a turn: with the thinking before it, else with the message of the turn, else with
    /// thinking of its own. A client keeps one for each of these, and TanStack's one for a message and the
    /// thinking in it.
    fn state_of_turn(&mut self, state: &ProviderState, out: &mut JsonFrames) {
        let of_message = self.parent.as_ref().filter(|parent| {
            let has_state = self.with_state.as_ref() == Some(parent);
            self.open != OpenBlock::Thinking && !has_state
        });
        let of_message = of_message.cloned();
        if of_message.is_none() {
            self.begin_thinking(out);
        }
        out.push(&AgUiEvent::ReasoningEncryptedValue {
            subtype: "message",
            entity_id: of_message.as_ref().unwrap_or(&self.id),
            encrypted_value: &SealedState::of_turn(state.clone()).write(),
        });
        if of_message.is_some() {
            self.with_state = of_message;
            self.close(out);
        } else {
            if self.message_first {
                self.with_state.clone_from(&self.started_message);
            }
            self.close_block(out);
        }
    }

    /// Writes a content event without serde, because nearly all events are of the two kinds. Ids have no
    /// characters to escape.
    fn content(&self, head: &[u8], content: &[u8], out: &mut JsonFrames) {
        let frame = out.begin();
        for piece in [head, self.id.as_bytes(), br#"","delta":"#, content, b"}"] {
            frame.put_slice(piece);
        }
        out.end();
    }

    fn begin_message(&mut self, out: &mut JsonFrames) -> String {
        let id = self.next_id();
        self.parent = Some(id.clone());
        out.push(&AgUiEvent::TextMessageStart {
            message_id: &id,
            role: "assistant",
        });
        id
    }

    /// Closes the open block and the started message.
    pub(super) fn close(&mut self, out: &mut JsonFrames) {
        self.close_block(out);
        if let Some(message_id) = &self.started_message.take() {
            out.push(&AgUiEvent::TextMessageEnd { message_id });
        }
    }

    fn close_block(&mut self, out: &mut JsonFrames) {
        let message_id = &self.id;
        match self.open {
            OpenBlock::Nothing => {}
            OpenBlock::Text => out.push(&AgUiEvent::TextMessageEnd { message_id }),
            OpenBlock::Thinking => {
                out.push(&AgUiEvent::ReasoningMessageEnd { message_id });
                out.push(&AgUiEvent::ReasoningEnd { message_id });
            }
        }
        self.open = OpenBlock::Nothing;
    }

    /// Returns a new message id. It begins with the run id, to be unique in the conversation.
    pub(super) fn next_id(&mut self) -> String {
        self.ids += 1;
        format!("{}-{}", self.run, self.ids)
    }
}

/// Writes what the client hands back with a call.
pub(super) fn state_of_call(id: &str, state: &ProviderState, out: &mut JsonFrames) {
    out.push(&AgUiEvent::ReasoningEncryptedValue {
        subtype: "tool-call",
        entity_id: id,
        encrypted_value: &SealedState::of_turn(state.clone()).write(),
    });
}

/// The empty JSON string, which is left out.
const EMPTY: &[u8] = br#""""#;

/// Writes an event that AG-UI doesn't have as a `CUSTOM` event of its own name.
pub(super) fn custom(event: &ChatEvent, out: &mut JsonFrames) {
    let mut value = serde_json::to_value(event).unwrap_or_default();
    if let Value::Object(fields) = &mut value {
        fields.remove("type");
    }
    out.push(&AgUiEvent::Custom {
        name: event.kind(),
        value: &value,
    });
}

pub(super) fn json(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).expect("a string is JSON")
}
