//! A repeated request finds the session of the first, and one whose earlier messages were edited doesn't, in
//! each dialect whose requests are recognised: by a key, or by the id that the client chose.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use axum::body::{Body, to_bytes};
use futures_util::stream;
use http::{Request, Response, StatusCode, request::Parts};
use serde_json::{Value, json};
use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_layer::Layer;
use unbroken::{
    access::OnlyTheOwner,
    chat::{ChatEvent, ProviderError, provider_fn},
    dialect::{AgUi, AiSdk, Dialect, Native, OpenAiResponses},
    durable::{ClientFields, DurableLayer, SessionBody},
    log::Owner,
    session::Sessions,
};

const ID: &str = "4kq8z1m0v7x2c5b9n3h6jr";

type Chat = BoxCloneSyncService<Request<Body>, Response<SessionBody>, Infallible>;

type BodyOf<'a> = &'a dyn Fn(&str) -> Value;

/// A chat, and the number of calls of its model.
struct Counted {
    chat: Chat,
    calls: Arc<AtomicUsize>,
}

impl Counted {
    fn new(dialect: impl Dialect) -> Self {
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = calls.clone();
        let model = provider_fn(move |_| {
            counter.fetch_add(1, SeqCst);
            stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))])
        });
        let ann = OnlyTheOwner::new(|_: &mut Parts| Some(Owner::new("ann")));
        let layer = DurableLayer::new(Sessions::in_memory(), ann)
            .dialect(dialect)
            .client_fields(ClientFields::nothing().history(64 * 1024));
        Self {
            chat: BoxCloneSyncService::new(layer.layer(model)),
            calls,
        }
    }

    /// Sends a request, and reads the answer to its end. Returns the status and the session.
    async fn ask(&self, path: &str, header: (&str, &str), body: &Value) -> (StatusCode, String) {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .header(header.0, header.1);
        let request = request.body(Body::from(body.to_string())).unwrap();
        let response = self.chat.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let id = response.headers().get("x-session-id");
        let id = id.map_or("", |id| id.to_str().unwrap()).to_owned();
        to_bytes(Body::new(response.into_body()), usize::MAX)
            .await
            .unwrap();
        (status, id)
    }

    fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }
}

/// Returns a conversation whose first message has this text, and whose messages have no ids.
fn talk(first: &str, message: impl Fn(&str, &str) -> Value) -> Value {
    json!([
        message("user", first),
        message("assistant", "Hello"),
        message("user", "And?")
    ])
}

#[tokio::test]
async fn an_edited_message_without_an_id_is_another_request_of_use_chat() {
    let counted = Counted::new(AiSdk::new());
    let body = |first: &str| {
        let messages = talk(
            first,
            |role, text| json!({"role": role, "parts": [{"type": "text", "text": text}]}),
        );
        json!({"id": "chat", "trigger": "submit-message", "messages": messages})
    };
    let none = ("accept", "*/*");
    let (status, first) = counted.ask("/", none, &body("Hi")).await;
    assert_eq!(status, StatusCode::OK);
    let repeated = counted.ask("/", none, &body("Hi")).await;
    assert_eq!(
        (repeated, counted.calls()),
        ((StatusCode::OK, first.clone()), 1)
    );
    let (status, edited) = counted.ask("/", none, &body("Hey")).await;
    assert_eq!((status, counted.calls()), (StatusCode::OK, 2));
    assert_ne!(edited, first);
}

#[tokio::test]
async fn an_edited_message_is_a_conflict_under_an_id_or_a_key_of_the_client() {
    let plain = |role: &str, text: &str| json!({"role": role, "content": text});
    let native = |first: &str| json!({"chatId": "chat", "messages": talk(first, plain)});
    let run =
        |first: &str| json!({"threadId": "chat", "runId": ID, "messages": talk(first, plain)});
    let response = |first: &str| json!({"model": "m", "stream": true, "input": talk(first, plain)});
    let cases: [(Counted, &str, &str, BodyOf<'_>); 3] = [
        (Counted::new(Native::new()), "/", "x-session-id", &native),
        (Counted::new(AgUi::new()), "/", "x-run-id", &run),
        (
            Counted::new(OpenAiResponses::new().model("m")),
            "/responses",
            "idempotency-key",
            &response,
        ),
    ];
    for (counted, path, header, body) in cases {
        let named = (header, ID);
        let first = counted.ask(path, named, &body("Hi")).await;
        assert_eq!(first.0, StatusCode::OK, "{header}");
        let repeated = counted.ask(path, named, &body("Hi")).await;
        assert_eq!((repeated, counted.calls()), (first, 1), "{header}");
        let (edited, _) = counted.ask(path, named, &body("Hey")).await;
        assert_eq!(
            (edited, counted.calls()),
            (StatusCode::CONFLICT, 1),
            "{header}"
        );
    }
}

#[tokio::test]
async fn without_a_key_each_request_is_another_session() {
    let plain = |role: &str, text: &str| json!({"role": role, "content": text});
    let body = json!({"chatId": "chat", "threadId": "chat", "messages": talk("Hi", plain)});
    for counted in [Counted::new(Native::new()), Counted::new(AgUi::new())] {
        let (status, first) = counted.ask("/", ("accept", "*/*"), &body).await;
        assert_eq!(status, StatusCode::OK);
        let (_, second) = counted.ask("/", ("accept", "*/*"), &body).await;
        assert_ne!(first, second);
        assert_eq!(counted.calls(), 2);
    }
}
