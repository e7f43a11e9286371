//! Questions of the other server, which clients answer here.

use std::time::Duration;

use axum::body::Body;
use futures_util::{StreamExt, stream};
use http::Request;
use tower::Layer;
use unbroken::{
    access::AnyoneWithTheId,
    chat::{InputId, InputOutcome, InputRequest, InputResolved, Provider, provider_fn},
    durable::{DurableLayer, Recovery},
    store::Memory,
};

use super::{
    outer::{ID, OuterServer, body, events_of, joined, provider, read, start, when_stored},
    *,
};

/// A model that asks, and says the answer. It waits no longer than this.
fn asking(patience: Duration) -> impl Provider + Sync {
    provider_fn(move |request: ChatRequest| {
        let id: InputId = "q.1".parse().unwrap();
        let asked = InputRequest::question(id.clone(), "Which seat?");
        let told = async move {
            let answer = request.inputs.answer_within(&id, patience).await;
            let outcome = answer
                .as_ref()
                .map_or(InputOutcome::Timeout, |it| it.action.into());
            let text = answer.map_or_else(|| "none".into(), |it| it.content.to_string());
            stream::iter([
                InputResolved::new(id, outcome).into(),
                ChatEvent::text(text),
            ])
        };
        let events = stream::iter([ChatEvent::from(asked)]);
        let events = events.chain(stream::once(told).flatten());
        events.map(Ok::<_, ProviderError>).boxed()
    })
}

async fn server(patience: Duration) -> InnerServer {
    InnerServer::start(mounted(Sessions::in_memory(), asking(patience))).await
}

fn answer() -> Request<Body> {
    let body = json!({"action": "accept", "content": "12A"});
    let request = Request::post(format!("/{ID}/inputs/q.1"));
    let request = request.header("content-type", "application/json");
    request.body(Body::from(body.to_string())).unwrap()
}

fn expected(action: &str, text: &str) -> Vec<Value> {
    vec![
        json!({"type": "input_request", "inputId": "q.1", "kind": "question", "message": "Which seat?"}),
        json!({"type": "input_resolved", "inputId": "q.1", "action": action}),
        json!({"type": "text", "content": text}),
        json!({"type": "complete", "finishReason": "stop"}),
    ]
}

#[tokio::test]
async fn an_answer_that_is_given_here_reaches_the_model_of_the_other_server() {
    let server = server(Duration::from_secs(60)).await;
    let store = Memory::new();
    let sessions = Sessions::builder(store.clone()).build();
    let layer = DurableLayer::new(sessions, AnyoneWithTheId::new());
    let chat = layer.layer(provider(&server));
    let response = chat.clone().oneshot(start()).await.unwrap();
    when_stored(&store, 1).await;
    let head = chat.clone().oneshot(read()).await.unwrap();
    assert_eq!(head.headers()["x-session-status"], "waiting");
    drop(head);
    assert_eq!(chat.oneshot(answer()).await.unwrap().status(), 202);
    assert_eq!(
        joined(events_of(&body(response).await)),
        expected("accept", "\"12A\"")
    );
    assert_eq!(server.count("POST", "/inputs/q.1"), 1);
}

#[tokio::test]
async fn a_question_that_has_an_outcome_there_is_closed_here() {
    let server = server(Duration::from_millis(50)).await;
    let store = Memory::new();
    let sessions = Sessions::builder(store.clone()).build();
    let layer = DurableLayer::new(sessions, AnyoneWithTheId::new());
    let chat = layer.layer(provider(&server));
    let response = chat.clone().oneshot(start()).await.unwrap();
    assert_eq!(
        joined(events_of(&body(response).await)),
        expected("timeout", "none")
    );
    assert_eq!(chat.oneshot(answer()).await.unwrap().status(), 409);
    assert_eq!(server.count("POST", "/inputs/q.1"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_survives_the_server_that_showed_it() {
    let server = server(Duration::from_secs(60)).await;
    let store = Memory::new();
    let (first, second) = (OuterServer::new(&store), OuterServer::new(&store));
    let recovery = Recovery::new().reattach();
    first.send(provider(&server), recovery.clone(), start());
    when_stored(&store, 1).await;
    drop(first);
    let log = second.send(provider(&server), recovery.clone(), read());
    while server.reads().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    second
        .send(provider(&server), recovery, answer())
        .await
        .unwrap();
    let log = log.await.unwrap();
    assert_eq!(
        joined(events_of(&log)),
        expected("accept", "\"12A\""),
        "{log}"
    );
    assert_eq!(server.count("POST", "/api/chat"), 1);
}
