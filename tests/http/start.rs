//! Starting a session.

use std::{collections::HashSet, time::Duration};

use serde_json::json;
use unbroken::log::ChatId;

use crate::{
    client::{With, get, kinds, lsns, ndjson, post, send},
    server::{MOUNT, ask, at, driven, follow, id, scripted},
};

#[tokio::test]
async fn an_answer_comes_as_lines_of_lsn_and_event_with_session_info_first() {
    let server = scripted().await;
    let answer = send(server.addr, post(MOUNT, &ask("Hi"))).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let id = answer.id();
    assert_eq!(answer.header("content-location"), at(&id));
    assert_eq!(answer.header("cache-control"), "no-store, no-transform");
    assert_eq!(answer.header("vary"), "Accept");
    assert_eq!(answer.header("x-accel-buffering"), "no");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("x-session-status"), "streaming");
    let whole = answer.whole().await;
    assert!(whole.clean);
    let events = ndjson(whole.text());
    assert_eq!(
        events[0],
        (
            1,
            json!({
                "type": "session_info",
                "capabilities": {"thinking": true, "streaming": true, "tools": []},
                "persona": null,
            })
        )
    );
    assert_eq!(kinds(&events), ["session_info", "text", "text", "complete"]);
    assert_eq!(lsns(&events), [1, 2, 3, 4]);
}

#[tokio::test]
async fn the_head_arrives_while_the_provider_is_silent() {
    let (server, calls) = driven().await;
    let mut answer = send(server.addr, post(MOUNT, &ask("Hi"))).await;
    assert_eq!(answer.status(), 200);
    let call = calls.next().await;
    // The first event too: it is the layer's own.
    answer.until("session_info").await;
    call.say("at last");
    answer.until("at last").await;
}

#[tokio::test]
async fn concurrent_requests_get_sessions_of_their_own() {
    let server = scripted().await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..50 {
        let (addr, body) = (server.addr, ask(&format!("question {n}")));
        tasks.spawn(async move { send(addr, post(MOUNT, &body)).await.whole().await });
    }
    let answers = tasks.join_all().await;
    let ids: HashSet<_> = answers
        .iter()
        .map(|answer| answer.header("x-session-id").to_owned())
        .collect();
    assert_eq!(ids.len(), 50);
    assert!(answers.iter().all(|answer| answer.clean));
}

#[tokio::test]
async fn the_same_request_under_the_same_id_attaches_and_calls_the_provider_once() {
    let (server, calls) = driven().await;
    let request = || post(MOUNT, &ask("Hi")).with("x-session-id", id("same"));
    let mut first = send(server.addr, request()).await;
    let call = calls.next().await;
    call.say("one ");
    first.until("one ").await;
    let mut second = send(server.addr, request()).await;
    assert_eq!(second.status(), 200);
    assert_eq!(second.id(), id("same"));
    call.say("two");
    drop(call);
    let (first, second) = (first.whole().await, {
        second.until("complete").await;
        second.whole().await
    });
    assert_eq!(first.bytes, second.bytes);
    let third = send(server.addr, request()).await.whole().await;
    assert_eq!(third.bytes, first.bytes, "also after the end");
    assert!(calls.none().await);
}

#[tokio::test]
async fn racing_starts_call_the_provider_once_and_all_read_the_answer() {
    let (server, calls) = driven().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let addr = server.addr;
        tasks.spawn(async move {
            let request = post(MOUNT, &ask("Hi")).with("x-session-id", id("race"));
            send(addr, request).await.whole().await
        });
    }
    let call = calls.next().await;
    call.say("only once");
    drop(call);
    let answers = tasks.join_all().await;
    assert!(answers.iter().all(|it| it.clean && it.status() == 200));
    assert!(answers.iter().all(|it| it.bytes == answers[0].bytes));
    assert!(calls.none().await);
}

#[tokio::test]
async fn a_client_that_wants_json_gets_201_with_the_location() {
    let (server, calls) = driven().await;
    let request = post(MOUNT, &ask("Hi"))
        .with("accept", "application/json")
        .with("x-session-id", id("document"));
    let started = send(server.addr, request.clone()).await.whole().await;
    assert_eq!(started.status(), 201);
    assert_eq!(started.header("content-type"), "application/json");
    assert_eq!(started.header("location"), at(&id("document")));
    let document = started.json();
    assert_eq!(document["id"], id("document"));
    assert_eq!(document["status"], "streaming");
    assert!(document["tail"].is_u64());
    calls.next().await.say("Hello");
    let stream = send(server.addr, get(&at(&id("document")))).await;
    assert!(stream.whole().await.text().contains("Hello"));
    let again = send(server.addr, request).await.whole().await;
    assert_eq!(again.status(), 201, "who attaches is answered the same");
    assert_eq!(again.header("location"), at(&id("document")));
    assert_eq!(again.json()["id"], id("document"));
    assert!(calls.none().await);
}

#[tokio::test]
async fn a_disconnect_does_not_stop_the_session() {
    let (server, calls) = driven().await;
    let mut answer = send(server.addr, post(MOUNT, &ask("Hi"))).await;
    let id = answer.id();
    let call = calls.next().await;
    call.say("before");
    answer.until("before").await;
    drop(answer);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!call.is_dropped());
    call.say("after");
    drop(call);
    let whole = send(server.addr, get(&at(&id))).await.whole().await;
    assert!(whole.clean);
    assert!(whole.text().contains("before") && whole.text().contains("after"));
}

#[tokio::test]
async fn a_provider_gets_the_session_the_owner_and_open_fields_only() {
    let (server, calls) = driven().await;
    let body = json!({
        "messages": [{"role": "user", "content": "Hi"}],
        "chatId": "c-1",
        "mood": 2,
    });
    let answer = send(server.addr, post(MOUNT, &body)).await;
    let call = calls.next().await;
    assert_eq!(call.request.session_id.unwrap().as_str(), answer.id());
    assert_eq!(call.request.chat_id, Some(ChatId::new("c-1")));
    assert!(call.request.extra.is_empty());
    let state = server
        .sessions
        .state(&answer.id().parse().unwrap())
        .await
        .unwrap();
    assert_eq!(state.meta.chat.as_ref().unwrap().as_str(), "c-1");
}

#[tokio::test]
async fn a_request_brings_its_script_if_the_field_is_open() {
    let server = scripted().await;
    let body = follow(&json!({"text": "to be sure", "delayMs": 0}));
    let whole = send(server.addr, post(MOUNT, &body)).await.whole().await;
    let text: String = ndjson(whole.text())
        .iter()
        .filter(|(_, event)| event["type"] == "text")
        .map(|(_, event)| event["content"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(text, "to be sure");
}

#[tokio::test]
async fn query_parameters_replace_headers() {
    let server = scripted().await;
    let path = format!("{MOUNT}?sessionId={}", id("query"));
    let answer = send(server.addr, post(&path, &ask("Hi"))).await;
    assert_eq!(answer.id(), id("query"));
    answer.whole().await;
    let path = format!("{MOUNT}?sessionId={}&lastLsn=3", id("query"));
    let rest = send(server.addr, post(&path, &ask("anything")))
        .await
        .whole()
        .await;
    assert_eq!(lsns(&ndjson(rest.text())), [4]);
}
