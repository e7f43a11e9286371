//! Bytes without an event: the idle times of provider and session, and the wait after a finish reason.
//!
//! The clock is paused: it jumps as soon as all tasks wait.

use std::time::Duration;

use futures_util::StreamExt;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout};
use tower::{ServiceBuilder, ServiceExt};
use unbroken::{
    access::AnyoneWithTheId,
    chat::{ChatEvent, ChatRequest, Liveness, ProviderError, Usage},
    durable::DurableLayer,
    log::ErrorCode,
    provider::{Ollama, OpenAi, by_model},
    session::{Limits, Sessions},
    store::Memory,
    tools::{ToolLayer, Tools},
};

use crate::stub::{Step, Stub, data, delta, done, finish, ok, serve, text};

const IDLE: Duration = Duration::from_secs(10);

// None of these is an event of ours.
fn signs_of_life() -> Vec<Step> {
    vec![
        Step::Chunk(b": OPENROUTER PROCESSING\n\n".to_vec()),
        Step::Chunk(b":\n\n".to_vec()),
        Step::Chunk(b"\n".to_vec()),
        Step::Chunk(b"event: ping\n\n".to_vec()),
        Step::Chunk(b"id: 7\nretry: 10\n".to_vec()),
        Step::Chunk(b"da".to_vec()),
        Step::Chunk(b"ta: {}\n\n".to_vec()),
        data(r#"{"choices":[]}"#),
        delta("{}"),
        delta(r#"{"content":""}"#),
        delta(
            r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":"}}]}"#,
        ),
        delta(r#"{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}"#),
    ]
}

fn slowly(pieces: Vec<Step>, end: impl IntoIterator<Item = Step>) -> Vec<Step> {
    let pause = Step::Pause(IDLE * 3 / 4);
    let mut steps = vec![ok()];
    steps.extend(pieces.into_iter().flat_map(|piece| [pause.clone(), piece]));
    steps.push(pause);
    steps.extend(end);
    steps
}

fn openai(stub: &Stub) -> OpenAi {
    let builder = OpenAi::builder().base_url(stub.url("/v1")).model("m");
    builder.retries(0).idle_timeout(IDLE).build().unwrap()
}

async fn ask(provider: OpenAi) -> (Vec<ChatEvent>, Option<ProviderError>) {
    let mut answer = match provider.oneshot(ChatRequest::from_user("Hi")).await {
        Ok(answer) => answer,
        Err(error) => return (vec![], Some(error)),
    };
    let mut events = Vec::new();
    while let Some(event) = answer.next().await {
        match event {
            Ok(ChatEvent::Turn(_)) => {} // `turns.rs` has those
            Ok(event) => events.push(event),
            Err(error) => return (events, Some(error)),
        }
    }
    (events, None)
}

#[tokio::test(start_paused = true)]
async fn any_bytes_end_a_silence() {
    let stub = serve(slowly(
        signs_of_life(),
        [finish("tool_calls"), done(), Step::End],
    ))
    .await;
    let (events, error) = ask(openai(&stub)).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(events.len(), 4); // two pieces, the call, the end

    let lines: Vec<_> = [
        "\n",
        " ",
        "\n",
        "{\"message\":",
        "{\"content\":\"\"}}\n",
        "{\"message\":{\"thinking\":\"\"}}\n",
        "{\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}}\n",
    ]
    .map(|line| Step::Chunk(line.into()))
    .to_vec();
    let end = [
        Step::Chunk(b"{\"done\":true,\"done_reason\":\"stop\"}\n".to_vec()),
        Step::End,
    ];
    let stub = serve(slowly(lines, end)).await;
    let builder = Ollama::builder().base_url(stub.url("")).model("m");
    let provider = builder.retries(0).idle_timeout(IDLE).build().unwrap();
    let answer = provider
        .oneshot(ChatRequest::from_user("Hi"))
        .await
        .unwrap();
    let events: Vec<_> = answer.collect().await;
    assert!(events.iter().all(Result::is_ok), "{events:?}");
    assert_eq!(events.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn silence_after_any_bytes_is_a_timeout() {
    for sign in signs_of_life() {
        let stub = serve(vec![ok(), Step::Pause(IDLE / 2), sign, Step::Silence]).await;
        let began = Instant::now();
        let error = ask(openai(&stub)).await.1.expect("a timeout");
        assert_eq!(error.code(), ErrorCode::Timeout);
        let (least, waited) = (IDLE * 3 / 2, began.elapsed());
        assert!(least <= waited && waited < least + IDLE / 10, "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_usage_has_a_second_after_the_finish_reason_and_no_longer() {
    let usage = || data(r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#);
    let pings = || {
        let ping = [
            Step::Pause(Duration::from_millis(400)),
            Step::Chunk(b":\n\n".to_vec()),
        ];
        vec![ping; 100].concat()
    };
    let pause = |millis| Step::Pause(Duration::from_millis(millis));
    let counted = Some(Usage::new(3, 4));
    for (after, expected, waits) in [
        (
            vec![pause(900), usage(), pause(50), done(), Step::Silence],
            &counted,
            950,
        ),
        (vec![pause(900), usage(), Step::Silence], &counted, 1000),
        (vec![pause(1100), usage(), done(), Step::End], &None, 1000),
        (vec![Step::Silence], &None, 1000),
        (pings(), &None, 1000),
    ] {
        let steps = [vec![ok(), text("Hi"), finish("stop")], after].concat();
        let stub = serve(steps).await;
        let began = Instant::now();
        let (events, error) = timeout(IDLE, ask(openai(&stub))).await.unwrap();
        assert!(error.is_none(), "{error:?}");
        let Some(ChatEvent::Complete(complete)) = events.last() else {
            panic!("{events:?}")
        };
        assert_eq!(&complete.usage, expected);
        let (least, waited) = (Duration::from_millis(waits), began.elapsed());
        assert!(
            least <= waited && waited < least + Duration::from_millis(40),
            "{waited:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_idle_time_of_a_session_counts_from_the_same_bytes() {
    for (end, kind) in [
        (
            vec![text("Hi"), finish("stop"), done(), Step::End],
            "complete",
        ),
        (vec![Step::Silence], "error"),
    ] {
        // Without the call: its tool would be run.
        let signs = signs_of_life()[..10].to_vec();
        let heard = IDLE * 3 / 4 * 10;
        let stub = serve(slowly(signs, end)).await;
        let builder = OpenAi::builder().base_url(stub.url("/v1")).model("m");
        let provider = builder.idle_timeout(IDLE * 100).build().unwrap();
        let sessions = Sessions::builder(Memory::new())
            .limits(Limits::default().idle(IDLE))
            .build();
        let chat = ServiceBuilder::new()
            .layer(DurableLayer::new(sessions, AnyoneWithTheId::new()))
            .layer(ToolLayer::new(Tools::new()))
            .service(by_model().model("m", provider.clone()).fallback(provider));
        let request = http::Request::post("/")
            .header("content-type", "application/json")
            .body(r#"{"messages":[{"role":"user","content":"Hi"}]}"#.to_owned());
        let began = Instant::now();
        let response = chat.oneshot(request.unwrap()).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = body.trim_ascii();
        let end = body.rsplit(|byte| *byte == b'\n').next().unwrap();
        let end: serde_json::Value = serde_json::from_slice(end).unwrap();
        assert_eq!(end["event"]["type"], kind, "{end}");
        let least = if kind == "complete" {
            heard + IDLE * 3 / 4
        } else {
            assert_eq!(end["event"]["code"], "timeout");
            heard + IDLE
        };
        let waited = began.elapsed();
        assert!(
            waited + IDLE / 50 >= least && waited < least + IDLE / 10,
            "{waited:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_reports_the_head_and_each_piece_of_the_body() {
    let pause = || Step::Pause(IDLE / 2);
    let steps = vec![
        pause(),
        ok(),
        pause(),
        Step::Chunk(b":\n\n".to_vec()),
        Step::Silence,
    ];
    let stub = serve(steps).await;
    let mut request = ChatRequest::from_user("Hi");
    request.liveness = Liveness::new();
    let liveness = request.liveness.clone();
    let asking = tokio::spawn(openai(&stub).oneshot(request));
    let began = Instant::now();
    // The head comes after 5 s, the comment after 10.
    for (at, silence) in [
        (3, None),
        (6, Some(1)),
        (9, Some(4)),
        (12, Some(2)),
        (14, Some(4)),
    ] {
        tokio::time::sleep_until(began + Duration::from_secs(at)).await;
        let found = liveness
            .silence()
            .map(|silence| silence.as_secs_f64().round());
        assert_eq!(found, silence.map(f64::from), "after {at} s");
    }
    asking.abort();
}
