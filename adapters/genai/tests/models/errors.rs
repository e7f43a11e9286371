use std::time::Duration;

use serde_json::{Value, json};
use unbroken::{
    chat::{ChatRequest, ProviderError},
    log::ErrorCode,
};

use crate::{
    claude::{self, CLAUDE, begin, named},
    gemini::{self, GEMINI},
    stub::{KEY, Reply, Stub, answer, frames, shown},
};

const GPT: &str = "gpt-4o-mini";

async fn failure(model: &str, reply: Reply) -> (Vec<Value>, ProviderError) {
    let stub = Stub::new([reply]).await;
    let (events, error) = answer(stub.provider(model), ChatRequest::from_user("Hi")).await;
    let error = error.expect("the answer fails");
    let shown = shown(&error);
    for secret in [KEY, "127.0.0.1", "SAID"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    (events, error)
}

fn claude_error(kind: &str, said: &str) -> String {
    json!({"type": "error", "error": {"type": kind, "message": said}, "request_id": "req_1"})
        .to_string()
}

fn google_error(code: u16, status: &str, said: &str, details: &Value) -> String {
    json!({"error": {"code": code, "message": said, "status": status, "details": details}})
        .to_string()
}

#[tokio::test]
async fn a_refusal_by_status_has_its_reason_and_tells_whether_to_try_again() {
    let said = format!("SAID {KEY}");
    let wait =
        json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}]);
    let key = json!([{"reason": "API_KEY_INVALID"}]);
    let none = json!([]);
    let long = "prompt is too long: 215000 tokens > 200000 maximum";
    let long2 =
        "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).";
    for (model, status, headers, body, message, recoverable, after) in [
        (
            CLAUDE,
            401,
            "",
            claude_error("authentication_error", &said),
            "credentials",
            false,
            None,
        ),
        (
            CLAUDE,
            403,
            "",
            claude_error("permission_error", &said),
            "credentials",
            false,
            None,
        ),
        (
            CLAUDE,
            404,
            "",
            claude_error("not_found_error", &said),
            "doesn't have this model",
            false,
            None,
        ),
        (
            CLAUDE,
            400,
            "",
            claude_error("invalid_request_error", &said),
            "refused the request",
            false,
            None,
        ),
        (
            CLAUDE,
            400,
            "",
            claude_error("invalid_request_error", long),
            "too long",
            false,
            None,
        ),
        (
            CLAUDE,
            413,
            "",
            claude_error("request_too_large", &said),
            "too long",
            false,
            None,
        ),
        (
            CLAUDE,
            429,
            "retry-after: 7\r\n",
            claude_error("rate_limit_error", &said),
            "in 7 s",
            true,
            Some(Duration::from_secs(7)),
        ),
        (
            CLAUDE,
            529,
            "",
            claude_error("overloaded_error", &said),
            "overloaded",
            true,
            None,
        ),
        (
            CLAUDE,
            500,
            "",
            claude_error("api_error", &said),
            "has failed",
            true,
            None,
        ),
        (
            CLAUDE,
            502,
            "",
            "<html>SAID</html>".to_owned(),
            "has failed",
            true,
            None,
        ),
        (
            GEMINI,
            400,
            "",
            google_error(400, "INVALID_ARGUMENT", &said, &key),
            "credentials",
            false,
            None,
        ),
        (
            GEMINI,
            403,
            "",
            google_error(403, "PERMISSION_DENIED", &said, &none),
            "credentials",
            false,
            None,
        ),
        (
            GEMINI,
            400,
            "",
            google_error(400, "INVALID_ARGUMENT", long2, &none),
            "too long",
            false,
            None,
        ),
        (
            GEMINI,
            400,
            "",
            google_error(400, "INVALID_ARGUMENT", &said, &none),
            "refused",
            false,
            None,
        ),
        (
            GEMINI,
            429,
            "",
            google_error(429, "RESOURCE_EXHAUSTED", &said, &wait),
            "in 35 s",
            true,
            Some(Duration::from_millis(34_500)),
        ),
        (
            GEMINI,
            503,
            "",
            google_error(503, "UNAVAILABLE", &said, &none),
            "overloaded",
            true,
            None,
        ),
        (
            GPT,
            401,
            "",
            json!({"error": {"message": said, "type": "invalid_request_error",
                                        "code": "invalid_api_key"}})
            .to_string(),
            "credentials",
            false,
            None,
        ),
        (
            GPT,
            400,
            "",
            json!({"error": {"message": said, "code": "context_length_exceeded"}}).to_string(),
            "too long",
            false,
            None,
        ),
        (
            GPT,
            429,
            "",
            json!({"error": {"message": said, "code": "insufficient_quota"}}).to_string(),
            "quota",
            false,
            None,
        ),
        (
            GPT,
            429,
            "retry-after-ms: 1500\r\n",
            json!({"error": {"message": said}}).to_string(),
            "in 2 s",
            true,
            Some(Duration::from_millis(1500)),
        ),
    ] {
        let (events, error) = failure(model, Reply::Status(status, headers, body.clone())).await;
        assert_eq!(events, [Value::Null; 0]);
        assert!(
            error.message().contains(message),
            "{model} {status} {body}: {error}"
        );
        assert_eq!(
            error.is_recoverable(),
            recoverable,
            "{model} {status} {body}: {error}"
        );
        assert_eq!(error.retry_after(), after, "{model} {status} {body}");
    }
}

#[tokio::test]
async fn an_error_within_a_stream_is_no_end() {
    let said = format!("SAID {KEY}");
    let overloaded = claude_error("overloaded_error", &said);
    let begun = named(&[vec![begin()], claude::text(0, &["Hel"])].concat());
    for (model, stream, texts, message, recoverable) in [
        (
            CLAUDE,
            format!("{begun}event: error\ndata: {overloaded}\n\n"),
            1,
            "overloaded",
            true,
        ),
        (
            CLAUDE,
            format!("event: error\ndata: {overloaded}\n\n"),
            0,
            "overloaded",
            true,
        ),
        (
            CLAUDE,
            format!("{begun}event: error\ndata: SAID\n\n"),
            1,
            "reported an error",
            true,
        ),
        (
            CLAUDE,
            format!("{begun}event: content_block_delta\ndata: SAID\n\n"),
            1,
            "can't be understood",
            true,
        ),
        (
            GEMINI,
            format!(
                "{}data: {}\n\n",
                frames(&[gemini::candidate(json!([{"text": "Hel"}]))]),
                google_error(503, "UNAVAILABLE", &said, &json!([]))
            ),
            1,
            "overloaded",
            true,
        ),
        (
            GEMINI,
            format!(
                "data: {}\n\n",
                google_error(429, "RESOURCE_EXHAUSTED", &said, &json!([]))
            ),
            0,
            "asked too much",
            true,
        ),
        (
            GPT,
            format!(
                "data: {}\n\ndata: {}\n\n",
                json!({"choices": [{"delta": {"content": "Hel"}}]}),
                json!({"error": {"message": said, "type": "server_error"}})
            ),
            1,
            "has failed",
            true,
        ),
    ] {
        for reply in [Reply::Stream(stream.clone()), Reply::Cut(stream.clone())] {
            let (events, error) = failure(model, reply).await;
            assert_eq!(events.len(), texts, "{stream}");
            assert!(error.message().contains(message), "{stream}: {error}");
            assert_eq!(error.is_recoverable(), recoverable, "{stream}: {error}");
        }
    }
}

#[tokio::test]
async fn a_turn_that_fails_has_the_usage_that_its_server_told() {
    let overloaded = claude_error("overloaded_error", "no");
    let begun = named(&[begin()]);
    let stream = format!("{begun}event: error\ndata: {overloaded}\n\n");
    let (_, error) = failure(CLAUDE, Reply::Stream(stream)).await;
    let usage = error.usage().expect("the begin has it");
    assert_eq!((usage.input_tokens, usage.output_tokens), (125, 1));
}

#[tokio::test]
async fn an_error_within_a_stream_tells_whether_to_try_again() {
    for (word, recoverable) in [
        ("invalid_request_error", false),
        ("invalid_prompt", false),
        ("invalid_image_format", false),
        ("image_too_large", false),
        ("image_parse_error", false),
        ("unsupported_image_media_type", false),
        ("empty_image_file", false),
        ("context_length_exceeded", false),
        ("rate_limit_exceeded", true),
        ("server_error", true),
        ("vector_store_timeout", true),
        ("something_new", true),
    ] {
        let failed = json!({"type": "response.failed", "response": {"id": "r", "status": "failed",
            "error": {"code": word, "message": "SAID"}}});
        let chunk = json!({"error": {"message": "SAID", "code": word}});
        let of_claude = claude_error(word, "SAID");
        for (model, stream) in [
            (CLAUDE, format!("event: error\ndata: {of_claude}\n\n")),
            (GPT, frames(&[chunk])),
            (
                "gpt-5-mini",
                format!("event: response.failed\ndata: {failed}\n\n"),
            ),
        ] {
            let (_, error) = failure(model, Reply::Stream(stream)).await;
            assert_eq!(
                error.is_recoverable(),
                recoverable,
                "{model} {word}: {error}"
            );
        }
    }
    // A status says more.
    let body = claude_error("invalid_request_error", "SAID");
    let (_, error) = failure(CLAUDE, Reply::Status(503, "", body)).await;
    assert!(error.is_recoverable(), "{error}");
}

#[tokio::test]
async fn an_answer_is_cut_wherever_it_breaks_off() {
    let claude = claude::message(
        [
            claude::thinking(0, "Hm.", ["s", "1"]),
            claude::text(1, &["Hel", "lo."]),
            claude::tool_use(2, "toolu_1", "now", &["{", "}"]),
        ],
        "tool_use",
    );
    let gemini = frames(&[
        gemini::candidate(json!([{"text": "Hm.", "thought": true}])),
        gemini::candidate(json!([{"text": "Hel"}])),
        gemini::last(
            json!([{"functionCall": {"name": "now", "args": {}}}]),
            "STOP",
        ),
    ]);
    for (model, whole) in [(CLAUDE, claude), (GEMINI, gemini)] {
        // Without the blank line at its end the last event may be whole, or not.
        let cuts = (0..whole.trim_end().len()).step_by(29);
        let cut = |at| {
            [
                Reply::Stream(whole[..at].into()),
                Reply::Cut(whole[..at].into()),
            ]
        };
        let mut replies = vec![Reply::Stream(whole.clone())];
        replies.extend(cuts.clone().flat_map(cut));
        let provider = Stub::new(replies).await.provider(model);
        let ask = || answer(provider.clone(), ChatRequest::from_user("Hi"));
        let (whole_events, error) = ask().await;
        assert!(error.is_none(), "{error:?}");
        for at in cuts.flat_map(|at| [at, at]) {
            let (events, error) = ask().await;
            let error = error.expect("the answer is cut");
            assert!(error.is_recoverable(), "{at}: {error}");
            assert_eq!(events, whole_events[..events.len()], "{at}");
            assert!(events.len() < whole_events.len() - 2, "{at}");
        }
    }
}

#[tokio::test]
async fn silence_and_a_server_that_is_gone_are_told_apart() {
    for reply in [Reply::Held(named(&[begin()])), Reply::Held(String::new())] {
        let stub = Stub::new([reply]).await;
        let provider = stub
            .provider(CLAUDE)
            .idle_timeout(Duration::from_millis(300));
        let (_, error) = answer(provider, ChatRequest::from_user("Hi")).await;
        let error = error.unwrap();
        assert_eq!(error.code(), ErrorCode::Timeout, "{error}");
        assert!(error.is_recoverable());
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let base: std::sync::Arc<str> = format!("http://{address}/v1/").into();
    let client = genai::Client::builder()
        .with_service_target_resolver_fn(move |mut target: genai::ServiceTarget| {
            target.endpoint = genai::resolver::Endpoint::from_owned(std::sync::Arc::clone(&base));
            target.auth = genai::resolver::AuthData::from_single(KEY);
            Ok(target)
        })
        .build()
        .unwrap();
    let gone = unbroken_genai::GenAi::new(client).model(CLAUDE);
    let (_, error) = answer(gone, ChatRequest::from_user("Hi")).await;
    let error = error.unwrap();
    assert!(
        error.is_recoverable() && error.message().contains("can't be reached"),
        "{error}"
    );
    // The address stands in the source, for the operator.
    assert!(!error.message().contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn a_model_without_a_key_is_named_as_that() {
    let client = genai::Client::builder()
        .with_auth_resolver_fn(|_| {
            Ok(Some(genai::resolver::AuthData::from_env(
                "UNBROKEN_NO_SUCH_KEY",
            )))
        })
        .build()
        .unwrap();
    let provider = unbroken_genai::GenAi::new(client);
    let (_, error) = answer(provider.clone().model(CLAUDE), ChatRequest::from_user("Hi")).await;
    let error = error.unwrap();
    assert!(
        error.message().contains("no key") && !error.is_recoverable(),
        "{error}"
    );
    let (_, error) = answer(provider, ChatRequest::from_user("Hi")).await;
    assert!(error.unwrap().message().contains("names no model"));
}
