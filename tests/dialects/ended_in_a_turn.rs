//! The usage of an answer that is ended in the middle of its second turn, in every dialect.

use std::{convert::Infallible, time::Duration};

use axum::body::{Body, to_bytes};
use futures_util::{StreamExt, stream};
use http::Request;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_layer::Layer;
use unbroken::{
    access::AnyoneWithTheId,
    chat::{
        ChatEvent, ChatRequest, FinishReason, Provider, ProviderError, Role, ToolCall, TurnEnd,
        Usage, provider_fn,
    },
    dialect::{AgUi, AiSdk, Native, OpenAiResponses},
    durable::{DurableLayer, SessionBody},
    log::SessionId,
    session::{Limits, Sessions},
    store::{AbortRequest, Memory},
    tools::{Call, ToolLayer, Tools, tool_fn},
};

type Chat = BoxCloneSyncService<Request<Body>, http::Response<SessionBody>, Infallible>;

/// The cause of an end in the middle of a turn.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cause {
    Abort,
    Idle,
    Age,
    SessionBytes,
    /// An event that can't be written.
    EventBytes,
    Panic,
    /// An error of the provider that doesn't tell the usage.
    Error,
}

const CAUSES: [Cause; 7] = [
    Cause::Abort,
    Cause::Idle,
    Cause::Age,
    Cause::SessionBytes,
    Cause::EventBytes,
    Cause::Panic,
    Cause::Error,
];

const IDLE: Duration = Duration::from_secs(10);
const EVENT_BYTES: usize = 4 * 1024;

/// Returns a provider whose first turn calls a tool, and whose second one comes to this end. It tells
/// `reached` when it is there.
fn provider(
    cause: Cause,
    is_known: bool,
    reached: mpsc::UnboundedSender<SessionId>,
) -> impl Provider + Sync {
    let model = provider_fn(move |request: ChatRequest| {
        let report = request.turn_usage.clone();
        let report = move |output: u64| {
            if is_known {
                report.report(&Usage::new(20, output));
            }
        };
        report(0);
        if request.messages.last().unwrap().role != Role::Tool {
            report(2);
            let end = TurnEnd::new(FinishReason::ToolCalls).usage(Usage::new(10, 2));
            let events = [
                ChatEvent::tool_calls([ToolCall::new("a", "now", json!({}))]),
                end.into(),
            ];
            return stream::iter(events.map(Ok)).boxed();
        }
        let (reached, id) = (reached.clone(), request.session_id.clone().unwrap());
        let said = stream::iter(1..=2).map(move |output| {
            report(output);
            Ok(ChatEvent::text("word "))
        });
        let last = stream::once(async move {
            reached.send(id).unwrap();
            match cause {
                Cause::Abort | Cause::Idle => std::future::pending().await,
                Cause::Age => {
                    tokio::time::sleep(IDLE / 2).await;
                    Ok(ChatEvent::text("still "))
                }
                Cause::SessionBytes => Ok(ChatEvent::text("long ".repeat(EVENT_BYTES / 10))),
                Cause::EventBytes => Ok(ChatEvent::custom("large", "x".repeat(EVENT_BYTES).into())),
                Cause::Panic => panic!("as the test wants"),
                Cause::Error => Err(ProviderError::new("no more")),
            }
        });
        let repeated = stream::iter(0..1000).then(|_| async {
            tokio::time::sleep(IDLE / 2).await;
            Ok(ChatEvent::text("long ".repeat(EVENT_BYTES / 10)))
        });
        said.chain(last).chain(repeated).boxed()
    });
    let now = tool_fn(
        "now",
        "The time.",
        |_: Value, _: Call| async move { Ok("noon") },
    );
    ServiceBuilder::new()
        .layer(ToolLayer::new(Tools::new().with(now)))
        .service(model)
}

fn limits(cause: Cause) -> Limits {
    let limits = Limits::default().event_bytes(EVENT_BYTES).idle(IDLE);
    match cause {
        Cause::Age => limits.age(IDLE * 3),
        Cause::SessionBytes => limits.session_bytes(4 * EVENT_BYTES as u64),
        _ => limits,
    }
}

/// Asks, ends the answer by this cause, and returns all data of the response.
async fn ended(dialect: &str, cause: Cause, is_known: bool) -> Vec<Value> {
    let (reached, mut there) = mpsc::unbounded_channel();
    let sessions = Sessions::builder(Memory::new())
        .limits(limits(cause))
        .build();
    let layer = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new()).secret_chat_ids();
    let provider = provider(cause, is_known, reached);
    let name = "a-name-that-is-long-enough";
    let user = json!({"id": "1", "role": "user", "content": "Hi"});
    let (chat, path, body): (Chat, _, _) = match dialect {
        "native" => (
            BoxCloneSyncService::new(layer.dialect(Native::new()).layer(provider)),
            "/",
            json!({"messages": [{"role": "user", "content": "Hi"}], "enabledTools": true}),
        ),
        "ai-sdk" => (
            BoxCloneSyncService::new(layer.dialect(AiSdk::new()).layer(provider)),
            "/",
            json!({"id": name, "trigger": "submit-message", "messages": [
                {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}]}),
        ),
        "ag-ui" => (
            BoxCloneSyncService::new(layer.dialect(AgUi::new()).layer(provider)),
            "/",
            json!({"threadId": "t", "runId": name, "messages": [user], "tools": []}),
        ),
        _ => (
            BoxCloneSyncService::new(
                layer
                    .dialect(OpenAiResponses::new().model("m"))
                    .layer(provider),
            ),
            "/responses",
            json!({"model": "m", "input": "Hi", "stream": true}),
        ),
    };
    let request = Request::post(path)
        .header("content-type", "application/json")
        .header("accept", "*/*")
        .body(Body::from(body.to_string()));
    let response = chat.oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 200, "{dialect}");
    if cause == Cause::Abort {
        let id = there.recv().await.unwrap();
        let stopped = sessions.abort(&id, AbortRequest::default()).await;
        stopped.unwrap();
    }
    let bytes = to_bytes(Body::new(response.into_body()), usize::MAX).await;
    let text = String::from_utf8(bytes.unwrap().to_vec()).unwrap();
    let lines = text.lines();
    let data = lines.map(|line| line.strip_prefix("data: ").unwrap_or(line));
    data.filter_map(|data| serde_json::from_str(data).ok())
        .collect()
}

/// Returns input and output tokens of the end.
fn usage(dialect: &str, data: &[Value]) -> (u64, u64) {
    let last = data.last().unwrap();
    let (usage, input, output) = match dialect {
        "native" => (&last["event"]["usage"], "inputTokens", "outputTokens"),
        "ai-sdk" => (
            &last["messageMetadata"]["usage"],
            "inputTokens",
            "outputTokens",
        ),
        "ag-ui" => (&last["usage"][0], "inputTokens", "outputTokens"),
        _ => (&last["response"]["usage"], "input_tokens", "output_tokens"),
    };
    let count = |name: &str| {
        let count = usage[name].as_u64();
        count.unwrap_or_else(|| panic!("{dialect}: {last}"))
    };
    (count(input), count(output))
}

#[tokio::test(start_paused = true)]
async fn every_end_in_the_middle_of_a_turn_has_the_usage_that_is_known() {
    for dialect in ["native", "ai-sdk", "ag-ui", "responses"] {
        for cause in CAUSES {
            for (is_known, sum) in [(true, (30, 4)), (false, (10, 2))] {
                let data = ended(dialect, cause, is_known).await;
                assert_eq!(usage(dialect, &data), sum, "{dialect} {cause:?}");
            }
        }
    }
}

/// The control: each cause ends the answer in its own way.
#[tokio::test(start_paused = true)]
async fn the_causes_are_those_that_they_are_called() {
    let mut seen = Vec::new();
    for cause in CAUSES {
        let data = ended("native", cause, true).await;
        let end = &data.last().unwrap()["event"];
        let code = end["code"].as_str().unwrap_or_default();
        let kind = end["type"].as_str().unwrap();
        seen.push(format!("{kind} {code}"));
    }
    let expected = [
        "aborted ",
        "error timeout",
        "error timeout",
        "error limit",
        "error limit",
        "error internal",
        "error provider",
    ];
    assert_eq!(seen, expected);
}
