//! tower's own layers, and the router by model, between `DurableLayer` and providers on real sockets.

#[cfg(all(feature = "ag-ui", feature = "ai-sdk", feature = "openai-responses"))]
mod inputs;
mod layers;
mod models;
mod tools;

use std::{convert::Infallible, time::Duration};

use http::{Method, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::timeout;
use tower::{BoxError, Service, ServiceExt};
use tower_layer::Layer as _;
use unbroken::{
    access::AnyoneWithTheId,
    chat::{ChatRequest, ProviderError},
    durable::{ClientFields, DurableLayer, SessionBody},
    log::ErrorCode,
    provider::{OpenAi, http::AnswerStream},
    session::Sessions,
};

use crate::stub::Stub;

// Only a test that is about to fail waits for so long.
const GUARD: Duration = Duration::from_secs(200);

fn model(stub: &Stub) -> OpenAi {
    OpenAi::builder()
        .base_url(stub.url("/v1"))
        .model("small")
        .retries(0)
        .build()
        .unwrap()
}

fn layer() -> DurableLayer {
    DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new()).client_fields(
        ClientFields::nothing()
            .model()
            .history(64 * 1024)
            .client_tools(4, 4096),
    )
}

fn hello() -> Value {
    json!({"messages": [{"role": "user", "content": "Hi"}]})
}

/// Starts a session, and waits for the response's head.
async fn start<S>(chat: &S, request: &Value) -> http::Response<SessionBody>
where
    S: Service<http::Request<String>, Response = http::Response<SessionBody>, Error = Infallible>
        + Clone,
{
    let request = http::Request::builder()
        .method(Method::POST)
        .uri("/")
        .header(header::CONTENT_TYPE, "application/json")
        .body(request.to_string())
        .unwrap();
    let head = chat.clone().oneshot(request);
    timeout(GUARD, head).await.expect("a head").unwrap()
}

/// The events of a session, from its first to its last.
async fn read(response: http::Response<SessionBody>) -> Vec<Value> {
    assert_eq!(response.status(), StatusCode::OK);
    let body = timeout(GUARD, response.into_body().collect()).await;
    let body = body.expect("an end").unwrap().to_bytes();
    let lines = body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice::<Value>(line).unwrap()["event"].take())
        .collect()
}

fn text_of(events: &[Value]) -> String {
    let texts = events.iter().filter(|event| event["type"] == "text");
    texts
        .map(|event| event["content"].as_str().unwrap())
        .collect()
}

fn end(events: &[Value]) -> &Value {
    events.last().unwrap()
}

fn requests(stub: &mut Stub) -> usize {
    std::iter::from_fn(|| stub.requests.try_recv().ok()).count()
}
