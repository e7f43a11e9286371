//! Chat Completions, as far as the transport knows it.

use serde_json::{Map, Value, json};

use crate::provider::http::Protocol;

pub(super) static CHAT_COMPLETIONS: Protocol = Protocol {
    path: &["chat", "completions"],
    accept: "text/event-stream",
    as_stream,
    is_line: |_| false,
};

// Servers that can't stream, or not with tools, send the whole completion.
fn as_stream(whole: &Value) -> Option<Vec<u8>> {
    let choices = whole.get("choices")?.as_array()?;
    choices.first()?.get("message")?.as_object()?;
    let mut chunk = whole.clone();
    let choices = choices.iter().map(chunk_choice).collect();
    chunk["choices"] = Value::Array(choices);
    Some(format!("data: {chunk}\n\ndata: [DONE]\n\n").into_bytes())
}

fn chunk_choice(choice: &Value) -> Value {
    let mut choice = choice.clone();
    if let Some(choice) = choice.as_object_mut()
        && let Some(mut message) = choice.remove("message")
    {
        if let Some(message) = message.as_object_mut() {
            let calls = calls(message);
            if !calls.is_empty() {
                message.insert("tool_calls".into(), Value::Array(calls));
            }
        }
        choice.insert("message".into(), message);
    }
    choice
}

// Calls of a whole message have no index, and the call of the oldest protocol has a field of its own.
fn calls(message: &mut Map<String, Value>) -> Vec<Value> {
    let function = message.remove("function_call").filter(Value::is_object);
    let mut calls = match message.remove("tool_calls") {
        Some(Value::Array(calls)) => calls,
        _ => Vec::new(),
    };
    if calls.is_empty() {
        calls.extend(function.map(|function| json!({"type": "function", "function": function})));
    }
    for (index, call) in calls.iter_mut().enumerate() {
        if let Some(call) = call.as_object_mut() {
            call.insert("index".into(), index.into());
        }
    }
    calls
}
