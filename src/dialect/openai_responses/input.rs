use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use crate::{
    chat::{Message, Role, ToolCall},
    dialect::{Problem, Refusal},
};

/// The `input` of a request: a text, or the items of a conversation.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum ResponseInput {
    Text(String),
    Items(Vec<Value>),
    Other(IgnoredAny),
}

/// An item of a conversation, including the items of a response's `output`.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum InputItem {
    Message {
        role: InputRole,
        content: InputContent,
    },
    FunctionCall {
        call_id: String,
        name: String,
        #[serde(default)]
        arguments: String,
    },
    FunctionCallOutput {
        call_id: String,
        output: InputContent,
    },
    McpCall {
        id: String,
        name: String,
        #[serde(default)]
        arguments: String,
        #[serde(default)]
        output: Option<String>,
        #[serde(default)]
        error: Option<Value>,
    },
    Reasoning {},
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum InputRole {
    User,
    Assistant,
    System,
    Developer,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum InputContent {
    Text(String),
    Parts(Vec<ContentPart>),
}

#[derive(Debug, Deserialize)]
struct ContentPart {
    r#type: String,
    text: Option<String>,
    refusal: Option<String>,
}

impl ResponseInput {
    pub(super) fn into_messages(self) -> Result<Vec<Message>, Refusal> {
        let items = match self {
            Self::Text(text) => return Ok(vec![Message::user(text)]),
            Self::Items(items) => items,
            Self::Other(_) => return Err(wrong("`input` is a text or a list of items")),
        };
        let mut messages = Vec::with_capacity(items.len());
        for (at, item) in items.into_iter().enumerate() {
            add(&mut messages, read(item, at)?)
                .map_err(|why| wrong(&format!("`input[{at}]`: {why}")))?;
        }
        Ok(messages)
    }
}

/// Reads an item. A message needs no `type`.
fn read(mut item: Value, at: usize) -> Result<InputItem, Refusal> {
    if let Value::Object(fields) = &mut item
        && fields.contains_key("role")
        && !fields.contains_key("type")
    {
        fields.insert("type".to_owned(), Value::from("message"));
    }
    InputItem::deserialize(item)
        .map_err(|error| wrong(&format!("`input[{at}]` is not an item: {error}")))
}

fn add(messages: &mut Vec<Message>, item: InputItem) -> Result<(), String> {
    match item {
        InputItem::Message { role, content } => {
            let role = match role {
                InputRole::User => Role::User,
                InputRole::Assistant => Role::Assistant,
                InputRole::System | InputRole::Developer => Role::System,
            };
            messages.push(Message::new(role, content.into_text()?));
        }
        InputItem::FunctionCall {
            call_id,
            name,
            arguments,
        } => call(messages, ToolCall::from_text(call_id, name, &arguments)),
        InputItem::FunctionCallOutput { call_id, output } => {
            messages.push(Message::tool(call_id, output.into_text()?));
        }
        InputItem::McpCall {
            id,
            name,
            arguments,
            output,
            error,
        } => {
            call(messages, ToolCall::from_text(&*id, name, &arguments));
            let output = match (output, error) {
                (Some(output), _) => output,
                (None, Some(Value::String(error))) => error,
                (None, error) => error.unwrap_or_default().to_string(),
            };
            messages.push(Message::tool(id, output));
        }
        // Models don't get their earlier thinking.
        InputItem::Reasoning {} => {}
        InputItem::Unknown => {
            return Err("items of this type can't be given to the model here".to_owned());
        }
    }
    Ok(())
}

/// Adds a call to the message of the assistant before it, or to a new one.
fn call(messages: &mut Vec<Message>, call: ToolCall) {
    match messages.last_mut() {
        Some(last) if last.role == Role::Assistant => last.tool_calls.push(call),
        _ => messages.push(Message::assistant("").tool_calls([call])),
    }
}

impl InputContent {
    fn into_text(self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Parts(parts) => parts.into_iter().map(ContentPart::into_text).collect(),
        }
    }
}

impl ContentPart {
    fn into_text(self) -> Result<String, String> {
        match self.text.or(self.refusal) {
            Some(text) => Ok(text),
            None => Err(format!(
                "parts of the type `{}` can't be given to the model here; send text",
                self.r#type.escape_debug()
            )),
        }
    }
}

pub(super) fn wrong(why: &str) -> Refusal {
    Refusal::new(Problem::WrongShape, why.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn messages(input: Value) -> Result<Vec<Message>, Refusal> {
        ResponseInput::deserialize(input).unwrap().into_messages()
    }

    #[test]
    fn a_text_is_a_message_of_the_user() {
        assert_eq!(messages(json!("Hi")).unwrap(), [Message::user("Hi")]);
    }

    #[test]
    fn the_items_of_a_response_can_be_sent_back() {
        let text = |text: &str| json!([{"type": "output_text", "text": text, "annotations": []}]);
        let read = messages(json!([
            {"role": "user", "content": [{"type": "input_text", "text": "When?"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "content": []},
            {"type": "message", "id": "msg_1", "role": "assistant", "content": text("Let me see.")},
            {"type": "mcp_call", "id": "mcp_1", "server_label": "server", "name": "now",
             "arguments": "{}", "output": "noon", "error": null},
            {"type": "function_call", "id": "fc_1", "call_id": "b", "name": "map", "arguments": "{\"zoom\":3}"},
            {"type": "function_call", "id": "fc_2", "call_id": "c", "name": "map", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "b", "output": "shown"},
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "shown too"}]},
            {"role": "developer", "content": "Be brief."},
        ]))
        .unwrap();
        let now = ToolCall::new("mcp_1", "now", json!({}));
        let map = |id: &str, arguments| ToolCall::new(id, "map", arguments);
        assert_eq!(
            read,
            [
                Message::user("When?"),
                Message::assistant("Let me see.").tool_calls([now]),
                Message::tool("mcp_1", "noon"),
                Message::assistant("")
                    .tool_calls([map("b", json!({"zoom": 3})), map("c", json!({}))]),
                Message::tool("b", "shown"),
                Message::tool("c", "shown too"),
                Message::system("Be brief."),
            ]
        );
    }

    #[test]
    fn an_item_that_the_model_can_not_get_is_refused_with_its_index() {
        for (bad, index) in [
            (
                json!([{"role": "user", "content": "Hi"}, {"type": "web_search_call"}]),
                "[1]",
            ),
            (
                json!([{"role": "user", "content": [{"type": "input_image"}]}]),
                "[0]",
            ),
            (json!([{"role": "wizard", "content": "Hi"}]), "[0]"),
            (json!([7]), "[0]"),
            (json!({"role": "user"}), "input"),
        ] {
            let refusal = messages(bad).unwrap_err();
            assert_eq!(refusal.problem, Problem::WrongShape);
            assert!(refusal.detail.contains(index), "{}", refusal.detail);
        }
    }
}
