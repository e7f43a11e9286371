//! Requests with outputs for calls that a session has handed over.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use axum::body::Body;
use futures_util::stream;
use http::{Request, request::Parts};
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tower::{ServiceExt as _, util::BoxCloneSyncService};
use tower_layer::Layer as _;
use unbroken::{
    access::OnlyTheOwner,
    chat::{ChatEvent, ChatRequest, ProviderError, ToolCall, provider_fn},
    durable::{ClientFields, DurableLayer, SessionBody},
    log::Owner,
    session::Sessions,
};

use crate::{
    bodies::{USER, many},
    decoders::UNLIMITED,
};

/// A body has at least these bytes for each call: most of the time would be that of the first session
/// otherwise.
const CALL_BYTES: usize = 128;

pub(crate) fn outputs(bytes: usize) -> Vec<u8> {
    let before = format!(r#"{{{USER},"chatId":"c","isomorphicClientOutputs":["#);
    many(
        &before,
        |n| format!(r#"{{"callId":"{n}","toolName":"t","clientOutput":"{n:100}"}}"#),
        "]}",
        bytes,
    )
}

pub(crate) fn tool_messages(bytes: usize) -> Vec<u8> {
    let before = r#"{"chatId":"c","messages":[{"role":"user","content":"Hi"},"#;
    many(before, tool_message, "]}", bytes)
}

/// Writes a request with the client's copy of the turn.
pub(crate) fn copied_turns(bytes: usize) -> Vec<u8> {
    let call = |n| format!(r#"{{"id":"{n}","name":"t","arguments":"{n:100}"}}"#);
    let before = r#"{"chatId":"c","messages":[{"role":"user","content":"Hi"},{"role":"assistant","tool_calls":["#;
    let mut body = many(before, call, "]},", bytes / 2);
    body.extend(many("", tool_message, "]}", bytes / 2));
    body
}

fn tool_message(n: usize) -> String {
    format!(r#"{{"role":"tool","tool_call_id":"{n}","content":"{n:100}"}}"#)
}

type Chat =
    BoxCloneSyncService<Request<Body>, http::Response<SessionBody>, std::convert::Infallible>;

/// Hands over as many calls as the body may answer. Returns the follow-up, which the body starts.
pub(crate) fn prepare(body: Vec<u8>, concluding: bool) -> Box<dyn FnOnce()> {
    let calls = body.len() / CALL_BYTES;
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let chat = chat(calls, concluding);
    start(
        &runtime,
        &chat,
        format!(r#"{{{USER},"chatId":"c"}}"#).into(),
    );
    Box::new(move || start(&runtime, &chat, body))
}

/// A chat that first hands calls over, with second halves if they are concluding.
fn chat(calls: usize, concluding: bool) -> Chat {
    let is_first = Arc::new(AtomicBool::new(true));
    let model = provider_fn(move |request: ChatRequest| {
        let mut events = Vec::new();
        if is_first.swap(false, SeqCst) {
            let ids = (0..calls).map(|n| n.to_string());
            let calls = ids.clone().map(|id| ToolCall::new(id, "t", true.into()));
            events.push(ChatEvent::tool_calls(calls));
            for id in ids.filter(|_| concluding) {
                let handoff = json!({
                    "type": "isomorphic_handoff", "callId": id, "toolName": "t", "usesHandoff": true,
                });
                events.push(serde_json::from_value(handoff).unwrap());
            }
        } else {
            let outputs = request.isomorphic_client_outputs.len();
            let messages = request.messages.len();
            assert!(outputs.max(messages) > 30, "the turn and its outputs");
            assert!(outputs > 0 || !concluding, "the second halves");
        }
        stream::iter(events.into_iter().map(Ok::<_, ProviderError>))
    });
    let who = |_: &mut Parts| Some(Owner::new("ann"));
    let layer = DurableLayer::new(Sessions::in_memory(), OnlyTheOwner::new(who))
        .client_fields(ClientFields::nothing().history(usize::MAX))
        .request_limits(UNLIMITED)
        .max_body(2 * 1024 * 1024);
    BoxCloneSyncService::new(layer.layer(model))
}

/// Starts a session and reads its answer to the end.
fn start(runtime: &Runtime, chat: &Chat, body: Vec<u8>) {
    runtime.block_on(async {
        let request = Request::post("/").header("content-type", "application/json");
        let request = request.body(Body::from(body)).unwrap();
        let response = chat.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        let answer = String::from_utf8_lossy(&answer);
        let last = answer.lines().last().unwrap_or_default();
        assert!(
            status == 200 && last.contains("complete"),
            "{status} {last}"
        );
    });
}
