use std::collections::HashSet;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{content::WireContent, options, tools::NEVER_CAME};

use crate::{
    chat::{
        ChatRequest, Content, IsomorphicTool, Message, Part, ProviderState, Role, ToolCall,
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
    /// Of no version of the protocol; clients mean `encryptedValue`.
    encrypted_content: Option<Value>,
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
    pub(super) fn into_request(mut self, limits: &RequestLimits) -> Result<ChatRequest, Refusal> {
        limits.check(Element::Message, self.messages.len())?;
        for message in &mut self.messages {
            if matches!(message.role, WireRole::Tool) {
                message.content = message.content.take().map(WireContent::of_tool);
            }
        }
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
            if let Some(message) = message {
                keep_with_last(&mut messages, &std::mem::take(&mut reasoning));
                messages.push(message);
            }
        }
        keep_with_last(&mut messages, &reasoning);
        unanswered_calls::leave_out(&mut messages);
        if messages.is_empty() {
            return Err(wrong("there is no message to answer"));
        }
        let mut request = ChatRequest::new(messages);
        request.chat_id = chat_in_body("threadId", self.thread_id)?;
        request.isomorphic_tools = self.tools.into_iter().map(WireTool::into_tool).collect();
        match self.extra.get("forwardedProps") {
            None | Some(Value::Null) => {}
            Some(Value::Object(props)) => {
                let props = options::of_props(props)?;
                (request.model, request.options) = (props.model, props.options);
                self.extra.extend(props.unread);
            }
            Some(_) => return Err(wrong("`forwardedProps` must be an object")),
        }
        request.extra = self.extra;
        Ok(request)
    }
}

pub(super) const WHAT: &str = "AG-UI's RunAgentInput";
pub(super) const EXAMPLE: &str =
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
        let of_tool = self.content.as_ref();
        let of_tool = of_tool.filter(|_| matches!(self.role, WireRole::Tool));
        let of_tool = of_tool.map_or(0, WireContent::values);
        let others: usize = arguments.map(values_in_text).chain(sealed).sum();
        of_tool + others
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

    /// Refuses fields that a message of this role doesn't take to the model.
    fn check_fields(&self) -> Result<(), String> {
        if self.encrypted_content.is_some() {
            return Err("`encryptedContent` isn't read here; send `encryptedValue`".to_owned());
        }
        let (is_assistant, is_tool, is_sealed) = match self.role {
            WireRole::Activity => return Ok(()),
            WireRole::Assistant => (true, false, true),
            WireRole::Reasoning => (false, false, true),
            WireRole::Tool => (false, true, false),
            WireRole::User | WireRole::System | WireRole::Developer => (false, false, false),
        };
        let has_error = self.error.as_ref().is_some_and(|it| !it.is_empty());
        let misplaced = [
            ("toolCalls", !self.tool_calls.is_empty() && !is_assistant),
            ("toolCallId", self.tool_call_id.is_some() && !is_tool),
            ("error", has_error && !is_tool),
            (
                "encryptedValue",
                self.encrypted_value.is_some() && !is_sealed,
            ),
        ];
        match misplaced.iter().find(|(_, is_misplaced)| *is_misplaced) {
            None => Ok(()),
            Some((name, _)) => Err(format!(
                "`{name}` of a message of this role doesn't reach the model; leave it out"
            )),
        }
    }

    /// Returns the message, or `None` if it is empty or not for the model. Reasoning waits for the message
    /// of the assistant that it belongs to, and is left to the caller where another message comes.
    fn into_message(self, reasoning: &mut Content) -> Result<Option<Message>, String> {
        self.check_fields()?;
        let role = match self.role {
            WireRole::User => Role::User,
            WireRole::Assistant => Role::Assistant,
            WireRole::Tool => Role::Tool,
            WireRole::System | WireRole::Developer => Role::System,
            // The page's own, by the protocol: its client leaves them out itself.
            WireRole::Activity => return Ok(None),
            WireRole::Reasoning => {
                let content = self.content.map(WireContent::into_content).transpose()?;
                for part in content.unwrap_or_default().parts() {
                    match part {
                        Part::Text { text } => reasoning.push_reasoning(text),
                        Part::Media(_) | Part::Reasoning(_) => {
                            return Err("reasoning is text here; leave other parts out".to_owned());
                        }
                    }
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
        if role == Role::Assistant {
            let thought = std::mem::take(reasoning);
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

/// Adds reasoning to the message that it follows, if that is one of the model: what a server must be handed
/// back may come at the end of a turn. Of an answer that was cut before it said anything it is of no use.
fn keep_with_last(messages: &mut [Message], thought: &Content) {
    let last = messages.last_mut();
    if let Some(last) = last.filter(|last| last.role == Role::Assistant && !thought.is_empty()) {
        let parts = last.content.parts().iter().chain(thought.parts());
        last.content = parts.cloned().collect();
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
mod tests;
