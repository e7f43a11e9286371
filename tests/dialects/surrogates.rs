//! Text that a client has cut in the middle of a character, in every dialect.

use axum::body::{Body, to_bytes};
use futures_util::stream;
use http::{Request, StatusCode, request::Parts};
use serde_json::json;
use tower::ServiceExt;
use tower_layer::Layer;
use unbroken::{
    access::OnlyTheOwner,
    chat::{ChatEvent, ChatRequest, ProviderError, provider_fn},
    dialect::{AgUi, AiSdk, Dialect, DurableStreams, Native, OpenAiResponses},
    durable::DurableLayer,
    log::Owner,
    session::Sessions,
};

/// Returns what the model was asked, as the answer repeats it.
async fn heard(dialect: impl Dialect, path: &str, body: &str) -> String {
    let model = provider_fn(|request: ChatRequest| {
        let said = request.last_user_message().unwrap().text().into_owned();
        stream::iter([Ok::<_, ProviderError>(ChatEvent::text(said))])
    });
    let who = |_: &mut Parts| Some(Owner::new("ann"));
    let layer = DurableLayer::new(Sessions::in_memory(), OnlyTheOwner::new(who)).dialect(dialect);
    let request = Request::post(path).header("content-type", "application/json");
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = layer.layer(model).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    let bytes = to_bytes(Body::new(response.into_body()), usize::MAX).await;
    String::from_utf8(bytes.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn half_a_character_is_read_as_a_replacement_character() {
    let user = json!({"role": "user", "content": "HALF"});
    let ui = json!({"id": "u", "role": "user", "parts": [{"type": "text", "text": "HALF"}]});
    let native = json!({"messages": [user]});
    let sdk = json!({"id": "c", "trigger": "submit-message", "messages": [ui]});
    let message = json!({"id": "u", "role": "user", "content": "HALF"});
    let run = json!({"threadId": "t", "runId": "a-run-that-is-long-enough", "messages": [message]});
    let response = json!({"model": "m", "input": "HALF", "stream": true});
    let half = |body: serde_json::Value| {
        let body = body.to_string();
        body.replace("HALF", r"a\ud83d b\ude00 \ud83d\ude00 \\ud83d")
    };
    for answer in [
        heard(Native::new(), "/", &half(native.clone())).await,
        heard(AiSdk::new(), "/", &half(sdk)).await,
        heard(AgUi::new(), "/", &half(run)).await,
        heard(
            OpenAiResponses::new().model("m"),
            "/responses",
            &half(response),
        )
        .await,
    ] {
        let text = "a\u{fffd} b\u{fffd} \u{1f600} \\\\ud83d";
        assert!(answer.contains(text), "{answer}");
    }
    let durable = DurableStreams::new();
    let request = Request::post("/").header("content-type", "application/json");
    let (head, ()) = request.body(()).unwrap().into_parts();
    let limits = unbroken::dialect::RequestLimits::new();
    let body = bytes::Bytes::from(half(native));
    assert!(durable.decode(&head, &body, &limits).is_ok());
}
