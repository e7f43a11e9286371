//! The whole path: HTTP, the log, tools, and Claude's protocol.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::{ServiceBuilder, ServiceExt};
use unbroken::{
    DurableLayer, Sessions,
    access::AnyoneWithTheId,
    durable::SessionBody,
    tools::{ToolLayer, Tools},
};

use crate::{
    claude::{self, CLAUDE},
    stub::{Reply, Stub},
};

// Reads lines of a body, until one has a text or the body ends.
async fn lines(body: &mut SessionBody, until: &str) -> Vec<Value> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.unwrap().into_data() {
            bytes.extend_from_slice(&data);
        }
        if !until.is_empty() && String::from_utf8_lossy(&bytes).contains(until) {
            break;
        }
    }
    let text = String::from_utf8(bytes).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn a_reader_that_was_cut_resumes_the_one_answer_of_claude() {
    let whole = claude::message(
        [
            claude::thinking(0, "Hm.", ["sig", "-1"]),
            claude::text(1, &["Hel", "lo ", "world."]),
        ],
        "end_turn",
    );
    let middle = whole.find("lo ").unwrap();
    let begin = whole[..middle].rfind("event:").unwrap();
    let go_on = Arc::new(Notify::new());
    let stub = Stub::new([Reply::Halted(
        whole[..begin].into(),
        Arc::clone(&go_on),
        whole[begin..].into(),
    )])
    .await;
    let chat = ServiceBuilder::new()
        .layer(DurableLayer::new(
            Sessions::in_memory(),
            AnyoneWithTheId::new(),
        ))
        .layer(ToolLayer::new(Tools::new()))
        .service(stub.provider(CLAUDE));

    let asked = json!({"messages": [{"role": "user", "content": "Hi"}]}).to_string();
    let start = Request::post("/").header(CONTENT_TYPE, "application/json");
    let start = start.body(Full::new(Bytes::from(asked))).unwrap();
    let response = chat.clone().oneshot(start).await.unwrap();
    assert_eq!(response.status(), 200);
    let id = response.headers()["x-session-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let mut body = response.into_body();
    let first = lines(&mut body, "Hel").await;
    drop(body);
    go_on.notify_one();

    let last = first.last().unwrap()["lsn"].to_string();
    let resume = Request::get(format!("/{id}")).header("x-last-lsn", last);
    let resume = resume.body(Full::<Bytes>::default()).unwrap();
    let response = chat.oneshot(resume).await.unwrap();
    assert_eq!(response.status(), 200);
    let rest = lines(&mut response.into_body(), "").await;

    let all: Vec<_> = first.iter().chain(&rest).collect();
    let lsns: Vec<_> = all
        .iter()
        .map(|line| line["lsn"].as_u64().unwrap())
        .collect();
    assert_eq!(lsns, (1..=lsns.len() as u64).collect::<Vec<_>>());
    let of = |kind: &str| {
        let events = all.iter().map(|line| &line["event"]);
        let text = events.filter(|event| event["type"] == kind);
        text.map(|event| event["content"].as_str().unwrap())
            .collect::<String>()
    };
    assert_eq!((&*of("thinking"), &*of("text")), ("Hm.", "Hello world."));
    assert_eq!(all.last().unwrap()["event"]["type"], "complete");
    assert_eq!(stub.asked().len(), 1);
}
