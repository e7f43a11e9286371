//! The usage of a turn that isn't over.

use std::future::poll_fn;

use futures_util::TryStream as _;
use serde_json::{Value, json};
use tower::ServiceExt;
use unbroken::chat::{ChatRequest, TurnUsage, Usage};

use crate::{
    claude::{self, CLAUDE},
    gemini::{self, GEMINI},
    stub::{Reply, Stub, frames},
};

/// Reads the first event of an answer that stays open, and returns the usage that is known then.
async fn known(model: &str, body: String) -> Option<Value> {
    let stub = Stub::new([Reply::Held(body)]).await;
    let mut request = ChatRequest::from_user("Hi");
    request.turn_usage = TurnUsage::new();
    let usage = request.turn_usage.clone();
    let answer = stub.provider(model).oneshot(request).await.unwrap();
    let mut answer = std::pin::pin!(answer);
    let first = poll_fn(|cx| answer.as_mut().try_poll_next(cx)).await;
    first.unwrap().unwrap();
    let known = usage.known();
    known.map(|usage: Usage| serde_json::to_value(usage).unwrap())
}

#[tokio::test]
async fn claude_tells_the_usage_at_the_begin() {
    let mut said = claude::text(0, &["Hel"]);
    said.pop();
    said.insert(0, claude::begin());
    assert_eq!(
        known(CLAUDE, claude::named(&said)).await,
        Some(
            json!({"inputTokens": 125, "outputTokens": 1, "cachedInputTokens": 100,
                    "cacheWriteInputTokens": 5})
        )
    );
}

#[tokio::test]
async fn gemini_tells_the_usage_with_each_piece() {
    let body = frames(&[gemini::candidate(json!([{"text": "Hel"}]))]);
    let usage = json!({"inputTokens": 7, "outputTokens": 0});
    assert_eq!(known(GEMINI, body).await, Some(usage));
}

#[tokio::test]
async fn chat_completions_may_tell_the_usage_with_each_piece() {
    let piece = |usage: Value| json!({"choices": [{"index": 0, "delta": {"content": "Hel"}}], "usage": usage});
    let told = piece(json!({"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}));
    let usage = json!({"inputTokens": 7, "outputTokens": 1});
    assert_eq!(known("gpt-4o-mini", frames(&[told])).await, Some(usage));
    let untold = frames(&[piece(Value::Null)]);
    assert_eq!(known("gpt-4o-mini", untold).await, None);
}
