use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::chat::{Content, Message, ToolAuthority, ToolCall};

/// The calls that the model asks for: `tool_calls`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolCalls {
    /// The calls, each whole.
    pub calls: Vec<ToolCall>,
    /// The ids of the calls that another server may run again if this one dies while they run: those
    /// of idempotent tools. The layer that runs the tools sets them. Absent in the JSON if there are
    /// none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeatable: Vec<String>,
    /// The ids of the calls that no tool of the server runs for: those of tools that the client
    /// brought, and those that can't run. The layer that runs the tools sets them. Absent in the JSON
    /// if there are none.
    #[serde(default, rename = "notRun", skip_serializing_if = "Vec::is_empty")]
    pub not_run: Vec<String>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
    #[serde(skip)]
    pub(crate) followers: CallFollowers,
}

/// The events that follow calls at once and belong to their turn: what the provider must be handed back, and the end of
/// the turn. They are stored with the calls, before any effect of these begins.
///
/// No part of the event: values are equal whatever follows.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallFollowers(pub(crate) Vec<super::ChatEvent>);

impl PartialEq for CallFollowers {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A piece of the arguments of a call, as the model writes them: `tool_input`.
///
/// It shows that a call comes. Nothing follows from it: the call counts once it stands in
/// [`ToolCalls`], whose arguments may have other spaces and another order of members. Not all calls have pieces,
/// and the pieces of one may lack the end of its arguments. A compacted log leaves pieces out, but not
/// their end by [`cut`](field@Self::cut).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolInput {
    /// The id of the call.
    pub id: String,
    /// The tool's name, in the first piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The text to append to the arguments' JSON.
    #[serde(default)]
    pub delta: String,
    /// True if neither another piece nor the call follows: the server that streamed the arguments was lost.
    /// Absent in the JSON if false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The result of a tool: `tool_result`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolResult {
    /// The call that it answers.
    pub id: String,
    /// The tool that ran.
    #[serde(default)]
    pub name: String,
    /// The result: a string, or a list of parts if it has media. Of a tool, any other value is written as
    /// JSON text.
    pub content: Content,
    /// True if only the client claims that the call was handed to it; no log confirms it. Absent in
    /// the JSON if false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub claimed: bool,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A failure of a tool: `tool_error`. The model gets the message, and the session goes on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolError {
    /// The call that it answers.
    pub id: String,
    /// The tool that ran.
    #[serde(default)]
    pub name: String,
    /// A description for the model and for clients.
    pub message: String,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The progress of a tool: `tool_progress`. Without message and number it marks the begin of the
/// tool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolProgress {
    /// The call that runs.
    pub id: String,
    /// The tool that runs.
    #[serde(default)]
    pub name: String,
    /// The current step, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The amount that is done, in the tool's own units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// The total amount, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<f64>,
    /// True at the begin of a call that another server may run again if this one dies while it runs.
    /// Absent in the JSON if false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeatable: bool,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A call that the client has to run: `isomorphic_handoff`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct IsomorphicHandoff {
    /// The id of the call.
    pub call_id: String,
    /// The tool to run.
    pub tool_name: String,
    /// The arguments.
    #[serde(default)]
    pub params: Value,
    /// The output of the server's half of the tool.
    #[serde(default)]
    pub server_output: Value,
    /// The side whose result counts.
    #[serde(default)]
    pub authority: ToolAuthority,
    /// True if the server's half of the tool continues with the client's result.
    #[serde(default)]
    pub uses_handoff: bool,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The state of a conversation that waits for client tools: `conversation_state`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConversationStateEvent {
    /// The state.
    pub conversation_state: ConversationState,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The state that a client sends back, with the results of its tools, to continue the conversation.
///
/// The messages of a long chat may not fit into one record
/// ([`event_bytes`](field@crate::session::Limits::event_bytes)). Then they are left out, and the
/// client sends its own: the messages that it sent before, and those of the answer's earlier turns
/// ([`Transcript::messages`](crate::chat::Transcript::messages)).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ConversationState {
    /// The messages so far. Absent in the JSON if there are none, or if they were left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    /// The assistant's text in this turn.
    pub assistant_content: Content,
    /// The assistant's calls in this turn.
    pub tool_calls: Vec<ToolCall>,
    /// The results of the server's tools in this turn.
    pub server_tool_results: Vec<ToolResult>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ToolCalls {
    /// Tells in the first event of calls what follows up to the end of their turn, so that it is stored with them.
    #[cfg(feature = "tools")]
    pub(crate) fn keep_together(turn: &mut [super::ChatEvent]) {
        let is_calls = |event: &super::ChatEvent| matches!(event, super::ChatEvent::ToolCalls(_));
        if let Some(at) = turn.iter().position(is_calls)
            && let (before, after) = turn.split_at_mut(at + 1)
            && let Some(super::ChatEvent::ToolCalls(calls)) = before.last_mut()
        {
            calls.followers = CallFollowers(after.to_vec());
        }
    }

    /// Creates the event from calls.
    pub fn new(calls: impl IntoIterator<Item = ToolCall>) -> Self {
        Self {
            calls: calls.into_iter().collect(),
            ..Self::default()
        }
    }
}

impl ToolInput {
    /// Creates a piece of the arguments of the call `id`.
    pub fn new(id: impl Into<String>, delta: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            delta: delta.into(),
            ..Self::default()
        }
    }

    /// Creates the end of the arguments of the call `id`, which never comes.
    pub fn cut(id: impl Into<String>) -> Self {
        Self {
            cut: true,
            ..Self::new(id, "")
        }
    }

    /// Sets the tool's name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl ToolResult {
    /// Creates the result of the tool `name` for the call `id`.
    pub fn new(
        id: impl Into<String>,
        name: impl Into<String>,
        content: impl Into<Content>,
    ) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            content: content.into(),
            claimed: false,
            extra: Map::new(),
        }
    }

    /// Sets whether only the client claims that the call was handed to it.
    pub fn claimed(mut self, claimed: bool) -> Self {
        self.claimed = claimed;
        self
    }
}

impl ToolError {
    /// Creates the failure of the tool `name` at the call `id`.
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
    /// Creates an event that marks the begin of the tool `name` for the call `id`.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            ..Self::default()
        }
    }

    /// Sets the current step.
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Sets the amount that is done, and the total amount if it is known.
    pub fn progress(mut self, progress: f64, total: Option<f64>) -> Self {
        self.progress = Some(progress);
        self.total = total;
        self
    }

    /// Sets whether another server may run the call again.
    pub fn repeatable(mut self, repeatable: bool) -> Self {
        self.repeatable = repeatable;
        self
    }
}

impl IsomorphicHandoff {
    /// Creates the handoff of the call `call_id` of the tool `tool_name`, with the client's
    /// authority.
    pub fn new(call_id: impl Into<String>, tool_name: impl Into<String>, params: Value) -> Self {
        Self {
            call_id: call_id.into(),
            tool_name: tool_name.into(),
            params,
            ..Self::default()
        }
    }

    /// Sets the output of the server's half of the tool.
    pub fn server_output(mut self, output: Value) -> Self {
        self.server_output = output;
        self
    }

    /// Sets the side whose result counts.
    pub fn authority(mut self, authority: ToolAuthority) -> Self {
        self.authority = authority;
        self
    }

    /// Sets whether the server's half continues with the client's result.
    pub fn uses_handoff(mut self, uses_handoff: bool) -> Self {
        self.uses_handoff = uses_handoff;
        self
    }
}

impl ConversationStateEvent {
    /// Creates the event with this state.
    pub fn new(conversation_state: ConversationState) -> Self {
        Self {
            conversation_state,
            extra: Map::new(),
        }
    }
}

impl ConversationState {
    /// Creates the state of a conversation with these messages.
    pub fn new(messages: impl IntoIterator<Item = Message>) -> Self {
        Self {
            messages: messages.into_iter().collect(),
            ..Self::default()
        }
    }
}
