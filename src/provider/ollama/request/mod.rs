//! The body of a request to `/api/chat`.

mod media;
mod options;

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::config::OllamaConfig;
use crate::{
    chat::{ChatRequest, Message, ProviderError, Role, ToolCall},
    provider::http::{functions, object},
};

/// Encodes a request.
///
/// # Errors
///
/// If the server has no form for a part or an option.
pub(super) fn body(config: &OllamaConfig, request: &ChatRequest) -> Result<Vec<u8>, ProviderError> {
    let mut body = config.fields.clone();
    options::add_provider_fields(config, &request.options, &mut body)?;
    let model = request.model.as_ref().unwrap_or(&config.model);
    body.insert("model".into(), model.as_str().into());
    body.insert("stream".into(), true.into());
    let mut messages = Vec::with_capacity(request.messages.len() + 1);
    if let Some(prompt) = &request.system_prompt {
        messages.push(json!({"role": "system", "content": prompt}));
    }
    // Ollama identifies a tool's message by the tool's name.
    let mut names = HashMap::new();
    for message in &request.messages {
        for call in &message.tool_calls {
            names.insert(call.id.as_str(), call.name.as_str());
        }
        messages.push(self::message(config, message, &names)?);
    }
    body.insert("messages".into(), Value::Array(messages));
    let tools = functions(request);
    if !tools.is_empty() {
        match body.entry("tools").or_insert_with(|| json!([])) {
            Value::Array(own) => own.extend(tools),
            other => *other = tools.into(),
        }
    }
    options::add(config, &request.options, &mut body)?;
    Ok(serde_json::to_vec(&body).expect("a JSON value can be written"))
}

fn message(
    config: &OllamaConfig,
    message: &Message,
    names: &HashMap<&str, &str>,
) -> Result<Value, ProviderError> {
    let mut out = Map::new();
    out.insert("role".into(), message.role.as_str().into());
    out.insert("content".into(), message.text().into());
    let images = media::images(config, message)?;
    if !images.is_empty() {
        out.insert("images".into(), images.into());
    }
    if message.role == Role::Assistant {
        // The templates decide which of it the model sees again.
        let reasoning = message.content.all_reasoning();
        let thinking: String = reasoning.map(|it| it.text.as_str()).collect();
        if !thinking.is_empty() {
            out.insert("thinking".into(), thinking.into());
        }
    }
    if !message.tool_calls.is_empty() {
        let calls = message.tool_calls.iter().map(call).collect();
        out.insert("tool_calls".into(), Value::Array(calls));
    }
    if let Some(id) = &message.tool_call_id {
        out.insert("tool_call_id".into(), id.as_str().into());
        if let Some(name) = names.get(id.as_str()) {
            out.insert("tool_name".into(), (*name).into());
        }
    }
    Ok(Value::Object(out))
}

fn call(call: &ToolCall) -> Value {
    json!({
        "id": call.id,
        "function": {"name": call.name, "arguments": object(&call.arguments)},
    })
}

#[cfg(test)]
mod tests;
