use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{fold, parts};
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
    /// Metadata of the application.
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

    /// Creates the message of an answer: its thinking, its tool calls with their outputs, its custom
    /// events, and its text.
    pub fn from_transcript(id: impl Into<String>, transcript: &Transcript) -> Self {
        let mut parts = vec![part(json!({ "type": "step-start" }))];
        if !transcript.thinking().is_empty() {
            let text = transcript.thinking();
            parts.push(part(
                json!({ "type": "reasoning", "text": text, "state": "done" }),
            ));
        }
        let mut has_outputs = false;
        for call in transcript.tool_calls() {
            let mut tool = json!({
                "type": format!("tool-{}", call.name),
                "toolCallId": call.id,
                "state": "input-available",
                "input": call.arguments,
            });
            let mut results = transcript.tool_results().iter();
            let mut errors = transcript.tool_errors().iter();
            if let Some(result) = results.find(|result| result.id == call.id) {
                tool["state"] = "output-available".into();
                tool["output"] = fold::output(&result.content);
                has_outputs = true;
            } else if let Some(error) = errors.find(|error| error.id == call.id) {
                tool["state"] = "output-error".into();
                tool["errorText"] = error.message.as_str().into();
                has_outputs = true;
            }
            parts.push(part(tool));
        }
        for custom in transcript.custom() {
            let mut data = json!({ "type": format!("data-{}", custom.name), "data": custom.data });
            if let Some(id) = custom.extra.get("id") {
                data["id"] = id.clone();
            }
            parts.push(part(data));
        }
        if !transcript.text().is_empty() {
            if has_outputs {
                parts.push(part(json!({ "type": "step-start" })));
            }
            let text = transcript.text();
            parts.push(part(
                json!({ "type": "text", "text": text, "state": "done" }),
            ));
        }
        Self {
            id: id.into(),
            role: Role::Assistant,
            parts,
            metadata: None,
        }
    }

    /// Returns the message for a model: itself, and the outputs of its tools as further messages.
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
    use crate::chat::{ChatEvent, ToolCall};

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
        let kinds: Vec<_> = message
            .parts
            .iter()
            .map(|part| part["type"].as_str())
            .collect();
        let kinds: Vec<_> = kinds.into_iter().flatten().collect();
        let expected = "step-start reasoning tool-now tool-now data-mood step-start text";
        assert_eq!(kinds.join(" "), expected);
        assert_eq!(
            message.messages(),
            [
                Message::assistant("").tool_calls([call, other]),
                Message::tool("c1", r#"{"hour":12}"#),
                Message::tool("c2", "no clock"),
                Message::assistant("Noon."),
            ]
        );
        let wire = serde_json::to_value(&message).unwrap();
        assert_eq!(serde_json::from_value::<UiMessage>(wire).unwrap(), message);
    }
}
