//! Responses that say success and hold something else than a stream, or a stream under another name.
//!
//! Beside each: what the clients of the vendors make of the same bytes. Tried with `openai` 7.57.0 (Node)
//! and 3.54.0 (Python), `ollama` 0.6.4 (Node) and 0.6.3 (Python).

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use serde_json::json;
use tokio::time::timeout;
use tower::{Service, ServiceExt};
use unbroken::{
    chat::{ChatEvent, ChatRequest, Complete, FinishReason, ProviderError, ToolCall, Usage},
    log::ErrorCode,
    provider::{
        Ollama, OpenAi,
        http::{AnswerFuture, AnswerStream},
    },
};

use crate::stub::{Step, Stub, refusal, serve};

// Only a test that is about to fail waits for so long.
const GUARD: Duration = Duration::from_secs(20);
const SSE: &str = concat!(
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n",
);
const LINES: &str = concat!(
    "{\"message\":{\"content\":\"Hi\"},\"done\":false}\n",
    "{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\"}\n",
);
const PAGE: &str = "<!DOCTYPE html>\n<html><body>The server's own words</body></html>\n";

pub(crate) fn openai(stub: &Stub) -> OpenAi {
    let builder = OpenAi::builder().base_url(stub.url("/v1")).model("m");
    builder.max_event_bytes(10_000).build().unwrap()
}

pub(crate) fn ollama(stub: &Stub) -> Ollama {
    let builder = Ollama::builder().base_url(stub.url("")).model("m");
    builder.max_event_bytes(10_000).build().unwrap()
}

pub(crate) fn typed(content_type: &str, body: &str) -> Vec<Step> {
    let header = match content_type {
        "" => String::new(),
        content_type => format!("content-type: {content_type}\r\n"),
    };
    vec![refusal("200 OK", &header, body)]
}

pub(crate) struct Answered {
    events: Vec<ChatEvent>,
    pub(crate) error: Option<ProviderError>,
    requests: usize,
}

impl Answered {
    pub(crate) fn whole(self) -> Vec<ChatEvent> {
        assert!(self.error.is_none(), "{:?}", self.error);
        self.events
    }

    /// Returns the message of a failure that is not tried again.
    pub(crate) fn refused(self) -> String {
        assert_eq!(self.events, []);
        let error = self.error.expect("a refusal");
        assert_eq!(self.requests, 1, "{error}");
        assert!(
            !format!("{error} {error:?}").contains("own words"),
            "{error:?}"
        );
        error.to_string()
    }
}

pub(crate) async fn ask<P>(steps: Vec<Step>, provider: impl Fn(&Stub) -> P) -> Answered
where
    P: Service<ChatRequest, Response = AnswerStream, Error = ProviderError, Future = AnswerFuture>,
{
    let mut stub = serve(steps).await;
    let provider = provider(&stub);
    let asked = async {
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
    };
    let (events, error) = timeout(GUARD, asked).await.unwrap();
    let requests = std::iter::from_fn(|| stub.requests.try_recv().ok()).count();
    Answered {
        events,
        error,
        requests,
    }
}

pub(crate) fn hi() -> [ChatEvent; 2] {
    [ChatEvent::text("Hi"), ChatEvent::complete()]
}

// All four clients read each of these as the answer.
#[tokio::test]
async fn a_stream_of_any_type_is_an_answer() {
    for content_type in [
        "",
        "text/plain; charset=utf-8",
        "text/html; charset=UTF-8",
        "application/octet-stream",
        "application/json",
        "application/json, text/event-stream",
        "no type",
    ] {
        // The last begins like nothing of a stream.
        for body in [
            SSE.to_owned(),
            format!(": ping\n\n{SSE}"),
            format!("foo: bar\n{SSE}"),
        ] {
            let answered = ask(typed(content_type, &body), openai).await;
            assert_eq!(answered.whole(), hi(), "{content_type}");
        }
        let answered = ask(typed(content_type, LINES), ollama).await;
        assert_eq!(answered.whole(), hi(), "{content_type}");
    }
}

// OpenAI's clients: an empty answer without an error. Ollama's: the answer if it is a single line, an error
// if it is pretty-printed. Stricter than none of them would be a cut; milder is better here, since the
// answer is there.
#[tokio::test]
async fn a_whole_answer_in_json_is_the_answer() {
    let completion = json!({
        "id": "1", "object": "chat.completion", "error": null,
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "Hi", "refusal": null, "reasoning_content": "Hm",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "find", "arguments": "{\"q\":1}"}},
                {"id": "b", "type": "function", "function": {"name": "now", "arguments": ""}},
            ],
        }}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4},
    });
    let answer = json!({
        "model": "m", "done": true, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 4,
        "message": {"role": "assistant", "content": "Hi", "thinking": "Hm", "tool_calls": [
            {"id": "a", "function": {"name": "find", "arguments": {"q": 1}}},
            {"id": "b", "function": {"name": "now", "arguments": {}}},
        ]},
    });
    let expected = [
        ChatEvent::thinking("Hm"),
        ChatEvent::text("Hi"),
        ChatEvent::tool_calls([
            ToolCall::new("a", "find", json!({"q": 1})),
            ToolCall::new("b", "now", json!({})),
        ]),
        Complete::new()
            .finish_reason(FinishReason::ToolCalls)
            .usage(Usage::new(3, 4))
            .into(),
    ];
    for content_type in ["application/json; charset=utf-8", "text/event-stream", ""] {
        for pretty in [false, true] {
            let write = |json: &serde_json::Value| {
                if pretty {
                    format!("{json:#}")
                } else {
                    json.to_string()
                }
            };
            let answered = ask(typed(content_type, &write(&completion)), openai).await;
            assert_eq!(answered.whole(), expected, "{content_type}, {pretty}");
            let answered = ask(typed(content_type, &write(&answer)), ollama).await;
            assert_eq!(answered.whole(), expected, "{content_type}, {pretty}");
        }
    }
}

// The call of the protocol before tools. OpenAI's clients: an empty answer.
#[tokio::test]
async fn a_whole_answer_with_a_function_call_has_a_tool_call() {
    let completion = json!({"choices": [{"finish_reason": "function_call", "message": {
        "content": null, "function_call": {"name": "find", "arguments": "{\"q\":1}"},
    }}]});
    let answered = ask(typed("application/json", &completion.to_string()), openai).await;
    let [ChatEvent::ToolCalls(calls), ChatEvent::Complete(_)] = &answered.whole()[..] else {
        panic!("no call")
    };
    assert_eq!(calls.calls[0].name, "find");
    assert_eq!(calls.calls[0].arguments, json!({"q": 1}));
}

#[tokio::test]
async fn a_whole_answer_that_is_cut_at_any_byte_is_no_answer() {
    let completion: Arc<str> =
        r#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}"#.into();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        completion.len() + 1, // so that the connection breaks before the end of the body
    );
    for cut in 1..=completion.len() {
        let bytes = format!("{head}{}", &completion[..cut]).into_bytes();
        let answered = ask(vec![Step::Raw(bytes), Step::Cut], openai).await;
        if cut == completion.len() {
            assert_eq!(answered.whole(), hi());
        } else {
            assert!(answered.refused().contains("cut off"), "at {cut}");
        }
    }
}

// OpenAI's clients: an empty answer without an error. Ollama's: an error.
#[tokio::test]
async fn an_error_in_json_is_a_refusal_by_its_code_and_is_not_tried_again() {
    for (content_type, body, message) in [
        (
            "application/json",
            r#"{"error":{"message":"own words","type":"x","code":"context_length_exceeded"}}"#,
            "too long",
        ),
        (
            "application/json",
            r#"{"error":{"code":503,"message":"own words"}}"#,
            "has failed",
        ),
        (
            "application/json",
            "{\"error\":{\"code\":503,\"message\":\"own words\"}}\n\n",
            "has failed",
        ),
        (
            "application/json",
            r#"{"error":{"code":429,"message":"own words"}}"#,
            "asked too much",
        ),
        (
            "application/json",
            r#"{"error":"model 'own words' not found"}"#,
            "doesn't have this",
        ),
        (
            "",
            r#"{"object":"error","message":"own words","code":401}"#,
            "credentials",
        ),
        (
            "text/plain",
            r#"[{"error":{"code":400,"status":"INVALID_ARGUMENT"}}]"#,
            "refused the",
        ),
        (
            "application/json",
            r#"{"detail":"own words"}"#,
            "reported an error",
        ),
        (
            "application/problem+json",
            r#"{"type":"about:blank","title":"own words","status":402}"#,
            "quota",
        ),
        (
            "application/problem+json; charset=utf-8",
            r#"{"title":"own words"}"#,
            "reported an error",
        ),
    ] {
        let answered = ask(typed(content_type, body), openai).await;
        let refused = answered.refused();
        assert!(refused.contains(message), "OpenAi, {body}: {refused}");
        let answered = ask(typed(content_type, body), ollama).await;
        let refused = answered.refused();
        assert!(refused.contains(message), "Ollama, {body}: {refused}");
    }
}

// OpenAI's clients: an empty answer without an error, but for compressed data of which no header tells, an
// error in Python; told of it, both decompress it, since they asked for it. Ollama's: an error, but for an
// empty body, an empty answer in Python.
#[tokio::test]
async fn what_is_no_answer_is_named_and_is_not_tried_again() {
    const GZIP: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0xad, 5, 0];
    let bytes = |headers: &str, body: &[u8]| {
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {length}\r\n\r\n");
        vec![Step::Raw([head.as_bytes(), body].concat())]
    };
    let json = "content-type: application/json\r\n";
    for (steps, message) in [
        (typed("text/html; charset=utf-8", PAGE), "a web page"),
        (typed("application/json", PAGE), "a web page"),
        (typed("", PAGE), "a web page"),
        (typed("text/html", ""), "sent nothing"),
        (typed("application/json", ""), "sent nothing"),
        (typed("application/json", r#"{"own words":1}"#), "JSON"),
        (typed("application/json", r#""own words""#), "JSON"),
        (typed("text/plain", "own words\n"), "plain text"),
        (typed("image/png", "own words\n"), "data that is no answer"),
        (
            bytes("content-type: text/event-stream\r\n", GZIP),
            "compressed",
        ),
        (bytes("", GZIP), "compressed"),
        (
            bytes(&format!("{json}content-encoding: gzip\r\n"), GZIP),
            "compressed",
        ),
        (
            bytes("content-encoding: br\r\n", b"\x8b\x02\x80"),
            "compressed",
        ),
        (
            bytes("content-encoding: zstd\r\n", &[0x28, 0xb5, 0x2f, 0xfd]),
            "compressed",
        ),
    ] {
        let refused = ask(steps.clone(), openai).await.refused();
        assert!(refused.contains(message), "OpenAi, {message}: {refused}");
        let refused = ask(steps, ollama).await.refused();
        assert!(refused.contains(message), "Ollama, {message}: {refused}");
    }
}

#[tokio::test]
async fn a_body_of_json_is_read_up_to_a_limit() {
    let head =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut steps = vec![
        Step::Raw(head.to_vec()),
        Step::Chunk(b"{\n\"choices\": \"".to_vec()),
    ];
    steps.extend(vec![Step::Chunk(vec![b'x'; 1000]); 20]);
    // Without the limit nothing would ever come of it.
    steps.push(Step::Silence);
    for answered in [ask(steps.clone(), openai).await, ask(steps, ollama).await] {
        assert_eq!(answered.error.as_ref().unwrap().code(), ErrorCode::Limit);
        answered.refused();
    }
}

// The clock is paused: it jumps as soon as all tasks wait.
#[tokio::test(start_paused = true)]
async fn json_whose_end_never_comes_is_read_after_the_idle_timeout() {
    let head =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let idle = GUARD / 4;
    let openai = |stub: &Stub| {
        let builder = OpenAi::builder().base_url(stub.url("/v1")).model("m");
        builder.idle_timeout(idle).build().unwrap()
    };
    for (body, whole) in [
        (
            r#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}"#,
            true,
        ),
        (r#"{"choices":[{"mess"#, false),
    ] {
        let steps = vec![
            Step::Raw(head.to_vec()),
            Step::Chunk(body.as_bytes().to_vec()),
            Step::Silence,
        ];
        let answered = ask(steps, openai).await;
        if whole {
            assert_eq!(answered.whole(), hi());
        } else {
            assert_eq!(answered.error.as_ref().unwrap().code(), ErrorCode::Timeout);
            answered.refused();
        }
    }
}
