//! Answers to approvals and questions over the AI SDK's dialect.

mod in_step;
#[cfg(feature = "durable-streams")]
mod streams;
mod tabs;
mod waits;

use std::time::Duration;

use axum::body::{Body, to_bytes};
use futures_util::stream;
use http::{Request, Response, StatusCode, request::Parts};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_layer::Layer;
use unbroken::{
    access::OnlyTheOwner,
    chat::{ChatEvent, ChatRequest, ProviderError, Role, ToolCall, provider_fn},
    dialect::{AiSdk, Concurrency, Dialect, Native},
    durable::{ClientFields, DurableLayer, SessionBody},
    log::Owner,
    session::{Limits, Sessions},
    store::Memory,
    tools::{Call, ToolLayer, Tools, tool_fn},
};
use unbroken_conformance::{Fault, FaultStore, Op};

const INPUT_TIMEOUT: Duration = Duration::from_secs(600);

type Chat = BoxCloneSyncService<Request<Body>, Response<SessionBody>, std::convert::Infallible>;

/// Returns a chat in two dialects over one registry. Its model calls the tool `pay` twice.
fn chats() -> (Chat, Chat) {
    chats_in(&Sessions::in_memory())
}

fn chats_in(sessions: &Sessions) -> (Chat, Chat) {
    chats_of(sessions, AiSdk::new())
}

fn chats_of(sessions: &Sessions, dialect: impl Dialect) -> (Chat, Chat) {
    let model = provider_fn(|request: ChatRequest| {
        let has_outputs = request.messages.iter().any(|it| it.role == Role::Tool);
        let pay = |id| ToolCall::new(id, "pay", json!({}));
        let event = match &*request.messages[0].text() {
            _ if has_outputs => ChatEvent::text("Done."),
            "Sit" => ChatEvent::tool_calls([ToolCall::new("a", "seat", json!({}))]),
            _ => ChatEvent::tool_calls([pay("a"), pay("b")]),
        };
        stream::iter([Ok::<_, ProviderError>(event)])
    });
    let pay = tool_fn("pay", "Pays.", |_: Value, call: Call| async move {
        call.progress("paying");
        Ok("paid")
    });
    let seat = tool_fn(
        "seat",
        "Asks for a seat.",
        |_: Value, call: Call| async move { call.ask_for::<String>("Which seat?").await },
    );
    let tools = Tools::new()
        .with(pay.approved_if(|_| Some("Pay?".to_owned())))
        .with(seat);
    let provider = ServiceBuilder::new()
        .layer(ToolLayer::new(tools).input_timeout(INPUT_TIMEOUT))
        .service(model);
    let open = || ClientFields::nothing().history(64 * 1024);
    let ann = OnlyTheOwner::new(|_: &mut Parts| Some(Owner::new("ann")));
    let layer = || DurableLayer::new(sessions.clone(), ann.clone()).client_fields(open());
    let sdk = layer().dialect(dialect);
    let native = layer().dialect(Native::new());
    (
        BoxCloneSyncService::new(sdk.layer(provider.clone())),
        BoxCloneSyncService::new(native.layer(provider)),
    )
}

async fn send(chat: &Chat, method: &str, path: &str, body: &Value) -> Response<SessionBody> {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("content-type", "application/json");
    let request = request.body(Body::from(body.to_string())).unwrap();
    chat.clone().oneshot(request).await.unwrap()
}

async fn text(response: Response<SessionBody>) -> String {
    let bytes = to_bytes(Body::new(response.into_body()), usize::MAX).await;
    String::from_utf8(bytes.unwrap().to_vec()).unwrap()
}

/// Returns the current log.
async fn events(native: &Chat, session: &str) -> String {
    let request = Request::get(format!("/{session}")).header("accept", "application/json");
    let request = request.body(Body::empty()).unwrap();
    text(native.clone().oneshot(request).await.unwrap()).await
}

fn frames(stream: &str) -> Vec<&str> {
    stream.split_terminator("\n\n").collect()
}

fn chunks(stream: &str) -> Vec<Value> {
    let data = frames(stream).into_iter();
    let data = data.map(|it| it.strip_prefix("data: ").unwrap());
    data.filter_map(|it| serde_json::from_str(it).ok())
        .collect()
}

/// Returns the request of a client whose answer asks for approvals.
fn asking() -> Value {
    let user = json!({"id": "1", "role": "user", "parts": [{"type": "text", "text": "Pay"}]});
    json!({"id": "chat", "messages": [user], "trigger": "submit-message"})
}

/// Starts a session, and returns its id and the ids of both approvals.
async fn start(sdk: &Chat) -> (String, Vec<String>) {
    let first = chunks(&text(send(sdk, "POST", "/", &asking()).await).await);
    let asked = first
        .iter()
        .filter(|it| it["type"] == "tool-approval-request");
    let asked: Vec<_> = asked
        .map(|it| it["approvalId"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(asked.len(), 2, "{first:?}");
    (first[0]["messageId"].as_str().unwrap().to_owned(), asked)
}

async fn decide(native: &Chat, session: &str, input: &str, action: &str) {
    let path = format!("/{session}/inputs/{input}");
    let response = send(native, "POST", &path, &json!({"action": action})).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
}

/// Returns the request of a client that has approved both calls.
fn approved(session: &str, approvals: &[String]) -> Value {
    let part = |(call, id): (&str, &String)| {
        json!({
            "type": "tool-pay", "toolCallId": call, "state": "approval-responded", "input": {},
            "approval": {"id": id, "approved": true},
        })
    };
    let mut parts = vec![json!({"type": "step-start"})];
    parts.extend(["a", "b"].into_iter().zip(approvals).map(part));
    let message = json!({"id": session, "role": "assistant", "parts": parts});
    json!({"id": "chat", "messages": [message], "trigger": "submit-message"})
}

#[tokio::test]
async fn an_answer_to_two_approvals_resumes_after_any_chunk() {
    let (sdk, native) = chats();
    let (session, approvals) = start(&sdk).await;
    // Another client approved one call before: it has run while the other approval is open.
    let yes = json!({"action": "accept"});
    let path = format!("/{session}/inputs/{}", approvals[0]);
    let response = send(&native, "POST", &path, &yes).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    while !events(&native, &session).await.contains("tool_result") {
        tokio::task::yield_now().await;
    }
    let response = send(&sdk, "POST", "/", &approved(&session, &approvals)).await;
    let run = response.headers()["x-workflow-run-id"].clone();
    let run = run.to_str().unwrap().to_owned();
    let whole = text(response).await;
    let all = frames(&whole);
    let received = chunks(&whole);
    let paid = received
        .iter()
        .filter(|it| it["type"] == "tool-output-available");
    assert_eq!(paid.count(), 2, "{whole}");
    let ends = received.iter().filter(|it| it["type"] == "finish").count();
    assert_eq!(ends, 1, "no approval is open: {whole}");
    for had in 0..all.len() {
        let path = format!("/{run}/stream?startIndex={had}");
        let rest = text(send(&sdk, "GET", &path, &Value::Null).await).await;
        assert_eq!(frames(&rest), all[had..], "after {had}");
    }
}

#[tokio::test]
async fn an_answer_counts_if_another_in_the_same_request_is_too_late() {
    let (sdk, native) = chats();
    let (session, approvals) = start(&sdk).await;
    let no = json!({"action": "decline"});
    let answer = |at: usize| format!("/{session}/inputs/{}", approvals[at]);
    let response = send(&native, "POST", &answer(0), &no).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    // This client has not received that answer.
    let response = send(&sdk, "POST", "/", &approved(&session, &approvals)).await;
    assert_eq!(response.status(), StatusCode::OK);
    let received = chunks(&text(response).await);
    let count = |kind: &str| received.iter().filter(|it| it["type"] == kind).count();
    assert_eq!(count("tool-output-available"), 1, "{received:?}");
    assert_eq!(count("tool-output-error"), 1, "{received:?}");
}

#[tokio::test]
async fn a_request_whose_answers_are_all_too_late_is_refused() {
    let (sdk, native) = chats();
    let (session, approvals) = start(&sdk).await;
    let no = json!({"action": "decline"});
    let answer = |at: usize| format!("/{session}/inputs/{}", approvals[at]);
    let response = send(&native, "POST", &answer(0), &no).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let mut late = approved(&session, &approvals);
    let parts = late["messages"][0]["parts"].as_array_mut().unwrap();
    parts[2]["state"] = json!("approval-requested");
    parts[2]["approval"]
        .as_object_mut()
        .unwrap()
        .remove("approved");
    let response = send(&sdk, "POST", "/", &late).await;
    assert_eq!(response.status(), StatusCode::CONFLICT);
    assert!(text(response).await.contains("input-answered"));
}

#[tokio::test]
async fn an_answer_in_a_very_long_message_is_accepted() {
    let limits = Limits::default().event_bytes(4096);
    let (sdk, _) = chats_in(&Sessions::builder(Memory::new()).limits(limits).build());
    let (session, approvals) = start(&sdk).await;
    let mut long = approved(&session, &approvals);
    let parts = long["messages"][0]["parts"].as_array_mut().unwrap();
    for at in 0..50 {
        let call = format!("{at:0>100}");
        parts.push(json!({
            "type": "tool-pay", "toolCallId": call, "state": "output-available", "input": {},
            "output": "paid",
        }));
    }
    let response = send(&sdk, "POST", "/", &long).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(text(response).await.contains("tool-output-available"));
}

#[tokio::test]
async fn a_run_name_holds_only_questions_of_the_session() {
    let (sdk, _) = chats();
    let (session, approvals) = start(&sdk).await;
    let mut padded = approved(&session, &approvals);
    let parts = padded["messages"][0]["parts"].as_array_mut().unwrap();
    for at in 0..100 {
        // Approvals of an ended answer, or invented ones, would not fit into a header.
        let id = format!("{at:0>100}");
        parts.push(json!({
            "type": "tool-pay", "toolCallId": id, "state": "approval-responded", "input": {},
            "approval": {"id": id, "approved": true},
        }));
    }
    let response = send(&sdk, "POST", "/", &padded).await;
    assert_eq!(response.status(), StatusCode::OK);
    let run = response.headers()["x-workflow-run-id"].to_str().unwrap();
    let (_, named) = run.split_once('!').unwrap();
    assert_eq!(named.split(',').collect::<Vec<_>>(), approvals);
}

#[tokio::test]
async fn a_question_is_answered_beside_the_stream() {
    let (sdk, native) = chats();
    let user = json!({"id": "1", "role": "user", "parts": [{"type": "text", "text": "Sit"}]});
    let ask = json!({"id": "chat", "messages": [user], "trigger": "submit-message"});
    let mut stream = Body::new(send(&sdk, "POST", "/", &ask).await.into_body());
    let mut seen = String::new();
    while !seen.contains("data-input-request") {
        let frame = stream.frame().await.unwrap().unwrap();
        seen += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
    }
    let received = chunks(&seen);
    let asked = received
        .iter()
        .find(|it| it["type"] == "data-input-request");
    let asked = asked.unwrap();
    assert_eq!(asked["data"]["message"], "Which seat?");
    let session = received[0]["messageId"].as_str().unwrap();
    let input = asked["id"].as_str().unwrap();
    let path = format!("/chat/inputs/{input}");
    for nothing in [
        "/chat/inputs/another".to_owned(),
        format!("/elsewhere/inputs/{input}"),
    ] {
        let cancel = json!({"action": "cancel"});
        let refused = send(&sdk, "POST", &nothing, &cancel).await;
        assert_eq!(refused.status(), StatusCode::NOT_FOUND, "{nothing}");
        assert!(text(refused).await.contains("no-such-input"));
    }

    // A newer session of the chat doesn't hide the one that asked.
    let newer = json!({
        "messages": [{"role": "user", "content": "Sit"}],
        "chatId": "chat",
        "enabledTools": true,
    });
    let newer = send(&native, "POST", "/", &newer).await;
    assert_eq!(newer.status(), StatusCode::OK);

    let unfit = json!({"action": "accept", "content": 12});
    let refused = send(&sdk, "POST", &path, &unfit).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let answer = json!({"action": "accept", "content": "12A"});
    let accepted = send(&sdk, "POST", &path, &answer).await;
    assert_eq!(accepted.status(), StatusCode::ACCEPTED);
    let accepted: Value = serde_json::from_str(&text(accepted).await).unwrap();
    assert_eq!(accepted["id"], session);
    // The session by its id, and by the run name of the Workflow transport.
    for name in [session.to_owned(), format!("{session}~0")] {
        let path = format!("/{name}/inputs/{input}");
        let late = send(&sdk, "POST", &path, &json!({"action": "decline"})).await;
        assert_eq!(late.status(), StatusCode::CONFLICT, "{name}");
    }

    let rest = to_bytes(stream, usize::MAX).await.unwrap();
    let rest = chunks(std::str::from_utf8(&rest).unwrap());
    let resolved = rest.iter().find(|it| it["type"] == "data-input-resolved");
    assert_eq!(resolved.unwrap()["id"], asked["id"]);
    let output = rest.iter().find(|it| it["type"] == "tool-output-available");
    assert_eq!(output.unwrap()["output"], "12A", "{rest:?}");
    assert!(rest.iter().any(|it| it["delta"] == "Done."), "{rest:?}");

    let cancel = json!({"action": "cancel"});
    let over = send(&sdk, "POST", &path, &cancel).await;
    assert_eq!(over.status(), StatusCode::CONFLICT, "it has ended");
    for (method, status) in [("OPTIONS", 204), ("GET", 405)] {
        let response = send(&sdk, method, &path, &Value::Null).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["allow"], "POST, OPTIONS");
    }
}

#[tokio::test]
async fn an_answer_to_a_session_that_the_store_does_not_give_starts_nothing() {
    let store = FaultStore::new(Memory::new());
    let sessions = Sessions::builder(store.clone()).build();
    let (sdk, native) = chats_in(&sessions);
    let (session, approvals) = start(&sdk).await;
    send(&sdk, "POST", &format!("/{session}/stop"), &Value::Null).await;
    while !events(&native, &session).await.contains("aborted") {
        tokio::task::yield_now().await;
    }
    // The message names the session, and the chat holds none.
    let mut answer = approved(&session, &approvals);
    answer["id"] = json!("elsewhere");
    store.faults().next(Op::Changed, Fault::LoseBefore);
    let refused = send(&sdk, "POST", "/", &answer).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(store.faults().happened(), 1);
    assert_eq!(sessions.running(), 0);
}

#[tokio::test]
async fn a_message_longer_than_an_event_is_continued_without_its_earlier_parts() {
    let limits = Limits::default().event_bytes(4096);
    let (sdk, _) = chats_in(&Sessions::builder(Memory::new()).limits(limits).build());
    let text = |bytes| {
        let part = json!({"type": "text", "text": "x".repeat(bytes)});
        let message = json!({"id": format!("of-{bytes}"), "role": "assistant", "parts": [part]});
        json!({"id": format!("chat-{bytes}"), "messages": [message], "trigger": "submit-message"})
    };
    for (bytes, has_parts) in [(1000, true), (8000, false)] {
        let response = send(&sdk, "POST", "/", &text(bytes)).await;
        assert_eq!(response.status(), StatusCode::OK, "{bytes}");
        let mut stream = Body::new(response.into_body());
        let frame = stream.frame().await.unwrap().unwrap();
        let first = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
        assert!(first.contains(&format!("of-{bytes}")), "{first}");
        let resumed = send(&sdk, "GET", &format!("/chat-{bytes}/stream"), &Value::Null).await;
        let resumed = Body::new(resumed.into_body()).frame().await.unwrap();
        let resumed = resumed.unwrap().into_data().unwrap();
        let resumed = String::from_utf8(resumed.to_vec()).unwrap();
        assert_eq!(resumed.contains("xxx"), has_parts, "{resumed}");
    }
}
