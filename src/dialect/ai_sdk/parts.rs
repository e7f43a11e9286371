//! Turns the parts of a UI message into messages for a model.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{UiMessage, metadata};
use crate::{
    chat::{
        Content, InputAnswer, InputId, IsomorphicClientOutput, Media, Message, Part, ProviderState,
        Role, ToolCall,
    },
    dialect::{GivenAnswers, Refusal, names::check_call_id, result_parts::together},
};

/// A part of a UI message, as the SDK's JSON.
pub(super) type UiPart = Map<String, Value>;

/// The files in results of calls, by the calls' ids, each with its place in the text.
type ResultFiles<'a> = HashMap<&'a str, Vec<(usize, Media)>>;

const DENIED: &str = "The user did not allow this.";

/// A tool call in a message, with the message of its outcome.
struct ToolPart {
    call: ToolCall,
    outcome: Option<Message>,
}

/// Returns the messages for a model. Calls without an outcome are left out, because models refuse a call
/// without its result; so is a step that has only reasoning, which no model takes for a turn.
pub(super) fn messages(message: &UiMessage) -> Vec<Message> {
    convert(message, &HashSet::new())
}

/// Returns the messages of a message before the last one of a request. A response to an approval that is
/// still on its way in it was not accepted: the call may have run, so it isn't reported as denied.
pub(super) fn earlier(message: &UiMessage) -> Vec<Message> {
    let is_pending = |part: &UiPart| string(part, "state") == "approval-responded";
    if !message.parts.iter().any(is_pending) {
        return messages(message);
    }
    let mut message = message.clone();
    message.parts.retain(|part| !is_pending(part));
    messages(&message)
}

/// Returns the messages of the last message of a request, and the client outputs for tools that the
/// server began. The tool layer finishes those.
pub(super) fn last(message: &UiMessage) -> (Vec<Message>, Vec<IsomorphicClientOutput>) {
    let mut handoffs = HashMap::new();
    for part in message
        .parts
        .iter()
        .filter(|part| kind(part) == "data-handoff")
    {
        // Of two handoffs of one call the first counts.
        handoffs.entry(string(part, "id")).or_insert(part);
    }
    let outputs: Vec<_> = message
        .parts
        .iter()
        .filter_map(|part| client_output(&mut handoffs, part))
        .collect();
    let finished_by_the_server = outputs
        .iter()
        .map(|output| output.call_id.as_str())
        .collect();
    (convert(message, &finished_by_the_server), outputs)
}

/// Converts a message. The calls of these ids have no output yet for the model.
fn convert(message: &UiMessage, unfinished: &HashSet<&str>) -> Vec<Message> {
    if message.role != Role::Assistant {
        return vec![Message::new(message.role, words(&message.parts))];
    }
    let mut states = states(&message.parts);
    // A result may come in a later step than its call.
    let mut files = result_files(&message.parts);
    let mut messages = Vec::new();
    let steps = message.parts.split(|part| kind(part) == "step-start");
    for step in steps.filter(|step| !step.is_empty()) {
        let tools: Vec<_> = step
            .iter()
            .filter_map(|part| tool_part(part, &mut states, &mut files))
            .filter(|it| it.outcome.is_some())
            .collect();
        let said = said(step, &files);
        let is_reasoning = |part: &Part| matches!(part, Part::Reasoning(_));
        if said.parts().iter().all(is_reasoning) && tools.is_empty() {
            continue;
        }
        let calls = tools.iter().map(|it| it.call.clone());
        messages.push(Message::assistant(said).tool_calls(calls));
        let finished = tools
            .into_iter()
            .filter(|it| !unfinished.contains(it.call.id.as_str()));
        messages.extend(finished.filter_map(|it| it.outcome));
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

/// Returns the ids of all calls in a message. An id that is too long is refused.
pub(super) fn call_ids(message: &UiMessage) -> Result<Vec<String>, Refusal> {
    let tools = message.parts.iter().filter_map(tool_names);
    tools
        .map(|(id, _)| check_call_id(id).map(|()| id.to_owned()))
        .collect()
}

pub(super) fn kind(part: &UiPart) -> &str {
    string(part, "type")
}

pub(super) fn string<'a>(part: &'a UiPart, name: &str) -> &'a str {
    part.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the content of a message that isn't of the assistant. Data of the application is left out.
fn words(parts: &[UiPart]) -> Content {
    let words = parts.iter().filter_map(|part| match kind(part) {
        "text" => Some(Part::Text {
            text: string(part, "text").to_owned(),
        }),
        "file" => Some(media(part).into()),
        _ => None,
    });
    words.collect()
}

/// Returns the files that are in results of calls.
fn result_files(parts: &[UiPart]) -> ResultFiles<'_> {
    let mut files = ResultFiles::new();
    for part in parts.iter().filter(|part| kind(part) == "file") {
        if let Some((call, at)) = metadata::result(part.get("providerMetadata")) {
            files.entry(call).or_default().push((at, media(part)));
        }
    }
    files
}

/// Returns the content of a step of the assistant. Sources and data are not for the model. Of the files in
/// results of calls, `left` belong to none.
fn said(step: &[UiPart], left: &ResultFiles<'_>) -> Content {
    let is_said = |part: &UiPart| {
        let of = metadata::result(part.get("providerMetadata"));
        of.is_none_or(|(call, _)| left.contains_key(call))
    };
    let mut content = Content::new();
    for part in step {
        match kind(part) {
            "text" => content.push_text(string(part, "text")),
            "file" if is_said(part) => content.push(media(part)),
            "reasoning" => {
                content.push_reasoning(string(part, "text"));
                if let Some(state) = metadata::state(part.get("providerMetadata")) {
                    content.push_provider_state(state);
                }
            }
            _ => {}
        }
    }
    content
}

/// Returns the file of a part. Pages send a short media type, or none, where they don't know more; the
/// `data:` URL may.
pub(super) fn media(part: &UiPart) -> Media {
    let (url, media_type) = (string(part, "url"), string(part, "mediaType"));
    let is_whole = media_type.contains('/') && !media_type.ends_with("/*");
    let of_url = || {
        let data = url.get(5..).filter(|_| url.starts_with("data:"))?;
        let end = data.find([';', ','])?;
        Some(&data[..end]).filter(|it| !it.is_empty())
    };
    let of_url = of_url().filter(|_| !is_whole);
    let media_type = of_url.unwrap_or(media_type);
    let own = part.get("providerMetadata");
    let mut media = Media::link(media_type, url);
    media.detail = metadata::detail(own);
    let name = part.get("filename").and_then(Value::as_str);
    match name.or_else(|| metadata::name(own)) {
        Some(name) => media.name(name),
        None => media,
    }
}

/// Returns the provider state of calls that came after them.
fn states(parts: &[UiPart]) -> HashMap<&str, ProviderState> {
    let parts = parts.iter().filter(|it| kind(it) == "data-provider-state");
    let states = parts.filter_map(|part| {
        let state = ProviderState::deserialize(part.get("data")?).ok()?;
        Some((string(part, "id"), state))
    });
    states.collect()
}

/// Returns the id of the call of a tool part, and the name of the tool.
pub(super) fn tool_names(part: &UiPart) -> Option<(&str, &str)> {
    let name = match kind(part) {
        "dynamic-tool" => string(part, "toolName"),
        kind => kind.strip_prefix("tool-")?,
    };
    let id = string(part, "toolCallId");
    (!id.is_empty() && !name.is_empty()).then_some((id, name))
}

/// Returns the call of a tool part with its outcome. A call that has one takes its state, and its result
/// the files in it.
fn tool_part(
    part: &UiPart,
    states: &mut HashMap<&str, ProviderState>,
    files: &mut ResultFiles<'_>,
) -> Option<ToolPart> {
    let (id, name) = tool_names(part)?;
    let of_result = part.get("resultProviderMetadata");
    let of_call = part.get("callProviderMetadata");
    if string(part, "state") == "output-error" && metadata::is_incomplete(of_result) {
        return None;
    }
    let input = part.get("input").filter(|input| !input.is_null());
    let input = input.or_else(|| part.get("rawInput"));
    let approval = part.get("approval").and_then(Value::as_object);
    let refused = approval.is_some_and(|it| it.get("approved") == Some(&Value::Bool(false)));
    let outcome = match string(part, "state") {
        "output-available" => {
            // A tool that returns nothing has no output in the JSON.
            let output = part.get("output").unwrap_or(&Value::Null);
            let files = files.remove(id).unwrap_or_default();
            Some(Message::tool(id, together(&content(output), files)))
        }
        "output-error" => Some(Message::tool_failed(id, string(part, "errorText"))),
        state if state == "output-denied" || (state == "approval-responded" && refused) => {
            let reason = approval.map_or("", |approval| string(approval, "reason"));
            let reason = format!("{DENIED} {reason}");
            Some(Message::tool(id, reason.trim()))
        }
        _ => None,
    };
    let mut call = ToolCall::new(id, name, input.cloned().unwrap_or_default());
    let state = outcome.as_ref().and_then(|_| states.remove(id));
    let state = state.or_else(|| metadata::state(of_call));
    // Of a call that was refused as it came.
    call.provider_state = state.or_else(|| metadata::state(of_result));
    Some(ToolPart { call, outcome })
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
fn client_output(
    handoffs: &mut HashMap<&str, &UiPart>,
    part: &UiPart,
) -> Option<IsomorphicClientOutput> {
    let (id, _) = tool_names(part)?;
    if string(part, "state") != "output-available" {
        return None;
    }
    let handoff = handoffs.get(id)?.get("data")?;
    if handoff.get("usesHandoff") != Some(&Value::Bool(true)) {
        return None;
    }
    let tool = tool_part(part, &mut HashMap::new(), &mut ResultFiles::new())?;
    // Of two outputs of one call the first counts, and the handoff is copied once.
    handoffs.remove(id);
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
    use crate::chat::Reasoning;

    fn message(value: Value) -> UiMessage {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_tool_that_returned_nothing_has_an_outcome() {
        let said = message(json!({"id": "m", "role": "assistant", "parts": [
            {"type": "tool-save", "toolCallId": "c", "state": "output-available", "input": {}},
        ]}));
        let call = ToolCall::new("c", "save", json!({}));
        assert_eq!(
            messages(&said),
            [
                Message::assistant("").tool_calls([call]),
                Message::tool("c", "null"),
            ]
        );
    }

    #[test]
    fn a_user_message_has_text_and_files_in_order_and_nothing_else() {
        let user = message(json!({"id": "m", "role": "user", "parts": [
            {"type": "file", "url": "https://example.com/a.png", "mediaType": "image/png",
             "filename": "a.png"},
            {"type": "text", "text": "What is this?"},
            {"type": "data-cursor", "data": {"x": 1}},
            {"type": "file", "url": "data:image/png;base64,AAAA", "mediaType": "image/png"},
            {"type": "text", "text": "And that?"},
        ]}));
        let link = Media::link("image/png", "https://example.com/a.png").name("a.png");
        let content = Content::new()
            .media(link)
            .text("What is this?")
            .media(Media::new("image/png", [0, 0, 0]))
            .text("And that?");
        assert_eq!(messages(&user), [Message::user(content)]);
    }

    #[test]
    fn a_short_media_type_is_completed_by_the_data_url() {
        for (given, url, whole) in [
            (
                "",
                "data:text/plain;charset=utf-8;base64,AAAA",
                "text/plain",
            ),
            ("image", "data:image/png;base64,AAAA", "image/png"),
            ("image/*", "data:image/png;base64,AAAA", "image/png"),
            ("image/png", "data:image/jpeg;base64,AAAA", "image/png"),
            ("image", "https://example.com/a.png", "image"),
            ("", "data:;base64,AAAA", ""),
        ] {
            let part = json!({"type": "file", "url": url, "mediaType": given});
            let Value::Object(part) = part else { panic!() };
            assert_eq!(media(&part).media_type, whole, "{given} {url}");
        }
    }

    #[test]
    fn what_the_provider_must_be_handed_back_comes_back() {
        let state = |of: i32| ProviderState::new("anthropic", json!({"signature": of}));
        let metadata = |of: i32| metadata::of_state(&state(of));
        let answer = message(json!({"id": "m", "role": "assistant", "parts": [
            {"type": "step-start"},
            {"type": "reasoning", "text": "Hm.", "providerMetadata": metadata(1)},
            {"type": "reasoning", "text": "", "providerMetadata": metadata(2)},
            {"type": "text", "text": "Look: "},
            {"type": "source-url", "sourceId": "s", "url": "https://example.com"},
            {"type": "text", "text": "this."},
            {"type": "file", "url": "data:image/png;base64,AAAA", "mediaType": "image/png",
             "providerMetadata": {"unbroken": {"name": "cat.png"}}},
            {"type": "tool-now", "toolCallId": "1", "state": "output-available", "input": {},
             "output": "noon", "callProviderMetadata": metadata(3)},
            {"type": "tool-now", "toolCallId": "2", "state": "output-available", "input": {},
             "output": "noon"},
            {"type": "data-provider-state", "id": "2", "data": state(4)},
            {"type": "tool-now", "toolCallId": "3", "state": "output-error", "input": null,
             "errorText": "never", "resultProviderMetadata": metadata::of_incomplete()},
            {"type": "step-start"},
            {"type": "reasoning", "text": "Only this."},
        ]}));
        let content = Content::new()
            .reasoning(Reasoning::new("Hm.").provider_state(state(1)))
            .reasoning(Reasoning::default().provider_state(state(2)))
            .text("Look: this.")
            .media(Media::new("image/png", [0, 0, 0]).name("cat.png"));
        let call = |id: &str, of: i32| {
            let mut call = ToolCall::new(id, "now", json!({}));
            call.provider_state = Some(state(of));
            call
        };
        assert_eq!(
            messages(&answer),
            [
                Message::assistant(content).tool_calls([call("1", 3), call("2", 4)]),
                Message::tool("1", "noon"),
                Message::tool("2", "noon"),
            ]
        );
    }

    #[test]
    fn a_refusal_that_was_not_accepted_is_none_in_an_earlier_message() {
        let part = |state: &str| {
            json!({"type": "tool-pay", "toolCallId": state, "state": state, "input": {},
                "approval": {"id": "a", "approved": false}})
        };
        let answer = message(json!({"id": "m", "role": "assistant", "parts": [
            {"type": "step-start"}, part("approval-responded"), part("output-denied"),
            {"type": "text", "text": "Hm."},
        ]}));
        let call = |id: &str| ToolCall::new(id, "pay", json!({}));
        let denied = |id: &str| Message::tool(id, DENIED);
        let both = [call("approval-responded"), call("output-denied")];
        assert_eq!(
            messages(&answer),
            [
                Message::assistant("Hm.").tool_calls(both),
                denied("approval-responded"),
                denied("output-denied"),
            ]
        );
        assert_eq!(
            earlier(&answer),
            [
                Message::assistant("Hm.").tool_calls([call("output-denied")]),
                denied("output-denied"),
            ]
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
                Message::assistant(
                    Content::new()
                        .reasoning(Reasoning::new("Hm."))
                        .text("Let me look.")
                )
                .tool_calls([
                    call("1", "now", json!({"zone": "UTC"})),
                    call("2", "map", json!({})),
                    call("3", "pay", json!({})),
                ]),
                Message::tool("1", r#"{"hour":12}"#),
                Message::tool_failed("2", "no map"),
                Message::tool("3", "The user did not allow this. Too much."),
                Message::assistant("It is noon."),
            ]
        );
        assert_eq!(call_ids(&answer).unwrap(), ["1", "2", "3", "4"]);
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
