use serde::Serialize;
use serde_json::Value;

use super::content::ResultContent;
use crate::chat::Usage;

/// An event of AG-UI. Those of text and thinking are written without serde; see `AgUiFold::content`.
#[derive(Debug, Serialize)]
#[serde(
    tag = "type",
    rename_all = "SCREAMING_SNAKE_CASE",
    rename_all_fields = "camelCase"
)]
pub(super) enum AgUiEvent<'a> {
    RunStarted {
        thread_id: &'a str,
        run_id: &'a str,
    },
    TextMessageStart {
        message_id: &'a str,
        role: &'static str,
    },
    TextMessageEnd {
        message_id: &'a str,
    },
    ReasoningStart {
        message_id: &'a str,
    },
    ReasoningMessageStart {
        message_id: &'a str,
        role: &'static str,
    },
    ReasoningMessageEnd {
        message_id: &'a str,
    },
    ReasoningEnd {
        message_id: &'a str,
    },
    ReasoningEncryptedValue {
        subtype: &'static str,
        entity_id: &'a str,
        encrypted_value: &'a str,
    },
    ToolCallStart {
        tool_call_id: &'a str,
        tool_call_name: &'a str,
        parent_message_id: &'a str,
    },
    ToolCallArgs {
        tool_call_id: &'a str,
        delta: &'a str,
    },
    ToolCallEnd {
        tool_call_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        metadata: Option<Metadata<'a>>,
    },
    ToolCallResult {
        message_id: &'a str,
        tool_call_id: &'a str,
        content: ResultContent<'a>,
        role: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        metadata: Option<Metadata<'a>>,
    },
    Custom {
        name: &'a str,
        value: &'a Value,
    },
    MessagesSnapshot {
        messages: &'a [Value],
    },
    RunFinished {
        thread_id: &'a str,
        run_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        outcome: Option<RunOutcome<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        usage: Option<[TokenUsage<'a>; 1]>,
        #[serde(skip_serializing_if = "Option::is_none")]
        metadata: Option<Metadata<'a>>,
    },
    RunError {
        message: &'a str,
        code: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        usage: Option<[TokenUsage<'a>; 1]>,
        metadata: Metadata<'a>,
    },
}

/// The outcome of a run, if it is not a plain success.
#[derive(Debug, Serialize)]
#[serde(
    tag = "type",
    rename_all = "lowercase",
    rename_all_fields = "camelCase"
)]
pub(super) enum RunOutcome<'a> {
    Success { pending_tool_call_ids: &'a [String] },
    Cancelled,
}

/// Metadata for which AG-UI has no field: that of TanStack's client, and that of this library.
#[derive(Debug, Default, Serialize)]
pub(super) struct Metadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tanstack: Option<TanstackMetadata<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unbroken: Option<UnbrokenMetadata<'a>>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TanstackMetadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) finish_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) run_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thread_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<&'static str>,
    /// The arguments of a call, where those that were streamed are others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input: Option<&'a Value>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct UnbrokenMetadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recoverable: Option<bool>,
    /// The first places at which the text doesn't fit the format that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mismatch: Option<&'a str>,
    /// The reason why the text wasn't checked against it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unchecked: Option<&'a str>,
    /// True for the result of a call that never came.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) incomplete: bool,
}

/// The token usage of a run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenUsage<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    input_tokens: u64,
    output_tokens: u64,
    total_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_input_tokens: Option<u64>,
}

impl<'a> TokenUsage<'a> {
    pub(super) fn new(usage: &Usage, model: Option<&'a str>) -> Self {
        Self {
            model,
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            total_tokens: usage.total_tokens(),
            reasoning_tokens: usage.reasoning_tokens,
            cached_input_tokens: usage.cached_input_tokens,
        }
    }
}
