use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::schema_of;

/// Something that a tool asks a person: [`Call::ask`](super::Call::ask).
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
    /// What people read.
    pub message: String,
    /// A JSON Schema of the answer; anything will do if absent.
    pub schema: Option<Value>,
    /// How long to wait; the layer's [`input_timeout`](super::ToolLayer::input_timeout) if `None`.
    pub timeout: Option<Duration>,
}

/// Why there is no answer to a question. As the error of a tool it tells the model so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unanswered {
    /// Somebody said no.
    #[error("the user declined")]
    Declined,
    /// Somebody put the question away.
    #[error("the user put the question away without an answer")]
    Cancelled,
    /// Nobody said anything in time.
    #[error("the user gave no answer in time")]
    TimedOut,
}

impl Question {
    /// A question that anything is an answer to.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            schema: None,
            timeout: None,
        }
    }

    /// A question whose answer is a `T`.
    pub fn of<T>(message: impl Into<String>) -> Self
    where
        T: DeserializeOwned + schemars::JsonSchema,
    {
        Self::new(message).schema(schema_of::<T>())
    }

    /// The same, with a JSON Schema of the answer.
    pub fn schema(mut self, schema: Value) -> Self {
        self.schema = Some(schema);
        self
    }

    /// The same, with how long to wait.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}
