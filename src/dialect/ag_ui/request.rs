use std::collections::HashSet;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{content::WireContent, options, tools::NEVER_CAME};

use crate::{
    chat::{
        ChatRequest, Content, IsomorphicTool, Message, ProviderState, Role, ToolCall,
        as_json::null_is_default, values_in_text,
    },
    dialect::{
        Element, Problem, Refusal, RequestLimits, body, names::chat_in_body, sealed::SealedState,
        unanswered_calls,
    },
};

/// AG-UI's `RunAgentInput`. Fields that the library doesn't know are in `extra`, for the application to
/// open.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunAgentInput {
    thread_id: Option<String>,
    pub(super) run_id: Option<String>,
    /// The run before this one, which handed over the calls that the messages at the end answer.
    pub(super) parent_run_id: Option<String>,
    messages: Vec<WireMessage>,
    #[serde(default, deserialize_with = "null_is_default")]
    tools: Vec<WireTool>,
    #[serde(flatten)]
    extra: Map<String, Value>,
    /// The JSON values of the body, and of the texts in it.
    #[serde(skip)]
    pub(super) values: usize,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMessage {
    role: WireRole,
    #[serde(default)]
    content: Option<WireContent>,
    #[serde(default, deserialize_with = "null_is_default")]
    tool_calls: Vec<WireToolCall>,
    tool_call_id: Option<String>,
    error: Option<String>,
    encrypted_value: Option<String>,
    #[serde(default)]
    metadata: Value,
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
#[serde(rename_all = "camelCase")]
struct WireToolCall {
    id: String,
    function: WireFunction,
    encrypted_value: Option<String>,
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

/// The names in a `RunAgentInput` that the access policy decides by.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunSubject {
    pub(super) thread_id: Option<String>,
    pub(super) run_id: Option<String>,
}

impl RunSubject {
    pub(super) fn read(bytes: &Bytes) -> Result<Self, Refusal> {
        body::read_subject(bytes, WHAT, EXAMPLE)
    }
}

impl RunAgentInput {
    pub(super) fn read(bytes: &Bytes, limits: &RequestLimits) -> Result<Self, Refusal> {
        let texts = |input: &Self| input.messages.iter().map(WireMessage::values).sum();
        let (input, values) = body::read(bytes, limits, WHAT, EXAMPLE, texts)?;
        Ok(Self { values, ..input })
    }

    /// Returns the request to the provider.
    pub(super) fn into_request(self, limits: &RequestLimits) -> Result<ChatRequest, Refusal> {
        limits.check(Element::Message, self.messages.len())?;
        limits.check(
            Element::Part,
            self.messages.iter().map(WireMessage::parts).sum(),
        )?;
        limits.check(Element::Tool, self.tools.len())?;
        let mut messages = Vec::with_capacity(self.messages.len());
        let never_came: HashSet<_> = self
            .messages
            .iter()
            .filter_map(WireMessage::never_came)
            .map(str::to_owned)
            .collect();
        let mut reasoning = Content::new();
        for (at, mut message) in self.messages.into_iter().enumerate() {
            if message.never_came().is_some() {
                continue;
            }
            message
                .tool_calls
                .retain(|call| !never_came.contains(&call.id));
            let message = message
                .into_message(&mut reasoning)
                .map_err(|why| wrong(&format!("`messages[{at}]`: {why}")))?;
            messages.extend(message);
        }
        unanswered_calls::leave_out(&mut messages);
        if messages.is_empty() {
            return Err(wrong("there is no message to answer"));
        }
        let mut request = ChatRequest::new(messages);
        request.chat_id = chat_in_body("threadId", self.thread_id)?;
        request.isomorphic_tools = self.tools.into_iter().map(WireTool::into_tool).collect();
        if let Some(Value::Object(props)) = self.extra.get("forwardedProps") {
            (request.model, request.options) = options::of_props(props)?;
        }
        request.extra = self.extra;
        Ok(request)
    }
}

const WHAT: &str = "AG-UI's RunAgentInput";
const EXAMPLE: &str =
    r#"{"threadId":"…","runId":"…","messages":[{"id":"1","role":"user","content":"Hi"}]}"#;

impl WireMessage {
    /// Returns the number of pieces of content and of calls.
    fn parts(&self) -> usize {
        let content = self.content.as_ref().map_or(0, WireContent::parts);
        content + self.tool_calls.len()
    }

    /// Returns the number of JSON values in the texts that are decoded as JSON.
    fn values(&self) -> usize {
        let calls = self.tool_calls.iter();
        let arguments = calls.clone().map(|call| &call.function.arguments);
        let sealed = calls.map(|call| &call.encrypted_value);
        let sealed = sealed.chain([&self.encrypted_value]).flatten();
        let sealed = sealed.map(|text| SealedState::values(text));
        arguments.map(values_in_text).chain(sealed).sum()
    }

    /// Returns the call that never came, if the message is the result which says so. The model isn't told of it.
    fn never_came(&self) -> Option<&str> {
        let is_marked = self.metadata["unbroken"]["incomplete"] == true;
        // TanStack's client keeps the texts alone.
        let is_told = || {
            let content =
                matches!(&self.content, Some(WireContent::Text(text)) if text == NEVER_CAME);
            content && self.error.as_deref() == Some(NEVER_CAME)
        };
        let of_call = self.tool_call_id.as_deref();
        of_call.filter(|_| matches!(self.role, WireRole::Tool) && (is_marked || is_told()))
    }

    /// Returns the message, or `None` if it is empty or not for the model. Reasoning waits for the message
    /// of the assistant that it belongs to.
    fn into_message(self, reasoning: &mut Content) -> Result<Option<Message>, String> {
        let role = match self.role {
            WireRole::User => Role::User,
            WireRole::Assistant => Role::Assistant,
            WireRole::Tool => Role::Tool,
            WireRole::System | WireRole::Developer => Role::System,
            WireRole::Activity => return Ok(None),
            WireRole::Reasoning => {
                if let Some(WireContent::Text(text)) = &self.content {
                    reasoning.push_reasoning(text);
                }
                if let Some(state) = state(self.encrypted_value)? {
                    reasoning.push_provider_state(state);
                }
                return Ok(None);
            }
        };
        let mut content = self
            .content
            .map(WireContent::into_content)
            .transpose()?
            .unwrap_or_default();
        if let (Role::Tool, Some(error)) = (role, self.error.filter(|error| !error.is_empty())) {
            content = failed(content, &error);
        }
        // Reasoning of an answer that was cut before it said anything is of no use.
        let thought = std::mem::take(reasoning);
        if role == Role::Assistant {
            let said = std::mem::take(&mut content);
            content = thought
                .parts()
                .iter()
                .chain(said.parts())
                .cloned()
                .collect();
            if let Some(state) = state(self.encrypted_value)? {
                content.push_provider_state(state);
            }
        }
        let calls = self.tool_calls.into_iter().map(WireToolCall::into_call);
        let mut message = Message::new(role, content);
        message.tool_calls = calls.collect::<Result<_, _>>()?;
        match role {
            Role::Tool if self.tool_call_id.is_none() => {
                return Err("a message of the role `tool` has no `toolCallId`".to_owned());
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

/// Reads an `encryptedValue`.
fn state(encrypted_value: Option<String>) -> Result<Option<ProviderState>, String> {
    let Some(text) = encrypted_value else {
        return Ok(None);
    };
    match SealedState::read(&text) {
        Some(sealed) => Ok(Some(sealed.state)),
        None => Err("`encryptedValue` is not of this server; leave it out".to_owned()),
    }
}

impl WireToolCall {
    fn into_call(self) -> Result<ToolCall, String> {
        let function = self.function;
        let mut call = ToolCall::from_text(self.id, function.name, &function.arguments);
        call.provider_state = state(self.encrypted_value)?;
        Ok(call)
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

/// Returns the result of a tool that failed. Clients repeat the error in the content, or have `null` there.
fn failed(mut content: Content, error: &str) -> Content {
    let said = format!("Error: {error}");
    let text = content.to_text();
    if content.is_empty() || text == "null" || text == error {
        return said.into();
    }
    content.push_text(&format!("\n\n{said}"));
    content
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        chat::{ChatOptions, Media, MediaDetail, Reasoning},
        log::ChatId,
    };

    const LIMITS: RequestLimits = RequestLimits::new();

    fn request(value: &Value) -> Result<ChatRequest, Refusal> {
        RunAgentInput::read(&value.to_string().into(), &LIMITS)?.into_request(&LIMITS)
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
                Message::user(Content::new().text("Wh").text("en?")),
                Message::assistant(Content::new().reasoning(Reasoning::new("Hm")))
                    .tool_calls([call]),
                Message::tool_failed("c", "no clock"),
                Message::user("Try again"),
            ]
        );
        assert_eq!(asked.chat_id, Some(ChatId::new("t")));
        assert_eq!(asked.isomorphic_tools[0].name, "map");
        // These are dropped unless the application opens them.
        let mut extra: Vec<_> = asked.extra.keys().map(String::as_str).collect();
        extra.sort_unstable();
        assert_eq!(extra, ["context", "forwardedProps", "state"]);
    }

    #[test]
    fn a_call_that_never_came_is_no_part_of_the_conversation() {
        let call = |id: &str| json!({"id": id, "function": {"name": "map", "arguments": "{\"zo"}});
        let of_ag_ui = json!({
            "role": "tool", "toolCallId": "a", "content": NEVER_CAME,
            "metadata": {"tanstack": {"state": "output-error"}, "unbroken": {"incomplete": true}},
        });
        let of_tanstack = json!({
            "role": "tool", "toolCallId": "a", "content": NEVER_CAME, "error": NEVER_CAME,
        });
        for result in [of_ag_ui, of_tanstack] {
            let asked = request(&json!({"messages": [
                {"role": "user", "content": "Where?"},
                {"role": "assistant", "content": "Look:", "toolCalls": [call("a"), call("b")]},
                result,
                {"role": "tool", "toolCallId": "b", "content": "a map"},
            ]}))
            .unwrap();
            let whole = ToolCall::from_text("b", "map", "{\"zo");
            let expected = [
                Message::user("Where?"),
                Message::assistant("Look:").tool_calls([whole]),
                Message::tool("b", "a map"),
            ];
            assert_eq!(asked.messages, expected);
        }
        // A tool may say the same.
        let said = json!({"role": "tool", "toolCallId": "a", "content": NEVER_CAME});
        let asked = json!({"messages": [{"role": "assistant", "toolCalls": [call("a")]}, said]});
        assert_eq!(request(&asked).unwrap().messages.len(), 2);
    }

    #[test]
    fn media_of_every_form_are_parts() {
        let source = |of: &str, value: &str, kind: Option<&str>| json!({"type": of, "value": value, "mimeType": kind});
        let asked = request(&json!({"messages": [{"role": "user", "content": [
            {"type": "text", "text": "Look"},
            {"type": "image", "source": source("data", "AAAA", Some("image/png")),
             "metadata": {"detail": "high", "filename": "a.png"}},
            {"type": "image", "source": source("url", "https://a.b/c", None)},
            {"type": "document", "source": source("url", "https://a.b/c.pdf", None)},
            {"type": "audio", "source": source("data", "AAAA", Some("audio/wav"))},
            {"type": "video", "source": source("url", "data:video/mp4;base64,AAAA", None)},
            {"type": "binary", "mimeType": "image/gif", "data": "AAAA", "filename": "b.gif"},
            {"type": "binary", "mimeType": "image/gif", "url": "https://a.b/c"},
        ]}]}))
        .unwrap();
        let data = |kind: &str| Media::link(kind, format!("data:{kind};base64,AAAA"));
        let first = data("image/png").name("a.png").detail(MediaDetail::High);
        let content = Content::new()
            .text("Look")
            .media(first)
            .media(Media::link("image/*", "https://a.b/c"))
            .media(Media::link("application/pdf", "https://a.b/c.pdf"))
            .media(data("audio/wav"))
            .media(data("video/mp4"))
            .media(data("image/gif").name("b.gif"))
            .media(Media::link("image/gif", "https://a.b/c"));
        assert_eq!(asked.messages, [Message::user(content)]);
        let odd = json!({"type": "image", "source": source("data", "AAAA", Some("image/png")),
                         "metadata": {"detail": "huge"}});
        let refusal = request(&json!({"messages": [{"role": "user", "content": [odd]}]}));
        let refusal = refusal.unwrap_err().detail;
        assert!(
            refusal.contains("`detail` must be `auto`, `low`"),
            "{refusal}"
        );
    }

    #[test]
    fn what_was_given_to_the_client_for_the_provider_comes_back() {
        let state = |of: &str| ProviderState::new("p", json!(of));
        let sealed = |of: &str| SealedState::of_turn(state(of)).write();
        let asked = request(&json!({"messages": [
            {"role": "reasoning", "content": "Hm", "encryptedValue": sealed("a")},
            {"role": "assistant", "content": "So.", "encryptedValue": sealed("b"), "toolCalls": [
                {"id": "c", "function": {"name": "now"}, "encryptedValue": sealed("c")},
            ]},
            {"role": "tool", "toolCallId": "c", "content": "noon"},
        ]}))
        .unwrap();
        let content = Content::new()
            .reasoning(Reasoning::new("Hm").provider_state(state("a")))
            .text("So.")
            .reasoning(Reasoning::default().provider_state(state("b")));
        let mut call = ToolCall::new("c", "now", json!({}));
        call.provider_state = Some(state("c"));
        assert_eq!(
            asked.messages[0],
            Message::assistant(content).tool_calls([call])
        );
        let foreign =
            json!({"messages": [{"role": "assistant", "content": "a", "encryptedValue": "x"}]});
        assert!(
            request(&foreign)
                .unwrap_err()
                .detail
                .contains("`messages[0]`: `encryptedValue`")
        );
    }

    #[test]
    fn forwarded_props_are_options_by_the_names_of_tanstack() {
        let asked = |props: Value| {
            request(
                &json!({"messages": [{"role": "user", "content": "Hi"}], "forwardedProps": props}),
            )
        };
        let read = asked(json!({
            "temperature": 0.5, "maxTokens": 9, "model": "m", "mine": 1,
            "modelOptions": {"top_p": 0.5, "seed": 7},
        }))
        .unwrap();
        let options = ChatOptions::new()
            .temperature(0.5)
            .max_output_tokens(9)
            .top_p(0.5)
            .seed(7);
        assert_eq!((read.model.as_deref(), read.options), (Some("m"), options));
        for (name, props) in [
            (
                "`forwardedProps.temperature`",
                json!({"temperature": "hot"}),
            ),
            ("`forwardedProps.temperature`", json!({"temperature": 3})),
            (
                "`forwardedProps.modelOptions.top_p`",
                json!({"modelOptions": {"top_p": 2}}),
            ),
            (
                "`forwardedProps.modelOptions.logit_bias`",
                json!({"modelOptions": {"logit_bias": {}}}),
            ),
        ] {
            let refusal = asked(props).unwrap_err();
            assert!(refusal.detail.contains(name), "{}", refusal.detail);
        }
    }

    #[test]
    fn content_that_the_model_can_not_get_is_refused() {
        let image = json!({"type": "image", "source": {"type": "file", "value": "file-1"}});
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
        let data = |source: Value| json!({"type": "image", "source": source});
        for (part, told) in [
            (data(json!({"type": "data"})), "`source.value` is missing"),
            (data(json!({"value": "AAAA"})), "`source.type` is missing"),
            (
                data(json!({"type": "data", "value": 7})),
                "`source.value` must be a string",
            ),
            (data(json!("AAAA")), "`source` must be an object"),
            (
                json!({"type": "text", "text": 7}),
                "`text` must be a string",
            ),
            (json!({"text": "Hi"}), "`type` is missing"),
            (json!("Hi"), "a part must be an object"),
        ] {
            let hello = json!({"type": "text", "text": "Hi"});
            let messages = json!([{"role": "user", "content": [hello, part]}]);
            let detail = request(&json!({"messages": messages})).unwrap_err().detail;
            let told = format!("`messages[0]`: `content[1]`: {told}");
            assert!(detail.starts_with(&told), "{detail}");
        }
        let not_json = RunAgentInput::read(&Bytes::from_static(b"{"), &LIMITS).unwrap_err();
        assert_eq!(not_json.problem, Problem::NotJson);
    }

    fn failed_tool(content: &Value, error: Option<&str>) -> String {
        let call = json!({"id": "c", "function": {"name": "now", "arguments": "{}"}});
        let asked = request(&json!({"messages": [
            {"role": "assistant", "toolCalls": [call]},
            {"role": "tool", "toolCallId": "c", "content": content, "error": error},
        ]}));
        asked.unwrap().messages[1].text().into_owned()
    }

    #[test]
    fn the_error_of_a_tool_is_not_its_result() {
        for (content, told) in [
            (json!("null"), "Error: no GPS"),
            (json!(""), "Error: no GPS"),
            (json!("no GPS"), "Error: no GPS"),
            (json!("half of it"), "half of it\n\nError: no GPS"),
            (
                json!([{"type": "text", "text": "half"}]),
                "half\n\nError: no GPS",
            ),
        ] {
            assert_eq!(failed_tool(&content, Some("no GPS")), told, "{content}");
        }
        assert_eq!(failed_tool(&json!("null"), None), "null");
        assert_eq!(failed_tool(&json!("fine"), Some("")), "fine");
    }
}
