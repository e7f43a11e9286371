//! The lines that Ollama sends, with the fields that are used.

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
pub(super) struct OllamaLine {
    pub(super) message: Option<OllamaMessage>,
    pub(super) done: Option<bool>,
    pub(super) done_reason: Option<String>,
    pub(super) prompt_eval_count: Option<u64>,
    pub(super) eval_count: Option<u64>,
    pub(super) error: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct OllamaMessage {
    pub(super) content: Option<String>,
    pub(super) thinking: Option<String>,
    pub(super) tool_calls: Option<Vec<OllamaCall>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct OllamaCall {
    pub(super) id: Option<String>,
    pub(super) function: OllamaFunction,
}

#[derive(Debug, Deserialize)]
pub(super) struct OllamaFunction {
    pub(super) name: Option<String>,
    pub(super) arguments: Option<Value>,
}
