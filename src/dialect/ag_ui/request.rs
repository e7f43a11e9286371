use bytes::Bytes;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

use crate::{
    chat::{ChatRequest, IsomorphicTool, Message, Role, ToolCall},
    dialect::{Problem, Refusal, body},
};

/// AG-UI's `RunAgentInput`. Fields that the library doesn't know are in `extra`, for the application to
/// open.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunAgentInput {
    pub(super) thread_id: Option<String>,
    pub(super) run_id: Option<String>,
    messages: Vec<WireMessage>,
    #[serde(default, deserialize_with = "body::null_is_default")]
    tools: Vec<WireTool>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMessage {
    role: WireRole,
    #[serde(default)]
    content: Option<WireContent>,
    #[serde(default, deserialize_with = "body::null_is_default")]
    tool_calls: Vec<WireToolCall>,
    tool_call_id: Option<String>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WireRole {
    User,
    Assistant,
    Tool,
    System,
    Developer,
    Reasoning,
    Activity,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum WireContent {
    Text(String),
    Parts(Vec<WirePart>),
    Other(IgnoredAny),
}

#[derive(Debug, Deserialize)]
struct WirePart {
    r#type: String,
    text: Option<String>,
}

#[derive(Debug, Deserialize)]
struct WireToolCall {
    id: String,
    function: WireFunction,
}

#[derive(Debug, Deserialize)]
struct WireFunction {
    name: String,
    #[serde(default)]
    arguments: String,
}

#[derive(Debug, Deserialize)]
struct WireTool {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Value,
}

impl RunAgentInput {
    pub(super) fn read(bytes: &Bytes) -> Result<Self, Refusal> {
        body::read(bytes, "AG-UI's RunAgentInput", EXAMPLE)
    }

    /// Returns the request to the provider.
    pub(super) fn into_request(self) -> Result<ChatRequest, Refusal> {
        let messages = self
            .messages
            .into_iter()
            .filter_map(|message| message.into_message().transpose())
            .collect::<Result<Vec<_>, _>>()?;
        if messages.is_empty() {
            return Err(wrong("there is no message to answer"));
        }
        let mut request = ChatRequest::new(messages);
        request.chat_id = self.thread_id.map(Into::into);
        request.isomorphic_tools = self.tools.into_iter().map(WireTool::into_tool).collect();
        request.extra = self.extra;
        Ok(request)
    }
}

const EXAMPLE: &str =
    r#"{"threadId":"…","runId":"…","messages":[{"id":"1","role":"user","content":"Hi"}]}"#;

impl WireMessage {
    /// Returns the message, or `None` if it is empty or not for the model.
    fn into_message(self) -> Result<Option<Message>, Refusal> {
        let role = match self.role {
            WireRole::User => Role::User,
            WireRole::Assistant => Role::Assistant,
            WireRole::Tool => Role::Tool,
            WireRole::System | WireRole::Developer => Role::System,
            WireRole::Reasoning | WireRole::Activity => return Ok(None),
        };
        let mut text = self
            .content
            .map(WireContent::into_text)
            .transpose()?
            .unwrap_or_default();
        if let (Role::Tool, true, Some(error)) = (role, text.is_empty(), self.error) {
            text = error;
        }
        let calls = self.tool_calls.into_iter().map(WireToolCall::into_call);
        let mut message = Message::new(role, text).tool_calls(calls);
        match role {
            Role::Tool if self.tool_call_id.is_none() => {
                return Err(wrong("a message of the role `tool` has no `toolCallId`"));
            }
            Role::Tool => message.tool_call_id = self.tool_call_id,
            Role::Assistant if message.content.is_empty() && message.tool_calls.is_empty() => {
                return Ok(None);
            }
            _ => {}
        }
        Ok(Some(message))
    }
}

impl WireContent {
    fn into_text(self) -> Result<String, Refusal> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Parts(parts) => parts.into_iter().map(WirePart::into_text).collect(),
            Self::Other(_) => Err(wrong(
                "the content of a message is a string or a list of parts",
            )),
        }
    }
}

impl WirePart {
    fn into_text(self) -> Result<String, Refusal> {
        match self.text {
            Some(text) if self.r#type == "text" => Ok(text),
            _ => Err(wrong(&format!(
                "parts of the type `{}` can't be given to the model here; send text",
                self.r#type.escape_debug()
            ))),
        }
    }
}

impl WireToolCall {
    fn into_call(self) -> ToolCall {
        ToolCall::from_text(self.id, self.function.name, &self.function.arguments)
    }
}

impl WireTool {
    fn into_tool(self) -> IsomorphicTool {
        IsomorphicTool::new(self.name, self.description, self.parameters)
    }
}

fn wrong(why: &str) -> Refusal {
    Refusal::new(Problem::WrongShape, format!("{why}; send {EXAMPLE}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(value: &Value) -> Result<ChatRequest, Refusal> {
        RunAgentInput::read(&value.to_string().into())?.into_request()
    }

    #[test]
    fn a_conversation_with_tools_becomes_messages() {
        let asked = request(&json!({
            "threadId": "t", "runId": "r", "state": {}, "context": [], "forwardedProps": {"a": 1},
            "messages": [
                {"id": "1", "role": "user", "content": [{"type": "text", "text": "Wh"}, {"type": "text", "text": "en?"}]},
                {"id": "2", "role": "reasoning", "content": "Hm"},
                {"id": "3", "role": "assistant", "toolCalls": [
                    {"id": "c", "type": "function", "function": {"name": "now", "arguments": "{\"zone\":\"UTC\"}"}},
                ]},
                {"id": "4", "role": "tool", "toolCallId": "c", "content": "", "error": "no clock"},
                {"id": "5", "role": "assistant", "content": null, "toolCalls": null},
                {"id": "6", "role": "user", "content": "Try again"},
            ],
            "tools": [{"name": "map", "description": "Shows a map", "parameters": {"type": "object"}}],
        }))
        .unwrap();
        let call = ToolCall::new("c", "now", json!({"zone": "UTC"}));
        assert_eq!(
            asked.messages,
            [
                Message::user("When?"),
                Message::assistant("").tool_calls([call]),
                Message::tool("c", "no clock"),
                Message::user("Try again"),
            ]
        );
        assert_eq!(asked.chat_id, Some("t".into()));
        assert_eq!(asked.isomorphic_tools[0].name, "map");
        // These are dropped unless the application opens them.
        let extra: Vec<_> = asked.extra.keys().map(String::as_str).collect();
        assert_eq!(extra, ["context", "forwardedProps", "state"]);
    }

    #[test]
    fn content_that_the_model_can_not_get_is_refused() {
        let image = json!({"type": "image", "source": {"type": "url", "value": "https://a/b.png"}});
        for messages in [
            json!([]),
            json!([{"role": "reasoning", "content": "Hm"}]),
            json!([{"role": "user", "content": [image]}]),
            json!([{"role": "user", "content": 7}]),
            json!([{"role": "wizard", "content": "Hi"}]),
            json!([{"role": "tool", "content": "noon"}]),
        ] {
            let refusal = request(&json!({"messages": messages})).unwrap_err();
            assert_eq!(refusal.problem, Problem::WrongShape, "{messages}");
        }
        let not_json = RunAgentInput::read(&Bytes::from_static(b"{")).unwrap_err();
        assert_eq!(not_json.problem, Problem::NotJson);
    }
}
