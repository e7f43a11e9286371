use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::chat::{Message, ToolAuthority, ToolCall};

/// The model asks for tools: `tool_calls`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolCalls {
    /// What it asks for, each call whole.
    pub calls: Vec<ToolCall>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A tool gave something: `tool_result`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolResult {
    /// Which call it answers.
    pub id: String,
    /// Which tool ran.
    #[serde(default)]
    pub name: String,
    /// What it gave. Anything but a string is JSON in here.
    pub content: String,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A tool failed: `tool_error`. The model is told, and the session goes on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolError {
    /// Which call it answers.
    pub id: String,
    /// Which tool ran.
    #[serde(default)]
    pub name: String,
    /// What went wrong, for the model and for clients.
    pub message: String,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A tool runs, and says how far it is: `tool_progress`. With neither a message nor a number it says
/// that it has begun.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolProgress {
    /// Which call runs.
    pub id: String,
    /// Which tool.
    #[serde(default)]
    pub name: String,
    /// What it does now, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How much of it is done, in units of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// How much there is in all, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<f64>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A tool that the client has to run: `isomorphic_handoff`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct IsomorphicHandoff {
    /// Which call it answers.
    pub call_id: String,
    /// Which tool.
    pub tool_name: String,
    /// What to run it with.
    #[serde(default)]
    pub params: Value,
    /// What the server's half of the tool gave.
    #[serde(default)]
    pub server_output: Value,
    /// Who has the last word.
    #[serde(default)]
    pub authority: ToolAuthority,
    /// Whether the server's half of the tool goes on with what the client gives.
    #[serde(default)]
    pub uses_handoff: bool,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Where a conversation stands that waits for client tools: `conversation_state`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConversationStateEvent {
    /// Where it stands.
    pub conversation_state: ConversationState,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What a client hands back, with the outputs of its tools, for the conversation to go on.
///
/// In a long chat the messages may not fit into one record
/// ([`event_bytes`](field@crate::session::Limits::event_bytes)). They are left out there, and the
/// client hands back its own instead: those that it sent, and what the answer's events said in the
/// turns before this one ([`Transcript::messages`](crate::chat::Transcript::messages)).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ConversationState {
    /// The messages up to here. Absent in the JSON if there are none, or they were left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    /// What the assistant has said in this turn.
    pub assistant_content: String,
    /// The calls that it made in this turn.
    pub tool_calls: Vec<ToolCall>,
    /// What the server's tools gave for some of them.
    pub server_tool_results: Vec<ToolResult>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ToolCalls {
    /// These calls.
    pub fn new(calls: impl IntoIterator<Item = ToolCall>) -> Self {
        Self {
            calls: calls.into_iter().collect(),
            extra: Map::new(),
        }
    }
}

impl ToolResult {
    /// The tool `name` gave `content` for the call `id`.
    pub fn new(id: impl Into<String>, name: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            content: content.into(),
            extra: Map::new(),
        }
    }
}

impl ToolError {
    /// The tool `name` failed at the call `id`.
    pub fn new(id: impl Into<String>, name: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            message: message.into(),
            extra: Map::new(),
        }
    }
}

impl ToolProgress {
    /// The tool `name` runs for the call `id`.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            ..Self::default()
        }
    }

    /// The same, with what it does now.
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// The same, with how much is done, of how much in all.
    pub fn progress(mut self, progress: f64, total: Option<f64>) -> Self {
        self.progress = Some(progress);
        self.total = total;
        self
    }
}

impl IsomorphicHandoff {
    /// The client is to run the tool `tool_name` for the call `call_id`.
    pub fn new(call_id: impl Into<String>, tool_name: impl Into<String>, params: Value) -> Self {
        Self {
            call_id: call_id.into(),
            tool_name: tool_name.into(),
            params,
            ..Self::default()
        }
    }

    /// The same, with what the server's half of the tool gave.
    pub fn server_output(mut self, output: Value) -> Self {
        self.server_output = output;
        self
    }

    /// The same, with another authority than the client.
    pub fn authority(mut self, authority: ToolAuthority) -> Self {
        self.authority = authority;
        self
    }

    /// The same, with whether the server goes on with what the client gives.
    pub fn uses_handoff(mut self, uses_handoff: bool) -> Self {
        self.uses_handoff = uses_handoff;
        self
    }
}

impl ConversationStateEvent {
    /// It stands here.
    pub fn new(conversation_state: ConversationState) -> Self {
        Self {
            conversation_state,
            extra: Map::new(),
        }
    }
}

impl ConversationState {
    /// After these messages.
    pub fn new(messages: impl IntoIterator<Item = Message>) -> Self {
        Self {
            messages: messages.into_iter().collect(),
            ..Self::default()
        }
    }
}
