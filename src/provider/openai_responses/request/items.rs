use serde_json::{Map, Value, json};

use super::media;
use crate::{
    chat::{Media, Message, Part, ProviderError, ProviderState, Role, ToolCall},
    provider::{
        http::object,
        openai_responses::{config::ResponsesConfig, position::PROVIDER},
    },
};

/// Encodes a message as items.
///
/// # Errors
///
/// If the server has no form for a part.
pub(super) fn add(
    config: &ResponsesConfig,
    message: &Message,
    input: &mut Vec<Value>,
) -> Result<(), ProviderError> {
    match message.role {
        Role::Assistant => return of_the_model(config, message, input),
        Role::Tool => {
            let output = content(config, message)?;
            let id = message.tool_call_id.as_deref().unwrap_or_default();
            input.push(json!({"type": "function_call_output", "call_id": id, "output": output}));
        }
        _ => {
            let content = content(config, message)?;
            input.push(json!({"role": message.role.as_str(), "content": content}));
        }
    }
    Ok(())
}

/// Encodes content: text as a string, and media in a list with it.
fn content(config: &ResponsesConfig, message: &Message) -> Result<Value, ProviderError> {
    let mut parts = Vec::new();
    let mut has_media = false;
    for part in message.content.parts() {
        match part {
            Part::Text { text } => parts.push(json!({"type": "input_text", "text": text})),
            Part::Media(media) => {
                if let Some(part) = media::part(config, media, message.role)? {
                    has_media = true;
                    parts.push(part);
                }
            }
            Part::Reasoning(_) => {}
        }
    }
    Ok(if has_media {
        Value::Array(parts)
    } else {
        message.text().into()
    })
}

/// Encodes a turn of the model, in the order in which its items came.
fn of_the_model(
    config: &ResponsesConfig,
    message: &Message,
    input: &mut Vec<Value>,
) -> Result<(), ProviderError> {
    let begin = input.len();
    let mut picture = None;
    for part in message.content.parts() {
        match part {
            Part::Text { text } => {
                refuse_alone(config, picture.take())?;
                input.push(said(text));
            }
            Part::Media(media) => {
                refuse_alone(config, picture.replace(media))?;
            }
            Part::Reasoning(reasoning) => {
                add_state(reasoning.provider_state.as_ref(), &mut picture, input);
            }
        }
    }
    for call in &message.tool_calls {
        add_state(call.provider_state.as_ref(), &mut picture, input);
        input.push(self::call(call));
    }
    refuse_alone(config, picture)?;
    // Reasoning of which nothing came is refused.
    while input.len() > begin && input.last().is_some_and(|item| is(item, "reasoning")) {
        input.pop();
    }
    Ok(())
}

fn said(text: &str) -> Value {
    json!({"role": "assistant", "content": [{"type": "output_text", "text": text}]})
}

/// Adds the items that the server is handed back. A picture goes with its item.
fn add_state(state: Option<&ProviderState>, picture: &mut Option<&Media>, input: &mut Vec<Value>) {
    for mut item in kept(state) {
        if is(&item, "message") {
            let phase = item["phase"].take();
            if let Some(said) = input.last_mut().filter(|it| it["role"] == "assistant") {
                said["phase"] = phase;
            }
            continue;
        }
        if is(&item, "image_generation_call") {
            let Some(base64) = picture.take().and_then(Media::base64) else {
                continue;
            };
            item["result"] = base64.into();
        }
        input.push(item);
    }
}

/// Returns the items in a state of this provider. Clients hand states back: an item that speaks for anyone but the model
/// and its server's own tools, or refers to something else that the server keeps, is left out.
fn kept(state: Option<&ProviderState>) -> Vec<Value> {
    let items = state.and_then(|state| state.of(PROVIDER)?.get("items")?.as_array());
    let items = items.into_iter().flatten();
    items
        .filter(|item| is_of_the_model(item))
        .cloned()
        .collect()
}

fn is_of_the_model(item: &Value) -> bool {
    let class = item.get("type").and_then(Value::as_str).unwrap_or_default();
    let is_known = match class {
        // Outputs only of what the server runs itself, without which it refuses their calls.
        "reasoning" | "message" | "compaction" | "mcp_list_tools" | "shell_call_output" => true,
        "function_call" | "custom_tool_call" => false,
        "tool_search_output" => item.get("execution").and_then(Value::as_str) == Some("server"),
        other => other.ends_with("_call"),
    };
    is_known && item.get("role").is_none()
}

fn is(item: &Value, class: &str) -> bool {
    item.get("type").and_then(Value::as_str) == Some(class)
}

/// Refuses a medium of the model without the item that it came with.
fn refuse_alone(config: &ResponsesConfig, media: Option<&Media>) -> Result<(), ProviderError> {
    let why = "of the model's own, pictures can be sent, with the state that came with them";
    match media {
        Some(media) => config.unsupported.media(media, Role::Assistant, why),
        None => Ok(()),
    }
}

fn call(call: &ToolCall) -> Value {
    let mut out = Map::new();
    out.insert("type".into(), "function_call".into());
    out.insert("call_id".into(), call.id.as_str().into());
    out.insert("name".into(), call.name.as_str().into());
    let arguments = object(&call.arguments).to_string();
    out.insert("arguments".into(), arguments.into());
    Value::Object(out)
}
