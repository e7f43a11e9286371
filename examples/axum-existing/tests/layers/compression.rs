use axum::Router;
use axum_existing::{App, auth::authenticate};
use serde_json::json;
use tower_http::compression::CompressionLayer;

use crate::{
    client::{Call, With, get, post},
    server::{NOTES, Server, ask, routes},
};

fn by_ann(request: Call) -> Call {
    request.by("ann").with("accept-encoding", "gzip")
}

fn question(accept: &str) -> Call {
    by_ann(ask(&json!({"tokens": 100, "delayMs": 0}))).with("accept", accept)
}

#[tokio::test]
async fn streams_are_not_compressed_and_the_applications_json_is() {
    let server = Server::app().await;
    for accept in ["application/x-ndjson", "text/event-stream"] {
        let answer = server.send(question(accept)).await;
        assert_eq!(answer.header("content-encoding"), "");
        let answer = answer.whole().await;
        assert!(answer.clean && answer.text.contains("\"100 \""), "{accept}");
    }
    let note = post(NOTES, &json!("tea ".repeat(100)));
    server.send(note.by("ann")).await;
    let notes = server.send(by_ann(get(NOTES))).await;
    assert_eq!(notes.header("content-encoding"), "gzip");
}

#[tokio::test]
async fn a_page_of_events_is_a_document_and_compressed() {
    let server = Server::app().await;
    let answer = server.send(question("application/x-ndjson")).await;
    let id = answer.header("x-session-id").to_owned();
    answer.whole().await;
    let page = by_ann(get(&format!("/api/chat/{id}"))).with("accept", "application/json");
    let page = server.send(page).await;
    assert_eq!(page.header("content-encoding"), "gzip");
}

#[tokio::test]
async fn control_without_the_predicate_ndjson_is_compressed() {
    let state = App::demo();
    let auth = axum::middleware::from_fn_with_state(state.clone(), authenticate);
    let router: Router = routes(&state).layer(auth).layer(CompressionLayer::new());
    let server = Server::of(router).await;
    for (accept, encoding) in [("application/x-ndjson", "gzip"), ("text/event-stream", "")] {
        let answer = server.send(question(accept)).await;
        assert!(answer.header("cache-control").contains("no-transform"));
        assert_eq!(answer.header("content-encoding"), encoding, "{accept}");
    }
}
