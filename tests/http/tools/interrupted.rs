//! Answers with tools whose server shuts down, at every event.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use unbroken::{durable::Recovery, session::Sessions, store::Memory};

use super::counted::{Counted, after, answer, calling, give, of, text};
use crate::{
    client::{With, lsns, ndjson, post, send},
    server::{MOUNT, Server, id},
};

async fn server(counted: &Counted, store: &Memory, recovery: Recovery) -> Server {
    let sessions = Sessions::builder(store.clone());
    let sessions = sessions.lease(Duration::from_millis(400)).build();
    counted
        .serve(sessions, |tools| tools, |layer| layer.recovery(recovery))
        .await
}

/// Three turns with three calls: `wait` must not run twice, `look` may.
fn request() -> Value {
    let call = |name: &str, of: &str| json!({"name": name, "arguments": {"of": of, "millis": 10}});
    let mut request = calling(json!([call("wait", "a"), call("look", "b")]));
    request["script"]["then"] =
        json!([{"text": "Again. ", "toolCalls": [call("wait", "c")]}, {"results": true}]);
    request
}

/// Starts a session, and shuts the server down once a client has seen so many events.
async fn cut(server: &Server, name: &str, seen: u64) -> Vec<(u64, Value)> {
    let start = post(MOUNT, &request()).with("x-session-id", id(name));
    let mut stream = send(server.addr, start).await;
    stream.until(&format!("\"lsn\":{seen},")).await;
    server.sessions.shutdown(Duration::ZERO).await;
    ndjson(stream.whole().await.text())
}

async fn length() -> u64 {
    let counted = Counted::default();
    answer(&counted.server().await, &request()).await.len() as u64
}

#[tokio::test]
async fn a_resume_at_any_event_repeats_idempotent_tools_only() {
    let cases = (1..length().await).map(|seen| async move {
        let (counted, store) = (Counted::default(), Memory::new());
        let first = server(&counted, &store, Recovery::new().resume()).await;
        let second = server(&counted, &store, Recovery::new().resume()).await;
        let name = format!("resume-{seen}");
        let mut events = cut(&first, &name, seen).await;
        let last = events.last().unwrap().0;
        events.extend(after(&second, &id(&name), last).await);
        assert_eq!(lsns(&events), (1..=events.len() as u64).collect::<Vec<_>>());
        assert_eq!(
            events.last().unwrap().1["type"],
            "complete",
            "{seen}: {events:?}"
        );
        for of in ["a", "c"] {
            assert!(
                counted.times(of) <= 1,
                "{seen}: {of} ran {} times",
                counted.times(of)
            );
        }
        assert!(counted.times("b") >= 1);
        let outcomes = of(&events, "tool_result").len() + of(&events, "tool_error").len();
        assert_eq!(outcomes, 3, "{seen}: {events:?}");
        assert!(
            text(&events).starts_with("Let me see. Again. "),
            "{events:?}"
        );
    });
    join_all(cases).await;
}

#[tokio::test]
async fn a_restart_at_any_event_repeats_idempotent_tools_only() {
    let cases = (2..length().await).map(|seen| async move {
        let (counted, store) = (Counted::default(), Memory::new());
        let first = server(&counted, &store, Recovery::new().restart()).await;
        let second = server(&counted, &store, Recovery::new().restart()).await;
        let name = format!("restart-{seen}");
        let mut events = cut(&first, &name, seen).await;
        let last = events.last().unwrap().0;
        events.extend(after(&second, &id(&name), last).await);
        assert_eq!(lsns(&events), (1..=events.len() as u64).collect::<Vec<_>>());
        let restarted = events.iter().position(|(_, it)| it["type"] == "restarted");
        // The call may have finished before the shutdown reached it.
        let anew = &events[restarted.unwrap_or(0)..];
        assert_eq!(
            anew.last().unwrap().1["type"],
            "complete",
            "{seen}: {events:?}"
        );
        for of in ["a", "c"] {
            assert!(
                counted.times(of) <= 1,
                "{seen}: {of} ran {} times",
                counted.times(of)
            );
        }
        let outcomes = of(anew, "tool_result").len() + of(anew, "tool_error").len();
        assert_eq!(outcomes, 3, "{seen}: {events:?}");
        assert!(text(anew).starts_with("Let me see. Again. "), "{events:?}");
    });
    join_all(cases).await;
}

#[tokio::test]
async fn an_approval_that_waits_survives_its_server() {
    let (counted, store) = (Counted::default(), Memory::new());
    let first = server(&counted, &store, Recovery::new().resume()).await;
    let second = server(&counted, &store, Recovery::new().resume()).await;
    let paying = calling(json!([{"name": "pay", "arguments": {"sum": 7}}]));
    let start = post(MOUNT, &paying).with("x-session-id", id("approval"));
    let mut stream = send(first.addr, start).await;
    stream.until("input_request").await;
    first.sessions.shutdown(Duration::ZERO).await;
    let events = ndjson(stream.whole().await.text());
    let input = of(&events, "input_request")[0]["inputId"].clone();
    let input = input.as_str().unwrap();
    let accept = json!({"action": "accept"});
    assert_eq!(give(&second, &id("approval"), input, accept).await, 202);
    let events = after(&second, &id("approval"), 0).await;
    assert_eq!(of(&events, "input_request").len(), 1, "asked once");
    assert_eq!(of(&events, "input_resolved").len(), 1);
    assert_eq!(text(&events), "Let me see. paid 7");
    assert_eq!(counted.times("pay 7"), 1);
}
