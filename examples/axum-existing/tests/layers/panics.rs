use axum::{Router, routing::get as route};
use axum_existing::App;
use serde_json::json;

use crate::{
    client::{With, get, try_send},
    server::{Server, silent_after},
};

/// A handler that panics.
pub(crate) async fn broken() -> &'static str {
    panic!("a mistake in the application")
}

fn with_a_mistake<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/api/broken", route(broken))
}

#[tokio::test]
async fn a_panic_of_a_handler_is_a_500_and_the_chat_goes_on() {
    let server = Server::with(with_a_mistake::<App>()).await;
    let mut running = server.ask(&silent_after(3)).await;
    running.until("\"3 \"").await;
    let answer = server.send(get("/api/broken").by("ann")).await;
    assert_eq!(answer.status(), 500);

    let id = running.header("x-session-id").to_owned();
    server.abort(&id).await;
    let end = running.whole().await;
    assert!(end.clean && end.text.contains("aborted"), "{}", end.text);
    let next = server.ask(&json!({"tokens": 3, "delayMs": 0})).await;
    assert!(next.whole().await.is_complete());
}

#[tokio::test]
async fn a_provider_that_panics_is_the_terminal_event_and_no_500() {
    let server = Server::app().await;
    let script = json!({"tokens": 3, "delayMs": 0, "fault": {"at": 2, "kind": "panic"}});
    let end = server.ask(&script).await.whole().await;
    assert!(end.clean && end.text.contains(r#""type":"error""#));
}

#[tokio::test]
async fn control_without_catch_panic_there_is_no_answer_at_all() {
    let server = Server::of(with_a_mistake()).await;
    let sent = try_send(server.addr, get("/api/broken")).await;
    assert!(sent.is_err(), "the connection ends");
}
