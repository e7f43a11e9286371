//! The body of a Chat Completions request.

use serde_json::{Map, Value, json};

use super::config::OpenAiConfig;
use crate::{
    chat::{ChatRequest, Message, ToolCall},
    provider::http::{functions, object},
};

pub(super) fn body(config: &OpenAiConfig, request: &ChatRequest) -> Vec<u8> {
    let mut body = config.fields.clone();
    let model = request.model.as_ref().unwrap_or(&config.model);
    body.insert("model".into(), model.as_str().into());
    body.insert("stream".into(), true.into());
    if config.usage {
        body.insert("stream_options".into(), json!({"include_usage": true}));
    }
    let system = request
        .system_prompt
        .iter()
        .map(|prompt| json!({"role": "system", "content": prompt}));
    let messages = system.chain(request.messages.iter().map(message)).collect();
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

fn message(message: &Message) -> Value {
    let mut out = Map::new();
    out.insert("role".into(), message.role.as_str().into());
    // Some servers refuse an empty text with tool calls.
    let content = Some(message.content.as_str())
        .filter(|content| !content.is_empty() || message.tool_calls.is_empty());
    out.insert("content".into(), content.into());
    if !message.tool_calls.is_empty() {
        let calls = message.tool_calls.iter().map(call).collect();
        out.insert("tool_calls".into(), Value::Array(calls));
    }
    if let Some(id) = &message.tool_call_id {
        out.insert("tool_call_id".into(), id.as_str().into());
    }
    Value::Object(out)
}

fn call(call: &ToolCall) -> Value {
    let arguments = object(&call.arguments).to_string();
    json!({
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    })
}
