use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    chat::{FinishReason, ProviderError, Usage},
    log::ErrorCode,
};

/// The end of a complete answer: `complete`. Terminal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Complete {
    /// The whole text, if it is not too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The tokens used, if the provider reported them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The reason why the model stopped; [`FinishReason::Unknown`] if it is absent.
    #[serde(default)]
    pub finish_reason: FinishReason,
    /// The first places at which the text doesn't fit the format that the request asked for
    /// ([`ChatOptions::response_format`](field@crate::chat::ChatOptions::response_format)), for people. It
    /// repeats no value of the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mismatch: Option<String>,
    /// The reason why the text wasn't checked against that format, for people. Absent if it was, or if the request
    /// asked for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchecked: Option<String>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The end of an answer that was stopped: `aborted`. Terminal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Aborted {
    /// The reason, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The tokens used until then, as far as they are known.
    ///
    /// A session whose server died may be ended by another one that has no source for it: when no recovery is set,
    /// its attempts are used up, or a stop was stored meanwhile. Such an ending has no usage;
    /// [`Transcript::usage`](crate::chat::Transcript::usage) has that of the turns in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The end of an answer that failed: `error`. Terminal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ErrorEvent {
    /// A description for people; never a secret, an address or a provider's raw response.
    pub message: String,
    /// True if the same request may succeed when it is repeated.
    #[serde(default)]
    pub recoverable: bool,
    /// The kind of failure.
    pub code: ErrorCode,
    /// The tokens used until then, as far as they are known.
    ///
    /// A session whose server died may be ended by another one that has no source for it: when no recovery is set,
    /// its attempts are used up, or a stop was stored meanwhile. Such an ending has no usage;
    /// [`Transcript::usage`](crate::chat::Transcript::usage) has that of the turns in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Complete {
    /// Creates the end of an answer with the finish reason [`FinishReason::Stop`].
    pub fn new() -> Self {
        Self {
            finish_reason: FinishReason::Stop,
            ..Self::default()
        }
    }

    /// Sets the whole text.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Sets the usage.
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }

    /// Sets the reason why the model stopped.
    pub fn finish_reason(mut self, reason: FinishReason) -> Self {
        self.finish_reason = reason;
        self
    }
}

impl Aborted {
    /// Creates an end without a reason.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the reason.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Sets the usage.
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }
}

impl ErrorEvent {
    /// Creates a failure that is not recoverable. Clients see the message.
    pub fn new(code: ErrorCode, public_message: impl Into<String>) -> Self {
        Self {
            message: public_message.into(),
            recoverable: false,
            code,
            usage: None,
            extra: Map::new(),
        }
    }

    /// Sets whether the same request may succeed when it is repeated.
    pub fn recoverable(mut self, recoverable: bool) -> Self {
        self.recoverable = recoverable;
        self
    }

    /// Sets the usage.
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }
}

/// Takes the public part of the failure.
impl From<&ProviderError> for ErrorEvent {
    fn from(error: &ProviderError) -> Self {
        let mut event = Self::new(error.code(), error.message());
        event.usage = error.usage().cloned();
        event.recoverable(error.is_recoverable())
    }
}
