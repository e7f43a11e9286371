use serde::Serialize;
use serde_json::Value;

/// What a tool gives.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Output {
    /// This, for the model.
    Content(String),
    /// The client is to go on, with this. The answer ends, and the request that brings what the
    /// client gives goes on from there.
    HandOver(Value),
}

impl Output {
    /// A text as it is, anything else as JSON.
    ///
    /// # Errors
    ///
    /// If it can't be written as JSON: a map whose keys aren't strings, say.
    pub fn json(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::to_value(value).map(Self::from)
    }
}

impl From<Value> for Output {
    fn from(value: Value) -> Self {
        Self::Content(match value {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }
}
