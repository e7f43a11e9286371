//! The body of a request to the Responses API.

mod items;
mod media;
mod options;

use serde_json::{Map, Value, json};

use super::config::ResponsesConfig;
use crate::chat::{ChatRequest, ProviderError, ToolDefinition};

/// Encrypted reasoning, without which a server that keeps nothing can't go on from it.
pub(super) const ENCRYPTED: &str = "reasoning.encrypted_content";

/// Encodes a request.
///
/// # Errors
///
/// If the server has no form for a part or an option.
pub(super) fn body(
    config: &ResponsesConfig,
    request: &ChatRequest,
) -> Result<Vec<u8>, ProviderError> {
    let mut body = config.fields.clone();
    options::add_provider_fields(config, request, &mut body)?;
    let model = request.model.as_ref().unwrap_or(&config.model);
    body.insert("model".into(), model.as_str().into());
    body.insert("stream".into(), true.into());
    body.insert("store".into(), config.store.into());
    if config.background {
        body.insert("background".into(), true.into());
    }
    if config.encrypted_reasoning {
        match body.entry("include").or_insert_with(|| json!([])) {
            Value::Array(own) if own.iter().any(|it| it == ENCRYPTED) => {}
            Value::Array(own) => own.push(ENCRYPTED.into()),
            other => *other = json!([ENCRYPTED]),
        }
    }
    if let Some(prompt) = &request.system_prompt {
        body.insert("instructions".into(), prompt.as_str().into());
    }
    let mut input = Vec::with_capacity(request.messages.len());
    for message in &request.messages {
        items::add(config, message, &mut input)?;
    }
    body.insert("input".into(), Value::Array(input));
    let tools: Vec<_> = request.tool_definitions().into_iter().map(tool).collect();
    if !tools.is_empty() {
        match body.entry("tools").or_insert_with(|| json!([])) {
            Value::Array(own) => own.extend(tools),
            other => *other = tools.into(),
        }
    }
    options::add(config, &request.options, &mut body)?;
    Ok(serde_json::to_vec(&body).expect("a JSON value can be written"))
}

fn tool(tool: ToolDefinition) -> Value {
    let mut out = Map::new();
    out.insert("type".into(), "function".into());
    out.insert("name".into(), tool.name.into());
    if !tool.description.is_empty() {
        out.insert("description".into(), tool.description.into());
    }
    let parameters = match tool.parameters {
        Value::Null => json!({"type": "object", "properties": {}}),
        parameters => parameters,
    };
    out.insert("parameters".into(), parameters);
    // The default of this API is true, which changes what a schema means.
    out.insert("strict".into(), false.into());
    Value::Object(out)
}

#[cfg(test)]
mod tests;
