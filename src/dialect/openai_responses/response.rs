use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::item::OutputItem;
use crate::chat::{Complete, ErrorEvent, FinishReason, Usage};

/// The constant facts of a response, stored in its first record.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ResponseIdentity {
    /// The time of the start, in seconds since 1970; 0 if another dialect started the session.
    pub(super) created_at: u64,
    pub(super) model: Option<String>,
    pub(super) background: bool,
}

impl ResponseIdentity {
    /// The name of the note in `session_info`.
    pub(super) const NOTE: &'static str = "response";
    /// The model name of a response whose request named none.
    const MODEL: &'static str = "default";

    pub(super) fn of(notes: &Map<String, Value>) -> Self {
        notes
            .get(Self::NOTE)
            .and_then(|note| Self::deserialize(note).ok())
            .unwrap_or_default()
    }
}

/// The state of a response.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ResponseState {
    InProgress,
    Completed,
    Incomplete(&'static str),
    Cancelled,
    Failed(String),
}

impl ResponseState {
    pub(super) fn complete(complete: &Complete) -> Self {
        match complete.finish_reason {
            FinishReason::Length => Self::Incomplete("max_output_tokens"),
            FinishReason::ContentFilter => Self::Incomplete("content_filter"),
            _ => Self::Completed,
        }
    }

    pub(super) fn failed(error: &ErrorEvent) -> Self {
        Self::Failed(error.message.clone())
    }

    /// Returns the event of the state. A cancelled response is `response.incomplete`, because the SDKs
    /// have no event of that name and refuse unknown ones.
    pub(super) fn event(&self) -> &'static str {
        match self {
            Self::InProgress => "response.in_progress",
            Self::Completed => "response.completed",
            Self::Incomplete(_) | Self::Cancelled => "response.incomplete",
            Self::Failed(_) => "response.failed",
        }
    }

    fn status(&self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete(_) => "incomplete",
            Self::Cancelled => "cancelled",
            Self::Failed(_) => "failed",
        }
    }
}

/// The response object.
#[derive(Debug, Serialize)]
pub(super) struct ResponseObject<'a> {
    id: &'a str,
    object: &'static str,
    created_at: u64,
    status: &'static str,
    background: bool,
    error: Option<ResponseFailure<'a>>,
    incomplete_details: Option<IncompleteDetails>,
    instructions: Option<()>,
    max_output_tokens: Option<()>,
    metadata: EmptyObject,
    model: &'a str,
    output: &'a [OutputItem],
    parallel_tool_calls: bool,
    previous_response_id: Option<()>,
    store: bool,
    temperature: Option<()>,
    text: TextConfig,
    tool_choice: &'static str,
    tools: [(); 0],
    top_p: Option<()>,
    truncation: &'static str,
    usage: Option<ResponseUsage>,
}

#[derive(Debug, Serialize)]
struct EmptyObject {}

#[derive(Debug, Serialize)]
struct ResponseFailure<'a> {
    code: &'static str,
    message: &'a str,
}

#[derive(Debug, Serialize)]
struct IncompleteDetails {
    reason: &'static str,
}

#[derive(Debug, Serialize)]
struct TextConfig {
    format: TextFormat,
}

#[derive(Debug, Serialize)]
struct TextFormat {
    r#type: &'static str,
}

#[derive(Debug, Serialize)]
struct ResponseUsage {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Debug, Serialize)]
struct InputDetails {
    cached_tokens: u64,
}

#[derive(Debug, Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

impl<'a> ResponseObject<'a> {
    pub(super) fn new(
        id: &'a str,
        identity: &'a ResponseIdentity,
        state: &'a ResponseState,
        output: &'a [OutputItem],
        usage: Option<&Usage>,
    ) -> Self {
        let error = match state {
            // The SDK's type has a list of codes; this one fits all errors of this library.
            ResponseState::Failed(message) => Some(ResponseFailure {
                code: "server_error",
                message,
            }),
            _ => None,
        };
        let incomplete_details = match state {
            ResponseState::Incomplete(reason) => Some(IncompleteDetails { reason }),
            _ => None,
        };
        Self {
            id,
            object: "response",
            created_at: identity.created_at,
            status: state.status(),
            background: identity.background,
            error,
            incomplete_details,
            instructions: None,
            max_output_tokens: None,
            metadata: EmptyObject {},
            model: identity.model.as_deref().unwrap_or(ResponseIdentity::MODEL),
            output,
            parallel_tool_calls: true,
            previous_response_id: None,
            store: true,
            temperature: None,
            text: TextConfig {
                format: TextFormat { r#type: "text" },
            },
            tool_choice: "auto",
            tools: [],
            top_p: None,
            truncation: "disabled",
            usage: usage.map(ResponseUsage::from),
        }
    }
}

impl From<&Usage> for ResponseUsage {
    fn from(usage: &Usage) -> Self {
        Self {
            input_tokens: usage.input_tokens,
            input_tokens_details: InputDetails {
                cached_tokens: usage.cached_input_tokens.unwrap_or_default(),
            },
            output_tokens: usage.output_tokens,
            output_tokens_details: OutputDetails {
                reasoning_tokens: usage.reasoning_tokens.unwrap_or_default(),
            },
            total_tokens: usage.total_tokens(),
        }
    }
}
