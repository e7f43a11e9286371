use serde_json::{Value, json};
use unbroken::chat::{ChatRequest, ProviderError};

use crate::stub::{Reply, Stub, answer, frames, of_type};

pub(crate) const GEMINI: &str = "gemini-2.5-flash";

pub(crate) fn candidate(parts: Value) -> Value {
    json!({"candidates": [{"content": {"parts": parts, "role": "model"}, "index": 0}],
           "usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7}, "modelVersion": "gemini-2.5-flash"})
}

pub(crate) fn last(parts: Value, reason: &str) -> Value {
    json!({"candidates": [{"content": {"parts": parts, "role": "model"}, "finishReason": reason, "index": 0}],
           "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3, "thoughtsTokenCount": 40,
                             "cachedContentTokenCount": 2, "totalTokenCount": 50},
           "modelVersion": "gemini-2.5-flash"})
}

async fn said(reply: Reply) -> (Vec<Value>, Option<ProviderError>) {
    let stub = Stub::new([reply]).await;
    answer(stub.provider(GEMINI), ChatRequest::from_user("Hi")).await
}

fn signed(signature: &str) -> Value {
    json!({"type": "provider_state", "provider": "gemini", "data": {"thoughtSignature": signature},
           "of": "turn"})
}

#[tokio::test]
async fn an_answer_is_its_parts_in_order_with_usage_model_and_reason() {
    let stub = Stub::new([Reply::Stream(frames(&[
        // Two thoughts and a text in one frame: genai's own events have the last thought only.
        candidate(json!([
            {"text": "Hm. ", "thought": true}, {"text": "So.", "thought": true, "thoughtSignature": "s1"},
            {"text": "Hel"},
        ])),
        candidate(json!([{"text": "lo.", "thoughtSignature": "s2"}])),
        last(json!([{"text": "", "thoughtSignature": "s3"}]), "STOP"),
    ]))])
    .await;
    let (events, error) = answer(stub.provider(GEMINI), ChatRequest::from_user("Hi")).await;
    assert!(error.is_none(), "{error:?}");
    let usage = json!({"inputTokens": 7, "outputTokens": 43, "cachedInputTokens": 2, "reasoningTokens": 40});
    assert_eq!(
        events,
        [
            json!({"type": "thinking", "content": "Hm. "}),
            json!({"type": "thinking", "content": "So."}),
            signed("s1"),
            json!({"type": "text", "content": "Hel"}),
            signed("s2"),
            json!({"type": "text", "content": "lo."}),
            signed("s3"),
            json!({"type": "turn", "finishReason": "stop", "usage": usage, "model": "gemini-2.5-flash"}),
            json!({"type": "complete", "usage": usage, "finishReason": "stop"}),
        ]
    );
    let asked = &stub.asked()[0];
    assert_eq!(
        asked.path,
        "/v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    );
    assert_eq!(
        asked.body["contents"],
        json!([{"role": "user", "parts": [{"text": "Hi"}]}])
    );
}

#[tokio::test]
async fn calls_have_ids_of_their_own_and_keep_their_signatures() {
    let call = |city: &str| json!({"functionCall": {"name": "weather", "args": {"city": city}}});
    let mut first = call("Oslo");
    first["thoughtSignature"] = "s1".into();
    let mut third = call("Rome");
    third["functionCall"]["id"] = "theirs".into();
    // genai numbers the calls of each frame anew.
    let stream = frames(&[
        candidate(json!([first, call("Bern")])),
        candidate(json!([call("Kyiv"), third])),
        last(json!([]), "STOP"),
    ]);
    let (events, error) = said(Reply::Stream(stream)).await;
    assert!(error.is_none(), "{error:?}");
    let calls = &of_type(&events, "tool_calls")[0]["calls"];
    let ids: Vec<_> = calls
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids,
        [
            "call#weather#1",
            "call#weather#2",
            "call#weather#3",
            "theirs"
        ]
    );
    assert_eq!(
        calls[0]["providerState"],
        json!({"provider": "gemini", "data": {"thoughtSignature": "s1"}})
    );
    assert_eq!(calls[1]["providerState"], Value::Null);
    assert_eq!(calls[2]["arguments"], json!({"city": "Kyiv"}));
    assert_eq!(events.last().unwrap()["finishReason"], "tool_calls");
}

#[tokio::test]
async fn a_turn_that_is_not_whole_calls_nothing() {
    let call = json!([{"functionCall": {"name": "delete", "args": {}}}]);
    for (word, reason) in [
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("MAX_TOKENS", "length"),
        ("OTHER", "unknown"),
        ("BORED", "BORED"),
    ] {
        let (events, error) = said(Reply::Stream(frames(&[last(call.clone(), word)]))).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(of_type(&events, "tool_calls"), [&Value::Null; 0], "{word}");
        assert_eq!(events.last().unwrap()["finishReason"], reason);
    }
    for word in ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"] {
        let (events, error) = said(Reply::Stream(frames(&[last(call.clone(), word)]))).await;
        assert!(error.is_some(), "{word}");
        assert_eq!(of_type(&events, "tool_calls"), [&Value::Null; 0], "{word}");
    }
    let (events, _) = said(Reply::Stream(frames(&[last(call, "STOP")]))).await;
    assert_eq!(of_type(&events, "tool_calls").len(), 1);
}

#[tokio::test]
async fn a_blocked_prompt_is_a_refusal() {
    for reason in ["SAFETY", "PROHIBITED_CONTENT", "OTHER"] {
        let blocked = json!({"promptFeedback": {"blockReason": reason},
                             "usageMetadata": {"promptTokenCount": 7}});
        let (events, error) = said(Reply::Stream(frames(&[blocked]))).await;
        assert_eq!(events, [Value::Null; 0]);
        let error = error.unwrap();
        assert!(error.message().contains("refuses to answer"), "{error}");
        assert!(!error.is_recoverable());
    }
}

#[tokio::test]
async fn frames_that_only_count_do_not_end_the_answer() {
    let stream = frames(&[
        candidate(json!([{"text": "Hel"}])),
        json!({"usageMetadata": {"promptTokenCount": 7}}),
        last(json!([{"text": "lo."}]), "STOP"),
    ]);
    let (events, error) = said(Reply::Stream(stream)).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(of_type(&events, "text").len(), 2);
}

#[tokio::test]
async fn pictures_of_the_model_are_media_and_other_parts_are_named() {
    let picture = json!([{"inlineData": {"mimeType": "image/png", "data": "iVBORw0="}}]);
    let (events, error) = said(Reply::Stream(frames(&[
        candidate(picture),
        last(json!([]), "STOP"),
    ])))
    .await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(
        events[0],
        json!({"type": "media", "mediaType": "image/png", "url": "data:image/png;base64,iVBORw0="})
    );
    let code = json!([{"executableCode": {"language": "PYTHON", "code": "1"}}]);
    let (_, error) = said(Reply::Stream(frames(&[last(code, "STOP")]))).await;
    let error = error.unwrap();
    assert!(
        error.message().to_lowercase().contains("executablecode"),
        "{error}"
    );
}
