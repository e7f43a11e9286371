//! The body of a Chat Completions request.

mod media;
mod options;
mod state;

use serde_json::{Map, Value, json};

use super::config::OpenAiConfig;
use crate::{
    chat::{ChatRequest, Message, Part, ProviderError, Role, ToolCall},
    provider::http::{functions, object},
};

/// Encodes a request.
///
/// # Errors
///
/// If the server has no form for a part or an option.
pub(super) fn body(config: &OpenAiConfig, request: &ChatRequest) -> Result<Vec<u8>, ProviderError> {
    let mut body = config.fields.clone();
    options::add_provider_fields(config, request, &mut body)?;
    let model = request.model.as_ref().unwrap_or(&config.model);
    body.insert("model".into(), model.as_str().into());
    body.insert("stream".into(), true.into());
    if config.usage {
        body.insert("stream_options".into(), json!({"include_usage": true}));
    }
    let mut messages = Vec::with_capacity(request.messages.len() + 1);
    if let Some(prompt) = &request.system_prompt {
        messages.push(json!({"role": "system", "content": prompt}));
    }
    for message in &request.messages {
        messages.push(self::message(config, message)?);
    }
    body.insert("messages".into(), Value::Array(messages));
    if request.continues_turn() {
        body.insert("continue_final_message".into(), true.into());
        body.insert("add_generation_prompt".into(), false.into());
    }
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

/// Returns the format of the sound that a request asks for.
pub(super) fn sound_format(config: &OpenAiConfig, request: &ChatRequest) -> Option<String> {
    let of_request = request.options.provider_fields.get("audio");
    let audio = of_request.or_else(|| config.fields.get("audio"))?;
    audio.get("format")?.as_str().map(str::to_owned)
}

fn message(config: &OpenAiConfig, message: &Message) -> Result<Value, ProviderError> {
    let mut out = Map::new();
    out.insert("role".into(), message.role.as_str().into());
    out.insert("content".into(), content(config, message)?);
    if message.role == Role::Assistant {
        state::add(config, message, &mut out);
        let pictures = media::made_pictures(message);
        if !pictures.is_empty() {
            out.insert("images".into(), Value::Array(pictures));
        }
    }
    if !message.tool_calls.is_empty() {
        let calls = message.tool_calls.iter().map(call).collect();
        out.insert("tool_calls".into(), Value::Array(calls));
    }
    if let Some(id) = &message.tool_call_id {
        out.insert("tool_call_id".into(), id.as_str().into());
    }
    Ok(Value::Object(out))
}

/// Encodes the content: text as a string, which all servers read, and media in a list with it.
fn content(config: &OpenAiConfig, message: &Message) -> Result<Value, ProviderError> {
    let mut parts = Vec::new();
    let mut has_media = false;
    for part in message.content.parts() {
        match part {
            Part::Text { text } => parts.push(json!({"type": "text", "text": text})),
            Part::Media(media) if media::is_made(media, message) => {}
            Part::Media(media) => {
                if let Some(part) = media::part(config, media, message.role)? {
                    has_media = true;
                    parts.push(part);
                }
            }
            Part::Reasoning(_) => {}
        }
    }
    if has_media {
        return Ok(Value::Array(parts));
    }
    // Some servers refuse an empty text with tool calls.
    let text =
        Some(message.text()).filter(|text| !text.is_empty() || message.tool_calls.is_empty());
    Ok(text.map_or(Value::Null, Value::from))
}

fn call(call: &ToolCall) -> Value {
    let arguments = object(&call.arguments).to_string();
    let mut out = json!({
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    });
    if let Some(extra) = state::extra_content(call.provider_state.as_ref()) {
        out["extra_content"] = extra.clone();
    }
    out
}

#[cfg(test)]
mod tests;
