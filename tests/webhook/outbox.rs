//! The webhook as the handler of a layer's outbox.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, request::Builder};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;
use tower_layer::Layer as _;
use unbroken::{
    DurableLayer, Sessions,
    access::AnyoneWithTheId,
    durable::{ClientFields, DurableService, Outbox},
    provider::Scripted,
    store::Memory,
};

use crate::receiver::{Delivery, GUARD, Receiver, Reply};

/// A service whose endings go to a webhook.
struct Chat {
    sessions: Sessions,
    service: DurableService<Scripted>,
}

impl Chat {
    fn new(receiver: &Receiver) -> Self {
        Self::with(receiver, Sessions::in_memory())
    }

    fn with(receiver: &Receiver, sessions: Sessions) -> Self {
        let webhook = receiver.webhook().build().unwrap();
        let layer = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
            .client_fields(ClientFields::nothing().field("script"))
            .outbox(Outbox::webhook(webhook));
        let service = layer.layer(Scripted::default());
        Self { sessions, service }
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path);
        self.send_with(request, body).await
    }

    async fn send_with(&self, request: Builder, body: Value) -> (StatusCode, String) {
        let request = request
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        let response = self.service.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        body.collect().await.unwrap();
        let id = head.headers.get("x-session-id");
        let id = id.map_or("", |id| id.to_str().unwrap());
        (head.status, id.to_owned())
    }

    /// Runs an answer to its end. Returns the id of its session.
    async fn answered(&self, text: &str) -> String {
        let (status, id) = self.send("POST", "/", script(text)).await;
        assert_eq!(status, StatusCode::OK);
        id
    }

    /// Runs an answer under this id, once the session that had it before is forgotten: that it was delivered is
    /// stored a little after the receiver's response.
    async fn started_anew(&self, id: &str) {
        let start = async {
            loop {
                let request = Request::post("/").header("x-session-id", id);
                let (status, got) = self.send_with(request, script("Hello there.")).await;
                if status != StatusCode::GONE {
                    break assert_eq!((status, &*got), (StatusCode::OK, id));
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(GUARD, start).await.expect("a start");
    }

    /// Waits until nothing is left to deliver.
    async fn drained(self) {
        self.sessions.shutdown(GUARD).await;
    }
}

fn script(text: &str) -> Value {
    json!({
        "messages": [{"role": "user", "content": "Hi"}],
        "chatId": "chat-1",
        "script": {"text": text, "delayMs": 0, "model": "small"},
    })
}

/// Returns the time of the session's end, in milliseconds of its day.
fn ended_at(delivery: &Delivery) -> i64 {
    let json = delivery.json();
    let (_, time) = json["timestamp"].as_str().unwrap().split_once('T').unwrap();
    let parts = time.trim_end_matches('Z').split([':', '.']);
    let parts: Vec<i64> = parts.map(|part| part.parse().unwrap()).collect();
    let [hours, minutes, seconds, millis] = parts[..] else {
        panic!("{time}");
    };
    ((hours * 60 + minutes) * 60 + seconds) * 1000 + millis
}

#[tokio::test]
async fn an_ending_is_delivered_once_and_tells_what_a_bill_and_a_history_need() {
    let mut receiver = Receiver::with(Reply::status(200)).await;
    let chat = Chat::new(&receiver);
    let id = chat.answered("Hello there.").await;
    let delivery = receiver.next().await;
    let ending = delivery.header("webhook-id");
    assert_eq!(ending.len(), 32);
    assert!(ending.bytes().all(|it| it.is_ascii_hexdigit()), "{ending}");
    let json = delivery.json();
    assert_eq!(json["type"], "session.ended");
    let data = &json["data"];
    assert_eq!(data["id"], id);
    assert_eq!(data["chatId"], "chat-1");
    assert_eq!(data["outcome"], "complete");
    assert_eq!(data["finishReason"], "stop");
    assert_eq!(data["model"], "small");
    assert!(
        data["usage"]["outputTokens"].as_u64().unwrap() > 0,
        "{data}"
    );
    assert_eq!(data["turns"][0]["usage"], data["usage"]);
    assert_eq!(
        data["messages"],
        json!([{"role": "assistant", "content": "Hello there."}])
    );
    assert_eq!(
        (&data["delivery"], &data["deleted"]),
        (&json!(1), &json!(false))
    );
    chat.drained().await;
    assert!(receiver.no_further());
}

#[tokio::test]
async fn a_receiver_that_answers_500_gets_the_ending_once_more_under_the_same_id() {
    let mut receiver = Receiver::of(vec![Reply::status(500), Reply::status(200)]).await;
    let chat = Chat::new(&receiver);
    chat.answered("Hello there.").await;
    let (first, second) = (receiver.next().await, receiver.next().await);
    for delivery in [&first, &second] {
        let text = &delivery.json()["data"]["messages"][0]["content"];
        assert_eq!(text, "Hello there.");
    }
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_eq!(first.json()["data"]["delivery"], 1);
    assert_eq!(second.json()["data"]["delivery"], 2);
    let sent = |it: &Delivery| it.header("webhook-timestamp").parse::<u64>().unwrap();
    assert!(sent(&first) < sent(&second), "the time of the attempt");
    // The time of the end stays, up to the clocks' precision.
    let apart = (ended_at(&second) - ended_at(&first)).abs();
    assert!(apart < 500, "{apart} ms");
    chat.drained().await;
    assert!(receiver.no_further());
}

#[tokio::test]
async fn a_session_that_is_deleted_before_its_delivery_still_has_its_usage() {
    let mut receiver = Receiver::of(vec![Reply::status(503), Reply::status(200)]).await;
    let chat = Chat::new(&receiver);
    let id = chat.answered("Hello there.").await;
    let first = receiver.next().await.json();
    let (status, _) = chat.send("DELETE", &format!("/{id}"), json!(null)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let second = receiver.next().await.json();
    assert_eq!(second["data"]["deleted"], true);
    assert_eq!(second["data"]["usage"], first["data"]["usage"]);
    assert_eq!(second["data"]["contentOmitted"], true);
    assert_eq!(second["data"].get("messages"), None);
    chat.drained().await;
    assert!(receiver.no_further());
}

/// Each ending fails once, so that its retry is seen too.
#[tokio::test]
async fn a_session_id_that_is_used_again_comes_under_another_id() {
    const ID: &str = "again-0123456789-abcdefg";
    let replies = [500, 200, 500, 200].map(Reply::status);
    let mut receiver = Receiver::of(replies.into()).await;
    let sessions = Sessions::builder(Memory::new()).tombstone(Duration::ZERO);
    let chat = Chat::with(&receiver, sessions.build());
    let mut seen = Vec::new();
    for _ in 0..2 {
        chat.started_anew(ID).await;
        let (first, second) = (receiver.next().await, receiver.next().await);
        assert_eq!(first.json()["data"]["id"], ID);
        assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
        seen.push(first.header("webhook-id").to_owned());
        let (status, _) = chat.send("DELETE", &format!("/{ID}"), json!(null)).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }
    assert_ne!(seen[0], seen[1]);
    chat.drained().await;
    assert!(receiver.no_further());
}
