use axum::middleware::from_fn_with_state;
use axum_existing::{App, auth::authenticate};
use serde_json::{Value, json};
use tower_http::limit::RequestBodyLimitLayer;

use crate::{
    client::{With, post},
    server::{CHAT, NOTES, Server, routes, settings},
};

/// A long conversation of about 100 KB.
fn conversation() -> Value {
    let message = json!({"role": "user", "content": "Tell me more. ".repeat(70)});
    json!({"messages": vec![message; 100], "script": {"tokens": 1, "delayMs": 0}})
}

#[tokio::test]
async fn a_conversation_may_be_longer_than_a_note() {
    let server = Server::app().await;
    let note = post(NOTES, &json!("tea ".repeat(10_000))).by("ann");
    assert_eq!(server.send(note).await.status(), 413);
    let answer = server.send(post(CHAT, &conversation()).by("ann")).await;
    assert!(answer.whole().await.is_complete());
}

#[tokio::test]
async fn the_chats_own_limit_is_a_problem_document() {
    let server = Server::app().await;
    let long = post(CHAT, &json!("x".repeat(1024 * 1024))).by("ann");
    let refused = server.send(long).await;
    assert_eq!(refused.status(), 413);
    assert_eq!(refused.header("content-type"), "application/problem+json");
}

#[tokio::test]
async fn control_a_small_limit_around_the_chat_refuses_long_conversations() {
    let state = App::demo();
    let auth = from_fn_with_state(state.clone(), authenticate);
    let limit = RequestBodyLimitLayer::new(settings().max_body);
    let server = Server::of(routes(&state).layer(auth).layer(limit)).await;
    let refused = server.send(post(CHAT, &conversation()).by("ann")).await;
    assert_eq!(refused.status(), 413);
    assert!(refused.header("content-type").starts_with("text/plain"));
}
