use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, to_bytes};
use futures_util::{StreamExt as _, stream};
use http::{Request, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::{Service, ServiceExt, util::BoxCloneSyncService};
use tower_layer::Layer;
use unbroken::{
    access::OnlyTheOwner,
    chat::{ChatRequest, InputId, InputRequest, ProviderError, provider_fn},
    dialect::{AiSdk, Concurrency},
    durable::{ClientFields, DurableLayer, SessionBody},
    log::{ChatId, Owner},
    provider::Scripted,
    session::{Limits, Sessions},
    store::Memory,
};

type Chat = BoxCloneSyncService<Request<Body>, Response<SessionBody>, Infallible>;

/// Returns a chat whose users are named in a header.
fn chat() -> Chat {
    chat_in(Sessions::in_memory(), AiSdk::new())
}

fn chat_in(sessions: Sessions, dialect: AiSdk) -> Chat {
    BoxCloneSyncService::new(layer_in(sessions, dialect).layer(Scripted::default()))
}

fn layer_in(sessions: Sessions, dialect: AiSdk) -> DurableLayer {
    let who = |head: &mut Parts| {
        let name = head.headers.get("x-user")?.to_str().ok()?;
        Owner::try_from(name).ok()
    };
    DurableLayer::new(sessions, OnlyTheOwner::new(who))
        .dialect(dialect)
        .client_fields(
            ClientFields::nothing()
                .field("script")
                .history(1024 * 1024)
                .unverified_outputs(1024),
        )
}

async fn ask(
    chat: &Chat,
    who: &str,
    method: &str,
    uri: &str,
    body: &Value,
) -> Response<SessionBody> {
    let request = Request::builder().method(method).uri(uri);
    let request = request
        .header("x-user", who)
        .header(CONTENT_TYPE, "application/json");
    let request = request.body(Body::from(body.to_string())).unwrap();
    chat.clone().oneshot(request).await.unwrap()
}

fn message(id: &str, script: &Value) -> Value {
    let message = json!({ "id": id, "role": "user", "parts": [{ "type": "text", "text": "Hi" }] });
    json!({ "id": "chat-1", "trigger": "submit-message", "messages": [message], "script": script })
}

fn slow() -> Value {
    json!({ "tokens": 100, "delayMs": 60_000 })
}

fn quick() -> Value {
    json!({ "tokens": 3, "delayMs": 0 })
}

async fn post(chat: &Chat, who: &str, body: &Value) -> Response<SessionBody> {
    ask(chat, who, "POST", "/", body).await
}

fn id(response: &Response<SessionBody>) -> String {
    assert_eq!(response.status(), StatusCode::OK);
    response.headers()["x-session-id"]
        .to_str()
        .unwrap()
        .to_owned()
}

async fn text(response: Response<SessionBody>) -> String {
    let bytes = to_bytes(Body::new(response.into_body()), usize::MAX).await;
    String::from_utf8(bytes.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn chats_of_one_id_are_separate_for_each_owner() {
    let chat = chat();
    let anns = id(&post(&chat, "ann", &message("m1", &slow())).await);
    for (method, uri) in [("GET", "/chat-1/stream"), ("POST", "/chat-1/stop")] {
        let bobs = ask(&chat, "bob", method, uri, &Value::Null).await;
        assert_eq!(bobs.status(), StatusCode::NO_CONTENT, "{uri}");
    }
    let by_id = ask(
        &chat,
        "bob",
        "GET",
        &format!("/{anns}~0/stream"),
        &Value::Null,
    )
    .await;
    assert_eq!(by_id.status(), StatusCode::NOT_FOUND);
    // Bob's equal message is no conflict, and starts a session of his own.
    let bobs = post(&chat, "bob", &message("m1", &slow())).await;
    assert_ne!(id(&bobs), anns);
    let resumed = ask(&chat, "ann", "GET", "/chat-1/stream", &Value::Null).await;
    assert_eq!(id(&resumed), anns);
}

#[tokio::test]
async fn a_complete_answer_is_not_paid_for_twice_and_a_failed_one_is_retried() {
    let chat = chat();
    let whole = message("m1", &quick());
    let first = post(&chat, "ann", &whole).await;
    let first_id = id(&first);
    let stream = text(first).await;
    let again = post(&chat, "ann", &whole).await;
    assert_eq!(id(&again), first_id);
    assert_eq!(text(again).await, stream);

    let mut regenerated = whole.clone();
    regenerated["trigger"] = "regenerate-message".into();
    let second = post(&chat, "ann", &regenerated).await;
    let second_id = id(&second);
    text(second).await;
    let third = post(&chat, "ann", &regenerated).await;
    let ids = [first_id, second_id, id(&third)];
    assert!(
        ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2],
        "{ids:?}"
    );
    text(third).await;

    let failing = json!({ "tokens": 3, "delayMs": 0, "fault": { "at": 1, "kind": "error" } });
    let failing = message("m2", &failing);
    let failed = post(&chat, "ann", &failing).await;
    let failed_id = id(&failed);
    assert!(text(failed).await.contains("\"type\":\"error\""));
    assert_ne!(id(&post(&chat, "ann", &failing).await), failed_id);
}

#[tokio::test]
async fn a_message_after_a_stop_does_not_wait_for_the_end() {
    let chat = chat();
    let running = id(&post(&chat, "ann", &message("m1", &slow())).await);
    let busy = post(&chat, "ann", &message("m2", &quick())).await;
    assert_eq!(busy.status(), StatusCode::CONFLICT);
    let stopped = ask(&chat, "ann", "POST", "/chat-1/stop", &Value::Null).await;
    assert_eq!(stopped.status(), StatusCode::ACCEPTED);
    let next = post(&chat, "ann", &message("m2", &quick())).await;
    assert_ne!(id(&next), running);
    assert!(text(next).await.contains("\"finishReason\":\"stop\""));
    // The stopped message starts another session too.
    let again = post(&chat, "ann", &message("m1", &quick())).await;
    assert_ne!(id(&again), running);
}

fn with_limits(limits: Limits) -> Sessions {
    Sessions::builder(Memory::new()).limits(limits).build()
}

/// Returns a message of another chat.
fn in_other_chat(id: &str) -> Value {
    let mut body = message(id, &slow());
    body["id"] = "chat-2".into();
    body
}

#[tokio::test]
async fn a_superseding_message_frees_the_capacity_of_its_own_chat_only() {
    let sessions = with_limits(Limits::default().running_per_owner(1));
    let chat = chat_in(sessions, AiSdk::new().concurrency(Concurrency::Supersede));
    let first = post(&chat, "ann", &message("m1", &slow())).await;
    // Two equal messages at once.
    let again = message("m2", &slow());
    let (second, same) = tokio::join!(post(&chat, "ann", &again), post(&chat, "ann", &again));
    assert_ne!(id(&second), id(&first));
    assert_eq!(id(&same), id(&second));
    assert!(text(first).await.contains("superseded"));
    let third = post(&chat, "ann", &in_other_chat("m3")).await;
    assert_eq!(third.status(), StatusCode::TOO_MANY_REQUESTS);
    let runs = ask(&chat, "ann", "GET", "/chat-1/stream", &Value::Null).await;
    assert_eq!(id(&runs), id(&second));
}

#[tokio::test]
async fn a_message_over_the_limit_aborts_nothing() {
    let store = Memory::new();
    let limits = Limits::default().running_per_owner(1);
    let server = || {
        let sessions = Sessions::builder(store.clone()).limits(limits.clone());
        chat_in(
            sessions.build(),
            AiSdk::new().concurrency(Concurrency::Supersede),
        )
    };
    let (here, there) = (server(), server());
    let first = id(&post(&here, "ann", &message("m1", &slow())).await);
    id(&post(&there, "ann", &in_other_chat("m2")).await);
    // A session of another server frees no capacity on this one.
    let refused = post(&there, "ann", &message("m3", &slow())).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let runs = ask(&here, "ann", "GET", "/chat-1/stream", &Value::Null).await;
    assert_eq!(id(&runs), first);
}

#[tokio::test]
async fn a_waiting_session_that_makes_no_room_is_not_superseded() {
    let question = InputRequest::question(InputId::random(), "Which one?");
    let provider = provider_fn(move |request: ChatRequest| {
        let asks = request.chat_id == Some(ChatId::new("chat-1"));
        let events = asks.then(|| Ok::<_, ProviderError>(question.clone().into()));
        stream::iter(events).chain(stream::pending())
    });
    let sessions = with_limits(Limits::default().running(1));
    let layer = layer_in(
        sessions.clone(),
        AiSdk::new().concurrency(Concurrency::Supersede),
    );
    let chat = BoxCloneSyncService::new(layer.layer(provider));
    let first = id(&post(&chat, "ann", &message("m1", &quick())).await);
    while sessions.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    id(&post(&chat, "ann", &in_other_chat("m2")).await);
    let refused = post(&chat, "ann", &message("m3", &quick())).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let waits = ask(&chat, "ann", "GET", "/chat-1/stream", &Value::Null).await;
    assert_eq!(id(&waits), first);
}

/// A provider whose readiness the test sets.
#[derive(Clone)]
struct GatedProvider {
    provider: Scripted,
    ready: Arc<AtomicBool>,
}

impl Service<ChatRequest> for GatedProvider {
    type Response = <Scripted as Service<ChatRequest>>::Response;
    type Error = <Scripted as Service<ChatRequest>>::Error;
    type Future = <Scripted as Service<ChatRequest>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.ready.load(SeqCst) {
            self.provider.poll_ready(cx)
        } else {
            Poll::Pending
        }
    }

    fn call(&mut self, request: ChatRequest) -> Self::Future {
        self.provider.call(request)
    }
}

#[tokio::test]
async fn a_message_without_a_ready_provider_aborts_nothing() {
    let ready = Arc::new(AtomicBool::new(true));
    let provider = GatedProvider {
        provider: Scripted::default(),
        ready: ready.clone(),
    };
    let sessions = with_limits(Limits::default().running_per_owner(1));
    let layer = layer_in(sessions, AiSdk::new().concurrency(Concurrency::Supersede))
        .ready_timeout(Duration::from_millis(20));
    let chat = BoxCloneSyncService::new(layer.layer(provider));
    let first = id(&post(&chat, "ann", &message("m1", &slow())).await);
    ready.store(false, SeqCst);
    let refused = post(&chat, "ann", &message("m2", &slow())).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let runs = ask(&chat, "ann", "GET", "/chat-1/stream", &Value::Null).await;
    assert_eq!(id(&runs), first);
}

/// Returns a request that continues a message with so many calls, whose ids have 100 bytes, and a text
/// of this length.
fn continuing(calls: usize, text: usize) -> Value {
    let mut body = message("m1", &quick());
    let mut parts = vec![json!({ "type": "text", "text": "w".repeat(text) })];
    parts.extend((0..calls).map(|number| {
        let id = format!("{number:0100}");
        json!({ "type": "tool-pay", "toolCallId": id, "state": "input-available" })
    }));
    let before = json!({ "id": "m2", "role": "assistant", "parts": parts });
    body["messages"].as_array_mut().unwrap().push(before);
    body
}

#[tokio::test]
async fn ids_of_calls_larger_than_an_event_are_413_and_a_larger_text_is_accepted() {
    let chat = chat_in(
        with_limits(Limits::default().event_bytes(4096)),
        AiSdk::new(),
    );
    for (calls, text_bytes) in [(30, 0), (1, 5000), (30, 5000)] {
        let fits = post(&chat, "ann", &continuing(calls, text_bytes)).await;
        assert_eq!(fits.status(), StatusCode::OK, "{calls}, {text_bytes}");
        text(fits).await;
    }
    let refused = post(&chat, "ann", &continuing(50, 0)).await;
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_later_reader_sees_a_denied_call_as_denied() {
    let chat = chat();
    let mut body = message("m1", &slow());
    let part =
        json!({ "type": "tool-pay", "toolCallId": "c", "state": "output-denied", "input": {} });
    let before =
        json!({ "id": "m2", "role": "assistant", "parts": [{ "type": "step-start" }, part] });
    body["messages"].as_array_mut().unwrap().push(before);
    assert_eq!(post(&chat, "ann", &body).await.status(), StatusCode::OK);
    let mut resumed = ask(&chat, "ann", "GET", "/chat-1/stream", &Value::Null).await;
    let mut seen = String::new();
    while !seen.contains("tool-output-denied") {
        let frame = resumed.body_mut().frame().await.unwrap().unwrap();
        seen.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
}
