use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::schema_of;

/// A question of a tool to the user: [`Call::ask`](super::Call::ask).
///
/// ```
/// use std::time::Duration;
/// use serde_json::json;
/// use unbroken::tools::Question;
///
/// let question = Question::new("Which seat?")
///     .schema(json!({"type": "string", "pattern": "^[0-9]+[A-F]$"}))
///     .timeout(Duration::from_secs(60));
/// # let _ = question;
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Question {
    /// The text that the user reads.
    pub message: String,
    /// A JSON Schema of the answer; any answer fits if absent.
    pub schema: Option<Value>,
    /// The time to wait; the layer's [`input_timeout`](super::ToolLayer::input_timeout) if `None`.
    pub timeout: Option<Duration>,
}

/// The reason why a question has no answer. As the error of a tool, its text goes to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unanswered {
    /// The user refused.
    #[error("the user declined")]
    Declined,
    /// The user dismissed the question, or the answer has ended.
    #[error("the user put the question away without an answer")]
    Cancelled,
    /// There was no answer in time.
    #[error("the user gave no answer in time")]
    TimedOut,
}

impl Question {
    /// Creates a question that any answer fits.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            schema: None,
            timeout: None,
        }
    }

    /// Creates a question whose answer is a `T`.
    pub fn of<T>(message: impl Into<String>) -> Self
    where
        T: DeserializeOwned + schemars::JsonSchema,
    {
        Self::new(message).schema(schema_of::<T>())
    }

    /// Sets a JSON Schema of the answer.
    pub fn schema(mut self, schema: Value) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Sets the time to wait.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}
