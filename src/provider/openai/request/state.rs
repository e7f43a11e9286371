//! Reasoning and provider state, handed back in the forms of the vendors.

use serde_json::{Map, Value};

use crate::{
    chat::{Message, ProviderState},
    provider::openai::{
        ReasoningHistory,
        config::OpenAiConfig,
        state::{EXTRA_CONTENT, PROVIDER, REASONING_DETAILS},
    },
};

/// Adds the model's reasoning, and what the server must be handed back with it.
pub(super) fn add(config: &OpenAiConfig, message: &Message, out: &mut Map<String, Value>) {
    let has_calls = !message.tool_calls.is_empty();
    let reasoning = message.content.all_reasoning();
    let text: String = reasoning.map(|it| it.text.as_str()).collect();
    let is_sent = match config.reasoning_history {
        ReasoningHistory::LeaveOut => false,
        // DeepSeek wants the field with every call, if only empty.
        ReasoningHistory::WithCalls => has_calls,
        ReasoningHistory::All => has_calls || !text.is_empty(),
    };
    if is_sent {
        out.insert(config.reasoning_field.clone(), text.into());
    }
    let mut details = Vec::new();
    for reasoning in message.content.all_reasoning() {
        let state = reasoning.provider_state.as_ref();
        let Some(Value::Object(data)) = state.and_then(|state| state.of(PROVIDER)) else {
            continue;
        };
        if let Some(Value::Array(own)) = data.get(REASONING_DETAILS) {
            details.extend_from_slice(own);
        }
        if let Some(extra) = data.get(EXTRA_CONTENT) {
            out.insert(EXTRA_CONTENT.into(), extra.clone());
        }
    }
    if !details.is_empty() {
        out.insert(REASONING_DETAILS.into(), details.into());
    }
}

/// Returns what the server must be handed back with a call.
pub(super) fn extra_content(state: Option<&ProviderState>) -> Option<&Value> {
    state?.of(PROVIDER)?.get(EXTRA_CONTENT)
}
