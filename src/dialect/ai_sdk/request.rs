use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{AiSdk, UiMessage, encoder::UiMessageEncoder, parts};
use crate::{
    chat::{ChatRequest, Role, SessionInfo},
    dialect::{GivenAnswers, KeyReuse, Problem, Refusal, ResponseMode, SessionKey, Start, body},
};

const EXAMPLE: &str = r#"{"id":"chat-1","messages":[{"id":"m1","role":"user","parts":[{"type":"text","text":"Hi"}]}]}"#;
/// How many bytes of a message are kept for clients that come to it while more is being said. One
/// that is longer shows them only what is new, until the application loads it again.
const EARLIER_BYTES: usize = 64 * 1024;
const REGENERATE: &str = "regenerate-message";

/// What a transport sends.
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

/// What encoders must know of the request, kept in the first record as `aiSdk`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct MessageNotes {
    /// The message that the answer goes on in.
    pub(super) message_id: Option<String>,
    /// The calls in it.
    pub(super) calls: Vec<String>,
    /// What it held by then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<Map<String, Value>>,
}

impl MessageNotes {
    const NAME: &'static str = "aiSdk";

    /// Those of a session, if it has any.
    pub(super) fn of(info: &SessionInfo) -> Self {
        let notes = info.extra.get(Self::NAME);
        notes
            .and_then(|notes| Self::deserialize(notes).ok())
            .unwrap_or_default()
    }
}

/// What the body of `POST /` asks for.
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
    let goes_on = last.role == Role::Assistant && trigger != REGENERATE;
    let mut answers = GivenAnswers::new();
    let mut encoder = UiMessageEncoder::new();
    if goes_on {
        answers = parts::answers(last);
        let given = answers.given.iter().map(|(input, _)| input.clone());
        encoder = encoder.answering(given);
        // A message that an assistant began with is called by its session.
        if let Ok(session) = last.id.parse() {
            answers = answers.of(session);
        }
    }
    let answering = ResponseMode::Stream(Box::new(encoder));
    let mut start = Start::new(request, answering).rival(dialect.rival);
    if let Some(chat) = &wire.id {
        let named = (chat, trigger, &wire.message_id, last);
        let named = serde_json::to_vec(&named).map_err(|error| wrong(&error.to_string()))?;
        let again = if trigger == REGENERATE {
            KeyReuse::OnceEnded
        } else {
            KeyReuse::UnlessComplete
        };
        start = start
            .keyed(SessionKey::new([&named]).again(again))
            .same_if(named);
    }
    if goes_on {
        let notes = MessageNotes {
            message_id: Some(last.id.clone()).filter(|id| !id.is_empty()),
            calls: parts::call_ids(last),
            parts: kept(&last.parts),
        };
        if !answers.given.is_empty() {
            start = start.answering(answers);
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

/// The parts of a message, if they aren't too long to stand in a record.
fn kept(parts: &[Map<String, Value>]) -> Vec<Map<String, Value>> {
    let bytes = serde_json::to_vec(parts).map_or(usize::MAX, |json| json.len());
    if bytes <= EARLIER_BYTES {
        parts.to_vec()
    } else {
        Vec::new()
    }
}

/// What else stands beside the messages is what a chat request may have: who opens a field opens
/// it for all dialects.
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

    fn asked() -> Value {
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
    fn a_request_of_the_sdk_is_a_chat_request() {
        let start = start(&asked());
        assert_eq!(start.request.messages, [Message::user("Hi")]);
        assert_eq!(start.request.model.as_deref(), Some("m"));
        assert_eq!(start.request.enabled_tools, Some(EnabledTools::All));
        assert_eq!(start.request.extra["script"]["tokens"], 3);
        assert_eq!(start.chat.as_ref().map(ChatId::as_str), Some("chat-1"));
        assert_eq!(start.rival, Concurrency::Refuse);
        assert!(start.notes.is_empty());
    }

    #[test]
    fn the_same_message_of_the_same_chat_has_the_same_key() {
        let asked = asked();
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
    fn what_goes_on_in_a_message_keeps_its_name_and_calls() {
        let mut asked = asked();
        asked["messages"].as_array_mut().unwrap().push(json!({
            "id": "answer-1", "role": "assistant", "parts": [{
                "type": "tool-map", "toolCallId": "c1", "state": "output-available",
                "input": {}, "output": "here",
            }],
        }));
        let goes_on = start(&asked);
        assert_eq!(
            goes_on.notes["aiSdk"],
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
    fn without_a_chat_there_is_nothing_to_name_a_session_by() {
        let mut asked = asked();
        asked.as_object_mut().unwrap().remove("id");
        let start = start(&asked);
        assert!(
            matches!(start.naming, SessionNaming::Ours),
            "{:?}",
            start.naming
        );
        assert_eq!(start.chat, None);
    }

    #[test]
    fn what_is_no_request_is_refused() {
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
