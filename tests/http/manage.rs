//! Aborts, deletes, and methods.

use serde_json::json;

use crate::{
    client::{With, empty, get, ndjson, post, send},
    server::{MOUNT, ask, at, driven, id, scripted, until},
};

#[tokio::test]
async fn any_client_can_abort_a_session_and_all_see_it() {
    let (server, calls) = driven().await;
    let request = post(MOUNT, &ask("Hi")).with("x-session-id", id("abort"));
    let mut answer = send(server.addr, request).await;
    let call = calls.next().await;
    call.say("so far");
    answer.until("so far").await;
    let abort = || empty("POST", &format!("{}/abort", at(&id("abort"))));
    let stopped = send(server.addr, abort()).await.whole().await;
    assert_eq!(stopped.status(), 202);
    assert_eq!(stopped.json()["id"], id("abort"));
    call.dropped().await;
    let whole = answer.whole().await;
    assert!(whole.clean);
    let events = ndjson(whole.text());
    assert_eq!(events.last().unwrap().1, json!({"type": "aborted"}));
    let again = send(server.addr, abort()).await.whole().await;
    assert_eq!(again.status(), 200, "it had ended");
    assert_eq!(again.json()["status"], "aborted");
}

#[tokio::test]
async fn a_deleted_session_is_stopped_and_gone() {
    let (server, calls) = driven().await;
    let request = || post(MOUNT, &ask("Hi")).with("x-session-id", id("delete"));
    let mut answer = send(server.addr, request()).await;
    let call = calls.next().await;
    answer.until("session_info").await;
    let delete = || empty("DELETE", &at(&id("delete")));
    let deleted = send(server.addr, delete()).await.whole().await;
    assert_eq!(deleted.status(), 204);
    assert!(deleted.bytes.is_empty());
    call.dropped().await;
    let whole = answer.whole().await;
    assert!(whole.clean && whole.text().contains("aborted"), "{whole:?}");
    let abort = empty("POST", &format!("{}/abort", at(&id("delete"))));
    for request in [get(&at(&id("delete"))), request(), abort] {
        let gone = send(server.addr, request).await.whole().await;
        assert_eq!(gone.status(), 410);
        assert_eq!(gone.json()["type"], "urn:unbroken:gone");
    }
    let again = send(server.addr, delete()).await;
    assert_eq!(again.status(), 204, "safe to repeat");
    assert!(calls.none().await);
}

#[tokio::test]
async fn a_finished_session_can_be_deleted() {
    let server = scripted().await;
    let request = post(MOUNT, &ask("Hi")).with("x-session-id", id("finished"));
    send(server.addr, request).await.whole().await;
    let deleted = send(server.addr, empty("DELETE", &at(&id("finished")))).await;
    assert_eq!(deleted.status(), 204);
    until(async || send(server.addr, get(&at(&id("finished")))).await.status() == 410).await;
}

#[tokio::test]
async fn options_list_the_methods() {
    let server = scripted().await;
    let session = at(&id("options"));
    for (path, allow) in [
        (MOUNT, "GET, HEAD, POST, OPTIONS"),
        (&*session, "GET, HEAD, DELETE, OPTIONS"),
        (&format!("{session}/abort"), "POST, OPTIONS"),
        (&format!("{session}/inputs/a"), "POST, OPTIONS"),
    ] {
        let answer = send(server.addr, empty("OPTIONS", path)).await;
        assert_eq!(answer.status(), 204);
        assert_eq!(answer.header("allow"), allow);
        assert!(answer.whole().await.bytes.is_empty());
    }
}
