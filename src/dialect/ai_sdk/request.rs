use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{AiSdk, UiMessage, encoder::UiMessageEncoder, notes::MessageNotes, parts};
use crate::{
    chat::{ChatRequest, Role},
    dialect::{GivenAnswers, KeyReuse, Problem, Refusal, ResponseMode, SessionKey, Start, body},
};

const EXAMPLE: &str = r#"{"id":"chat-1","messages":[{"id":"m1","role":"user","parts":[{"type":"text","text":"Hi"}]}]}"#;
/// The maximum size of the previous parts of a message, in bytes, that are stored for readers that begin
/// while the answer runs. With a longer message they get only the new parts until the application loads
/// it again.
const PREVIOUS_PARTS_BYTES: usize = 64 * 1024;
const REGENERATE: &str = "regenerate-message";

/// The body that a transport sends.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TransportBody {
    #[serde(default)]
    id: Option<String>,
    messages: Vec<UiMessage>,
    #[serde(default)]
    trigger: Option<String>,
    #[serde(default)]
    message_id: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Decodes the body of `POST /`.
pub(super) fn decode(dialect: &AiSdk, body: &Bytes) -> Result<Start, Refusal> {
    let wire: TransportBody = body::read(body, "a request of the AI SDK", EXAMPLE)?;
    let Some((last, before)) = wire.messages.split_last() else {
        return Err(wrong("the request has no message to answer"));
    };
    let mut request = request(wire.rest)?;
    request.messages = before.iter().flat_map(UiMessage::messages).collect();
    let (messages, outputs) = parts::last(last);
    request.messages.extend(messages);
    request.isomorphic_client_outputs.extend(outputs);
    if let Some(tools) = &dialect.tools {
        request.enabled_tools.get_or_insert_with(|| tools.clone());
    }
    if let Some(id) = &wire.id {
        request.chat_id = Some(id.as_str().into());
    }
    let trigger = wire.trigger.as_deref().unwrap_or_default();
    let continues = last.role == Role::Assistant && trigger != REGENERATE;
    let mut answers = GivenAnswers::new();
    let mut encoder = UiMessageEncoder::new();
    if continues {
        answers = parts::answers(last);
        let given = answers.given.iter().map(|(input, _)| input.clone());
        encoder = encoder.answered(given);
        // The id of a message that a session began is the id of the session.
        if let Ok(session) = last.id.parse() {
            answers = answers.session(session);
        }
    }
    let mode = ResponseMode::Stream(Box::new(encoder));
    let mut start = Start::new(request, mode).concurrency(dialect.concurrency);
    if let Some(chat) = &wire.id {
        let identity = (chat, trigger, &wire.message_id, last);
        let identity = serde_json::to_vec(&identity).map_err(|error| wrong(&error.to_string()))?;
        let reuse = if trigger == REGENERATE {
            KeyReuse::AfterEnd
        } else {
            KeyReuse::UnlessComplete
        };
        start = start
            .key(SessionKey::new([&identity]).reuse(reuse))
            .identity(identity);
    }
    if continues {
        let notes = MessageNotes {
            message_id: Some(last.id.clone()).filter(|id| !id.is_empty()),
            calls: parts::call_ids(last),
            parts: storable(&last.parts),
        };
        if !answers.given.is_empty() {
            start = start.answers(answers);
        }
        let json = |notes: &MessageNotes| {
            let json = serde_json::to_value(notes);
            json.map_err(|error| wrong(&error.to_string()))
        };
        let whole = json(&notes)?;
        let parts = Vec::new();
        start = start.note_or(
            MessageNotes::NAME,
            whole,
            json(&MessageNotes { parts, ..notes })?,
        );
    }
    Ok(start)
}

/// Returns the parts of a message, or none if they are too large for a record.
fn storable(parts: &[Map<String, Value>]) -> Vec<Map<String, Value>> {
    let bytes = serde_json::to_vec(parts).map_or(usize::MAX, |json| json.len());
    if bytes <= PREVIOUS_PARTS_BYTES {
        parts.to_vec()
    } else {
        Vec::new()
    }
}

/// Reads the other fields of the body as those of a chat request, so that a field that the application
/// opens is open in all dialects.
fn request(mut rest: Map<String, Value>) -> Result<ChatRequest, Refusal> {
    rest.insert("messages".to_owned(), Value::Array(Vec::new()));
    serde_json::from_value(Value::Object(rest)).map_err(|error| wrong(&error.to_string()))
}

fn wrong(why: &str) -> Refusal {
    Refusal::new(Problem::WrongShape, format!("{why}; send {EXAMPLE}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        chat::{EnabledTools, Message},
        dialect::{Concurrency, SessionNaming},
        log::ChatId,
    };

    fn start(value: &Value) -> Start {
        let dialect = AiSdk::new().enabled_tools(EnabledTools::All);
        decode(&dialect, &value.to_string().into()).unwrap()
    }

    fn body() -> Value {
        json!({
            "id": "chat-1", "trigger": "submit-message", "model": "m", "script": {"tokens": 3},
            "messages": [{"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}],
        })
    }

    fn key(value: &Value) -> SessionKey {
        match start(value).naming {
            SessionNaming::Key(key) => key,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_of_the_sdk_becomes_a_chat_request() {
        let start = start(&body());
        assert_eq!(start.request.messages, [Message::user("Hi")]);
        assert_eq!(start.request.model.as_deref(), Some("m"));
        assert_eq!(start.request.enabled_tools, Some(EnabledTools::All));
        assert_eq!(start.request.extra["script"]["tokens"], 3);
        assert_eq!(start.chat.as_ref().map(ChatId::as_str), Some("chat-1"));
        assert_eq!(start.concurrency, Concurrency::Refuse);
        assert!(start.notes.is_empty());
    }

    #[test]
    fn equal_messages_of_one_chat_have_equal_keys() {
        let asked = body();
        let mut other_body = asked.clone();
        other_body["script"]["tokens"] = 4.into();
        assert_eq!(key(&asked), key(&other_body));
        for (at, value) in [
            ("/id", json!("chat-2")),
            ("/trigger", json!("regenerate-message")),
            ("/messages/0/id", json!("m2")),
            ("/messages/0/parts/0/text", json!("Edited")),
        ] {
            let mut other = asked.clone();
            *other.pointer_mut(at).unwrap() = value;
            assert_ne!(key(&asked), key(&other), "{at}");
        }
    }

    #[test]
    fn an_answer_that_continues_a_message_keeps_its_id_and_calls() {
        let mut asked = body();
        asked["messages"].as_array_mut().unwrap().push(json!({
            "id": "answer-1", "role": "assistant", "parts": [{
                "type": "tool-map", "toolCallId": "c1", "state": "output-available",
                "input": {}, "output": "here",
            }],
        }));
        let continuing = start(&asked);
        assert_eq!(
            continuing.notes["aiSdk"],
            json!({
                "messageId": "answer-1",
                "calls": ["c1"],
                "parts": asked["messages"][1]["parts"],
            })
        );
        asked["trigger"] = REGENERATE.into();
        assert!(start(&asked).notes.is_empty());
    }

    #[test]
    fn a_request_without_a_chat_gets_a_generated_id() {
        let mut asked = body();
        asked.as_object_mut().unwrap().remove("id");
        let start = start(&asked);
        assert!(
            matches!(start.naming, SessionNaming::Generated),
            "{:?}",
            start.naming
        );
        assert_eq!(start.chat, None);
    }

    #[test]
    fn a_malformed_request_is_refused() {
        for (body, problem) in [
            ("{", Problem::NotJson),
            ("[]", Problem::WrongShape),
            (r#"{"messages":[]}"#, Problem::WrongShape),
            (
                r#"{"messages":[{"role":"wizard","parts":[]}]}"#,
                Problem::WrongShape,
            ),
            (
                r#"{"messages":[{"role":"user","parts":["x"]}]}"#,
                Problem::WrongShape,
            ),
            (
                r#"{"messages":[{"role":"user"}],"isomorphicTools":7}"#,
                Problem::WrongShape,
            ),
        ] {
            let refusal = decode(&AiSdk::new(), &Bytes::from(body)).unwrap_err();
            assert_eq!(refusal.problem, problem, "{body}");
        }
    }
}
