use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{item::OutputItem, settings::ResponseMetadata};
use crate::chat::{
    ChatOptions, Complete, ErrorEvent, FinishReason, ReasoningEffort, ResponseFormat, ToolChoice,
    Usage,
};

/// The constant facts of a response, stored in its first record.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ResponseIdentity {
    /// The time of the start, in seconds since 1970; 0 if another dialect started the session.
    pub(super) created_at: u64,
    pub(super) model: Option<String>,
    pub(super) background: bool,
    #[serde(skip_serializing_if = "ResponseMetadata::is_empty")]
    pub(super) metadata: ResponseMetadata,
    #[serde(skip_serializing_if = "RequestEcho::is_empty")]
    pub(super) request: RequestEcho,
}

/// The options of a request, which its response repeats.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct RequestEcho {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<ToolChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<ReasoningEffort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<ResponseFormat>,
}

impl RequestEcho {
    pub(super) fn of(options: &ChatOptions) -> Self {
        Self {
            temperature: options.temperature,
            top_p: options.top_p,
            max_output_tokens: options.max_output_tokens,
            parallel_tool_calls: options.parallel_tool_calls,
            tool_choice: options.tool_choice.clone(),
            effort: options.reasoning.and_then(|it| it.effort),
            format: options.response_format.clone(),
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl ResponseIdentity {
    /// The name of the note in `session_info`.
    pub(super) const NOTE: &'static str = "response";
    /// The model name of a response whose request named none.
    const MODEL: &'static str = "default";

    /// Returns the parts that fit into every first record.
    pub(super) fn shorter(&self) -> Self {
        Self {
            created_at: self.created_at,
            model: self.model.clone(),
            background: self.background,
            ..Self::default()
        }
    }

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
    /// The answer is no whole one, for this reason.
    Incomplete(Cow<'static, str>),
    Cancelled,
    Failed(String),
}

impl ResponseState {
    pub(super) fn complete(complete: &Complete) -> Self {
        let reason = &complete.finish_reason;
        match reason {
            _ if reason.is_whole() => Self::Completed,
            FinishReason::Length => Self::Incomplete("max_output_tokens".into()),
            // The API has no word for the others. The SDKs pass on any.
            reason => Self::Incomplete(reason.as_str().to_owned().into()),
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
    incomplete_details: Option<IncompleteDetails<'a>>,
    instructions: Option<()>,
    max_output_tokens: Option<u32>,
    metadata: &'a ResponseMetadata,
    model: &'a str,
    output: Vec<&'a OutputItem>,
    parallel_tool_calls: bool,
    previous_response_id: Option<()>,
    reasoning: ReasoningConfig,
    store: bool,
    temperature: Option<f64>,
    text: TextConfig<'a>,
    tool_choice: ChoiceConfig<'a>,
    tools: [(); 0],
    top_p: Option<f64>,
    truncation: &'static str,
    usage: Option<ResponseUsage>,
    /// Beside the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    unbroken: Option<BesideTheApi<'a>>,
}

/// Fields of this library.
#[derive(Debug, Serialize)]
pub(super) struct BesideTheApi<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    mismatch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unchecked: Option<&'a str>,
}

impl<'a> BesideTheApi<'a> {
    /// Returns what the end of the answer tells of its format, if it tells something.
    pub(super) fn of(complete: &'a Complete) -> Option<Self> {
        let this = Self {
            mismatch: complete.mismatch.as_deref(),
            unchecked: complete.unchecked.as_deref(),
        };
        this.mismatch.or(this.unchecked).map(|_| this)
    }
}

#[derive(Debug, Serialize)]
struct ResponseFailure<'a> {
    code: &'static str,
    message: &'a str,
}

#[derive(Debug, Serialize)]
struct IncompleteDetails<'a> {
    reason: &'a str,
}

#[derive(Debug, Serialize)]
struct TextConfig<'a> {
    format: &'a ResponseFormat,
}

#[derive(Debug, Serialize)]
struct ReasoningConfig {
    effort: Option<ReasoningEffort>,
    summary: Option<()>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum ChoiceConfig<'a> {
    Word(&'static str),
    Function { r#type: &'static str, name: &'a str },
}

impl<'a> From<Option<&'a ToolChoice>> for ChoiceConfig<'a> {
    fn from(choice: Option<&'a ToolChoice>) -> Self {
        Self::Word(match choice {
            None | Some(ToolChoice::Auto) => "auto",
            Some(ToolChoice::None) => "none",
            Some(ToolChoice::Required) => "required",
            Some(ToolChoice::Tool(name)) => {
                return Self::Function {
                    r#type: "function",
                    name,
                };
            }
        })
    }
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
        model: Option<&'a str>,
        usage: Option<&Usage>,
        unbroken: Option<BesideTheApi<'a>>,
    ) -> Self {
        let asked = &identity.request;
        // A call that came to nothing is not for the client to run.
        let is_there =
            |item: &&OutputItem| !(*state == ResponseState::Completed && item.is_cut_call());
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
            max_output_tokens: asked.max_output_tokens,
            metadata: &identity.metadata,
            model: model
                .or(identity.model.as_deref())
                .unwrap_or(ResponseIdentity::MODEL),
            output: output.iter().filter(is_there).collect(),
            parallel_tool_calls: asked.parallel_tool_calls.unwrap_or(true),
            previous_response_id: None,
            reasoning: ReasoningConfig {
                effort: asked.effort,
                summary: None,
            },
            store: true,
            temperature: asked.temperature,
            text: TextConfig {
                format: asked.format.as_ref().unwrap_or(&ResponseFormat::Text),
            },
            tool_choice: asked.tool_choice.as_ref().into(),
            tools: [],
            top_p: asked.top_p,
            truncation: "disabled",
            usage: usage.map(ResponseUsage::from),
            unbroken,
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        chat::{ChatEvent, TurnEnd},
        dialect::openai_responses::fold::ResponseFold,
        log::{ChunkBuilder, Epoch, Lsn},
    };

    fn response(events: &[ChatEvent]) -> Value {
        let mut batch = ChunkBuilder::new();
        for event in events {
            batch.push(&event.to_json());
        }
        let chunk = batch.take(Lsn::new(1), Epoch::first()).unwrap();
        serde_json::from_slice(&ResponseFold::document("resp_1", &[chunk])).unwrap()
    }

    #[test]
    fn only_an_answer_that_the_model_ended_by_itself_is_completed() {
        for (finish_reason, told) in [
            ("stop", None),
            ("tool_calls", None),
            ("length", Some("max_output_tokens")),
            ("content_filter", Some("content_filter")),
            // `[DONE]` without a reason.
            ("unknown", Some("unknown")),
            // DeepSeek, Gemini, Claude.
            (
                "insufficient_system_resource",
                Some("insufficient_system_resource"),
            ),
            ("MALFORMED_FUNCTION_CALL", Some("MALFORMED_FUNCTION_CALL")),
            ("pause_turn", Some("pause_turn")),
        ] {
            let reason = FinishReason::from(finish_reason);
            let text = ChatEvent::text("a");
            let turn = TurnEnd::new(reason.clone()).into();
            let complete: ChatEvent = Complete::new().finish_reason(reason).into();
            let without_turns = [text.clone(), complete.clone()];
            for log in [&without_turns[..], &[text, turn, complete]] {
                let response = response(log);
                let status = told.map_or("completed", |_| "incomplete");
                assert_eq!(response["status"], status, "{finish_reason}");
                assert_eq!(response["output"][0]["status"], status, "{finish_reason}");
                let details = told.map(|told| json!({"reason": told}));
                assert_eq!(response["incomplete_details"], json!(details));
            }
        }
    }

    #[test]
    fn a_text_of_another_format_than_was_asked_for_is_told() {
        let mut complete = Complete::new();
        let text = ChatEvent::text("{");
        let fits = response(&[text.clone(), complete.clone().into()]);
        assert!(fits.get("unbroken").is_none(), "{fits}");
        complete.mismatch = Some("it is no JSON".to_owned());
        let response = response(&[text, complete.into()]);
        assert_eq!(response["unbroken"], json!({"mismatch": "it is no JSON"}));
        assert_eq!(response["status"], "completed");
    }
}
