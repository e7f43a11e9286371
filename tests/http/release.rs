//! The release of sessions after their delivery, and the header lists for CORS.

use std::time::Duration;

use serde_json::json;
use unbroken::{
    headers,
    session::{Retention, Sessions},
    store::{Memory, StoreError},
};

use crate::{
    client::{With, get, post, send},
    server::{MOUNT, ask, at, driven_with, follow, scripted, scripted_with, until},
};

fn frugal() -> Sessions {
    let retention = Retention::until_released().grace(Duration::ZERO);
    Sessions::builder(Memory::new())
        .retention(retention)
        .build()
}

async fn gone(sessions: &Sessions, id: &str) -> bool {
    let state = sessions.state(&id.parse().unwrap()).await;
    matches!(state, Err(StoreError::Gone(_)))
}

#[tokio::test]
async fn sessions_are_cleaned_up_after_they_were_consumed() {
    let server = scripted_with(frugal()).await;
    // One after another.
    for _ in 0..5 {
        let whole = send(server.addr, post(MOUNT, &ask("Hi")))
            .await
            .whole()
            .await;
        let id = whole.header("x-session-id").to_owned();
        until(async || gone(&server.sessions, &id).await).await;
    }
    // All at once.
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let addr = server.addr;
        tasks.spawn(async move { send(addr, post(MOUNT, &ask("Hi"))).await.whole().await });
    }
    for whole in tasks.join_all().await {
        let id = whole.header("x-session-id").to_owned();
        until(async || gone(&server.sessions, &id).await).await;
    }
    until(async || server.sessions.loaded() == 0).await;
}

#[tokio::test]
async fn a_session_is_kept_while_its_provider_still_streams() {
    let (server, calls) = driven_with(frugal(), |layer| layer).await;
    let answer = send(server.addr, post(MOUNT, &ask("Hi"))).await;
    let (id, call) = (answer.id(), calls.next().await);
    drop(answer);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!gone(&server.sessions, &id).await);
    call.say("still there");
    drop(call);
    let whole = send(server.addr, get(&at(&id))).await.whole().await;
    assert!(whole.clean && whole.text().contains("still there"));
    until(async || gone(&server.sessions, &id).await).await;
}

#[tokio::test]
async fn every_header_of_the_protocol_is_allowed_or_exposed() {
    let server = scripted().await;
    let body = follow(&json!({"tokens": 1, "delayMs": 0}));
    let request = post(MOUNT, &body).with("accept", "application/json");
    let started = send(server.addr, request).await;
    let safelisted = [
        // Headers that a page may read of any response (Fetch, 2.2.4), and those that it doesn't need.
        "cache-control",
        "content-length",
        "content-type",
        "date",
        "vary",
        "x-accel-buffering",
        "x-content-type-options",
    ];
    for name in started.head.headers.keys() {
        assert!(
            headers::EXPOSE.contains(name) || safelisted.contains(&name.as_str()),
            "{name}"
        );
    }
    for name in [
        "accept",
        "content-type",
        "last-event-id",
        "x-last-lsn",
        "x-session-id",
    ] {
        assert!(headers::ALLOW.iter().any(|it| it == name), "{name}");
    }
}
