use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::chat::{InputAnswer, InputId, InputKind, InputOutcome, Mismatch};

/// A question to the user, on whose answer the session waits: `input_request`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct InputRequest {
    /// The id of the question. Its answer goes to `POST /{id}/inputs/{inputId}`.
    pub input_id: InputId,
    /// The kind of the question: an approval, or a request for information.
    pub kind: InputKind,
    /// The text that the user reads.
    pub message: String,
    /// A JSON Schema for the content of an acceptance; any content fits if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// The call that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// The tool that asks, or that needs the approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_name: Option<String>,
    /// The arguments of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Value>,
    /// True if the call begins only once the user accepts; false if it asks while it runs. Absent in the
    /// JSON if false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub before_call: bool,
    /// The time to wait for an answer, counted from the question; in whole milliseconds, as
    /// `timeoutMs`, on the wire. A server that takes the session over waits that long again.
    #[serde(
        rename = "timeoutMs",
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::chat::as_json::millis"
    )]
    pub timeout: Option<Duration>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The outcome of a question: `input_resolved`. The content of the answer is not in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct InputResolved {
    /// The id of the question.
    pub input_id: InputId,
    /// The outcome.
    pub action: InputOutcome,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl InputRequest {
    /// Creates a question that asks for permission.
    pub fn approval(input_id: InputId, message: impl Into<String>) -> Self {
        Self::new(input_id, InputKind::Approval, message)
    }

    /// Creates a question that asks for information.
    pub fn question(input_id: InputId, message: impl Into<String>) -> Self {
        Self::new(input_id, InputKind::Question, message)
    }

    fn new(input_id: InputId, kind: InputKind, message: impl Into<String>) -> Self {
        Self {
            input_id,
            kind,
            message: message.into(),
            schema: None,
            call_id: None,
            tool_name: None,
            params: None,
            before_call: false,
            timeout: None,
            extra: Map::new(),
        }
    }

    /// Sets a JSON Schema for the content of the answer.
    pub fn schema(mut self, schema: Value) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Sets the call of a tool that the question belongs to.
    pub fn tool_call(
        mut self,
        call_id: impl Into<String>,
        tool_name: impl Into<String>,
        params: Value,
    ) -> Self {
        self.call_id = Some(call_id.into());
        self.tool_name = Some(tool_name.into());
        self.params = Some(params);
        self
    }

    /// Sets whether the call begins only once the user accepts.
    pub fn before_call(mut self, before_call: bool) -> Self {
        self.before_call = before_call;
        self
    }

    /// Sets the time to wait for an answer.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Checks an answer: the content of an acceptance must fit the schema.
    ///
    /// Every content fits if the schema itself is invalid, or if the feature `tools` is off. The
    /// tool that asked checks the answer again.
    ///
    /// # Errors
    ///
    /// If the content doesn't fit. The error lists the places.
    pub fn check(&self, answer: &InputAnswer) -> Result<(), Mismatch> {
        #[cfg(feature = "tools")]
        if let (crate::chat::InputAction::Accept, Some(schema)) = (answer.action, &self.schema)
            && let Ok(schema) = crate::chat::Schema::new(schema)
        {
            return schema.check(&answer.content);
        }
        let _ = answer;
        Ok(())
    }
}

impl InputResolved {
    /// Creates the outcome of a question.
    pub fn new(input_id: InputId, action: impl Into<InputOutcome>) -> Self {
        Self {
            input_id,
            action: action.into(),
            extra: Map::new(),
        }
    }
}
