//! Clients that reload in the middle of a conversation with tools, at every event.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::counted::{Counted, after, answer, calling, give, of, text};
use crate::{
    client::{With, get, lsns, ndjson, post, send},
    server::{MOUNT, Server, at, id, until},
};

/// Three turns: two tools, then `third`, then its result.
fn request(name: &str, third: &Value) -> Value {
    let call = |of: &str| {
        let of = format!("{name} {of}");
        json!({"name": "wait", "arguments": {"of": of, "millis": 5}})
    };
    let mut request = calling(json!([call("a"), call("b")]));
    request["script"]["then"] =
        json!([{"text": "Again. ", "toolCalls": [third]}, {"results": true}]);
    request
}

/// Starts a session, or attaches to it, and reads so many events from its beginning.
async fn read(server: &Server, name: &str, request: &Value, seen: u64) -> Vec<(u64, Value)> {
    let start = post(MOUNT, request).with("x-session-id", id(name));
    let mut stream = send(server.addr, start).await;
    assert_eq!(stream.status(), 200);
    let read = stream.until(&format!("\"lsn\":{seen},")).await;
    ndjson(&read[..read.rfind('\n').map_or(0, |end| end + 1)])
}

#[tokio::test]
async fn a_start_that_is_repeated_at_every_event_runs_no_tool_twice() {
    let counted = Counted::default();
    let server = counted.server().await;
    let third = |name: &str| json!({"name": "wait", "arguments": {"of": format!("{name} c")}});
    let length = answer(&server, &request("whole", &third("whole")))
        .await
        .len() as u64;
    let cases = (1..=length).map(|seen| {
        let (server, counted) = (&server, &counted);
        async move {
            let name = format!("repeated-{seen}");
            let request = request(&name, &third(&name));
            read(server, &name, &request, seen).await;
            // The page has lost its state: it reads from the beginning.
            let start = post(MOUNT, &request).with("x-session-id", id(&name));
            let whole = send(server.addr, start).await.whole().await;
            let events = ndjson(whole.text());
            assert_eq!(lsns(&events), (1..=length).collect::<Vec<_>>());
            assert_eq!(events.last().unwrap().1["type"], "complete");
            for of in ["a", "b", "c"] {
                assert_eq!(counted.times(&format!("{name} {of}")), 1, "{name}");
            }
        }
    });
    join_all(cases).await;
}

/// Approves the question of a session once it is asked.
async fn allow(server: &Server, session: &str) {
    let mut input = Value::Null;
    until(async || {
        let page = get(&at(session)).with("accept", "application/json");
        let page = send(server.addr, page).await.whole().await;
        if page.status() != 200 {
            return false; // it has not begun
        }
        let page = page.json();
        let mut events = page["events"].as_array().unwrap().iter();
        let asked = events.find(|it| it["event"]["type"] == "input_request");
        input = asked.map_or(Value::Null, |it| it["event"]["inputId"].clone());
        !input.is_null()
    })
    .await;
    let accept = json!({"action": "accept"});
    let stored = give(server, session, input.as_str().unwrap(), accept).await;
    assert_eq!(stored, 202);
}

#[tokio::test]
async fn a_reload_at_every_event_asks_once_and_pays_once() {
    let counted = Counted::default();
    let server = counted.server().await;
    let third = |sum: u64| json!({"name": "pay", "arguments": {"sum": sum}});
    let whole = request("paying-0", &third(0));
    let session = id("paying-0");
    let start = post(MOUNT, &whole).with("x-session-id", &session);
    let paid = async { send(server.addr, start).await.whole().await };
    let (paid, ()) = tokio::join!(paid, allow(&server, &session));
    let length = ndjson(paid.text()).len() as u64;

    let cases = (1..length).map(|seen| {
        let (server, counted) = (&server, &counted);
        async move {
            let name = format!("paying-{seen}");
            let request = request(&name, &third(seen));
            let reloads = async {
                let mut events = read(server, &name, &request, seen).await;
                events.truncate(usize::try_from(seen).unwrap());
                events.extend(after(server, &id(&name), seen).await);
                events
            };
            let session = id(&name);
            let (events, ()) = tokio::join!(reloads, allow(server, &session));
            assert_eq!(lsns(&events), (1..=length).collect::<Vec<_>>());
            assert_eq!(of(&events, "input_request").len(), 1);
            assert_eq!(of(&events, "input_resolved").len(), 1);
            let paid = format!("pay {seen}");
            assert_eq!(counted.times(&paid), 1, "{name}");
            assert!(text(&events).ends_with(&format!("paid {seen}")));
            for of in ["a", "b"] {
                assert_eq!(counted.times(&format!("{name} {of}")), 1, "{name}");
            }
        }
    });
    join_all(cases).await;
}
