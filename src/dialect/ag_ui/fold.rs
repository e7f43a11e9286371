use std::collections::HashSet;

use bytes::BufMut;
use serde_json::Value;

use super::event::AgUiEvent;
use crate::{
    chat::{ChatEvent, TextKind, ToolCall, text_content},
    dialect::frames::JsonFrames,
};

/// A log, folded into AG-UI's events: what stands open, and which ids were given away.
///
/// The events of a record depend on it and on those before it only. Nothing may be open when a run
/// finishes, so what opens a part closes the one before it.
#[derive(Debug)]
pub(super) struct AgUiFold {
    pub(super) run: String,
    pub(super) thread: String,
    pub(super) stage: RunStage,
    open: OpenBlock,
    /// The id of the part that is open.
    id: String,
    /// Whether a message begins with its thinking, not with its text.
    message_first: bool,
    /// A message that has begun, of which there is only thinking so far.
    begun: Option<String>,
    /// How many ids were given away.
    ids: u64,
    /// The assistant's message that tool calls belong to, until one of them has its result.
    pub(super) parent: Option<String>,
    /// Calls that were told of.
    pub(super) told: HashSet<String>,
    /// Calls of which it isn't known yet who runs them.
    pub(super) calls: Vec<ToolCall>,
    /// Calls that the client is to run.
    pub(super) pending: Vec<String>,
    pub(super) has_text: bool,
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
            begun: None,
            ids: 0,
            parent: None,
            told: HashSet::new(),
            calls: Vec::new(),
            pending: Vec::new(),
            has_text: false,
        }
    }

    /// Whether the run has ended.
    pub(super) fn ended(&self) -> bool {
        self.stage == RunStage::Over
    }

    /// The events that a record comes to.
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
                self.has_text = false;
                custom(&event, out);
            }
            ChatEvent::ToolProgress(_)
            | ChatEvent::InputRequest(_)
            | ChatEvent::InputResolved(_) => custom(&event, out),
            ChatEvent::Complete(complete) => self.complete(&complete, out),
            ChatEvent::Aborted(aborted) => self.aborted(&aborted, out),
            ChatEvent::Error(error) => self.error(&error, out),
            // The client has the conversation, and with it all that it needs to go on.
            ChatEvent::SessionInfo(_) | ChatEvent::ConversationState(_) | ChatEvent::Unknown(_) => {
            }
        }
    }

    /// A piece of the answer, as a string of JSON.
    pub(super) fn text(&mut self, content: &[u8], out: &mut JsonFrames) {
        if content == EMPTY {
            return;
        }
        self.has_text = true;
        if self.open != OpenBlock::Text {
            self.close_part(out);
            self.open = OpenBlock::Text;
            self.id = match self.begun.take() {
                Some(begun) => begun,
                None => self.begin_message(out),
            };
        }
        self.content(
            br#"{"type":"TEXT_MESSAGE_CONTENT","messageId":""#,
            content,
            out,
        );
    }

    /// A piece of the thinking, as a string of JSON.
    fn thinking(&mut self, content: &[u8], out: &mut JsonFrames) {
        if content == EMPTY {
            return;
        }
        if self.open != OpenBlock::Thinking {
            self.close(out);
            self.open = OpenBlock::Thinking;
            if self.message_first {
                self.begun = Some(self.begin_message(out));
            }
            self.id = self.next_id();
            let message_id = &self.id;
            out.push(&AgUiEvent::ReasoningStart { message_id });
            out.push(&AgUiEvent::ReasoningMessageStart {
                message_id,
                role: "reasoning",
            });
        }
        self.content(
            br#"{"type":"REASONING_MESSAGE_CONTENT","messageId":""#,
            content,
            out,
        );
    }

    /// Nearly all events are one of these two, so they are put together by hand. Nothing in an id
    /// has to be escaped.
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

    /// Nothing is open any more.
    pub(super) fn close(&mut self, out: &mut JsonFrames) {
        self.close_part(out);
        if let Some(message_id) = &self.begun.take() {
            out.push(&AgUiEvent::TextMessageEnd { message_id });
        }
    }

    fn close_part(&mut self, out: &mut JsonFrames) {
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

    /// Runs are part of a conversation, so the ids of their messages begin with theirs.
    pub(super) fn next_id(&mut self) -> String {
        self.ids += 1;
        format!("{}-{}", self.run, self.ids)
    }
}

/// The empty string, of which there is nothing to say.
const EMPTY: &[u8] = br#""""#;

/// An event that AG-UI has no like of, under its own name.
fn custom(event: &ChatEvent, out: &mut JsonFrames) {
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
