use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    chat::{FinishReason, ProviderError, Usage},
    log::ErrorCode,
};

/// The answer is whole: `complete`. Terminal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Complete {
    /// The whole text, where it is not too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What it cost, where the provider said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Why the model stopped.
    #[serde(default)]
    pub finish_reason: FinishReason,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Somebody stopped the answer: `aborted`. Terminal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Aborted {
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The answer failed: `error`. Terminal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ErrorEvent {
    /// What went wrong, for people; never a secret, an address or a provider's raw response.
    pub message: String,
    /// Whether the same request may succeed if it is made again.
    #[serde(default)]
    pub recoverable: bool,
    /// The kind of failure.
    pub code: ErrorCode,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Complete {
    /// The model stopped by itself.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with the whole text.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// The same, with what it cost.
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }

    /// The same, with why the model stopped.
    pub fn finish_reason(mut self, reason: FinishReason) -> Self {
        self.finish_reason = reason;
        self
    }
}

impl Aborted {
    /// For no reason that was given.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with a reason.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

impl ErrorEvent {
    /// A failure of this kind that trying again doesn't mend. Clients see the message.
    pub fn new(code: ErrorCode, public_message: impl Into<String>) -> Self {
        Self {
            message: public_message.into(),
            recoverable: false,
            code,
            extra: Map::new(),
        }
    }

    /// The same, with whether the same request may succeed if it is made again.
    pub fn recoverable(mut self, recoverable: bool) -> Self {
        self.recoverable = recoverable;
        self
    }
}

/// What clients may hear of the failure.
impl From<&ProviderError> for ErrorEvent {
    fn from(error: &ProviderError) -> Self {
        Self::new(error.code(), error.message()).recoverable(error.is_recoverable())
    }
}
