use std::collections::HashSet;

use http::Request;
use proptest::prelude::*;
use serde_json::{Value, json};
use unbroken::{
    chat::{
        Capabilities, ChatEvent, ProviderState, ProviderStateEvent, SessionInfo, StateOf, ToolCall,
        ToolInput, Transcript,
    },
    dialect::{AgUi, Dialect, Encoder, Intent, Route},
};

use crate::{ID, encoders::Stream, logs};

pub(crate) fn whole() -> Box<dyn Encoder> {
    read("")
}

/// Returns the encoder for TanStack's client.
pub(crate) fn message_first() -> Box<dyn Encoder> {
    join("-1")
}

/// Returns the encoder of a client that resumes after the id of its last event.
pub(crate) fn after(received: &[u8]) -> Box<dyn Encoder> {
    read(&last_id(received).unwrap_or_default())
}

/// Returns the encoder of a TanStack client that resumes after the id of its last event.
pub(crate) fn message_first_after(received: &[u8]) -> Box<dyn Encoder> {
    join(&last_id(received).unwrap_or("-1".to_owned()))
}

fn read(id: &str) -> Box<dyn Encoder> {
    let request = Request::get(format!("/{ID}")).header("last-event-id", id);
    encoder(request.body(()).unwrap())
}

fn join(offset: &str) -> Box<dyn Encoder> {
    let uri = format!("/?offset={offset}&runId={ID}");
    encoder(Request::get(uri).body(()).unwrap())
}

fn encoder(request: Request<()>) -> Box<dyn Encoder> {
    match AgUi::new().route(&request.into_parts().0) {
        Ok(Route::Known(Intent::Read(read))) => read.encoder,
        other => panic!("{other:?}"),
    }
}

fn last_id(received: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(received).unwrap();
    let last = text.lines().rfind(|line| line.starts_with("id: "))?;
    // A client that has the end gets it again; the comparison leaves that out.
    let ended = text.contains(r#""type":"RUN_FINISHED""#) || text.contains(r#""type":"RUN_ERROR""#);
    let id = if ended {
        "999999.0000000"
    } else {
        last.strip_prefix("id: ")?
    };
    Some(id.to_owned())
}

fn encoded(encoder: Box<dyn Encoder>, log: &[ChatEvent]) -> Vec<(String, Value)> {
    let mut stream = Stream::new(encoder);
    for chunk in logs::chunks(log, &[false]) {
        stream.write(&chunk);
    }
    let bytes = stream.finish();
    let text = std::str::from_utf8(&bytes).unwrap();
    let frame = |frame: &str| {
        let (id, data) = frame.split_once("\ndata: ").unwrap();
        (id.to_owned(), serde_json::from_str(data).unwrap())
    };
    text.split_terminator("\n\n").map(frame).collect()
}

/// The rules of `@ag-ui/client` for a stream.
struct Rules {
    open: HashSet<(&'static str, String)>,
    closed: HashSet<(&'static str, String)>,
    /// The messages that calls belong to.
    parents: HashSet<String>,
    with_state: HashSet<(&'static str, String)>,
    over: bool,
}

impl Rules {
    fn check(&mut self, event: &Value) {
        assert!(!self.over, "nothing follows the end: {event}");
        let kind = event["type"].as_str().unwrap();
        let (what, step) = match kind {
            "TEXT_MESSAGE_START" => ("text", "open"),
            "TEXT_MESSAGE_CONTENT" => ("text", "in"),
            "TEXT_MESSAGE_END" => ("text", "close"),
            "REASONING_START" => ("span", "open"),
            "REASONING_MESSAGE_START" => ("reasoning", "open"),
            "REASONING_MESSAGE_CONTENT" => ("reasoning", "in"),
            "REASONING_MESSAGE_END" => ("reasoning", "close"),
            "REASONING_END" => ("span", "close"),
            "TOOL_CALL_START" => ("call", "open"),
            "TOOL_CALL_ARGS" => ("call", "in"),
            "TOOL_CALL_END" => ("call", "close"),
            "RUN_FINISHED" | "RUN_ERROR" => {
                assert!(self.open.is_empty(), "{:?}", self.open);
                self.over = true;
                return;
            }
            "REASONING_ENCRYPTED_VALUE" => {
                // A client drops the value of what it doesn't know.
                let of: &[_] = match event["subtype"].as_str().unwrap() {
                    "message" => &["reasoning", "text"],
                    _ => &["call"],
                };
                let id = event["entityId"].as_str().unwrap();
                let is_known = |of: &&'static str| {
                    let key = (*of, id.to_owned());
                    self.open.contains(&key) || self.closed.contains(&key)
                };
                // A call makes its message.
                let is_parent = of.len() == 2 && self.parents.contains(id);
                assert!(is_parent || of.iter().any(is_known), "{event}");
                let first = self.with_state.insert((of[0], id.to_owned()));
                assert!(first || of.len() == 1, "a client keeps one value: {event}");
                return;
            }
            "MESSAGES_SNAPSHOT" => {
                assert!(self.open.is_empty(), "{:?}", self.open);
                // A call that the model repeats after a restart has its id again.
                self.closed.retain(|(what, _)| *what != "call");
                self.parents.clear();
                return;
            }
            "RUN_STARTED" | "TOOL_CALL_RESULT" | "CUSTOM" => return,
            other => panic!("{other}"),
        };
        if let Some(parent) = event["parentMessageId"].as_str() {
            self.parents.insert(parent.to_owned());
        }
        let field = if what == "call" {
            "toolCallId"
        } else {
            "messageId"
        };
        let key = (what, event[field].as_str().unwrap().to_owned());
        match step {
            "open" => {
                assert!(!self.closed.contains(&key), "an id is used once: {event}");
                assert!(self.open.insert(key), "{event}");
            }
            "in" => assert!(self.open.contains(&key), "{event}"),
            _ => {
                assert!(self.open.remove(&key), "{event}");
                self.closed.insert(key);
            }
        }
    }
}

fn check(events: &[(String, Value)], log: &[ChatEvent]) {
    let mut rules = Rules {
        open: HashSet::new(),
        closed: HashSet::new(),
        parents: HashSet::new(),
        with_state: HashSet::new(),
        over: false,
    };
    let ids: HashSet<_> = events.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), events.len(), "no two events have the same id");
    assert_eq!(events[0].1["type"], "RUN_STARTED");
    for (_, event) in events {
        rules.check(event);
    }
    assert!(rules.over);
    if log
        .iter()
        .any(|event| matches!(event, ChatEvent::Restarted(_)))
    {
        return;
    }
    let transcript: Transcript = log.iter().collect();
    let said = |kind: &str| -> String {
        let of = events.iter().filter(|(_, event)| event["type"] == kind);
        of.map(|(_, event)| event["delta"].as_str().unwrap())
            .collect()
    };
    assert_eq!(said("TEXT_MESSAGE_CONTENT"), transcript.text());
    assert_eq!(said("REASONING_MESSAGE_CONTENT"), transcript.thinking());
}

proptest! {
    #[test]
    fn the_events_of_every_log_keep_ag_uis_rules_and_have_its_text(log in logs::log()) {
        check(&encoded(whole(), &log), &log);
        let for_tanstack = encoded(message_first(), &log);
        check(&for_tanstack, &log);
        // A message begins before its thinking.
        let kinds = for_tanstack.iter().map(|(_, event)| event["type"].as_str().unwrap());
        let starts = |kind: &&str| matches!(*kind, "TEXT_MESSAGE_START" | "REASONING_START");
        let first = kinds.clone().find(starts);
        prop_assert_ne!(first, Some("REASONING_START"));
    }
}

#[test]
fn what_belongs_to_a_call_is_told_once_it_is_whole_wherever_the_log_has_it() {
    let state = |data: &str| ProviderState::new("vendor", json!({"signature": data}));
    let of_call = |id: &str| ProviderStateEvent::new(StateOf::Call(id.into()), state(id)).into();
    let mut own = ToolCall::new("with", "now", json!({}));
    own.provider_state = Some(state("with"));
    let call = |id: &str| ToolCall::new(id, "now", json!({}));
    let log = [
        SessionInfo::new(Capabilities::new()).into(),
        of_call("before"),
        ToolInput::new("streamed", "{}").name("now").into(),
        of_call("streamed"),
        ChatEvent::tool_calls([call("before"), own, call("streamed"), call("after")]),
        of_call("after"),
        ChatEvent::tool_result("after", "now", "noon"),
        ChatEvent::complete(),
    ];
    let events = encoded(whole(), &log);
    check(&events, &log);
    let told = events.iter().filter_map(|(_, event)| {
        let is_state = event["type"] == "REASONING_ENCRYPTED_VALUE";
        is_state.then(|| {
            (
                event["subtype"].as_str().unwrap(),
                event["entityId"].as_str().unwrap(),
            )
        })
    });
    let expected = ["before", "with", "streamed", "after"].map(|id| ("tool-call", id));
    assert_eq!(told.collect::<Vec<_>>(), expected);
    // Each of them after the end of its call.
    let at = |kind: &str, field: &str, id: &str| {
        let is = |(_, event): &(String, Value)| event["type"] == kind && event[field] == id;
        events.iter().position(is).unwrap()
    };
    for (_, id) in expected {
        let end = at("TOOL_CALL_END", "toolCallId", id);
        assert!(
            end < at("REASONING_ENCRYPTED_VALUE", "entityId", id),
            "{id}"
        );
    }
}

#[test]
fn the_state_of_a_turn_is_that_of_its_message_where_it_comes_after_the_text() {
    let state = |data: u32| {
        let state = ProviderState::new("p", json!(data));
        ChatEvent::from(ProviderStateEvent::new(StateOf::Turn, state))
    };
    let log = [
        SessionInfo::new(Capabilities::new()).into(),
        ChatEvent::thinking("Hm."),
        ChatEvent::text("I look."),
        ToolInput::new("c", "{}").name("now").into(),
        state(1),
        ChatEvent::tool_calls([ToolCall::new("c", "now", json!({}))]),
        ChatEvent::tool_result("c", "now", "noon"),
        ToolInput::new("d", "{}").name("now").into(),
        state(2),
        state(3),
        ChatEvent::tool_calls([ToolCall::new("d", "now", json!({}))]),
        ChatEvent::tool_result("d", "now", "noon"),
        ChatEvent::thinking("So."),
        state(4),
        ChatEvent::text("Noon."),
        state(5),
        ChatEvent::complete(),
    ];
    for (encoder, own) in [(whole(), 5), (message_first(), 4)] {
        let events = encoded(encoder, &log);
        check(&events, &log);
        let of = |kind: &str, field: &str| -> Vec<String> {
            let of = events.iter().filter(|(_, event)| event["type"] == kind);
            of.map(|(_, event)| event[field].as_str().unwrap().to_owned())
                .collect()
        };
        let states = of("REASONING_ENCRYPTED_VALUE", "entityId");
        let (texts, thoughts) = (
            of("TEXT_MESSAGE_START", "messageId"),
            of("REASONING_START", "messageId"),
        );
        let parents = of("TOOL_CALL_START", "parentMessageId");
        assert_eq!(states.len(), 5);
        assert_eq!(states[0], texts[0]);
        assert_eq!(states[0], parents[0]);
        assert_eq!(states[1], parents[1], "a call makes its message");
        assert!(
            thoughts.contains(&states[2]),
            "a second one has thinking of its own"
        );
        assert!(thoughts.contains(&states[3]));
        // TanStack's client has one for a message and its thinking.
        assert_eq!(texts.contains(&states[4]), own == 5);
    }
}

mod over_http {
    use axum::body::{Body, to_bytes};
    use http::{Request, Response, StatusCode};
    use tower::ServiceExt;
    use tower_layer::Layer;
    use unbroken::{
        access::AnyoneWithTheId,
        dialect::AgUi,
        durable::{DurableLayer, DurableService, SessionBody},
        provider::{Scripted, scripted::Script},
        session::Sessions,
    };

    const RUN: &str = "run-1764133345123-k3j5x9";

    fn chat() -> DurableService<Scripted> {
        let layer = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new());
        let script = Script::say("All is well.").delay(std::time::Duration::ZERO);
        layer
            .dialect(AgUi::new())
            .secret_chat_ids()
            .layer(Scripted::new(script))
    }

    async fn ask(
        chat: &DurableService<Scripted>,
        id: Option<&str>,
        content: &str,
    ) -> Response<SessionBody> {
        let body = format!(
            r#"{{"threadId":"t","runId":"{RUN}","messages":[{{"id":"1","role":"user","content":"{content}"}}]}}"#
        );
        let mut request = Request::post("/")
            .header("content-type", "application/json")
            .header("x-run-id", RUN);
        if let Some(id) = id {
            request = request.header("last-event-id", id);
        }
        let request = request.body(Body::from(body)).unwrap();
        chat.clone().oneshot(request).await.unwrap()
    }

    async fn text(response: Response<SessionBody>) -> String {
        let bytes = to_bytes(Body::new(response.into_body()), usize::MAX).await;
        String::from_utf8(bytes.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_repeated_start_attaches_and_another_one_under_the_same_id_is_refused() {
        let chat = chat();
        let first = ask(&chat, None, "Hi").await;
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(first.headers()["content-type"], "text/event-stream");
        assert_eq!(first.headers()["x-session-id"], RUN);
        let first = text(first).await;
        assert_eq!(text(ask(&chat, None, "Hi").await).await, first);
        assert_eq!(ask(&chat, None, "Bye").await.status(), StatusCode::CONFLICT);
    }

    #[tokio::test]
    async fn a_cursor_of_a_lost_log_is_refused_and_never_spliced() {
        let chat = chat();
        let all = text(ask(&chat, None, "Hi").await).await;
        let ids: Vec<_> = all
            .lines()
            .filter_map(|it| it.strip_prefix("id: "))
            .collect();
        // A record with several events, of which the client has the first.
        let part = ids.iter().find(|id| id.matches('.').count() == 2).unwrap();
        let rest = text(ask(&chat, Some(part), "Hi").await).await;
        assert!(all.ends_with(&rest), "{rest}");
        let (lsn, tag) = part.split_once('.').unwrap();
        let other = if tag.starts_with('0') { "1" } else { "0" };
        let rewound = format!("{lsn}.{other}{}", &tag[1..]);
        let refused = ask(&chat, Some(&rewound), "Hi").await;
        assert_eq!(refused.status(), StatusCode::CONFLICT);
        assert!(text(refused).await.contains("urn:unbroken:log-rewound"));
        let beyond = ask(&chat, Some("1000"), "Hi").await;
        assert_eq!(beyond.status(), StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn a_client_that_has_the_end_gets_it_once_more() {
        let chat = chat();
        let all = text(ask(&chat, None, "Hi").await).await;
        let last = all.trim_end().rsplit("\n\n").next().unwrap();
        let (id, data) = last.split_once('\n').unwrap();
        let again = ask(&chat, id.strip_prefix("id: "), "Hi").await;
        assert_eq!(again.status(), StatusCode::OK);
        assert_eq!(text(again).await, format!("{data}\n\n"));
    }
}
