//! Streams: heartbeats, frames, and failure.

use std::time::Duration;

use serde_json::json;
use unbroken::{dialect::Native, session::Sessions, store::Memory};

use crate::{
    client::{With, get, lsns, ndjson, post, send},
    server::{MOUNT, ask, at, driven_with, follow, scripted},
};

#[tokio::test]
async fn heartbeats_fill_the_silence_and_are_no_events() {
    let (server, calls) = driven_with(Sessions::in_memory(), |layer| {
        layer.heartbeat(Duration::from_millis(30))
    })
    .await;
    let mut answer = send(server.addr, post(MOUNT, &ask("Hi"))).await;
    let call = calls.next().await;
    answer.until("\n\n\n").await;
    call.say("still here");
    drop(call);
    let id = answer.id();
    let whole = answer.whole().await;
    assert_eq!(lsns(&ndjson(whole.text())), [1, 2, 3]);

    let mut answer = send(
        server.addr,
        post(MOUNT, &ask("Hi")).with("accept", "text/event-stream"),
    )
    .await;
    let _call = calls.next().await;
    answer.until("\n\n: \n\n: \n\n").await;
    let replay = send(server.addr, get(&at(&id))).await.whole().await;
    assert!(!replay.text().contains("\n\n"), "a log has no heartbeats");
}

#[tokio::test]
async fn heartbeats_can_be_turned_off() {
    let quick = Duration::from_millis(5);
    for layer in [
        (|layer, _| layer) as fn(_, Duration) -> unbroken::durable::DurableLayer,
        |layer: unbroken::durable::DurableLayer, quick| {
            layer
                .heartbeat(quick)
                .dialect(Native::new().ndjson_heartbeat(false))
        },
        |layer, _| layer.heartbeat(None),
    ] {
        let (server, calls) = driven_with(Sessions::in_memory(), |it| layer(it, quick)).await;
        let mut answer = send(server.addr, post(MOUNT, &ask("Hi"))).await;
        let _call = calls.next().await;
        answer.until("session_info").await;
        let read = answer.for_a_while(Duration::from_millis(60)).await;
        assert_eq!(String::from_utf8_lossy(read).matches('\n').count(), 1);
    }
}

#[tokio::test]
async fn a_reader_that_is_behind_gets_large_frames() {
    let server = scripted().await;
    let body = follow(&json!({"tokens": 20_000, "delayMs": 0}));
    let started = send(server.addr, post(MOUNT, &body)).await;
    let id = started.id();
    let live = started.whole().await;
    assert!(live.clean);
    assert_eq!(lsns(&ndjson(live.text())), (1..=20_002).collect::<Vec<_>>());
    let replay = send(server.addr, get(&at(&id))).await.whole().await;
    assert_eq!(replay.bytes, live.bytes);
}

#[tokio::test]
async fn a_shutdown_cuts_bodies_after_the_last_frame_where_another_server_can_go_on() {
    let store = Memory::new();
    let sessions = Sessions::builder(store.clone()).build();
    let (server, calls) = driven_with(sessions, |layer| layer).await;
    let mut answer = send(server.addr, post(MOUNT, &ask("Hi"))).await;
    let call = calls.next().await;
    call.say("sent before");
    answer.until("sent before").await;
    server.sessions.shutdown(Duration::ZERO).await;
    let whole = answer.whole().await;
    assert!(!whole.clean, "no clean end without a terminal event");
    assert_eq!(lsns(&ndjson(whole.text())), [1, 2]);
    call.dropped().await;

    let refused = send(server.addr, post(MOUNT, &ask("Hi")))
        .await
        .whole()
        .await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.json()["type"], "urn:unbroken:shutting-down");
    assert!(calls.none().await);
}
