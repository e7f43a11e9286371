//! The body of a request to `/api/chat`.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::config::OllamaConfig;
use crate::{
    chat::{ChatRequest, Message, ToolCall},
    provider::http::{functions, object},
};

pub(super) fn body(config: &OllamaConfig, request: &ChatRequest) -> Vec<u8> {
    let mut body = config.fields.clone();
    let model = request.model.as_ref().unwrap_or(&config.model);
    body.insert("model".into(), model.as_str().into());
    body.insert("stream".into(), true.into());
    if !config.options.is_empty() {
        body.insert("options".into(), Value::Object(config.options.clone()));
    }
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
        messages.push(self::message(message, &names));
    }
    body.insert("messages".into(), Value::Array(messages));
    let tools = functions(request);
    if !tools.is_empty() {
        match body.entry("tools").or_insert_with(|| json!([])) {
            Value::Array(own) => own.extend(tools),
            other => *other = tools.into(),
        }
    }
    serde_json::to_vec(&body).expect("a JSON value can be written")
}

fn message(message: &Message, names: &HashMap<&str, &str>) -> Value {
    let mut out = Map::new();
    out.insert("role".into(), message.role.as_str().into());
    out.insert("content".into(), message.content.as_str().into());
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
    Value::Object(out)
}

fn call(call: &ToolCall) -> Value {
    json!({
        "id": call.id,
        "function": {"name": call.name, "arguments": object(&call.arguments)},
    })
}
