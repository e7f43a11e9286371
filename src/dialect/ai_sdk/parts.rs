//! Turns the parts of a UI message into messages for a model.

use serde_json::{Map, Value};

use super::UiMessage;
use crate::{
    chat::{InputAnswer, InputId, IsomorphicClientOutput, Message, Role, ToolCall},
    dialect::GivenAnswers,
};

type UiPart = Map<String, Value>;

const DENIED: &str = "The user did not allow this.";

/// A tool call in a message, with its outcome.
struct ToolPart {
    call: ToolCall,
    outcome: Option<String>,
}

/// Returns the messages for a model. Thinking is left out, and so are calls without an outcome, because
/// models refuse a call without its result.
pub(super) fn messages(message: &UiMessage) -> Vec<Message> {
    convert(message, &[])
}

/// Returns the messages of the last message of a request, and the client outputs for tools that the
/// server began. The tool layer finishes those.
pub(super) fn last(message: &UiMessage) -> (Vec<Message>, Vec<IsomorphicClientOutput>) {
    let outputs: Vec<_> = message
        .parts
        .iter()
        .filter_map(|part| client_output(message, part))
        .collect();
    (convert(message, &outputs), outputs)
}

fn convert(message: &UiMessage, outputs: &[IsomorphicClientOutput]) -> Vec<Message> {
    if message.role != Role::Assistant {
        return vec![Message::new(message.role, text(&message.parts))];
    }
    let mut messages = Vec::new();
    let steps = message.parts.split(|part| kind(part) == "step-start");
    for step in steps.filter(|step| !step.is_empty()) {
        let is_output = |tool: &ToolPart| outputs.iter().any(|it| it.call_id == tool.call.id);
        let tools: Vec<_> = step
            .iter()
            .filter_map(tool_part)
            .filter(|it| it.outcome.is_some())
            .collect();
        let text = text(step);
        if text.is_empty() && tools.is_empty() {
            continue;
        }
        let calls = tools.iter().map(|it| it.call.clone());
        messages.push(Message::assistant(text).tool_calls(calls));
        let finished = tools.into_iter().filter(|it| !is_output(it));
        messages.extend(finished.filter_map(|it| Some(Message::tool(it.call.id, it.outcome?))));
    }
    messages
}

/// Returns the responses to the approvals in a message, and the ids of all its approvals.
pub(super) fn answers(message: &UiMessage) -> GivenAnswers {
    let mut answers = GivenAnswers::new();
    for part in &message.parts {
        let Some(approval) = part.get("approval").and_then(Value::as_object) else {
            continue;
        };
        let Ok(input) = string(approval, "id").parse::<InputId>() else {
            continue;
        };
        let approved = approval.get("approved").and_then(Value::as_bool);
        let is_response = string(part, "state") == "approval-responded";
        answers = match approved.filter(|_| is_response) {
            Some(true) => answers.answer(input, InputAnswer::accept(Value::Null)),
            Some(false) => answers.answer(input, InputAnswer::decline()),
            None => answers.known(input),
        };
    }
    answers
}

/// Returns the ids of all calls in a message.
pub(super) fn call_ids(message: &UiMessage) -> Vec<String> {
    let tools = message.parts.iter().filter_map(tool_part);
    tools.map(|tool| tool.call.id).collect()
}

pub(super) fn kind(part: &UiPart) -> &str {
    string(part, "type")
}

pub(super) fn string<'a>(part: &'a UiPart, name: &str) -> &'a str {
    part.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the text of all text parts, and the links of the files.
fn text(parts: &[UiPart]) -> String {
    let texts = parts.iter().filter_map(|part| match kind(part) {
        "text" => Some(string(part, "text").to_owned()),
        "file" => file(part),
        _ => None,
    });
    let texts: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
    texts.join("\n")
}

/// Returns a link to a file at an HTTP address. Files in `data:` URLs are left out.
fn file(part: &UiPart) -> Option<String> {
    let url = string(part, "url");
    let (name, media_type) = (string(part, "filename"), string(part, "mediaType"));
    let is_http = ["https://", "http://"].iter().any(|it| url.starts_with(it));
    is_http.then(|| match name {
        "" => format!("[{media_type}]({url})"),
        name => format!("[{name} ({media_type})]({url})"),
    })
}

fn tool_part(part: &UiPart) -> Option<ToolPart> {
    let name = match kind(part) {
        "dynamic-tool" => string(part, "toolName"),
        kind => kind.strip_prefix("tool-")?,
    };
    let id = string(part, "toolCallId");
    if id.is_empty() || name.is_empty() {
        return None;
    }
    let input = part.get("input").filter(|input| !input.is_null());
    let input = input.or_else(|| part.get("rawInput"));
    let approval = part.get("approval").and_then(Value::as_object);
    let refused = approval.is_some_and(|it| it.get("approved") == Some(&Value::Bool(false)));
    let outcome = match string(part, "state") {
        "output-available" => part.get("output").map(content),
        "output-error" => Some(string(part, "errorText").to_owned()),
        state if state == "output-denied" || (state == "approval-responded" && refused) => {
            let reason = approval.map_or("", |approval| string(approval, "reason"));
            Some(format!("{DENIED} {reason}").trim().to_owned())
        }
        _ => None,
    };
    Some(ToolPart {
        call: ToolCall::new(id, name, input.cloned().unwrap_or_default()),
        outcome,
    })
}

/// Returns a value as the content of a message: a string as it is, any other value as JSON.
fn content(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Returns the client's output for a call that the server half of a tool continues. The handoff of that
/// half is in a part of its own.
fn client_output(message: &UiMessage, part: &UiPart) -> Option<IsomorphicClientOutput> {
    let tool = tool_part(part)?;
    if string(part, "state") != "output-available" {
        return None;
    }
    let mut others = message.parts.iter();
    let handoff = others
        .find(|it| kind(it) == "data-handoff" && string(it, "id") == tool.call.id)?
        .get("data")?;
    if handoff.get("usesHandoff") != Some(&Value::Bool(true)) {
        return None;
    }
    let output = part.get("output").cloned().unwrap_or_default();
    let mut client = IsomorphicClientOutput::new(tool.call.id, tool.call.name, output);
    client.params = tool.call.arguments;
    client.cached_handoff = handoff.get("serverOutput").cloned();
    client.uses_handoff = true;
    Some(client)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(value: Value) -> UiMessage {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_user_message_has_text_and_links_and_nothing_else() {
        let user = message(json!({"id": "m", "role": "user", "parts": [
            {"type": "file", "url": "https://example.com/a.png", "mediaType": "image/png",
             "filename": "a.png"},
            {"type": "file", "url": "data:image/png;base64,AAAA", "mediaType": "image/png"},
            {"type": "text", "text": "What is this?"},
            {"type": "data-cursor", "data": {"x": 1}},
        ]}));
        assert_eq!(
            messages(&user),
            [Message::user(
                "[a.png (image/png)](https://example.com/a.png)\nWhat is this?"
            )]
        );
    }

    #[test]
    fn an_answer_becomes_messages_step_by_step() {
        let answer = message(json!({"id": "m", "role": "assistant", "parts": [
            {"type": "step-start"},
            {"type": "reasoning", "text": "Hm."},
            {"type": "text", "text": "Let me look."},
            {"type": "tool-now", "toolCallId": "1", "state": "output-available",
             "input": {"zone": "UTC"}, "output": {"hour": 12}},
            {"type": "dynamic-tool", "toolName": "map", "toolCallId": "2", "state": "output-error",
             "input": {}, "errorText": "no map"},
            {"type": "tool-pay", "toolCallId": "3", "state": "approval-responded", "input": {},
             "approval": {"id": "a", "approved": false, "reason": "Too much."}},
            {"type": "tool-open", "toolCallId": "4", "state": "input-available", "input": {}},
            {"type": "step-start"},
            {"type": "text", "text": "It is noon."},
        ]}));
        let call = |id: &str, name: &str, input| ToolCall::new(id, name, input);
        assert_eq!(
            messages(&answer),
            [
                Message::assistant("Let me look.").tool_calls([
                    call("1", "now", json!({"zone": "UTC"})),
                    call("2", "map", json!({})),
                    call("3", "pay", json!({})),
                ]),
                Message::tool("1", r#"{"hour":12}"#),
                Message::tool("2", "no map"),
                Message::tool("3", "The user did not allow this. Too much."),
                Message::assistant("It is noon."),
            ]
        );
        assert_eq!(call_ids(&answer), ["1", "2", "3", "4"]);
    }

    #[test]
    fn the_client_output_of_a_handoff_goes_to_the_tool() {
        let answer = message(json!({"id": "m", "role": "assistant", "parts": [
            {"type": "data-handoff", "id": "1",
             "data": {"serverOutput": ["a"], "usesHandoff": true}},
            {"type": "tool-choose", "toolCallId": "1", "state": "output-available",
             "input": {"of": 3}, "output": "a"},
            {"type": "tool-now", "toolCallId": "2", "state": "output-available",
             "input": {}, "output": "noon"},
        ]}));
        let (messages, outputs) = last(&answer);
        assert_eq!(outputs.len(), 1);
        assert_eq!(outputs[0].call_id, "1");
        assert_eq!(outputs[0].params, json!({"of": 3}));
        assert_eq!(outputs[0].cached_handoff, Some(json!(["a"])));
        assert!(outputs[0].uses_handoff);
        assert_eq!(messages[0].tool_calls.len(), 2);
        assert_eq!(messages[1..], [Message::tool("2", "noon")]);
    }
}
