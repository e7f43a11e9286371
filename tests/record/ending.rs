//! How a recording ends, for its readers.

use std::time::Duration;

use unbroken::{
    session::{Limits, Sessions},
    store::Memory,
};

use crate::{
    app::{App, about, ask, data},
    client::With as _,
};

#[tokio::test]
async fn an_error_of_the_body_cuts_every_reader_after_what_there_was() {
    let app = App::new().await;
    let (starter, said) = app.start(ask("Why?")).await;
    said.say("one");
    said.bytes("data: tw");
    said.fail();
    let session = starter.id();
    let starter = starter.whole().await;
    assert!(!starter.clean);
    assert!(starter.text().ends_with("data: tw"), "{}", starter.text());
    let later = app.send(about("GET", &session)).await.whole().await;
    assert!(!later.clean);
    assert_eq!(later.text(), starter.text());
    let outcome = app
        .send(about("GET", &session).with("accept", "application/json"))
        .await;
    let outcome = outcome.whole().await;
    assert_eq!(outcome.header("content-type"), "application/json");
    let outcome = outcome.json();
    assert_eq!(outcome["id"], session);
    assert_eq!(outcome["status"], "error");
    assert_eq!(outcome["code"], "provider");
    assert!(outcome["message"].as_str().unwrap().contains("broke off"));
}

#[tokio::test]
async fn the_outcome_of_a_recording_is_told_as_json() {
    let app = App::new().await;
    let (starter, said) = app.start(ask("Why?")).await;
    let outcome = || about("GET", &starter.id()).with("accept", "application/json");
    let running = app.send(outcome()).await.whole().await.json();
    assert_eq!(running["status"], "streaming");
    assert_eq!(running["tail"], 2);
    said.say("one");
    drop(said);
    let session = starter.id();
    starter.whole().await;
    let outcome = || about("GET", &session).with("accept", "application/json");
    let complete = app.send(outcome()).await.whole().await.json();
    let expected = serde_json::json!({"id": session, "status": "complete", "tail": 4});
    assert_eq!(complete, expected);
}

#[tokio::test]
async fn a_frame_that_is_too_long_ends_the_recording() {
    let limits = Limits::default().event_bytes(256);
    let limited = || async {
        let sessions = Sessions::builder(Memory::new());
        App::with(sessions.limits(limits.clone()).build(), |layer| layer).await
    };
    // A record has one byte for its kind.
    for (bytes, clean) in [(255, true), (256, false)] {
        let app = limited().await;
        let (starter, said) = app.start(ask("Why?")).await;
        said.bytes(&format!("data: {}\n\n", "x".repeat(bytes - 8)));
        drop(said);
        let session = starter.id();
        assert_eq!(starter.whole().await.clean, clean, "{bytes}");
        let outcome = about("GET", &session).with("accept", "application/json");
        let outcome = app.send(outcome).await.whole().await.json();
        assert_eq!(outcome["code"] == "limit", !clean, "{outcome}");
    }
}

#[tokio::test]
async fn a_body_that_is_silent_for_too_long_ends() {
    let limits = Limits::default().idle(Duration::from_millis(50));
    let sessions = Sessions::builder(Memory::new()).limits(limits);
    let app = App::with(sessions.build(), |layer| layer).await;
    let (starter, said) = app.start(ask("Why?")).await;
    let session = starter.id();
    assert!(!starter.whole().await.clean);
    said.dropped().await;
    let outcome = about("GET", &session).with("accept", "application/json");
    assert_eq!(
        app.send(outcome).await.whole().await.json()["code"],
        "timeout"
    );
}

#[tokio::test]
async fn a_server_that_shuts_down_leaves_an_interrupted_recording() {
    let store = Memory::new();
    let (here, there) = (App::on(&store).await, App::on(&store).await);
    let (mut starter, said) = here.start(ask("Why?")).await;
    said.say("one");
    starter.until("one").await;
    let session = starter.id();
    let reader = there.send(about("GET", &session)).await;
    here.sessions.shutdown(Duration::ZERO).await;
    assert!(!starter.whole().await.clean);
    said.dropped().await;
    let reader = reader.whole().await;
    assert!(!reader.clean);
    assert_eq!(data(reader.text()), ["one"]);
    let outcome = about("GET", &session).with("accept", "application/json");
    let outcome = there.send(outcome).await.whole().await.json();
    assert_eq!(outcome["code"], "interrupted");
    assert!(there.is_quiet().await, "the request isn't sent again");
}

#[tokio::test]
async fn a_client_that_leaves_stops_nothing() {
    let app = App::new().await;
    let (starter, said) = app.start(ask("Why?")).await;
    let session = starter.id();
    drop(starter);
    said.say("one");
    said.say("two");
    drop(said);
    let whole = app.send(about("GET", &session)).await.whole().await;
    assert!(whole.clean);
    assert_eq!(data(whole.text()), ["one", "two"]);
}
