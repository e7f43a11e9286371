//! The OpenAI-compatible provider against a server on a real socket that misbehaves.

mod calls;
mod content;
mod cuts;
mod options;
mod retries;

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use tokio::{
    net::TcpListener,
    time::{Instant, timeout},
};
use tower::ServiceExt;
use unbroken::{
    chat::{
        ChatEvent, ChatRequest, Complete, FinishReason, IsomorphicTool, Message, ProviderError,
        ToolCall, ToolInput, Transcript, Usage,
    },
    log::ErrorCode,
    provider::{OpenAi, openai::OpenAiBuilder},
};

use crate::stub::{Step, Stub, data, delta, done, finish, ok, refusal, serve, text};

const KEY: &str = "sk-0123456789-secret";
// Only a test that is about to fail waits for so long.
const GUARD: Duration = Duration::from_secs(20);

fn builder(stub: &Stub) -> OpenAiBuilder {
    OpenAi::builder()
        .base_url(stub.url("/v1"))
        .api_key(KEY)
        .model("small")
        .retries(0)
}

async fn ask(provider: OpenAi) -> (Vec<ChatEvent>, Option<ProviderError>) {
    let mut stream = match provider.oneshot(ChatRequest::from_user("Hi")).await {
        Ok(stream) => stream,
        Err(error) => return (vec![], Some(error)),
    };
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(ChatEvent::Turn(_)) => {} // `turns.rs` has those
            Ok(event) => events.push(event),
            Err(error) => {
                assert!(stream.next().await.is_none(), "something after an error");
                return (events, Some(error));
            }
        }
    }
    (events, None)
}

async fn answer(steps: Vec<Step>) -> (Vec<ChatEvent>, Option<ProviderError>) {
    let stub = serve(steps).await;
    timeout(GUARD, ask(builder(&stub).build().unwrap()))
        .await
        .unwrap()
}

async fn whole(steps: Vec<Step>) -> Vec<ChatEvent> {
    let (events, error) = answer(steps).await;
    assert!(error.is_none(), "{error:?}");
    events
}

async fn failure(steps: Vec<Step>) -> ProviderError {
    let error = answer(steps).await.1.expect("an error");
    assert_safe(&error);
    error
}

// Neither the key nor the address nor the server's own words.
fn assert_safe(error: &ProviderError) {
    let public = error.to_string();
    for secret in [KEY, "127.0.0.1", "http", "server's own words"] {
        assert!(!public.contains(secret), "{public}");
    }
    assert!(!format!("{error:?}").contains(KEY), "{error:?}");
    assert!(!format!("{error:?}").contains("own words"), "{error:?}");
}

#[tokio::test]
async fn an_answer_comes_piece_by_piece_with_usage_and_finish_reason() {
    let events = whole(vec![
        ok(),
        delta(r#"{"role":"assistant","content":""}"#),
        delta(r#"{"reasoning_content":"Hm"}"#),
        delta(r#"{"reasoning":"."}"#),
        text("Hel"),
        text("lo"),
        finish("length"),
        data(
            r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14,
                "prompt_tokens_details":{"cached_tokens":4},
                "completion_tokens_details":{"reasoning_tokens":2}}}"#
                .replace('\n', " ")
                .as_str(),
        ),
        done(),
        Step::End,
    ])
    .await;
    let mut usage = Usage::new(9, 5);
    usage.cached_input_tokens = Some(4);
    usage.reasoning_tokens = Some(2);
    assert_eq!(
        events,
        [
            ChatEvent::thinking("Hm"),
            ChatEvent::thinking("."),
            ChatEvent::text("Hel"),
            ChatEvent::text("lo"),
            Complete::new()
                .usage(usage)
                .finish_reason(FinishReason::Length)
                .into(),
        ]
    );
}

#[tokio::test]
async fn the_request_has_all_that_was_asked() {
    let mut stub = serve(vec![ok(), finish("stop"), done(), Step::End]).await;
    let provider = builder(&stub)
        .field("temperature", 0.5)
        .field("model", "never this one")
        .build()
        .unwrap();
    let call = ToolCall::new("c1", "map", json!({"zoom": 3}));
    let mut request = ChatRequest::new([
        Message::user("Where?"),
        Message::assistant("").tool_calls([call]),
        Message::tool("c1", "here"),
    ]);
    request.system_prompt = Some("Be brief.".into());
    request.isomorphic_tools = vec![IsomorphicTool::new(
        "map",
        "A map",
        json!({"type": "object"}),
    )];
    let answer = provider.clone().oneshot(request.clone()).await.unwrap();
    drop(answer);
    let seen = stub.requests.recv().await.unwrap();
    assert!(
        seen.head
            .starts_with("POST /v1/chat/completions HTTP/1.1\r\n")
    );
    assert!(
        seen.head
            .contains(&format!("authorization: Bearer {KEY}\r\n"))
    );
    assert_eq!(
        seen.body,
        json!({
            "model": "small",
            "stream": true,
            "stream_options": {"include_usage": true},
            "temperature": 0.5,
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Where?"},
                {"role": "assistant", "content": null, "tool_calls": [{
                    "id": "c1", "type": "function",
                    "function": {"name": "map", "arguments": "{\"zoom\":3}"}
                }]},
                {"role": "tool", "content": "here", "tool_call_id": "c1"},
            ],
            "tools": [{"type": "function", "function": {
                "name": "map", "description": "A map", "parameters": {"type": "object"}
            }}],
        })
    );

    request.model = Some("large".into());
    drop(provider.oneshot(request).await.unwrap());
    assert_eq!(stub.requests.recv().await.unwrap().body["model"], "large");
}

#[tokio::test]
async fn chunk_borders_may_be_anywhere() {
    let body = concat!(
        ": a comment\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"é€😀\"}}]}\r\n\r\n",
        "event: message\nid: 7\ndata: {\"choices\":[{\"delta\":\n",
        "data: {\"content\":\"ü\"}}]}\n\n",
        "data:{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\r\r",
        "data: [DONE]\n\n",
    );
    for size in [1, 2, 3, 5, 7, 1000] {
        let chunks = body.as_bytes().chunks(size);
        let mut steps = vec![ok()];
        steps.extend(chunks.map(|bytes| Step::Chunk(bytes.to_vec())));
        steps.push(Step::End);
        let events = whole(steps).await;
        let transcript: Transcript = events.iter().collect();
        assert_eq!(transcript.text(), "é€😀ü", "chunks of {size}");
        assert_eq!(events.len(), 3);
    }
}

#[tokio::test]
async fn a_finish_reason_without_done_is_an_end() {
    let events = whole(vec![ok(), text("Hi"), finish("stop"), Step::End]).await;
    assert_eq!(events, [ChatEvent::text("Hi"), ChatEvent::complete()]);
    // Even if the connection breaks after it.
    let events = whole(vec![ok(), text("Hi"), finish("stop"), Step::Cut]).await;
    assert_eq!(events, [ChatEvent::text("Hi"), ChatEvent::complete()]);
}

#[tokio::test]
async fn done_without_a_finish_reason_is_an_end_for_an_unknown_reason() {
    let events = whole(vec![ok(), text("Hi"), done(), Step::End]).await;
    let complete = Complete::new().finish_reason(FinishReason::Unknown);
    assert_eq!(events, [ChatEvent::text("Hi"), complete.into()]);
}

#[tokio::test]
async fn thinking_between_tags_is_found_by_option() {
    let pieces = ["<th", "ink>\\nHm", ".</", "think>\\n\\nHi", " <"];
    for (option, expected) in [
        (
            true,
            vec![
                ChatEvent::thinking("Hm"),
                ChatEvent::thinking("."),
                ChatEvent::text("Hi"),
                ChatEvent::text(" "),
                ChatEvent::text("<"),
                ChatEvent::complete(),
            ],
        ),
        (
            false,
            vec![
                ChatEvent::text("<th"),
                ChatEvent::text("ink>\nHm"),
                ChatEvent::text(".</"),
                ChatEvent::text("think>\n\nHi"),
                ChatEvent::text(" <"),
                ChatEvent::complete(),
            ],
        ),
    ] {
        let mut steps = vec![ok()];
        steps.extend(pieces.map(text));
        steps.extend([finish("stop"), done(), Step::End]);
        let stub = serve(steps).await;
        let provider = builder(&stub).think_tags(option).build().unwrap();
        let (events, error) = timeout(GUARD, ask(provider)).await.unwrap();
        assert!(error.is_none(), "{error:?}");
        assert_eq!(events, expected);
    }
}

#[tokio::test]
async fn an_end_without_either_is_a_cut() {
    for end in [Step::End, Step::Cut] {
        let (events, error) = answer(vec![ok(), text("Hi"), end]).await;
        assert_eq!(events, [ChatEvent::text("Hi")]);
        let error = error.expect("a cut");
        assert_safe(&error);
        assert!(error.to_string().contains("cut off"), "{error}");
        assert!(error.is_recoverable());
        assert_eq!(error.code(), ErrorCode::Provider);
    }
}

#[tokio::test]
async fn pieces_of_tool_calls_come_at_once_and_then_as_one_event() {
    let events = whole(vec![
        ok(),
        text("Let me look."),
        delta(r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"find","arguments":""}}]}"#),
        delta(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"q\":"}}]}"#),
        delta(r#"{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"now","arguments":"not json"}}]}"#),
        delta(r#"{"tool_calls":[{"index":0,"function":{"arguments":"\"rust\"}"}}]}"#),
        finish("tool_calls"),
        done(),
        Step::End,
    ])
    .await;
    assert_eq!(
        events,
        [
            ChatEvent::text("Let me look."),
            ToolInput::new("a", "").name("find").into(),
            ToolInput::new("a", r#"{"q":"#).into(),
            ToolInput::new("b", "not json").name("now").into(),
            ToolInput::new("a", r#""rust"}"#).into(),
            ChatEvent::tool_calls([
                ToolCall::new("a", "find", json!({"q": "rust"})),
                ToolCall::new("b", "now", json!("not json")),
            ]),
            Complete::new()
                .finish_reason(FinishReason::ToolCalls)
                .into(),
        ]
    );
}

#[tokio::test]
async fn an_error_in_mid_stream_keeps_the_events_before_it_and_hides_its_text() {
    for (error, recoverable) in [
        (
            r#"{"error":{"message":"server's own words","code":502}}"#,
            true,
        ),
        (r#"{"error":"server's own words"}"#, true),
        (
            r#"{"error":{"message":"server's own words","type":"insufficient_quota"}}"#,
            false,
        ),
        (
            r#"{"object":"error","message":"server's own words","code":400}"#,
            false,
        ),
        (
            r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#,
            true,
        ),
        ("server's own words", true),
    ] {
        let (events, failed) = answer(vec![ok(), text("Hi"), data(error), done(), Step::End]).await;
        assert_eq!(events, [ChatEvent::text("Hi")], "{error}");
        let failed = failed.expect(error);
        assert_safe(&failed);
        assert_eq!(failed.is_recoverable(), recoverable, "{error}");
    }
}

#[tokio::test]
async fn a_refused_key_is_not_recoverable() {
    let body = format!(r#"{{"error":{{"message":"server's own words: {KEY}","code":"{KEY}"}}}}"#);
    let error = failure(vec![refusal("401 Unauthorized", "", &body)]).await;
    assert!(error.to_string().contains("credentials"), "{error}");
    assert!(!error.is_recoverable());
}

#[tokio::test]
async fn too_many_requests_say_when_to_try_again() {
    let body = r#"{"error":{"message":"server's own words","code":"rate_limit_exceeded"}}"#;
    let error = failure(vec![refusal(
        "429 Too Many Requests",
        "retry-after: 7\r\n",
        body,
    )])
    .await;
    assert!(error.to_string().contains("in 7 s"), "{error}");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert!(error.is_recoverable());

    let body = r#"{"error":{"message":"server's own words","code":"insufficient_quota"}}"#;
    let error = failure(vec![refusal("429 Too Many Requests", "", body)]).await;
    assert!(error.to_string().contains("quota"), "{error}");
    assert!(!error.is_recoverable());
}

#[tokio::test]
async fn a_failed_server_is_recoverable_and_a_refused_request_is_not() {
    let error = failure(vec![refusal(
        "503 Service Unavailable",
        "",
        "server's own words",
    )])
    .await;
    assert!(error.is_recoverable());
    let error = failure(vec![refusal("400 Bad Request", "", "server's own words")]).await;
    assert!(!error.is_recoverable());
    let elsewhere = "location: http://127.0.0.1:1/\r\n";
    let error = failure(vec![refusal("307 Temporary Redirect", elsewhere, "")]).await;
    assert!(!error.is_recoverable());
}

#[tokio::test]
async fn a_server_that_is_not_there_can_not_be_reached() {
    // Connections are refused once the listener is dropped.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let provider = OpenAi::builder()
        .base_url(format!("http://{address}/v1"))
        .api_key(KEY)
        .model("small")
        .build()
        .unwrap();
    let error = timeout(GUARD, ask(provider)).await.unwrap().1.unwrap();
    assert_safe(&error);
    assert!(error.to_string().contains("can't be reached"), "{error}");
    assert!(error.is_recoverable());
}

// The clock is paused where this is used: it jumps as soon as all tasks wait.
async fn silence_after(mut steps: Vec<Step>) -> (Vec<ChatEvent>, Option<ProviderError>) {
    steps.push(Step::Silence);
    let stub = serve(steps).await;
    let idle = GUARD / 4;
    let provider = builder(&stub).idle_timeout(idle).build().unwrap();
    let began = Instant::now();
    let answer = timeout(GUARD, ask(provider)).await.unwrap();
    assert!(began.elapsed() >= idle, "{:?}", began.elapsed());
    answer
}

#[tokio::test(start_paused = true)]
async fn silence_is_a_timeout_before_the_response_and_in_mid_stream() {
    for (steps, expected) in [
        (vec![], vec![]),
        (vec![ok()], vec![]),
        (vec![ok(), text("Hi")], vec![ChatEvent::text("Hi")]),
        (
            vec![ok(), text("Hi"), Step::Chunk(b"data: {".to_vec())],
            vec![ChatEvent::text("Hi")],
        ),
    ] {
        let (events, error) = silence_after(steps).await;
        assert_eq!(events, expected);
        let error = error.expect("a timeout");
        assert_safe(&error);
        assert_eq!(error.code(), ErrorCode::Timeout);
        assert!(error.is_recoverable());
    }
}

#[tokio::test]
async fn an_event_that_is_too_long_is_refused_before_it_is_whole() {
    let piece = Step::Chunk(vec![b'x'; 1000]);
    let mut steps = vec![ok(), text("Hi"), Step::Chunk(b"data: ".to_vec())];
    steps.extend(vec![piece; 20]);
    // Without the limit nothing would ever come of it.
    steps.push(Step::Silence);
    let mut stub = serve(steps).await;
    let provider = builder(&stub).max_event_bytes(10_000).build().unwrap();
    let (events, error) = timeout(GUARD, ask(provider)).await.unwrap();
    assert_eq!(events, [ChatEvent::text("Hi")]);
    let error = error.expect("a limit");
    assert_safe(&error);
    assert_eq!(error.code(), ErrorCode::Limit);
    timeout(GUARD, stub.closed.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    let mut stub = serve(vec![ok(), text("Hi"), Step::Silence]).await;
    let provider = builder(&stub).build().unwrap();
    let mut stream = provider
        .oneshot(ChatRequest::from_user("Hi"))
        .await
        .unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), ChatEvent::text("Hi"));
    assert!(stub.closed.try_recv().is_err());
    drop(stream);
    timeout(GUARD, stub.closed.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn dropping_the_future_closes_the_connection() {
    let mut stub = serve(vec![Step::Silence]).await;
    let provider = builder(&stub).build().unwrap();
    let asking = tokio::spawn(provider.oneshot(ChatRequest::from_user("Hi")));
    stub.requests.recv().await.unwrap();
    asking.abort();
    timeout(GUARD, stub.closed.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_finished_answer_leaves_its_connection_for_the_next() {
    let end = b"data: [DONE]\n\n";
    let last = [&b"e\r\n"[..], end, b"\r\n0\r\n\r\n"].concat();
    let mut stub = serve(vec![ok(), text("Hi"), Step::Raw(last)]).await;
    let provider = builder(&stub).build().unwrap();
    for _ in 0..2 {
        let (events, error) = timeout(GUARD, ask(provider.clone())).await.unwrap();
        assert!(error.is_none());
        assert_eq!(events.len(), 2);
    }
    assert!(stub.closed.try_recv().is_err(), "the connection was closed");
}
