//! Each kind of error in each protocol.

use std::time::Duration;

use serde_json::{Value, json};
use unbroken::chat::{ChatRequest, ProviderError};

use crate::{
    claude::{self, CLAUDE},
    gemini::{self, GEMINI},
    responses::{self, GPT_5},
    stub::{KEY, Reply, Stub, answer, frames, of_type, shown},
};

const GPT: &str = "gpt-4o-mini";
const MODELS: [&str; 4] = [CLAUDE, GEMINI, GPT, GPT_5];

/// Returns the body of an error as the server of a model has it.
fn body(model: &str, code: u16, word: &str, said: &str) -> String {
    let said = format!("{said} SAID {KEY}");
    let error = match model {
        CLAUDE => json!({"type": "error", "error": {"type": word, "message": said}}),
        GEMINI => json!({"error": {"code": code, "message": said, "status": word}}),
        _ => json!({"error": {"message": said, "type": "invalid_request_error", "code": word}}),
    };
    error.to_string()
}

/// Returns an error within a stream as the server of a model has it.
fn within(model: &str, code: u16, word: &str, said: &str) -> String {
    let body = body(model, code, word, said);
    if model == GPT_5 {
        let error: Value = serde_json::from_str(&body).unwrap();
        let failed = json!({"status": "failed", "error": error["error"]});
        return claude::named(&[responses::created(), responses::ended("failed", failed)]);
    }
    let name = if model == CLAUDE {
        "event: error\n"
    } else {
        ""
    };
    format!("{name}data: {body}\n\n")
}

async fn asked(model: &str, reply: Reply) -> (Vec<Value>, Option<ProviderError>) {
    let stub = Stub::new([reply]).await;
    let (events, error) = answer(stub.provider(model), ChatRequest::from_user("Hi")).await;
    if let Some(error) = &error {
        for secret in [KEY, "127.0.0.1", "SAID"] {
            assert!(!shown(error).contains(secret), "{error:?}");
        }
    }
    (events, error)
}

async fn fails(model: &str, reply: Reply, message: &str, recoverable: bool) -> ProviderError {
    let what = format!("{model}: {reply:?}");
    let (events, error) = asked(model, reply).await;
    let error = error.unwrap_or_else(|| panic!("{what}: {events:?}"));
    assert!(error.message().contains(message), "{what}: {error}");
    assert_eq!(error.is_recoverable(), recoverable, "{what}: {error}");
    assert_eq!(of_type(&events, "complete").len(), 0);
    error
}

#[tokio::test]
async fn a_key_that_is_refused_is_no_use_to_try_again() {
    for (model, word) in MODELS.into_iter().zip([
        "authentication_error",
        "UNAUTHENTICATED",
        "invalid_api_key",
        "invalid_api_key",
    ]) {
        let reply = Reply::Status(401, "", body(model, 401, word, ""));
        fails(model, reply, "credentials", false).await;
        let reply = Reply::Stream(within(model, 401, word, ""));
        fails(model, reply, "credentials", false).await;
    }
}

#[tokio::test]
async fn a_server_that_is_asked_too_much_says_how_long_to_wait() {
    for (model, word) in MODELS.into_iter().zip([
        "rate_limit_error",
        "RESOURCE_EXHAUSTED",
        "rate_limit_exceeded",
        "rate_limit_exceeded",
    ]) {
        let reply = Reply::Status(429, "retry-after: 7\r\n", body(model, 429, word, ""));
        let error = fails(model, reply, "asked too much; try again, in 7 s", true).await;
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        let reply = Reply::Stream(within(model, 429, word, ""));
        let error = fails(model, reply, "asked too much", true).await;
        assert_eq!(error.retry_after(), None);
    }
    // A quota isn't full again for waiting.
    for model in [GPT, GPT_5] {
        let said = body(model, 429, "insufficient_quota", "");
        let reply = Reply::Status(429, "retry-after: 7\r\n", said);
        let error = fails(model, reply, "quota", false).await;
        assert_eq!(error.retry_after(), None);
    }
}

#[tokio::test]
async fn a_server_that_is_overloaded_may_be_asked_again() {
    for (model, status, word) in [
        (CLAUDE, 529, "overloaded_error"),
        (GEMINI, 503, "UNAVAILABLE"),
        (GPT, 503, "overloaded_error"),
        (GPT_5, 503, "overloaded_error"),
    ] {
        let reply = Reply::Status(status, "", body(model, status, word, ""));
        fails(model, reply, "overloaded", true).await;
        let reply = Reply::Stream(within(model, status, word, ""));
        fails(model, reply, "overloaded", true).await;
        let reply = Reply::Status(503, "retry-after: 3\r\n", "<html>SAID</html>".to_owned());
        let error = fails(model, reply, "has failed", true).await;
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
    }
}

#[tokio::test]
async fn a_conversation_that_is_too_long_stays_so() {
    for (model, word, said) in [
        (
            CLAUDE,
            "invalid_request_error",
            "prompt is too long: 215000 tokens > 200000 maximum",
        ),
        (
            GEMINI,
            "INVALID_ARGUMENT",
            "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).",
        ),
        (GPT, "context_length_exceeded", ""),
        (
            GPT,
            "invalid_request_error",
            "This model's maximum context length is 8192 tokens.",
        ),
        (GPT_5, "context_length_exceeded", ""),
    ] {
        let reply = Reply::Status(400, "", body(model, 400, word, said));
        fails(model, reply, "too long", false).await;
        let reply = Reply::Stream(within(model, 400, word, said));
        fails(model, reply, "too long", false).await;
    }
}

#[tokio::test]
async fn a_refusal_is_an_answer_or_final() {
    let choice = |delta: Value, reason: Value| json!({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
    let refused = claude::message([claude::text(0, &["I can't."])], "refusal");
    let filtered =
        json!({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}});
    for (model, body) in [
        (CLAUDE, refused),
        (
            GEMINI,
            frames(&[gemini::last(json!([{"text": "I can't."}]), "SAFETY")]),
        ),
        (
            GPT,
            frames(&[choice(
                json!({"refusal": "I can't."}),
                json!("content_filter"),
            )]),
        ),
        (
            GPT_5,
            claude::named(&[
                responses::created(),
                responses::delta("refusal", 0, "I can't."),
                responses::ended("incomplete", filtered),
            ]),
        ),
    ] {
        let (events, error) = asked(model, Reply::Stream(body)).await;
        assert!(error.is_none(), "{model}: {error:?}");
        assert_eq!(events[0], json!({"type": "text", "content": "I can't."}));
        assert_eq!(events.last().unwrap()["finishReason"], "content_filter");
    }
    let blocked = json!({"promptFeedback": {"blockReason": "SAFETY"}});
    let reply = Reply::Stream(frames(&[blocked]));
    fails(GEMINI, reply, "refuses to answer", false).await;
    for model in [GPT, GPT_5] {
        let reply = Reply::Status(400, "", body(model, 400, "content_policy_violation", ""));
        fails(model, reply, "refuses to answer", false).await;
        let reply = Reply::Stream(within(model, 400, "content_filter", ""));
        fails(model, reply, "refuses to answer", false).await;
    }
}

/// Returns the begin of an answer of each model: a text, and no end.
fn begun(model: &str) -> String {
    match model {
        CLAUDE => {
            let text = claude::text(0, &["Hel"]);
            claude::named(&[&[claude::begin()], &text[..2]].concat())
        }
        GEMINI => frames(&[gemini::candidate(json!([{"text": "Hel"}]))]),
        GPT => frames(&[json!({"choices": [{"index": 0, "delta": {"content": "Hel"}}]})]),
        _ => claude::named(&[
            responses::created(),
            responses::delta("output_text", 0, "Hel"),
        ]),
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_may_be_asked_for_again() {
    for model in MODELS {
        for reply in [Reply::Stream(begun(model)), Reply::Cut(begun(model))] {
            fails(model, reply, "cut off", true).await;
        }
        fails(model, Reply::Stream(String::new()), "cut off", true).await;
    }
}

#[tokio::test]
async fn silence_in_the_middle_is_a_timeout() {
    for model in MODELS {
        let stub = Stub::new([Reply::Held(begun(model))]).await;
        let provider = stub
            .provider(model)
            .idle_timeout(Duration::from_millis(300));
        let (events, error) = answer(provider, ChatRequest::from_user("Hi")).await;
        // A slow machine may be silent before the first event.
        assert!(events.len() <= 1, "{model}: {events:?}");
        let error = error.unwrap();
        assert_eq!(
            error.code(),
            unbroken::log::ErrorCode::Timeout,
            "{model}: {error}"
        );
        assert!(error.is_recoverable());
    }
}

#[tokio::test]
async fn something_else_than_a_stream_is_named_as_that() {
    for model in MODELS {
        for page in [
            "<!doctype html>\n\n<html>SAID</html>",
            r#"{"error":{"message":"SAID"}}"#,
            r#"[{"candidates":[]}]"#,
            ": SAID\n\n",
        ] {
            let reply = Reply::Status(200, "", page.to_owned());
            fails(model, reply, "no stream", true).await;
        }
        // After the begin of a stream it is a cut.
        let reply = Reply::Stream(begun(model) + "<html>SAID</html>");
        fails(model, reply, "cut off", true).await;
    }
}

#[tokio::test]
async fn errors_of_proxies_and_pings_are_told_apart() {
    for model in MODELS {
        for (frame, message, recoverable) in [
            (
                r#"{"error":{"code":"invalid_api_key","message":"SAID"}}"#,
                "credentials",
                false,
            ),
            (r#"{"error":"SAID"}"#, "reported an error", true),
            (r#"{"detail":"SAID"}"#, "reported an error", true),
            (r#"{"status":401,"message":"SAID"}"#, "credentials", false),
            (
                r#"[{"error":{"code":401,"message":"SAID"}}]"#,
                "credentials",
                false,
            ),
            ("SAID", "can't be understood", true),
        ] {
            let reply = Reply::Stream(format!("{}data: {frame}\n\n", begun(model)));
            fails(model, reply, message, recoverable).await;
        }
        let reply = Reply::Stream(format!("{}event: error\n\n", begun(model)));
        fails(model, reply, "reported an error", true).await;
        let pings = ": ping\n\ndata: ping\n\ndata:\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\ndata: null\n\n";
        let reply = Reply::Stream(pings.to_owned() + &begun(model) + pings);
        fails(model, reply, "cut off", true).await;
    }
    // A reason that says that the server failed.
    let failed = claude::message([claude::text(0, &["Hel"])], "internal_error");
    fails(CLAUDE, Reply::Stream(failed), "reported an error", true).await;
    let failed = frames(&[gemini::last(json!([{"text": "Hel"}]), "INTERNAL_ERROR")]);
    fails(GEMINI, Reply::Stream(failed), "reported an error", true).await;
}
