use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::chat::{InputAnswer, InputId, InputKind, InputOutcome, Mismatch};

/// Somebody is asked, and the answer waits for what they say: `input_request`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct InputRequest {
    /// Names the question; the answer goes to `POST /{id}/inputs/{inputId}`.
    pub input_id: InputId,
    /// Whether something is to be allowed, or told.
    pub kind: InputKind,
    /// What people read.
    pub message: String,
    /// A JSON Schema of what an acceptance must bring as its content; anything will do if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// The call of a tool that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// The tool that asks, or that is to be allowed to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_name: Option<String>,
    /// What it is called with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Value>,
    /// How long the answer is waited for, in milliseconds from when it was asked. A server that
    /// takes the session over waits that long anew.
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

/// A question is no longer open: `input_resolved`. What was said is not in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct InputResolved {
    /// Which question.
    pub input_id: InputId,
    /// What became of it.
    pub action: InputOutcome,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl InputRequest {
    /// Whether somebody allows something.
    pub fn approval(input_id: InputId, message: impl Into<String>) -> Self {
        Self::new(input_id, InputKind::Approval, message)
    }

    /// Something that somebody is to tell.
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
            timeout: None,
            extra: Map::new(),
        }
    }

    /// The same, with a JSON Schema of the content.
    pub fn schema(mut self, schema: Value) -> Self {
        self.schema = Some(schema);
        self
    }

    /// The same, asked for this call of a tool.
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

    /// The same, waited for this long, in milliseconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Whether this is an answer to it: an acceptance must bring content that fits the schema. A
    /// schema that is none itself lets everything pass, and so does any schema where the feature
    /// `tools` is off: whoever asked looks at the answer again.
    ///
    /// # Errors
    ///
    /// Says where the content doesn't fit.
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
    /// This became of the question.
    pub fn new(input_id: InputId, action: impl Into<InputOutcome>) -> Self {
        Self {
            input_id,
            action: action.into(),
            extra: Map::new(),
        }
    }
}
