//! Sessions as JSON pages.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use unbroken::{
    session::{Retention, Sessions},
    store::{Memory, StoreError},
};

use crate::{
    client::{Whole, With, get, post, send},
    lost::Lost,
    server::{
        MOUNT, Server, ask, at, driven, driven_with, follow, id, scripted, scripted_with, until,
    },
};

async fn page(server: &Server, id: &str, query: &str) -> Whole {
    let request = get(&format!("{}?{query}", at(id))).with("accept", "application/json");
    send(server.addr, request).await.whole().await
}

fn lsns(page: &Value) -> Vec<u64> {
    page["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["lsn"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn pages_follow_one_another_to_the_end() {
    let server = scripted().await;
    let body = follow(&json!({"tokens": 8, "delayMs": 0}));
    let request = post(MOUNT, &body).with("x-session-id", id("pages"));
    send(server.addr, request).await.whole().await;
    let whole = page(&server, &id("pages"), "").await;
    assert_eq!(whole.header("content-type"), "application/json");
    let whole = whole.json();
    assert_eq!(lsns(&whole), (1..=10).collect::<Vec<_>>());
    assert_eq!(whole["events"][0]["event"]["type"], "session_info");
    assert_eq!(
        (&whole["next"], &whole["tail"], &whole["status"]),
        (&json!(10), &json!(10), &json!("complete"))
    );
    let mut after = json!(0);
    let mut all = Vec::new();
    loop {
        let query = format!("limit=3&after={after}");
        let page = page(&server, &id("pages"), &query).await.json();
        assert!(lsns(&page).len() <= 3);
        if lsns(&page).is_empty() {
            assert_eq!(page["next"], after);
            break;
        }
        all.extend(page["events"].as_array().unwrap().clone());
        after = page["next"].clone();
    }
    assert_eq!(json!(all), whole["events"]);
}

#[tokio::test]
async fn a_record_that_can_not_be_read_ends_the_page_before_it() {
    let store = Lost::new();
    let sessions = Sessions::builder(store.clone()).build();
    let server = scripted_with(sessions).await;
    let body = follow(&json!({"tokens": 4, "delayMs": 0}));
    let request = post(MOUNT, &body).with("x-session-id", id("corrupt"));
    send(server.addr, request).await.whole().await;

    store.corrupt(3);
    let readable = page(&server, &id("corrupt"), "").await;
    assert_eq!(readable.status(), 200, "{}", readable.text());
    let readable = readable.json();
    assert_eq!(lsns(&readable), [1, 2]);
    assert_eq!(
        (&readable["next"], &readable["tail"]),
        (&json!(2), &json!(6))
    );
    assert_eq!(page(&server, &id("corrupt"), "after=2").await.status(), 500);
}

#[tokio::test]
async fn an_empty_page_at_the_end_counts_as_delivery() {
    let retention = Retention::until_released().grace(Duration::ZERO);
    let sessions = Sessions::builder(Memory::new())
        .retention(retention)
        .build();
    let (server, calls) = driven_with(sessions, |layer| layer).await;
    let request = post(MOUNT, &ask("Hi"))
        .with("accept", "application/json")
        .with("x-session-id", id("released"));
    send(server.addr, request).await.whole().await;
    drop(calls.next().await);
    until(async || {
        let page = page(&server, &id("released"), "").await;
        assert_eq!(page.status(), 200, "nobody has confirmed the end");
        page.json()["status"] == "complete"
    })
    .await;
    let end = page(&server, &id("released"), "after=2").await;
    assert_eq!((end.status(), lsns(&end.json())), (200, vec![]));
    let session = id("released").parse().unwrap();
    until(async || {
        let state = server.sessions.state(&session).await;
        matches!(state, Err(StoreError::Gone(_)))
    })
    .await;
}

#[tokio::test]
async fn a_page_waits_for_the_first_new_event_and_not_at_all_once_sealed() {
    let (server, calls) = driven().await;
    let request = post(MOUNT, &ask("Hi")).with("x-session-id", id("wait"));
    let mut answer = send(server.addr, request).await;
    let call = calls.next().await;
    answer.until("session_info").await;

    let at_once = page(&server, &id("wait"), "after=1").await.json();
    assert_eq!(lsns(&at_once), [0; 0]);
    assert_eq!(at_once["next"], 1);
    assert_eq!(at_once["status"], "streaming");

    let (addr, path) = (server.addr, format!("{}?after=1&wait=20", at(&id("wait"))));
    let waiting = tokio::spawn(async move {
        let request = get(&path).with("accept", "application/json");
        send(addr, request).await.whole().await.json()
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    call.say("now");
    assert_eq!(lsns(&waiting.await.unwrap()), [2]);

    let begun = Instant::now();
    let timed_out = page(&server, &id("wait"), "after=2&wait=1").await.json();
    assert_eq!(lsns(&timed_out), [0; 0]);
    assert!(begun.elapsed() >= Duration::from_secs(1));

    drop(call);
    answer.whole().await;
    let begun = Instant::now();
    let sealed = page(&server, &id("wait"), "after=3&wait=20").await.json();
    assert_eq!(sealed["status"], "complete");
    assert!(begun.elapsed() < Duration::from_secs(5));
}
