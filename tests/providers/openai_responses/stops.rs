//! Sessions that stop, and those that are handed over, with a response in the background.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use tower_layer::Layer;
use unbroken::{
    access::AnyoneWithTheId,
    durable::DurableLayer,
    log::SessionId,
    session::Sessions,
    store::{AbortRequest, Memory, StoreExt},
};

use super::{
    background::{provider, text},
    server::{Hold, Rules, Server},
    *,
};

/// Starts a session whose response waits after its first events, and returns its id.
async fn started(model: &Server, sessions: &Sessions, store: &Memory) -> SessionId {
    let chat = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new()).layer(provider(model));
    let id = SessionId::random();
    let body = json!({"messages": [{"role": "user", "content": "Hi"}]});
    let request = Request::post("/")
        .header("x-session-id", id.as_str())
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    drop(chat.oneshot(request).await.unwrap());
    while store.state(&id).await.map_or(0, |state| state.tail.get()) < 2 {
        tokio::task::yield_now().await;
    }
    id
}

#[tokio::test]
async fn a_stop_cancels_the_response_and_a_hand_over_does_not() {
    let rules = Rules {
        hold: Some((Hold::All, 3)),
        ..Rules::default()
    };
    let model = Server::start(vec![text()], rules).await;
    let store = Memory::new();
    let leaving = Sessions::builder(store.clone()).build();
    started(&model, &leaving, &store).await;
    leaving.shutdown(Duration::ZERO).await;

    let staying = Sessions::builder(store.clone()).build();
    let id = started(&model, &staying, &store).await;
    staying.abort(&id, AbortRequest::default()).await.unwrap();
    let mut changed = model.changed.clone();
    changed.wait_for(|count| *count > 0).await.unwrap();
    assert_eq!(model.counts.lock().unwrap().cancelled, ["resp_1"]);
}
