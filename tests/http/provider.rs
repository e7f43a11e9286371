//! Events and errors of providers, as clients see them.

use std::{
    convert::Infallible,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::stream;
use serde_json::{Value, json};
use tower::ServiceBuilder;
use tower_layer::Layer as _;
use tower_service::Service;
use unbroken::{
    chat::{ChatEvent, ChatRequest, Complete, FinishReason, ProviderError, ToolCall},
    log::ErrorCode,
    session::{Limits, Sessions},
    store::Memory,
};

use crate::{
    client::{kinds, ndjson, post, send},
    server::{Call, MOUNT, ask, driven, driven_with, follow, layer, mounted, scripted, serve},
};

async fn ending(sessions: Sessions, act: impl FnOnce(Call)) -> Value {
    let (server, calls) = driven_with(sessions, |layer| layer).await;
    let answer = send(server.addr, post(MOUNT, &ask("Hi"))).await;
    act(calls.next().await);
    let whole = answer.whole().await;
    assert!(whole.clean, "a failure is an event, and the body ends well");
    assert_eq!(whole.status(), 200);
    ndjson(whole.text()).pop().unwrap().1
}

#[tokio::test]
async fn a_provider_error_becomes_the_terminal_event_with_its_public_message() {
    let event = ending(Sessions::in_memory(), |call| {
        call.say("some");
        call.fail(
            ProviderError::new("the model is overloaded")
                .recoverable(true)
                .with_code(ErrorCode::Timeout)
                .with_source("503 from 10.0.0.7, key sk-123"),
        );
    })
    .await;
    assert_eq!(
        event,
        json!({
            "type": "error", "message": "the model is overloaded",
            "recoverable": true, "code": "timeout",
        })
    );
}

#[tokio::test]
async fn any_other_error_becomes_a_fixed_text() {
    let event = ending(Sessions::in_memory(), |call| {
        call.fail("key sk-123 is wrong");
    })
    .await;
    assert_eq!(event["type"], "error");
    assert_eq!(event["code"], "provider");
    assert!(!event.to_string().contains("sk-123"));
}

#[tokio::test]
async fn the_end_of_the_stream_is_complete() {
    let event = ending(Sessions::in_memory(), |call| call.say("all")).await;
    assert_eq!(event, json!({"type": "complete", "finishReason": "stop"}));
}

#[tokio::test]
async fn an_event_after_the_terminal_one_is_an_internal_error() {
    let event = ending(Sessions::in_memory(), |call| {
        call.event(ChatEvent::complete());
        call.say("and another thing");
    })
    .await;
    assert_eq!(event["type"], "error");
    assert_eq!(event["code"], "internal");
}

#[tokio::test]
async fn a_terminal_event_ends_the_session_though_the_stream_stays_open() {
    let (server, calls) = driven().await;
    let answer = send(server.addr, post(MOUNT, &ask("Hi"))).await;
    let call = calls.next().await;
    call.event(ChatEvent::complete());
    let whole = answer.whole().await;
    assert!(whole.clean);
    assert_eq!(kinds(&ndjson(whole.text())), ["session_info", "complete"]);
    call.dropped().await;
}

#[tokio::test]
async fn a_panic_becomes_an_error_event() {
    let server = scripted().await;
    let script = json!({"tokens": 5, "delayMs": 0, "fault": {"at": 2, "kind": "panic"}});
    let whole = send(server.addr, post(MOUNT, &follow(&script)))
        .await
        .whole()
        .await;
    assert!(whole.clean);
    let events = ndjson(whole.text());
    assert_eq!(kinds(&events), ["session_info", "text", "text", "error"]);
    assert_eq!(events[3].1["code"], "internal");
}

#[tokio::test]
async fn an_event_over_the_limit_ends_the_session_with_an_error() {
    let limits = Limits::default().event_bytes(500);
    let sessions = || {
        Sessions::builder(Memory::new())
            .limits(limits.clone())
            .build()
    };
    let json = |content: usize| ChatEvent::custom("mood", "a".repeat(content).into());
    let envelope = json(0).to_json().len();
    let fits = ending(sessions(), |call| call.event(json(500 - envelope))).await;
    assert_eq!(fits["type"], "complete");
    let too_large = ending(sessions(), |call| call.event(json(501 - envelope))).await;
    assert_eq!(too_large["type"], "error");
    assert_eq!(too_large["code"], "limit");
    let message = too_large["message"].as_str().unwrap();
    assert!(message.contains("500 bytes"), "{message}");
}

#[tokio::test]
async fn text_calls_and_results_over_the_limit_of_an_event_go_on() {
    let limits = Limits::default().event_bytes(500).session_bytes(20_000);
    for event in [
        ChatEvent::text("a".repeat(5000)),
        ChatEvent::thinking("a".repeat(5000)),
        ChatEvent::tool_calls([ToolCall::new("1", "t", json!({"a": "a".repeat(5000)}))]),
        ChatEvent::tool_result("1", "t", "a".repeat(5000)),
    ] {
        let sessions = Sessions::builder(Memory::new())
            .limits(limits.clone())
            .build();
        let kind = event.kind().to_owned();
        let end = ending(sessions, |call| call.event(event)).await;
        assert_eq!(end["type"], "complete", "{kind}: {end}");
    }
    let sessions = Sessions::builder(Memory::new()).limits(limits).build();
    let call = ToolCall::new("1", "t", json!({"a": "a".repeat(20_000)}));
    let end = ending(sessions, |it| it.event(ChatEvent::tool_calls([call]))).await;
    assert_eq!(
        (&end["type"], &end["code"]),
        (&json!("error"), &json!("limit"))
    );
    let message = end["message"].as_str().unwrap();
    assert!(message.contains("20000 bytes"), "{message}");
}

#[tokio::test]
async fn the_text_of_complete_is_left_out_if_it_would_pass_the_limit() {
    let limits = Limits::default().event_bytes(500);
    let complete = |content: usize| {
        ChatEvent::from(
            Complete::new()
                .text("a".repeat(content))
                .finish_reason(FinishReason::Length),
        )
    };
    let envelope = complete(0).to_json().len();
    for (content, kept) in [(500 - envelope, true), (501 - envelope, false)] {
        let sessions = Sessions::builder(Memory::new())
            .limits(limits.clone())
            .build();
        let event = ending(sessions, |call| call.event(complete(content))).await;
        assert_eq!(event["type"], "complete");
        assert_eq!(event["finishReason"], "length");
        assert_eq!(event.get("text").is_some(), kept, "{event}");
    }
}

#[tokio::test]
async fn a_silent_provider_times_out() {
    let limits = Limits::default().idle(Duration::from_millis(50));
    let sessions = Sessions::builder(Memory::new()).limits(limits).build();
    let mut kept = None;
    let event = ending(sessions, |call| kept = Some(call)).await;
    assert_eq!(event["code"], "timeout");
    kept.unwrap().dropped().await;
}

/// A provider that is ready after so many polls.
#[derive(Clone)]
struct Late {
    pending: usize,
}

impl Service<ChatRequest> for Late {
    type Response = stream::Iter<std::vec::IntoIter<Result<ChatEvent, ProviderError>>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.pending == 0 {
            return Poll::Ready(Ok(()));
        }
        self.pending -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, _: ChatRequest) -> Self::Future {
        assert_eq!(self.pending, 0, "called before it was ready");
        std::future::ready(Ok(stream::iter(vec![Ok(ChatEvent::text("ready"))])))
    }
}

#[tokio::test]
async fn a_provider_that_is_not_ready_refuses_the_start() {
    let sessions = Sessions::in_memory();
    let app = mounted!(layer(&sessions), Late { pending: 1 });
    let server = serve(sessions.clone(), app).await;
    let refused = send(server.addr, post(MOUNT, &ask("Hi")))
        .await
        .whole()
        .await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.json()["type"], "urn:unbroken:provider-not-ready");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    assert_eq!(sessions.running(), 0, "the permit is given back");

    let patient = layer(&sessions)
        .service_name("patient")
        .ready_timeout(Duration::from_secs(5));
    let server = serve(sessions, mounted!(patient, Late { pending: 3 })).await;
    let whole = send(server.addr, post(MOUNT, &ask("Hi")))
        .await
        .whole()
        .await;
    assert_eq!(whole.status(), 200);
    assert!(whole.text().contains("ready"));
}

#[tokio::test]
async fn towers_own_layers_fit_between() {
    let sessions = Sessions::in_memory();
    let provider = ServiceBuilder::new()
        .concurrency_limit(4)
        .timeout(Duration::from_secs(1))
        .service(Late { pending: 0 });
    let server = serve(sessions.clone(), mounted!(layer(&sessions), provider)).await;
    let whole = send(server.addr, post(MOUNT, &ask("Hi")))
        .await
        .whole()
        .await;
    assert!(
        whole.clean && whole.text().contains("ready"),
        "{}",
        whole.text()
    );
}
