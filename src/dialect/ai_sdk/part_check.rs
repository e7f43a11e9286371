//! Refuses parts of a UI message that nothing here can carry.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    UiMessage, metadata,
    parts::{kind, media, string, tool_names},
};
use crate::{
    chat::{ProviderState, Role},
    dialect::{Problem, Refusal},
};

const OF_USER: &str = "`text`, `file` and `data-…`";
const OF_ASSISTANT: &str = "`text`, `reasoning`, `file`, `source-url`, `source-document`, `tool-…`, \
                            `dynamic-tool`, `step-start` and `data-…`";

/// Refuses a message with a part of an unknown type, or with one that can't be read, and a message of another role than the
/// assistant's that has none. The refusal names the part by the place of its message.
pub(super) fn check(place: impl Fn() -> String, message: &UiMessage) -> Result<(), Refusal> {
    let is_assistant = message.role == Role::Assistant;
    if !is_assistant && message.parts.is_empty() {
        let detail = r#"has no `parts`; send `[{"type":"text","text":"…"}]`"#;
        return Err(Refusal::new(
            Problem::WrongShape,
            format!("`{}` {detail}", place()),
        ));
    }
    for (part_at, part) in message.parts.iter().enumerate() {
        let kind = kind(part);
        let problem = match kind {
            "text" => text(part),
            "file" => file(part),
            "reasoning" if is_assistant => text(part),
            "source-url" | "source-document" | "step-start" if is_assistant => None,
            "data-provider-state" if is_assistant => state(part),
            _ if kind.starts_with("data-") => None,
            "dynamic-tool" if is_assistant => tool(part),
            _ if kind.starts_with("tool-") && is_assistant => tool(part),
            _ => {
                let role = message.role.as_str();
                let known = if is_assistant { OF_ASSISTANT } else { OF_USER };
                Some(format!(
                    "parts of this type can't be in a message of the role `{role}`; there may be {known}"
                ))
            }
        };
        let of_metadata = || {
            let fields = ["providerMetadata", "callProviderMetadata"];
            fields
                .iter()
                .find_map(|it| metadata::problem(part.get(*it)))
        };
        if let Some(problem) = problem.or_else(of_metadata) {
            let kind: String = kind.chars().take(64).collect();
            let place = format!("`{}.parts[{part_at}]` of the type `{kind}`", place());
            return Err(Refusal::new(
                Problem::WrongShape,
                format!("{place}: {problem}"),
            ));
        }
    }
    Ok(())
}

/// The states of a call. One without an outcome is left out, because no model takes it.
const STATES: &[&str] = &[
    "input-streaming",
    "input-available",
    "approval-requested",
    "approval-responded",
    "output-available",
    "output-error",
    "output-denied",
];

fn tool(part: &Map<String, Value>) -> Option<String> {
    let is_name = |name: &str| !string(part, name).is_empty();
    if !is_name("toolCallId") {
        return Some("`toolCallId` must be the id of the call".to_owned());
    }
    if tool_names(part).is_none() {
        return Some("the name of the tool is missing".to_owned());
    }
    let is_known = STATES.contains(&string(part, "state"));
    (!is_known).then(|| format!("`state` must be one of `{}`", STATES.join("`, `")))
}

fn state(part: &Map<String, Value>) -> Option<String> {
    let read = ProviderState::deserialize(part.get("data").unwrap_or(&Value::Null));
    read.err().map(|error| format!("`data`: {error}"))
}

fn text(part: &Map<String, Value>) -> Option<String> {
    let is_text = part.get("text").is_some_and(Value::is_string);
    (!is_text).then(|| "`text` must be a string".to_owned())
}

fn file(part: &Map<String, Value>) -> Option<String> {
    if !part.get("url").is_some_and(Value::is_string) {
        let problem = match part.get("providerReference") {
            Some(_) => "references to files of a provider can't be carried; send a `url`",
            None => "`url` must be a string",
        };
        return Some(problem.to_owned());
    }
    media(part).check().err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(role: &str, part: &Value) -> Option<Refusal> {
        let parts = json!([{"type": "text", "text": "Hi"}, part]);
        let message = json!({"id": "m", "role": role, "parts": parts});
        check(
            || "messages[2]".to_owned(),
            &serde_json::from_value(message).unwrap(),
        )
        .err()
    }

    #[test]
    fn every_part_of_the_sdk_passes_or_is_named_by_the_refusal() {
        let passed = [
            json!({"type": "text", "text": ""}),
            json!({"type": "file", "mediaType": "image/png", "url": "https://example.com/a.png"}),
            json!({"type": "file", "mediaType": "", "url": "data:text/plain;base64,SGk="}),
            json!({"type": "data-cursor", "data": 1}),
        ];
        let of_assistants = [
            json!({"type": "reasoning", "text": "Hm."}),
            json!({"type": "source-url", "sourceId": "s", "url": "https://example.com"}),
            json!({"type": "source-document", "sourceId": "s", "mediaType": "a/b", "title": "T"}),
            json!({"type": "step-start"}),
            json!({"type": "tool-now", "toolCallId": "1", "state": "input-streaming"}),
            json!({"type": "dynamic-tool", "toolName": "now", "toolCallId": "1", "state": "output-denied"}),
        ];
        let refused = [
            json!({"type": "text", "text": "", "providerMetadata": {"unbroken": {"providerState": 7}}}),
            json!({"type": "file", "url": "https://a.b/c", "mediaType": "a/b",
                "providerMetadata": {"unbroken": {"detail": "huge"}}}),
            json!({"type": "custom", "kind": "openai.item"}),
            json!({"type": "reasoning-file", "mediaType": "image/png", "url": "https://a.b/c"}),
            json!({"type": "steering-message", "id": "s", "parts": []}),
            json!({"type": "tool"}),
            json!({"type": "tool-now", "state": "input-available"}),
            json!({"type": "tool-now", "toolCallId": "", "state": "input-available"}),
            json!({"type": "tool-now", "toolCallId": 7, "state": "input-available"}),
            json!({"type": "tool-", "toolCallId": "1", "state": "input-available"}),
            json!({"type": "tool-now", "toolCallId": "1"}),
            json!({"type": "tool-now", "toolCallId": "1", "state": "result"}),
            json!({"type": "dynamic-tool", "toolCallId": "1", "state": "output-available"}),
            json!({"type": "dynamic-tool", "toolName": "now", "toolCallId": "1"}),
            json!({"text": "no type"}),
            json!({"type": "text"}),
            json!({"type": "text", "text": 7}),
            json!({"type": "file", "mediaType": "image/png"}),
            json!({"type": "file", "mediaType": "image/png", "url": "blob:https://a.b/c"}),
            json!({"type": "file", "mediaType": "image", "url": "https://a.b/c"}),
            json!({"type": "file", "mediaType": "image/png", "url": "data:image/png,raw"}),
            json!({"type": "file", "mediaType": "a/b", "url": "data:image/png;base64,AAAA"}),
            json!({"type": "file", "mediaType": "a/b", "providerReference": {"openai": "file-1"}}),
        ];
        for role in ["user", "system", "assistant"] {
            for part in &passed {
                assert_eq!(refusal(role, part), None, "{role} {part}");
            }
            for part in &of_assistants {
                let is_refused = refusal(role, part).is_some();
                assert_eq!(is_refused, role != "assistant", "{role} {part}");
            }
            for part in &refused {
                let refusal = refusal(role, part).expect("it is refused");
                assert_eq!(refusal.problem.status(), 422);
                let kind = part["type"].as_str().unwrap_or_default();
                let place = format!("`messages[2].parts[1]` of the type `{kind}`: ");
                assert!(refusal.detail.starts_with(&place), "{}", refusal.detail);
            }
        }
    }
}
