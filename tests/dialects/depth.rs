//! Logs with arguments and outputs of any nesting, as every dialect reads them.

use axum::body::{Body, to_bytes};
use futures_util::stream;
use http::{Request, StatusCode, request::Parts};
use serde_json::{Value, json};
use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_layer::Layer;
use unbroken::{
    access::OnlyTheOwner,
    chat::{ChatEvent, ChatRequest, ProviderError, ToolCall, provider_fn},
    dialect::{AgUi, AiSdk, Dialect, DurableStreams, OpenAiResponses},
    durable::{ClientFields, DurableLayer, SessionBody},
    log::Owner,
    session::Sessions,
};

type Chat =
    BoxCloneSyncService<Request<Body>, http::Response<SessionBody>, std::convert::Infallible>;

const DEPTHS: [usize; 11] = [1, 63, 64, 65, 100, 124, 125, 126, 127, 128, 130];

fn lists(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// Returns a chat whose model calls a tool with these arguments, and whose tool gave the same.
fn chat(dialect: impl Dialect, text: String) -> Chat {
    let model = provider_fn(move |_: ChatRequest| {
        let events = [
            ChatEvent::tool_calls([ToolCall::from_text("a", "t", &text)]),
            ChatEvent::tool_result("a", "t", text.as_str()),
            ChatEvent::text("Done."),
        ];
        stream::iter(events.map(Ok::<_, ProviderError>))
    });
    let who = |_: &mut Parts| Some(Owner::new("ann"));
    let layer = DurableLayer::new(Sessions::in_memory(), OnlyTheOwner::new(who))
        .client_fields(ClientFields::nothing().history(64 * 1024))
        .dialect(dialect);
    BoxCloneSyncService::new(layer.layer(model))
}

async fn send(chat: &Chat, request: http::request::Builder, body: &Value) -> (StatusCode, String) {
    let request = request.header("content-type", "application/json");
    let request = request.body(Body::from(body.to_string())).unwrap();
    let response = chat.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = to_bytes(Body::new(response.into_body()), usize::MAX).await;
    let bytes = bytes.expect("a clean end");
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

/// Returns the server-sent data of a stream, but the SDK's `[DONE]`.
fn data(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|it| it.strip_prefix("data: "));
    let data = data.filter(|it| *it != "[DONE]");
    data.map(|it| serde_json::from_str(it).unwrap()).collect()
}

fn of<'a>(events: &'a [Value], kind: &str) -> &'a Value {
    let of_kind = events.iter().find(|event| event["type"] == kind);
    of_kind.unwrap_or_else(|| panic!("{kind} in {events:?}"))
}

#[tokio::test]
async fn ai_sdk_reads_any_depth_and_its_client_can_send_it_back() {
    for depth in DEPTHS {
        let chat = chat(AiSdk::new(), lists(depth));
        let user = json!({"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hi"}]});
        let body = json!({"id": "c", "trigger": "submit-message", "messages": [user]});
        let (_, stream) = send(&chat, Request::post("/"), &body).await;
        let chunks = data(&stream);
        assert_eq!(of(&chunks, "finish")["finishReason"], "stop", "{depth}");
        // A call that is nested too deep is half, though this model has its outcome.
        let told = match depth {
            0..=64 => "tool-input-available",
            _ => "tool-input-error",
        };
        let input = of(&chunks, told)["input"].clone();
        let output = of(&chunks, "tool-output-available")["output"].clone();
        let expected = match depth {
            0..=64 => serde_json::from_str(&lists(depth)).unwrap(),
            _ => Value::from(lists(depth)),
        };
        assert_eq!((&input, &output), (&expected, &expected), "{depth}");
        let part = json!({"type": "tool-t", "toolCallId": "a", "state": "output-available", "input": input, "output": output});
        let before = json!({"id": "m", "role": "assistant", "parts": [part, {"type": "text", "text": "Done."}]});
        let body =
            json!({"id": "c", "trigger": "submit-message", "messages": [user, before, user]});
        let (status, stream) = send(&chat, Request::post("/"), &body).await;
        assert_eq!(status, StatusCode::OK, "{depth}: {stream}");
    }
}

#[tokio::test]
async fn ag_ui_reads_any_depth() {
    for depth in DEPTHS {
        let chat = chat(AgUi::new(), lists(depth));
        let user = json!({"id": "u", "role": "user", "content": "Hi"});
        let body =
            json!({"threadId": "t", "runId": "a-run-that-is-long-enough", "messages": [user]});
        let (_, stream) = send(&chat, Request::post("/"), &body).await;
        let events = data(&stream);
        assert_eq!(of(&events, "TOOL_CALL_ARGS")["delta"], lists(depth));
        assert_eq!(of(&events, "TOOL_CALL_RESULT")["content"], lists(depth));
        of(&events, "RUN_FINISHED");
    }
}

#[tokio::test]
async fn openai_responses_read_any_depth() {
    for depth in DEPTHS {
        let chat = chat(OpenAiResponses::new().model("m"), lists(depth));
        let body = json!({"model": "m", "input": "Hi"});
        let (_, response) = send(&chat, Request::post("/responses"), &body).await;
        let response: Value = serde_json::from_str(&response).unwrap();
        assert_eq!(response["status"], "completed", "{depth}");
        assert_eq!(response["output"][0]["arguments"], lists(depth));
    }
}

#[tokio::test]
async fn durable_streams_read_any_depth() {
    for depth in DEPTHS {
        for dialect in [
            DurableStreams::new(),
            DurableStreams::ui_messages(AiSdk::new()),
        ] {
            let is_ui = format!("{dialect:?}").contains("AiSdk");
            let chat = chat(dialect, lists(depth));
            let user = if is_ui {
                json!({"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hi"}]})
            } else {
                json!({"role": "user", "content": "Hi"})
            };
            let body = json!({"id": "c", "messages": [user]});
            let request = Request::post("/").header("content-type", "application/json");
            let request = request.body(Body::from(body.to_string())).unwrap();
            let started = chat.clone().oneshot(request).await.unwrap();
            let id = started.headers()["x-session-id"]
                .to_str()
                .unwrap()
                .to_owned();
            let uri = format!("/{id}?offset=-1&live=sse");
            let (_, stream) = send(&chat, Request::get(uri), &Value::Null).await;
            assert!(stream.contains("streamClosed"), "{depth}: {stream}");
            assert!(stream.contains("Done."), "{depth}");
        }
    }
}
