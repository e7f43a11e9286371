//! Connections to the other server that break.

use std::time::Duration;

use futures_util::StreamExt;
use tower_layer::Layer;
use unbroken::{access::AnyoneWithTheId, chat::Liveness, durable::DurableLayer};

use super::{outer::provider, *};

/// The bytes of the stream of an answer.
async fn length() -> usize {
    let model = GatedModel::new(all_kinds());
    let app = mounted(Sessions::in_memory(), model.provider());
    let body = json!({"messages": [{"role": "user", "content": "Hi"}]});
    let request = http::Request::post("/api/chat")
        .header("content-type", "application/json")
        .body(axum::body::Body::from(body.to_string()))
        .unwrap();
    let response = app.oneshot(request).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    body.unwrap().len()
}

#[tokio::test]
async fn a_connection_that_breaks_anywhere_is_read_on_without_a_second_call() {
    let (length, expected) = (length().await, told(&all_kinds()));
    let mut read_on = 0;
    for at in (0..length).step_by(17) {
        let model = GatedModel::new(all_kinds());
        let app = mounted(Sessions::in_memory(), model.provider());
        let cut = move |number| (number == 0).then_some(at);
        let server = InnerServer::start_with_cuts(app, cut).await;
        let events = ask(&provider(&server), ChatRequest::from_user("Hi"))
            .await
            .unwrap();
        assert_eq!(told(&events), expected, "cut at {at}");
        assert_eq!(
            (model.calls(), server.count("POST", "")),
            (1, 1),
            "cut at {at}"
        );
        read_on += server.reads().len();
    }
    assert!(read_on > 100, "{read_on}");
}

#[tokio::test]
async fn connections_that_break_again_and_again_go_on_while_something_comes() {
    let model = GatedModel::new(all_kinds());
    let app = mounted(Sessions::in_memory(), model.provider());
    // An event or two of each.
    let server = InnerServer::start_with_cuts(app, |_| Some(220)).await;
    let events = ask(&provider(&server), ChatRequest::from_user("Hi"))
        .await
        .unwrap();
    assert_eq!(told(&events), told(&all_kinds()));
    let reads = server.reads();
    assert!(reads.len() > 6, "{reads:?}");
    assert!(reads.is_sorted(), "{reads:?}");
    assert_eq!(model.calls(), 1);
}

#[tokio::test]
async fn a_server_that_is_away_for_a_while_is_waited_for() {
    let model = GatedModel::new(all_kinds());
    model.open(4);
    let sessions = Sessions::in_memory();
    let app = mounted(sessions, model.provider());
    let server = InnerServer::start_with_cuts(app.clone(), |n| (n == 0).then_some(430)).await;
    let asked = {
        let provider = provider(&server);
        tokio::spawn(async move { ask(&provider, ChatRequest::from_user("Hi")).await })
    };
    while model.calls() == 0 {
        tokio::task::yield_now().await;
    }
    server.replace(None);
    model.open(usize::MAX);
    while server.reads().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.replace(Some(app));
    let events = asked.await.unwrap().unwrap();
    assert_eq!(told(&events), told(&all_kinds()));
    assert_eq!(model.calls(), 1);
}

#[tokio::test]
async fn heartbeats_keep_the_connection_and_are_no_progress_of_the_answer() {
    let model = GatedModel::new(all_kinds());
    model.open(0);
    let chat = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new())
        .heartbeat(Duration::from_millis(20))
        .layer(model.provider());
    let app = axum::Router::new().nest_service("/api/chat", chat);
    let server = InnerServer::start(app).await;
    let builder = UnbrokenUpstream::builder(server.url());
    let provider = builder
        .idle_timeout(Duration::from_millis(400))
        .build()
        .unwrap();
    let mut request = ChatRequest::from_user("Hi");
    request.liveness = Liveness::new();
    let mut stream = provider.oneshot(request.clone()).await.unwrap();
    let place = stream.next().await.unwrap().unwrap();
    let silent = tokio::time::timeout(Duration::from_millis(1200), stream.next());
    assert!(silent.await.is_err());
    assert_eq!(request.liveness.silence(), None);
    model.open(usize::MAX);
    let rest: Vec<_> = stream.try_collect().await.unwrap();
    assert_eq!(told(&[vec![place], rest].concat()), told(&all_kinds()));
    assert!(server.reads().is_empty());
}
