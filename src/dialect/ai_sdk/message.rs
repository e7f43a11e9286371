use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{fold::UiMessageFold, parts, pieces, reduce::MessageReducer};
use crate::chat::{Message, Role, Transcript};

/// A message in the format of the AI SDK's clients. An application stores it, and passes it to `useChat`
/// when a page is opened.
///
/// ```
/// use unbroken::{
///     chat::{ChatEvent, Message, Transcript},
///     dialect::ai_sdk::UiMessage,
/// };
///
/// // In `DurableLayer::on_end`, `ended.id` is the id of the message in the clients.
/// let transcript: Transcript = [&ChatEvent::text("Hello")].into_iter().collect();
/// let message = UiMessage::from_transcript("0123456789abcdefghjkmnpqrs", &transcript);
/// assert_eq!(message.messages(), [Message::assistant("Hello")]);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UiMessage {
    /// The id of the message.
    #[serde(default)]
    pub id: String,
    /// The role of the author.
    pub role: Role,
    /// The parts: text, reasoning, tool calls with their outputs, files and data, as the SDK's JSON.
    #[serde(default)]
    pub parts: Vec<Map<String, Value>>,
    /// Metadata: of an answer `usage` and `model`, as far as they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

impl UiMessage {
    /// Creates a message with one text part.
    pub fn new(id: impl Into<String>, role: Role, text: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            role,
            parts: vec![part(json!({ "type": "text", "text": text.into() }))],
            metadata: None,
        }
    }

    /// Creates the message of an answer, with the parts and the metadata that the client has folded from
    /// its chunks: step by step, in the order in which they were streamed.
    ///
    /// The transcript doesn't know how arguments were streamed: the client has calls that the model began and
    /// never completed too, and a call at the place where it began. After a restart, the client has also
    /// what stood before it.
    pub fn from_transcript(id: impl Into<String>, transcript: &Transcript) -> Self {
        let (mut fold, mut message) = (UiMessageFold::new(), MessageReducer::default());
        for event in pieces::events(transcript) {
            fold.push_event(&event, &mut message);
        }
        fold.close(&mut message);
        Self {
            id: id.into(),
            role: Role::Assistant,
            parts: message.parts,
            metadata: message.metadata,
        }
    }

    /// Returns the messages for a model: for each step the message itself, with its reasoning and provider
    /// state, and the outputs of its tools. Parts of types that this version doesn't know are left out.
    pub fn messages(&self) -> Vec<Message> {
        parts::messages(self)
    }
}

fn part(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(part) => part,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{ChatEvent, Content, Reasoning, ToolCall};

    #[test]
    fn the_message_of_an_answer_gives_the_messages_of_the_answer() {
        let call = ToolCall::new("c1", "now", json!({"zone": "UTC"}));
        let other = ToolCall::new("c2", "now", json!({}));
        let transcript: Transcript = [
            ChatEvent::thinking("Hm."),
            ChatEvent::tool_calls([call.clone(), other.clone()]),
            ChatEvent::tool_result("c1", "now", r#"{"hour":12}"#),
            ChatEvent::tool_error("c2", "now", "no clock"),
            ChatEvent::custom("mood", json!("good")),
            ChatEvent::text("Noon."),
            ChatEvent::complete(),
        ]
        .iter()
        .collect();
        let message = UiMessage::from_transcript("m1", &transcript);
        assert_eq!(
            serde_json::to_value(&message.parts).unwrap(),
            json!([
                {"type": "step-start"},
                {"type": "reasoning", "id": "r1", "text": "Hm.", "state": "done"},
                {"type": "tool-now", "toolCallId": "c1", "state": "output-available",
                    "input": {"zone": "UTC"}, "output": {"hour": 12}},
                {"type": "tool-now", "toolCallId": "c2", "state": "output-error", "input": {},
                    "errorText": "no clock"},
                {"type": "data-mood", "data": "good"},
                {"type": "step-start"},
                {"type": "text", "text": "Noon.", "state": "done"},
            ])
        );
        assert_eq!(
            message.messages(),
            [
                Message::assistant(Content::new().reasoning(Reasoning::new("Hm.")))
                    .tool_calls([call, other]),
                Message::tool("c1", r#"{"hour":12}"#),
                Message::tool_failed("c2", "no clock"),
                Message::assistant("Noon."),
            ]
        );
        let wire = serde_json::to_value(&message).unwrap();
        assert_eq!(serde_json::from_value::<UiMessage>(wire).unwrap(), message);
    }
}
