use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    AiSdk, UiMessage, encoder::UiMessageEncoder, notes::MessageNotes, options, part_check, parts,
    recall::UiRecall,
};
use crate::{
    chat::{ChatRequest, Role},
    dialect::{
        Element, GivenAnswers, KeyReuse, Problem, Refusal, RequestLimits, ResponseMode, SessionKey,
        Start, Subject, body,
        chat_body::check_tools,
        hash,
        names::{chat_in_body, check_name},
    },
};

const EXAMPLE: &str = r#"{"id":"chat-1","messages":[{"id":"m1","role":"user","parts":[{"type":"text","text":"Hi"}]}]}"#;
const WHAT: &str = "a request of the AI SDK";
const REGENERATE: &str = "regenerate-message";

/// The body that a transport sends.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TransportBody {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    messages: Option<Vec<UiMessage>>,
    // A field of the application beside `messages`.
    #[serde(default)]
    message: Option<Value>,
    #[serde(default)]
    trigger: Option<String>,
    #[serde(default)]
    message_id: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// The names in the body that the access policy decides by.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TransportSubject {
    #[serde(default)]
    id: Option<String>,
    // As in a chat request; it counts without an `id`.
    #[serde(default)]
    chat_id: Option<String>,
}

/// Decodes the names in the body of `POST /`.
pub(super) fn subject(body: &Bytes) -> Result<Subject, Refusal> {
    let subject: TransportSubject = body::read_subject(body, WHAT, EXAMPLE)?;
    Ok(Subject::Start {
        session: None,
        chat: match subject.id {
            Some(id) => chat_in_body("id", Some(id))?,
            None => chat_in_body("chatId", subject.chat_id)?,
        },
    })
}

/// Decodes the body of `POST /`.
pub(super) fn decode(
    dialect: &AiSdk,
    body: &Bytes,
    limits: &RequestLimits,
) -> Result<Start, Refusal> {
    let (mut wire, _) = body::read(body, limits, WHAT, EXAMPLE, |_: &TransportBody| 0)?;
    let trigger = wire.trigger.as_deref().unwrap_or_default();
    let regenerates = trigger == REGENERATE;
    let is_needed = wire.messages.is_none();
    let messages = match (wire.messages, wire.message) {
        (Some(messages), other) => {
            wire.rest.extend(other.map(|it| ("message".to_owned(), it)));
            messages
        }
        (None, Some(message)) => {
            let message = serde_json::from_value(message);
            vec![message.map_err(|error| wrong(&format!("`message`: {error}")))?]
        }
        (None, None) => Vec::new(),
    };
    let parts = messages.iter().map(|message| message.parts.len());
    limits.check(Element::Message, messages.len())?;
    limits.check(Element::Part, parts.sum())?;
    let chat = chat_in_body("id", wire.id)?;
    if is_needed && chat.is_none() {
        return Err(wrong("the messages before have an `id` of their chat"));
    }
    let ids = messages.iter().map(|message| &message.id);
    for id in ids.chain(&wire.message_id) {
        check_name("the id of a message", id)?;
    }
    let (last, before) = match messages.split_last() {
        Some((last, before)) => (Some(last), before),
        None if is_needed && regenerates => (None, &messages[..]),
        None => return Err(wrong("the request has no message to answer")),
    };
    for (at, message) in messages.iter().enumerate() {
        let place = || {
            if is_needed {
                "message".to_owned()
            } else {
                format!("messages[{at}]")
            }
        };
        part_check::check(place, message)?;
    }
    let mut request = request(wire.rest)?;
    request.messages = before.iter().flat_map(parts::earlier).collect();
    if let Some(last) = last {
        let (messages, outputs) = parts::last(last);
        request.messages.extend(messages);
        request.isomorphic_client_outputs.extend(outputs);
    }
    check_tools(&request, limits)?;
    request
        .enabled_tools
        .get_or_insert_with(|| dialect.tools.clone());
    if chat.is_some() {
        request.chat_id.clone_from(&chat);
    }
    let continued = last.filter(|last| last.role == Role::Assistant && !regenerates);
    let mut answers = GivenAnswers::new();
    let mut encoder = UiMessageEncoder::new(dialect.fold());
    if let Some(last) = continued {
        answers = parts::answers(last);
        limits.check(Element::Answer, answers.given.len())?;
        let given = answers.given.iter().map(|(input, _)| input.clone());
        encoder = encoder.answered(given);
        // The id of a message that a session began is the id of the session.
        if let Ok(session) = last.id.parse() {
            answers = answers.session(session);
        }
    }
    let mode = ResponseMode::Stream(Box::new(encoder));
    let mut start = Start::new(request, mode).concurrency(dialect.concurrency);
    if let Some(chat) = &chat {
        let named = (chat.as_str(), trigger, &wire.message_id, last);
        let identity = match history_digest(&messages) {
            None => serde_json::to_vec(&named),
            Some(history) => serde_json::to_vec(&(named, history)),
        };
        let identity = identity.map_err(|error| wrong(&error.to_string()))?;
        let reuse = if regenerates {
            KeyReuse::AfterEnd
        } else {
            KeyReuse::UnlessComplete
        };
        start = start
            .key(SessionKey::new([&identity]).reuse(reuse))
            .identity(identity)
            .recall(UiRecall {
                message: last.cloned(),
                regenerates,
                message_id: wire.message_id,
                is_needed,
            });
    }
    if let Some(last) = continued {
        // Where no chat is named, the message names the session that began it.
        start = start.continues(last.id.parse().ok());
        if !answers.given.is_empty() {
            start = start.answers(answers);
        }
        MessageNotes::continuing(last)?.put_into(&mut start)?;
    }
    Ok(start)
}

/// Returns a digest of the conversation, or `None` if each of its messages has an id. Then the last message
/// stands for those before it: a client that edits one drops what follows it.
fn history_digest(messages: &[UiMessage]) -> Option<[u8; 32]> {
    messages.iter().find(|message| message.id.is_empty())?;
    Some(hash(messages.iter().flat_map(|message| {
        let content = if message.id.is_empty() {
            serde_json::to_vec(&(message.role, &message.parts)).unwrap_or_default()
        } else {
            Vec::new()
        };
        [message.id.clone().into_bytes(), content]
    })))
}

/// Reads the other fields of the body as those of a chat request, so that a field that the application
/// opens is open in all dialects.
fn request(mut rest: Map<String, Value>) -> Result<ChatRequest, Refusal> {
    options::take(&mut rest)?;
    rest.insert("messages".to_owned(), Value::Array(Vec::new()));
    let request = serde_json::from_value(Value::Object(rest));
    let request: ChatRequest = request.map_err(|error| wrong(&error.to_string()))?;
    options::check(&request.options)?;
    Ok(request)
}

fn wrong(why: &str) -> Refusal {
    Refusal::new(Problem::WrongShape, format!("{why}; send {EXAMPLE}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        chat::{ChatOptions, EnabledTools, Message},
        dialect::{Concurrency, SessionNaming},
        log::ChatId,
    };

    fn start(value: &Value) -> Start {
        let dialect = AiSdk::new().enabled_tools(EnabledTools::All);
        decode(&dialect, &value.to_string().into(), &RequestLimits::new()).unwrap()
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
        assert_eq!(start.concurrency, Concurrency::CancelQuestions);
        assert!(start.notes.is_empty());
    }

    #[test]
    fn settings_of_the_sdk_become_options() {
        let mut asked = body();
        asked["temperature"] = 0.5.into();
        asked["stopSequences"] = json!(["END"]);
        let expected = ChatOptions::new().temperature(0.5).stop("END");
        assert_eq!(start(&asked).request.options, expected);
    }

    #[test]
    fn a_part_that_can_not_be_carried_is_refused() {
        let mut asked = body();
        asked["messages"][0]["parts"][0] = json!({"type": "custom", "kind": "openai.item"});
        let body = Bytes::from(asked.to_string());
        let refusal = decode(&AiSdk::new(), &body, &RequestLimits::new()).unwrap_err();
        assert_eq!(refusal.problem.status(), 422);
        assert!(refusal.detail.contains("`custom`"), "{}", refusal.detail);
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
    fn a_message_without_an_id_counts_with_its_content() {
        let say = |role: &str, text: &str| json!({"role": role, "parts": [{"type": "text", "text": text}]});
        let talk = |messages: &[Value]| {
            let mut asked = body();
            asked["messages"] = messages.into();
            key(&asked)
        };
        let with_id = |id: &str, mut message: Value| {
            message["id"] = id.into();
            message
        };
        let (hi, hello, and) = (
            say("user", "Hi"),
            say("assistant", "Hello"),
            say("user", "And?"),
        );
        let whole = [hi.clone(), hello.clone(), and.clone()];
        assert_eq!(talk(&whole), talk(&whole));
        for other in [
            vec![say("user", "Hey"), hello.clone(), and.clone()],
            vec![hi.clone(), say("assistant", "Hallo"), and.clone()],
            vec![hi.clone(), say("user", "Hello"), and.clone()],
            vec![hello.clone(), hi.clone(), and.clone()],
            vec![hi.clone(), and.clone()],
            vec![and.clone()],
            vec![with_id("1", hi.clone()), hello.clone(), and.clone()],
        ] {
            assert_ne!(talk(&whole), talk(&other), "{other:?}");
        }
        // An id stands for the message.
        let named = |text| [with_id("1", say("user", text)), hello.clone(), and.clone()];
        assert_eq!(talk(&named("Hi")), talk(&named("Hey")));
        let last = |id| [with_id(id, hi.clone()), hello.clone(), and.clone()];
        assert_ne!(talk(&last("1")), talk(&last("2")));
        // A question that is asked twice is two.
        assert_ne!(
            talk(std::slice::from_ref(&hi)),
            talk(&[hi.clone(), hello, hi.clone()])
        );
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
    fn a_message_alone_needs_the_conversation_and_its_fields_are_bounded_as_in_a_list() {
        let mut asked = body();
        let all = start(&asked);
        assert!(!all.recall.unwrap().is_needed());
        asked["message"] = asked["messages"][0].take();
        asked.as_object_mut().unwrap().remove("messages");
        let alone = start(&asked);
        assert!(alone.recall.unwrap().is_needed());
        assert_eq!(alone.request.messages, all.request.messages);
        assert_eq!(key(&asked), key(&body()));
        let bounded = |parts| {
            let limits = RequestLimits::new().parts(parts);
            decode(&AiSdk::new(), &asked.to_string().into(), &limits).map(drop)
        };
        assert!(bounded(1).is_ok());
        assert_eq!(bounded(0).unwrap_err().problem, Problem::TooManyElements);
        // Beside a list it is a field of the application.
        let mut both = body();
        both["message"] = json!({"any": 1});
        assert_eq!(start(&both).request.extra["message"], both["message"]);
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
    fn the_policy_is_asked_about_the_chat_that_is_decoded() {
        let mut asked = body();
        for (id, chat_id, chat) in [
            (json!("a"), Value::Null, Some("a")),
            (json!("a"), json!("b"), Some("a")),
            (Value::Null, json!("b"), Some("b")),
            (Value::Null, Value::Null, None),
        ] {
            (asked["id"], asked["chatId"]) = (id, chat_id);
            let Ok(Subject::Start {
                session,
                chat: subject,
            }) = subject(&asked.to_string().into())
            else {
                panic!("{asked}")
            };
            assert_eq!(session, None);
            assert_eq!(subject.as_ref().map(ChatId::as_str), chat, "{asked}");
            assert_eq!(start(&asked).chat, subject, "{asked}");
        }
    }

    #[test]
    fn each_name_is_bounded_on_both_sides() {
        let with = |place: &str, bytes: usize| {
            let mut asked = body();
            asked["messages"][0] = json!({"id": "a", "role": "assistant", "parts": [
                {"type": "tool-map", "toolCallId": "c", "state": "input-available"},
            ]});
            asked["messageId"] = "m".into();
            *asked.pointer_mut(place).unwrap() = "n".repeat(bytes).into();
            decode(
                &AiSdk::new(),
                &asked.to_string().into(),
                &RequestLimits::new(),
            )
        };
        for (place, max) in [
            ("/id", 128),
            ("/messageId", 128),
            ("/messages/0/id", 128),
            ("/messages/0/parts/0/toolCallId", 160),
        ] {
            assert!(with(place, max).is_ok(), "{place}");
            let refusal = with(place, max + 1).unwrap_err();
            assert_eq!(refusal.problem, Problem::WrongShape, "{place}");
            assert!(
                refusal.detail.contains(&max.to_string()),
                "{}",
                refusal.detail
            );
        }
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
            let refusal =
                decode(&AiSdk::new(), &Bytes::from(body), &RequestLimits::new()).unwrap_err();
            assert_eq!(refusal.problem, problem, "{body}");
        }
    }
}
