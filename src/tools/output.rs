use serde::Serialize;
use serde_json::Value;

/// The output of a tool.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Output {
    /// A result for the model.
    Content(String),
    /// An output for the client, which continues the call. The answer ends, and the request that
    /// brings the client's result continues it.
    HandOver(Value),
}

impl Output {
    /// Creates a result from a value: a string as it is, anything else as JSON.
    ///
    /// # Errors
    ///
    /// If the value can't be written as JSON, such as a map whose keys aren't strings.
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
