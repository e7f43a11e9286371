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
    outer::{ID, OuterServer, body, events_of, joined, provider, read, start, stored, when_stored},
    *,
};

/// A model that asks, and says the answer. It waits no longer than this.
fn asking(patience: Duration) -> impl Provider + Sync {
    asking_after(0, patience)
}

/// A model that says so many words before it asks.
fn asking_after(words: usize, patience: Duration) -> impl Provider + Sync {
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
        let said = (0..words).map(|at| ChatEvent::text(format!("{at} ")));
        let events = stream::iter(said.chain([ChatEvent::from(asked)]));
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

/// A place is stored after each 64 events. That after a question has nothing to read on until it is answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_at_the_place_that_is_read_on_from_is_answered() {
    for words in [3, 80] {
        let asking = asking_after(words, Duration::from_secs(60));
        let server = InnerServer::start(mounted(Sessions::in_memory(), asking)).await;
        let store = Memory::new();
        let (first, second) = (OuterServer::new(&store), OuterServer::new(&store));
        let recovery = Recovery::new().reattach();
        first.send(provider(&server), recovery.clone(), start());
        let is_asked = |log: &[Value]| log.iter().any(|event| event["type"] == "input_request");
        let place = |log: &[Value]| {
            let mut places = log.iter().filter(|event| event["of"] == "stream");
            places
                .next_back()
                .map(|place| place["data"]["after"].clone())
        };
        // The first event there is the beginning of the session.
        let last = if words < 64 { 1 } else { words + 2 };
        loop {
            let log = stored(&store).await;
            if is_asked(&log) && place(&log) == Some(json!(last)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(first);
        let log = second.send(provider(&server), recovery.clone(), read());
        while server.reads().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        second
            .send(provider(&server), recovery, answer())
            .await
            .unwrap();
        // Without the answer it would wait for ever.
        let log = tokio::time::timeout(Duration::from_secs(30), log).await;
        let log = log.expect("the answer reaches the model").unwrap();
        let events = joined(events_of(&log));
        assert_eq!(events[1..], expected("accept", "\"12A\""), "{log}");
        assert_eq!(server.reads(), [last as u64]);
    }
}
