use axum::body::{Body, to_bytes};
use http::{Request, Response, StatusCode};
use tower::ServiceExt;
use tower_layer::Layer;
use unbroken::{
    access::AnyoneWithTheId,
    dialect::Native,
    durable::{DurableLayer, DurableService, SessionBody},
    provider::{Scripted, scripted::Script},
    session::Sessions,
};

use crate::plain_text::PlainText;

type Chat = DurableService<Scripted>;

/// Returns a chat in plain text and one in the native dialect, over one registry.
fn both() -> (Chat, Chat) {
    let sessions = Sessions::in_memory();
    let layer = || DurableLayer::new(sessions.clone(), AnyoneWithTheId::new());
    let provider = Scripted::new(Script::count(3).delay(std::time::Duration::ZERO));
    let plain = layer().service_name("plain").dialect(PlainText);
    let native = layer().dialect(Native::new());
    (plain.layer(provider.clone()), native.layer(provider))
}

async fn ask(chat: &Chat, method: &str, uri: &str, body: &'static str) -> Response<SessionBody> {
    let request = Request::builder().method(method).uri(uri);
    let request = request.body(Body::from(body)).unwrap();
    chat.clone().oneshot(request).await.unwrap()
}

async fn text(response: Response<SessionBody>) -> String {
    let bytes = to_bytes(Body::new(response.into_body()), usize::MAX).await;
    String::from_utf8(bytes.unwrap().to_vec()).unwrap()
}

fn id(response: &Response<SessionBody>) -> String {
    response.headers()["x-session-id"]
        .to_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_custom_dialect_starts_resumes_and_ends() {
    let (plain, _) = both();
    let started = ask(&plain, "POST", "/", "Count!").await;
    let id = id(&started);
    let all = text(started).await;
    assert_eq!(all, "2 1 \n3 2 \n4 3 \n5 (the end)\n");
    let rest = ask(&plain, "GET", &format!("/{id}?after=3"), "").await;
    assert_eq!(text(rest).await, "4 3 \n5 (the end)\n");
    let end = ask(&plain, "GET", &format!("/{id}?after=5"), "").await;
    assert_eq!(end.status(), StatusCode::NO_CONTENT);
    let stop = ask(&plain, "DELETE", &format!("/{id}"), "").await;
    assert_eq!(text(stop).await, "it had ended\n");
    let unknown = ask(&plain, "GET", "/an-id-that-nobody-has-00", "").await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert!(text(unknown).await.starts_with("No such session: "));
}

#[tokio::test]
async fn one_dialect_reads_the_sessions_of_another() {
    let (plain, native) = both();
    let started = ask(&plain, "POST", "/", "Count!").await;
    let id = id(&started);
    let lines = text(started).await;
    let events = text(ask(&native, "GET", &format!("/{id}"), "").await).await;
    let count = |text: &str| text.matches("\"type\":\"text\"").count();
    assert_eq!(count(&events), lines.lines().count() - 1);
    assert!(
        events.trim_end().ends_with("\"finishReason\":\"stop\"}}"),
        "{events}"
    );
}
