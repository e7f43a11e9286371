//! Every refusal: its status, type and advice, and that nothing was lost or started.

use bytes::Bytes;
use std::time::Duration;

use http::{Request, header};
use http_body_util::Full;
use serde_json::{Value, json};
use unbroken::{log::Epoch, session::Sessions};

use crate::{
    client::{Whole, With, empty, get, ndjson, post, send},
    lost::Lost,
    server::{Calls, MOUNT, Server, ask, at, driven, driven_with, follow, id, scripted},
};

/// Asserts a refusal with this status and type, and with advice.
fn refused(answer: &Whole, status: u16, name: &str) -> Value {
    assert_eq!(answer.status(), status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.header("cache-control"), "no-store, no-transform");
    let problem = answer.json();
    assert_eq!(problem["type"], format!("urn:unbroken:{name}"));
    assert_eq!(problem["status"], status);
    assert!(!problem["title"].as_str().unwrap().is_empty());
    assert!(problem["detail"].as_str().unwrap().len() > 20, "{problem}");
    let retry = matches!(status, 429 | 503);
    assert_eq!(answer.head.headers.contains_key("retry-after"), retry);
    problem
}

async fn nothing_started(server: &Server, calls: &Calls) {
    assert!(calls.none().await);
    assert_eq!(server.sessions.running(), 0);
}

fn raw(body: &'static str) -> Request<Full<Bytes>> {
    Request::post(MOUNT)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(body))
        .unwrap()
}

/// A start with a header that occurs twice.
fn twice(name: &'static str, values: [&str; 2]) -> Request<Full<Bytes>> {
    let mut request = post(MOUNT, &ask("Hi"));
    for value in values {
        request.headers_mut().append(name, value.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let (server, calls) = driven().await;
    let session = at(&id("none"));
    let hi = || post(MOUNT, &ask("Hi"));
    let text = raw("Hi").with("content-type", "text/plain");
    let json = "application/json";
    let cases: Vec<(Request<Full<Bytes>>, u16, &str)> = vec![
        (raw("{"), 400, "not-json"),
        (raw(""), 400, "not-json"),
        (hi().with("x-session-id", "guessable"), 400, "malformed-id"),
        (hi().with("x-last-lsn", "3"), 400, "malformed-id"),
        (
            twice("x-session-id", [&id("one"), &id("two")]),
            400,
            "malformed-id",
        ),
        (
            twice("x-last-lsn", ["1", "2"]).with("x-session-id", id("none")),
            400,
            "malformed-cursor",
        ),
        (
            hi().with("x-session-id", id("none")).with("x-last-lsn", ""),
            400,
            "malformed-cursor",
        ),
        (
            post(&format!("{MOUNT}?lastLsn="), &ask("Hi")).with("x-session-id", id("none")),
            400,
            "malformed-cursor",
        ),
        (
            get(&format!("{MOUNT}?after=no+token")),
            400,
            "malformed-cursor",
        ),
        (get(&at("short")), 400, "malformed-id"),
        (
            get(&session).with("x-last-lsn", "x"),
            400,
            "malformed-cursor",
        ),
        (
            get(&format!("{session}?after=1.2")),
            400,
            "malformed-cursor",
        ),
        (
            get(&format!("{session}?wait=x")).with("accept", json),
            400,
            "malformed-parameter",
        ),
        (
            get(&format!("{MOUNT}?status=x")),
            400,
            "malformed-parameter",
        ),
        (get(&session), 404, "not-found"),
        (
            hi().with("x-session-id", id("none"))
                .with("x-last-lsn", "1"),
            404,
            "not-found",
        ),
        (empty("POST", &format!("{session}/abort")), 404, "not-found"),
        (empty("DELETE", &session), 404, "not-found"),
        (get(&format!("{session}/other")), 404, "no-such-route"),
        (empty("PUT", MOUNT), 405, "method-not-allowed"),
        (empty("PATCH", &session), 405, "method-not-allowed"),
        (get(&format!("{session}/abort")), 405, "method-not-allowed"),
        (hi().with("accept", "text/html"), 406, "not-acceptable"),
        (
            get(&session).with("accept", "image/*"),
            406,
            "not-acceptable",
        ),
        (text, 415, "unsupported-media-type"),
        (raw("[]"), 422, "wrong-shape"),
        (raw(r#"{"messages":"Hi"}"#), 422, "wrong-shape"),
        (raw(r#"{"messages":[]}"#), 422, "wrong-shape"),
        (
            raw(r#"{"messages":[{"role":"user","content":"Hi"}],"model":"m"}"#),
            422,
            "not-open",
        ),
        (get(MOUNT), 403, "forbidden"),
    ];
    for (request, status, name) in cases {
        let shown = format!("{} {}", request.method(), request.uri());
        let answer = send(server.addr, request).await.whole().await;
        eprintln!("{shown}");
        let problem = refused(&answer, status, name);
        match status {
            422 if name == "wrong-shape" => {
                let example = r#"{"messages":[{"role":"user","content":"Hi"}]}"#;
                assert!(problem["detail"].as_str().unwrap().contains(example));
            }
            405 => assert!(
                problem["detail"]
                    .as_str()
                    .unwrap()
                    .contains(answer.header("allow"))
            ),
            406 => {
                for there_is in ["application/x-ndjson", "text/event-stream", json] {
                    assert!(problem["detail"].as_str().unwrap().contains(there_is));
                }
            }
            _ => {}
        }
    }
    nothing_started(&server, &calls).await;
}

#[tokio::test]
async fn an_id_in_use_for_another_request_is_a_conflict() {
    let (server, calls) = driven().await;
    let start = |question: &str| post(MOUNT, &ask(question)).with("x-session-id", id("mine"));
    let mut answer = send(server.addr, start("Hi")).await;
    let call = calls.next().await;
    answer.until("session_info").await;
    let other = send(server.addr, start("Hello")).await.whole().await;
    refused(&other, 409, "id-in-use");
    call.say("undisturbed");
    drop(call);
    let whole = answer.whole().await;
    assert!(whole.clean && whole.text().contains("undisturbed"));
    let ended = send(server.addr, start("Hello")).await.whole().await;
    refused(&ended, 409, "id-in-use");
    assert!(calls.none().await);
}

#[tokio::test]
async fn a_cursor_that_the_log_does_not_hold_is_refused() {
    let server = scripted().await;
    let request = post(MOUNT, &follow(&json!({"tokens": 2, "delayMs": 0})));
    let request = request.with("x-session-id", id("cursor"));
    send(server.addr, request).await.whole().await;
    let read = async |cursor: &str| {
        let request = get(&at(&id("cursor"))).with("x-last-lsn", cursor);
        send(server.addr, request).await.whole().await
    };
    let past = refused(&read("5").await, 400, "cursor-past-tail");
    assert!(past["detail"].as_str().unwrap().contains("LSN 4"));
    let foreign = Epoch::first().tag();
    refused(&read(&format!("2.{foreign}")).await, 409, "log-rewound");
    refused(&read(&format!("5.{foreign}")).await, 409, "log-rewound");
    assert_eq!(read("4").await.status(), 204);
    assert_eq!(ndjson(read("3").await.text()).len(), 1);
}

#[tokio::test]
async fn requests_are_refused_while_the_store_is_unreachable() {
    let store = Lost::new();
    let sessions = Sessions::builder(store.clone()).build();
    let (server, calls) = driven_with(sessions, |layer| layer).await;
    let request = post(MOUNT, &ask("Hi")).with("x-session-id", id("kept"));
    let answer = send(server.addr, request).await;
    calls.next().await.say("kept");
    assert!(answer.whole().await.clean);

    store.lose();
    let hi = || post(MOUNT, &ask("Hi"));
    let abort = || empty("POST", &format!("{}/abort", at(&id("kept"))));
    for request in [
        hi(),
        get(&at(&id("kept"))),
        abort(),
        empty("DELETE", &at(&id("kept"))),
    ] {
        let answer = send(server.addr, request).await.whole().await;
        refused(&answer, 503, "store-unavailable");
    }
    nothing_started(&server, &calls).await;

    store.find();
    let whole = send(server.addr, get(&at(&id("kept")))).await.whole().await;
    assert!(whole.clean && whole.text().contains("kept"));
    assert_eq!(send(server.addr, hi()).await.status(), 200);
}

#[tokio::test]
async fn a_running_session_is_read_without_the_store() {
    let store = Lost::new();
    let sessions = Sessions::builder(store.clone()).build();
    let (server, calls) = driven_with(sessions, |layer| layer).await;
    let hi = || post(MOUNT, &ask("Hi")).with("x-session-id", id("running"));
    let mut first = send(server.addr, hi()).await;
    let call = calls.next().await;
    call.say("stored");
    first.until("stored").await;

    store.lose();
    let mut read = send(server.addr, get(&at(&id("running")))).await;
    read.until("stored").await;
    let mut attached = send(server.addr, hi()).await;
    attached.until("stored").await;
    store.find();
    drop(call);
    for answer in [first, read, attached] {
        assert!(answer.whole().await.clean);
    }
}

#[tokio::test]
async fn a_corrupt_record_is_refused_right_after_the_cursor_and_cuts_the_body_later() {
    let store = Lost::new();
    let sessions = Sessions::builder(store.clone()).build();
    let (server, calls) = driven_with(sessions, |layer| layer).await;
    let request = post(MOUNT, &ask("Hi")).with("x-session-id", id("corrupt"));
    let answer = send(server.addr, request).await;
    let call = calls.next().await;
    call.say("one");
    call.say("two");
    drop(call);
    assert!(answer.whole().await.clean);

    store.corrupt(3);
    let read = async |cursor: &str| {
        let request = get(&at(&id("corrupt"))).with("x-last-lsn", cursor);
        send(server.addr, request).await.whole().await
    };
    refused(&read("2").await, 500, "corrupt");
    let cut = read("0").await;
    assert_eq!(cut.status(), 200);
    assert!(!cut.clean, "the body fails");
    assert_eq!(ndjson(cut.text()).len(), 2, "after what can be read");
    assert_eq!(read("3").await.status(), 200);
}

#[tokio::test]
async fn a_session_of_a_newer_format_is_refused_with_a_retry() {
    let store = Lost::new();
    let sessions = Sessions::builder(store.clone()).build();
    let (server, calls) = driven_with(sessions, |layer| layer).await;
    let hi = || post(MOUNT, &ask("Hi")).with("x-session-id", id("newer"));
    let answer = send(server.addr, hi()).await;
    drop(calls.next().await);
    assert!(answer.whole().await.clean);

    store.upgrade();
    for request in [
        hi(),
        get(&at(&id("newer"))),
        get(&at(&id("newer"))).with("accept", "application/json"),
        empty("POST", &format!("{}/abort", at(&id("newer")))),
        empty("DELETE", &at(&id("newer"))),
    ] {
        let answer = send(server.addr, request).await.whole().await;
        refused(&answer, 503, "unsupported-format");
    }
    nothing_started(&server, &calls).await;
}

#[tokio::test]
async fn a_stream_whose_store_is_lost_sends_unavailable_and_fails() {
    let store = Lost::new();
    let sessions = Sessions::builder(store.clone())
        .outage_timeout(Duration::from_millis(50))
        .build();
    let (server, calls) = driven_with(sessions, |layer| layer).await;
    for (accept, notice) in [
        (
            "application/x-ndjson",
            "{\"event\":{\"type\":\"unavailable\"}}\n",
        ),
        (
            "text/event-stream",
            "\n\ndata: {\"type\":\"unavailable\"}\n\n",
        ),
    ] {
        let request = post(MOUNT, &ask("Hi")).with("accept", accept);
        let mut answer = send(server.addr, request).await;
        let call = calls.next().await;
        call.say("stored");
        answer.until("stored").await;
        store.lose();
        call.say("lost");
        let cut = answer.whole().await;
        assert!(!cut.clean);
        assert!(cut.text().ends_with(notice), "{}", cut.text());
        assert!(!cut.text().contains("lost"), "only what is stored is shown");
        store.find();
    }
}
