//! Ollama's own protocol, against a server on a real socket.

mod cuts;

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use tokio::time::timeout;
use tower::ServiceExt;
use unbroken::{
    chat::{
        ChatEvent, ChatRequest, Complete, FinishReason, IsomorphicTool, Message, ProviderError,
        ToolCall, Usage,
    },
    log::ErrorCode,
    provider::{Ollama, http::reqwest, ollama::OllamaBuilder},
};

use crate::stub::{Step, Stub, ok, refusal, serve, serve_in_turn};

// Only a test that is about to fail waits for so long.
const GUARD: Duration = Duration::from_secs(20);

fn builder(stub: &Stub) -> OllamaBuilder {
    Ollama::builder()
        .base_url(stub.url(""))
        .model("small")
        .retries(0)
}

async fn ask(provider: Ollama, request: ChatRequest) -> (Vec<ChatEvent>, Option<ProviderError>) {
    let mut stream = match provider.oneshot(request).await {
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
    let provider = builder(&stub).build().unwrap();
    timeout(GUARD, ask(provider, ChatRequest::from_user("Hi")))
        .await
        .unwrap()
}

fn line(line: &str) -> Step {
    Step::Chunk(format!("{line}\n").into_bytes())
}

fn text(text: &str) -> Step {
    line(&format!(
        r#"{{"model":"m","message":{{"role":"assistant","content":"{text}"}},"done":false}}"#
    ))
}

fn done(reason: &str) -> Step {
    line(&format!(
        r#"{{"model":"m","message":{{"role":"assistant","content":""}},"done":true{reason}}}"#
    ))
}

const STOP: &str = r#","done_reason":"stop""#;

fn assert_safe(error: &ProviderError) {
    for shown in [error.to_string(), format!("{error:?}")] {
        assert!(!shown.contains("own words"), "{shown}");
    }
    assert!(!error.to_string().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn the_request_has_all_that_was_asked() {
    let mut stub = serve(vec![ok(), done(""), Step::End]).await;
    let provider = builder(&stub)
        .api_key("key")
        .option("num_ctx", 8192)
        .option("temperature", 0.5)
        .field("think", true)
        .field("keep_alive", "5m")
        .field("stream", false) // what the provider needs it says itself
        .build()
        .unwrap();
    let mut request = ChatRequest::new([
        Message::user("Where?"),
        Message::assistant("").tool_calls([
            ToolCall::new("c1", "map", json!({"zoom": 3})),
            ToolCall::new("c2", "now", json!("not json")),
        ]),
        Message::tool("c1", "here"),
        Message::tool("c3", "of an unknown call"),
    ]);
    request.system_prompt = Some("Be brief.".into());
    request.isomorphic_tools = vec![IsomorphicTool::new(
        "map",
        "A map",
        json!({"type": "object"}),
    )];
    assert!(ask(provider.clone(), request.clone()).await.1.is_none());
    let seen = stub.requests.recv().await.unwrap();
    assert!(
        seen.head.starts_with("POST /api/chat HTTP/1.1\r\n"),
        "{}",
        seen.head
    );
    assert!(
        seen.head.contains("authorization: Bearer key\r\n"),
        "{}",
        seen.head
    );
    assert_eq!(
        seen.body,
        json!({
            "model": "small",
            "stream": true,
            "think": true,
            "keep_alive": "5m",
            "options": {"num_ctx": 8192, "temperature": 0.5},
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Where?"},
                {"role": "assistant", "content": "", "tool_calls": [
                    {"id": "c1", "function": {"name": "map", "arguments": {"zoom": 3}}},
                    {"id": "c2", "function": {"name": "now", "arguments": {"arguments": "not json"}}},
                ]},
                {"role": "tool", "content": "here", "tool_call_id": "c1", "tool_name": "map"},
                {"role": "tool", "content": "of an unknown call", "tool_call_id": "c3"},
            ],
            "tools": [{"type": "function", "function": {
                "name": "map", "description": "A map", "parameters": {"type": "object"}
            }}],
        })
    );

    request.model = Some("large".into());
    assert!(ask(provider, request).await.1.is_none());
    assert_eq!(stub.requests.recv().await.unwrap().body["model"], "large");
}

#[tokio::test]
async fn line_borders_may_be_anywhere() {
    let body = include_bytes!("../recorded/ollama-thinking.ndjson");
    let (expected, _) = answer(vec![ok(), Step::Chunk(body.to_vec()), Step::End]).await;
    assert_eq!(expected.len(), 5);
    for size in [1, 2, 3, 7, 100] {
        let mut steps = vec![ok()];
        steps.extend(body.chunks(size).map(|bytes| Step::Chunk(bytes.to_vec())));
        steps.push(Step::End);
        let (events, error) = answer(steps).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(events, expected, "chunks of {size}");
    }
}

#[tokio::test]
async fn the_finish_reason_is_kept() {
    for (reason, finish) in [
        ("", FinishReason::Unknown),
        (r#","done_reason":"stop""#, FinishReason::Stop),
        // Nothing was asked, and nothing answered.
        (
            r#","done_reason":"load""#,
            FinishReason::Other("load".into()),
        ),
        (
            r#","done_reason":"unload""#,
            FinishReason::Other("unload".into()),
        ),
        (r#","done_reason":"length""#, FinishReason::Length),
        (
            r#","done_reason":"bored""#,
            FinishReason::Other("bored".into()),
        ),
    ] {
        let (events, error) = answer(vec![ok(), text("Hi"), done(reason), Step::End]).await;
        assert!(error.is_none(), "{error:?}");
        let complete = Complete::new().finish_reason(finish);
        assert_eq!(events, [ChatEvent::text("Hi"), complete.into()]);
    }
    let counted = r#","done_reason":"stop","prompt_eval_count":3,"eval_count":4"#;
    let (events, _) = answer(vec![ok(), done(counted), Step::End]).await;
    let complete = Complete::new().usage(Usage::new(3, 4));
    assert_eq!(events, [complete.into()]);
}

#[tokio::test]
async fn an_end_without_done_is_a_cut() {
    for end in [
        vec![Step::End],
        vec![Step::Cut],
        vec![line("{\"message\":{\"content\":\"\"}}"), Step::End],
        vec![Step::Chunk(b"{\"done\":tru".to_vec()), Step::End],
    ] {
        let mut steps = vec![ok(), text("Hi")];
        steps.extend(end);
        let (events, error) = answer(steps).await;
        assert_eq!(events, [ChatEvent::text("Hi")]);
        let error = error.expect("a cut");
        assert!(error.to_string().contains("cut off"), "{error}");
        assert!(error.is_recoverable());
        assert_eq!(error.code(), ErrorCode::Provider);
    }
}

#[tokio::test]
async fn a_refusal_has_a_message_of_ours_and_not_the_servers() {
    for (status, body, message, recoverable) in [
        (
            "404 Not Found",
            r#"{"error":"model 'own words' not found"}"#,
            "doesn't have this model",
            false,
        ),
        (
            "400 Bad Request",
            r#"{"error":"registry.ollama.ai/own words does not support tools"}"#,
            "can't call tools",
            false,
        ),
        (
            "400 Bad Request",
            r#"{"error":"\"own words\" does not support thinking"}"#,
            "can't be asked to think",
            false,
        ),
        (
            "400 Bad Request",
            r#"{"error":"own words"}"#,
            "refused the request",
            false,
        ),
        (
            "503 Service Unavailable",
            r#"{"error":"server busy, please try again; own words"}"#,
            "has failed",
            true,
        ),
    ] {
        let (events, error) = answer(vec![refusal(status, "", body)]).await;
        assert!(events.is_empty());
        let error = error.expect(body);
        assert_safe(&error);
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(error.is_recoverable(), recoverable, "{body}");
    }
}

#[tokio::test]
async fn an_error_in_mid_stream_keeps_the_events_before_it() {
    for (error, recoverable) in [
        (
            r#"{"error":"own words: an error was encountered while running the model"}"#,
            true,
        ),
        ("own words", true),
    ] {
        let (events, failed) =
            answer(vec![ok(), text("Hi"), line(error), done(""), Step::End]).await;
        assert_eq!(events, [ChatEvent::text("Hi")]);
        let failed = failed.expect(error);
        assert_safe(&failed);
        assert_eq!(failed.is_recoverable(), recoverable);
    }
}

#[tokio::test]
async fn a_line_that_is_too_long_is_refused_before_it_is_whole() {
    let mut steps = vec![ok(), text("Hi")];
    steps.extend(vec![Step::Chunk(vec![b'x'; 1000]); 20]);
    // Without the limit nothing would ever come of it.
    steps.push(Step::Silence);
    let mut stub = serve(steps).await;
    let provider = builder(&stub).max_event_bytes(10_000).build().unwrap();
    let asked = ask(provider, ChatRequest::from_user("Hi"));
    let (events, error) = timeout(GUARD, asked).await.unwrap();
    assert_eq!(events, [ChatEvent::text("Hi")]);
    assert_eq!(error.expect("a limit").code(), ErrorCode::Limit);
    timeout(GUARD, stub.closed.recv()).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn silence_is_a_timeout() {
    let stub = serve(vec![ok(), text("Hi"), Step::Silence]).await;
    let provider = builder(&stub).idle_timeout(GUARD / 4).build().unwrap();
    let asked = ask(provider, ChatRequest::from_user("Hi"));
    let (events, error) = timeout(GUARD, asked).await.unwrap();
    assert_eq!(events, [ChatEvent::text("Hi")]);
    assert_eq!(error.expect("a timeout").code(), ErrorCode::Timeout);
}

#[tokio::test]
async fn headers_query_and_client_are_the_same_as_of_the_other_provider() {
    let mut stub = serve(vec![ok(), done(""), Step::End]).await;
    let client = reqwest::Client::builder().user_agent("mine").build();
    let provider = builder(&stub)
        .base_url(stub.url("/ollama?tenant=7"))
        .api_key("key")
        .api_key_header("x-api-key")
        .header("x-team", "models")
        .query("trace", "1")
        .http_client(client.unwrap())
        .build()
        .unwrap();
    assert!(
        ask(provider, ChatRequest::from_user("Hi"))
            .await
            .1
            .is_none()
    );
    let head = stub.requests.recv().await.unwrap().head;
    assert!(
        head.starts_with("POST /ollama/api/chat?tenant=7&trace=1 HTTP"),
        "{head}"
    );
    for header in ["x-api-key: key", "x-team: models", "user-agent: mine"] {
        assert!(head.contains(&format!("\r\n{header}\r\n")), "{head}");
    }
    assert!(!head.contains("authorization"), "{head}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_first_event_is_retried() {
    let busy = vec![refusal("503 Service Unavailable", "", "")];
    let fine = vec![ok(), text("Hi"), done(STOP), Step::End];
    let mut stub = serve_in_turn(vec![busy, fine]).await;
    let provider = builder(&stub).retries(1).build().unwrap();
    let asked = ask(provider, ChatRequest::from_user("Hi"));
    let (events, error) = timeout(GUARD, asked).await.unwrap();
    assert!(error.is_none(), "{error:?}");
    assert_eq!(events, [ChatEvent::text("Hi"), ChatEvent::complete()]);
    for _ in 0..2 {
        assert!(stub.requests.try_recv().is_ok());
    }
    assert!(stub.requests.try_recv().is_err());
}

#[tokio::test]
async fn thinking_between_tags_is_found_by_option() {
    let steps = ["<thi", "nk>Hm.</think>", "Hi"].map(text);
    let steps = [vec![ok()], steps.to_vec(), vec![done(STOP), Step::End]].concat();
    let stub = serve(steps).await;
    let provider = builder(&stub).think_tags(true).build().unwrap();
    let asked = ask(provider, ChatRequest::from_user("Hi"));
    let (events, error) = timeout(GUARD, asked).await.unwrap();
    assert!(error.is_none(), "{error:?}");
    assert_eq!(
        events,
        [
            ChatEvent::thinking("Hm."),
            ChatEvent::text("Hi"),
            ChatEvent::complete()
        ]
    );
}
