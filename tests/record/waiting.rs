//! The wait for the head of the handler's response.

use std::time::Duration;

use unbroken::session::{Limits, Sessions};

use crate::{
    app::{App, about, ask, data, id},
    client::With as _,
};

async fn idle_after(time: Duration) -> App {
    let limits = Limits::default().idle(time);
    let sessions = Sessions::builder(unbroken::store::Memory::new()).limits(limits);
    App::with(sessions.build(), |layer| layer).await
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_stops_nothing() {
    let app = App::new().await;
    let request = || ask("Why?").with("x-session-id", id("left"));
    let starter = app.send_later(request());
    let asked = app.asked().await;
    starter.abort();
    assert!(starter.await.is_err());
    assert!(!asked.is_dropped());
    let second = app.send_later(request());
    let said = asked.events();
    said.say("one");
    drop(said);
    let whole = second.await.unwrap().whole().await;
    assert_eq!(data(whole.text()), ["one"]);
    assert!(app.is_quiet().await);
}

#[tokio::test]
async fn a_stop_before_the_head_is_told_to_those_that_wait() {
    let app = App::new().await;
    let request = || ask("Why?").with("x-session-id", id("stopped"));
    let starter = app.send_later(request());
    let asked = app.asked().await;
    let stop = about("POST", &id("stopped")).with("x-session-abort", "1");
    assert!(app.send(stop).await.head.status.is_success());
    let told = starter.await.unwrap().whole().await;
    assert_eq!(told.status(), 409);
    assert_eq!(told.json()["type"], "urn:unbroken:stopped");
    assert!(asked.is_dropped());
    assert_eq!(app.send(request()).await.status(), 409);
    assert_eq!(app.send(about("GET", &id("stopped"))).await.status(), 409);
}

#[tokio::test]
async fn a_handler_that_never_responds_is_a_timeout() {
    let app = idle_after(Duration::from_millis(50)).await;
    let told = app.send(ask("Why?")).await.whole().await;
    assert_eq!(told.status(), 504);
    assert_eq!(told.json()["type"], "urn:unbroken:no-response");
    assert!(app.asked().await.is_dropped());
}

#[tokio::test]
async fn a_handler_that_panics_is_an_error_of_the_server() {
    let app = App::new().await;
    let starter = app.send_later(ask("Why?"));
    drop(app.asked().await); // it expects a response
    let told = starter.await.unwrap().whole().await;
    assert_eq!(told.status(), 500);
    assert_eq!(told.json()["type"], "urn:unbroken:internal");
}
