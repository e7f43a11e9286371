//! Resumes by the chat after the end of its answer.

use std::{convert::Infallible, time::Duration};

use axum::body::{Body, to_bytes};
use futures_util::stream;
use http::{Request, Response, StatusCode, request::Parts};
use serde_json::{Value, json};
use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_layer::Layer;
use unbroken::{
    access::OnlyTheOwner,
    chat::{ChatEvent, ChatRequest, ProviderError, provider_fn},
    dialect::{AiSdk, Dialect},
    durable::{ClientFields, DurableLayer, SessionBody},
    log::Owner,
    session::{Retention, Sessions},
    store::Memory,
};

const WITHIN: Duration = Duration::from_secs(60);
const KEPT: Duration = Duration::from_secs(600);

type Chat = BoxCloneSyncService<Request<Body>, Response<SessionBody>, Infallible>;

fn sessions(keep: Duration) -> Sessions {
    let retention = Retention::for_duration(keep);
    Sessions::builder(Memory::new())
        .retention(retention)
        .build()
}

/// Returns a chat whose model takes a second, and repeats the question or fails.
fn chat(sessions: &Sessions, dialect: impl Dialect) -> Chat {
    chat_of(sessions, dialect, "chat")
}

fn chat_of(sessions: &Sessions, dialect: impl Dialect, service: &str) -> Chat {
    let model = provider_fn(|request: ChatRequest| {
        let asked = request.messages.last().unwrap().text().into_owned();
        stream::once(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            match &*asked {
                "Fail" => Err(ProviderError::new("no")),
                _ => Ok(ChatEvent::text(asked)),
            }
        })
    });
    let who = OnlyTheOwner::new(|head: &mut Parts| {
        let name = head.headers.get("x-user")?.to_str().ok()?;
        Owner::try_from(name).ok()
    });
    let layer = DurableLayer::new(sessions.clone(), who)
        .dialect(dialect)
        .service_name(service)
        .client_fields(ClientFields::nothing().history(64 * 1024));
    BoxCloneSyncService::new(layer.layer(model))
}

async fn ask(chat: &Chat, text: &str) -> String {
    let user = json!({"id": text, "role": "user", "parts": [{"type": "text", "text": text}]});
    let ask = json!({"id": "chat", "messages": [user], "trigger": "submit-message"});
    let request = Request::post("/")
        .header("content-type", "application/json")
        .header("x-user", "ann");
    let request = request.body(Body::from(ask.to_string())).unwrap();
    body(chat.clone().oneshot(request).await.unwrap()).await
}

async fn resume(chat: &Chat, who: &str, method: &str, path: &str) -> Response<SessionBody> {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("x-user", who).body(Body::empty()).unwrap();
    chat.clone().oneshot(request).await.unwrap()
}

async fn body(response: Response<SessionBody>) -> String {
    let bytes = to_bytes(Body::new(response.into_body()), usize::MAX).await;
    String::from_utf8(bytes.unwrap().to_vec()).unwrap()
}

fn chunks(stream: &str) -> Vec<Value> {
    let data = stream
        .split("\n\n")
        .filter_map(|it| it.strip_prefix("data: "));
    data.filter_map(|it| serde_json::from_str(it).ok())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_resume_after_the_end_shows_the_answer_by_option_and_for_that_time() {
    let sessions = sessions(KEPT);
    let (by_option, plain) = (
        chat(&sessions, AiSdk::new().resume_after_end(WITHIN)),
        chat_of(&sessions, AiSdk::new(), "another"),
    );
    let live = ask(&by_option, "Hi").await;
    tokio::time::sleep(Duration::from_secs(58)).await;
    let replayed = resume(&by_option, "ann", "GET", "/chat/stream").await;
    assert_eq!(replayed.status(), StatusCode::OK);
    assert_eq!(chunks(&body(replayed).await), chunks(&live));
    let head = resume(&by_option, "ann", "HEAD", "/chat/stream").await;
    assert_eq!(head.status(), StatusCode::OK);
    for (chat, who) in [(&plain, "ann"), (&by_option, "bob")] {
        let response = resume(chat, who, "GET", "/chat/stream").await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT, "{who}");
    }
    // Nothing runs that a stop could reach.
    let stopped = resume(&by_option, "ann", "POST", "/chat/stop").await;
    assert_eq!(stopped.status(), StatusCode::NO_CONTENT);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let late = resume(&by_option, "ann", "GET", "/chat/stream").await;
    assert_eq!(late.status(), StatusCode::NO_CONTENT);
}

#[cfg(feature = "durable-streams")]
#[tokio::test(start_paused = true)]
async fn a_durable_stream_that_has_ended_is_found_by_the_same_option() {
    use unbroken::dialect::DurableStreams;

    for (dialect, status) in [
        (AiSdk::new(), StatusCode::NO_CONTENT),
        (AiSdk::new().resume_after_end(WITHIN), StatusCode::OK),
    ] {
        let streams = chat(&sessions(KEPT), DurableStreams::ui_messages(dialect));
        let started = ask(&streams, "Hi").await;
        let started: Value = serde_json::from_str(&started).unwrap();
        let path = format!("/{}?offset=-1&live=sse", started["id"].as_str().unwrap());
        let live = body(resume(&streams, "ann", "GET", &path).await).await;
        assert!(live.contains("streamClosed"), "{live}");
        let found = resume(&streams, "ann", "GET", "/chat/stream").await;
        assert_eq!(found.status(), status);
        if status == StatusCode::OK {
            let found: Value = serde_json::from_str(&body(found).await).unwrap();
            assert_eq!(found["id"], started["id"]);
        }
        tokio::time::sleep(WITHIN).await;
        let late = resume(&streams, "ann", "GET", "/chat/stream").await;
        assert_eq!(late.status(), StatusCode::NO_CONTENT);
    }
}

#[tokio::test(start_paused = true)]
async fn the_retention_ends_the_time_for_a_resume_too() {
    let keep = Duration::from_secs(10);
    let sessions = sessions(keep);
    let chat = chat(&sessions, AiSdk::new().resume_after_end(WITHIN));
    ask(&chat, "Hi").await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let replayed = resume(&chat, "ann", "GET", "/chat/stream").await;
    assert_eq!(replayed.status(), StatusCode::OK);
    drop(replayed);
    tokio::time::sleep(Duration::from_secs(40)).await;
    let late = resume(&chat, "ann", "GET", "/chat/stream").await;
    assert_eq!(late.status(), StatusCode::NO_CONTENT);
}

#[tokio::test(start_paused = true)]
async fn a_resume_shows_the_newest_answer_and_the_running_one_first() {
    let sessions = sessions(KEPT);
    let chat = chat(&sessions, AiSdk::new().resume_after_end(WITHIN));
    ask(&chat, "One").await;
    ask(&chat, "Two").await;
    let newest = body(resume(&chat, "ann", "GET", "/chat/stream").await).await;
    assert!(
        newest.contains("Two") && !newest.contains("One"),
        "{newest}"
    );
    let asking = tokio::spawn({
        let chat = chat.clone();
        async move { ask(&chat, "Three").await }
    });
    while sessions.running() == 0 {
        tokio::task::yield_now().await;
    }
    let running = body(resume(&chat, "ann", "GET", "/chat/stream").await).await;
    assert!(running.contains("Three"), "{running}");
    asking.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_failed_is_shown_as_failed() {
    let sessions = sessions(KEPT);
    let chat = chat(&sessions, AiSdk::new().resume_after_end(WITHIN));
    let live = ask(&chat, "Fail").await;
    assert!(live.contains(r#""type":"error""#), "{live}");
    let replayed = body(resume(&chat, "ann", "GET", "/chat/stream").await).await;
    assert_eq!(chunks(&replayed), chunks(&live));
}
