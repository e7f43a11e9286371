use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A message of a chat in the form that the clients of a dialect have it in: a JSON object with an `id`.
///
/// A [`History`](crate::durable::History) keeps it as it is. Of the AI SDK it is a `UIMessage`.
///
/// `Debug` shows counts instead of contents.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChatMessage {
    /// The id of the message, unique in its chat.
    pub id: String,
    /// The other fields, such as `role` and `parts`.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl ChatMessage {
    /// Creates a message.
    pub fn new(id: impl Into<String>, fields: Map<String, Value>) -> Self {
        let mut fields = fields;
        fields.remove("id");
        Self {
            id: id.into(),
            fields,
        }
    }
}

impl fmt::Debug for ChatMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatMessage")
            .field("id", &self.id)
            .field("fields", &self.fields.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_is_the_object_that_clients_have() {
        let whole =
            json!({"id": "1", "role": "user", "parts": [{"type": "text", "text": "private"}]});
        let message: ChatMessage = serde_json::from_value(whole.clone()).unwrap();
        assert_eq!(message.id, "1");
        assert!(!format!("{message:?}").contains("private"));
        let Value::Object(fields) = whole.clone() else {
            panic!("an object");
        };
        assert_eq!(ChatMessage::new("1", fields), message);
        assert_eq!(serde_json::to_value(message).unwrap(), whole);
    }
}
