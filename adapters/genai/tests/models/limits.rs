//! `max_turn_bytes`, counted on both sides of the limit in each protocol.

use serde_json::{Value, json};
use unbroken::{
    chat::{ChatRequest, ProviderError},
    log::ErrorCode,
};

use crate::{
    claude::{self, CLAUDE},
    gemini::{self, GEMINI},
    responses::{self, GPT_5},
    stub::{Reply, Stub, answer, frames, of_type},
};

const GPT: &str = "gpt-4o-mini";
const ARGUMENTS: &str = r#"{"city":"Oslo"}"#;
// A call counts as its id, its name, its arguments, and 64 bytes.
const CALL: usize = 64 + "c1".len() + "now".len() + ARGUMENTS.len();

async fn limited(model: &str, body: &str, max: usize) -> (Vec<Value>, Option<ProviderError>) {
    let stub = Stub::new([Reply::Stream(body.to_owned())]).await;
    let provider = stub.provider(model).max_turn_bytes(max);
    answer(provider, ChatRequest::from_user("Hi")).await
}

async fn takes_exactly(model: &str, what: &str, body: String, bytes: usize) {
    let (events, error) = limited(model, &body, bytes).await;
    assert!(error.is_none(), "{model}, {what}: {error:?}");
    let kept = ["tool_calls", "provider_state", "media"].map(|kind| of_type(&events, kind).len());
    assert!(
        kept.iter().sum::<usize>() > 0,
        "{model}, {what}: {events:?}"
    );
    let (events, error) = limited(model, &body, bytes - 1).await;
    let error = error.unwrap_or_else(|| panic!("{model}, {what}: {events:?}"));
    assert_eq!(error.code(), ErrorCode::Limit, "{model}, {what}: {error}");
    assert!(!error.is_recoverable(), "{model}, {what}");
    assert!(
        error.message().contains(&(bytes - 1).to_string()),
        "{error}"
    );
    assert_eq!(of_type(&events, "tool_calls").len(), 0);
}

#[tokio::test]
async fn calls_take_as_many_bytes_as_the_limit_says() {
    let (head, tail) = ARGUMENTS.split_at(4);
    let called = claude::tool_use(0, "c1", "now", &[head, tail]);
    takes_exactly(
        CLAUDE,
        "a call",
        claude::message([called], "tool_use"),
        CALL,
    )
    .await;

    let arguments: Value = serde_json::from_str(ARGUMENTS).unwrap();
    let called = json!({"functionCall": {"id": "c1", "name": "now", "args": arguments}});
    takes_exactly(
        GEMINI,
        "a call",
        frames(&[gemini::last(json!([called]), "STOP")]),
        CALL,
    )
    .await;

    let piece = |call: Value| json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]});
    let chunks = [
        piece(json!({"index": 0, "id": "c1", "function": {"name": "now", "arguments": head}})),
        piece(json!({"index": 0, "function": {"arguments": tail}})),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}),
    ];
    takes_exactly(GPT, "a call", frames(&chunks), CALL).await;

    let whole = responses::call("c1", ARGUMENTS, "completed");
    let events = [
        responses::created(),
        responses::item("added", 0, responses::call("c1", "", "in_progress")),
        responses::delta("function_call_arguments", 0, head),
        responses::item("done", 0, whole.clone()),
        responses::completed(json!([whole])),
    ];
    takes_exactly(GPT_5, "a call", claude::named(&events), CALL).await;
}

#[tokio::test]
async fn signatures_and_sounds_count_too() {
    let signed = claude::message([claude::thinking(0, "Hm.", ["sig", "-12"])], "end_turn");
    takes_exactly(CLAUDE, "a signature", signed, 6).await;
    let hidden = claude::message([claude::redacted(0, "hidden")], "end_turn");
    takes_exactly(CLAUDE, "an encrypted thought", hidden, 6).await;

    let signed = json!([{"text": "Hel", "thoughtSignature": "sig-12"}]);
    takes_exactly(
        GEMINI,
        "a signature",
        frames(&[gemini::last(signed, "STOP")]),
        6,
    )
    .await;

    let detail = json!([{"type": "reasoning.text", "text": "Hm."}]);
    let bytes = detail.to_string().len();
    let chunk =
        |delta: Value| json!({"choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}]});
    let details = frames(&[chunk(json!({ "reasoning_details": detail }))]);
    takes_exactly(GPT, "details of reasoning", details, bytes).await;
    let sound = frames(&[chunk(json!({"audio": {"data": "ZkxhQwAB"}}))]);
    takes_exactly(GPT, "a sound", sound, 8).await;

    let reasoning =
        json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "enc-12"});
    let events = [
        responses::created(),
        responses::completed(json!([reasoning])),
    ];
    takes_exactly(GPT_5, "encrypted reasoning", claude::named(&events), 6).await;
}
