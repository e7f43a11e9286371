//! The data that a Chat Completions server sends, with the fields that are used.
//!
//! Servers leave fields out, or send them as `null`; both have the same meaning here.

use serde::Deserialize;
use serde_json::Value;

use crate::chat::Usage;

#[derive(Debug, Deserialize)]
pub(super) struct CompletionChunk {
    pub(super) choices: Option<Vec<Choice>>,
    pub(super) usage: Option<TokenCounts>,
    pub(super) error: Option<Value>,
    // Some servers send the error itself, as an object of this kind.
    pub(super) object: Option<String>,
    pub(super) code: Option<Value>,
    #[serde(rename = "type")]
    pub(super) kind: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    pub(super) index: Option<u32>,
    pub(super) delta: Option<Delta>,
    pub(super) finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Delta {
    pub(super) content: Option<String>,
    pub(super) refusal: Option<String>,
    pub(super) reasoning_content: Option<String>,
    pub(super) reasoning: Option<String>,
    pub(super) tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CallDelta {
    pub(super) index: Option<i64>,
    pub(super) id: Option<String>,
    pub(super) function: Option<FunctionDelta>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct FunctionDelta {
    pub(super) name: Option<String>,
    pub(super) arguments: Option<Arguments>,
}

/// A piece of the arguments' text; or, against the protocol, the whole arguments as a JSON value.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Arguments {
    Text(String),
    Value(Value),
}

#[derive(Debug, Deserialize)]
pub(super) struct TokenCounts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Debug, Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

impl From<TokenCounts> for Usage {
    fn from(counts: TokenCounts) -> Self {
        let mut usage = Self::new(
            counts.prompt_tokens.unwrap_or(0),
            counts.completion_tokens.unwrap_or(0),
        );
        usage.cached_input_tokens = counts
            .prompt_tokens_details
            .and_then(|details| details.cached_tokens);
        usage.reasoning_tokens = counts
            .completion_tokens_details
            .and_then(|details| details.reasoning_tokens);
        usage
    }
}
