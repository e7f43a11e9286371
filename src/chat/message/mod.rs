//! Messages, and the parts of their content.

mod content;
mod media;
mod part;

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use self::media::is_media_range;
pub use self::{
    content::Content,
    media::{InvalidMedia, Media, MediaDetail},
    part::{Part, Reasoning},
};
use super::{ToolCall, as_json::null_is_default};

/// One message of a conversation.
///
/// `Debug` shows its length instead of its content: conversations are private, and logs are not.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Message {
    /// The author of the message.
    pub role: Role,
    /// The text, or the parts. It is empty if an assistant only calls tools; then it may be `null` or
    /// absent on the wire.
    #[serde(default)]
    pub content: Content,
    /// The tools that the assistant asks for.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub tool_calls: Vec<ToolCall>,
    /// The call that a tool's message answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The author of a [`Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// The application, with instructions for the model.
    System,
    /// The user.
    User,
    /// The model.
    Assistant,
    /// A tool, with its result.
    Tool,
}

impl Message {
    /// Creates a message of this role.
    pub fn new(role: Role, content: impl Into<Content>) -> Self {
        Self {
            role,
            content: content.into(),
            tool_calls: Vec::new(),
            tool_call_id: None,
            extra: Map::new(),
        }
    }

    /// Creates a message of the application, with instructions for the model.
    pub fn system(content: impl Into<Content>) -> Self {
        Self::new(Role::System, content)
    }

    /// Creates a message of the user.
    pub fn user(content: impl Into<Content>) -> Self {
        Self::new(Role::User, content)
    }

    /// Creates a message of the model.
    pub fn assistant(content: impl Into<Content>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// Creates a message with the result of the call `tool_call_id`.
    pub fn tool(tool_call_id: impl Into<String>, content: impl Into<Content>) -> Self {
        Self {
            tool_call_id: Some(tool_call_id.into()),
            ..Self::new(Role::Tool, content)
        }
    }

    /// Creates a message that tells the model why the call `tool_call_id` failed.
    pub fn tool_failed(tool_call_id: impl Into<String>, reason: &str) -> Self {
        Self::tool(tool_call_id, format!("Error: {reason}"))
    }

    /// Returns the text of the content: of all its text parts, with line breaks between them.
    pub fn text(&self) -> Cow<'_, str> {
        self.content.to_text()
    }

    /// Sets the tools that the assistant asks for.
    pub fn tool_calls(mut self, calls: impl IntoIterator<Item = ToolCall>) -> Self {
        self.tool_calls = calls.into_iter().collect();
        self
    }
}

impl Role {
    /// Returns the word for the role on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("role", &self.role)
            .field("content", &self.content)
            .field("tool_calls", &self.tool_calls.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_field_names_that_every_model_knows() {
        let text = serde_json::to_string(&[
            Message::user("Hi"),
            Message::assistant("").tool_calls([ToolCall::new("c1", "now", Value::Null)]),
            Message::tool("c1", "noon"),
        ])
        .unwrap();
        assert_eq!(
            text,
            concat!(
                r#"[{"role":"user","content":"Hi"},"#,
                r#"{"role":"assistant","content":"","tool_calls":[{"id":"c1","name":"now","arguments":null}]},"#,
                r#"{"role":"tool","content":"noon","tool_call_id":"c1"}]"#
            )
        );
    }

    #[test]
    fn null_content_is_no_content() {
        let read: Message =
            serde_json::from_str(r#"{"role":"assistant","content":null,"tool_calls":null}"#)
                .unwrap();
        assert_eq!(read, Message::assistant(""));
    }

    #[test]
    fn debug_does_not_show_content() {
        let shown = format!("{:?}", Message::user("a private matter"));
        assert!(!shown.contains("private"), "{shown}");
    }
}
