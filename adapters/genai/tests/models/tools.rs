//! Loops with tools, against servers that demand what belongs to a turn back.

use std::collections::HashMap;

use serde_json::{Value, json};
use tower::ServiceBuilder;
use unbroken::{
    chat::{ChatRequest, Part, Provider, ProviderError},
    tools::{Call, ToolLayer, Tools, tool_fn},
};
use unbroken_genai::GenAi;

use crate::{
    claude::{self, CLAUDE},
    gemini,
    stub::{Asked, Reply, Stub, answer, frames, of_type},
};

fn tools() -> ToolLayer {
    let weather = tool_fn(
        "weather",
        "The weather in a city.",
        |city: HashMap<String, String>, _: Call| async move { Ok(format!("snow in {}", city["city"])) },
    );
    ToolLayer::new(Tools::new().with(weather.idempotent()))
}

fn looped(provider: GenAi) -> impl Provider {
    ServiceBuilder::new().layer(tools()).service(provider)
}

// Loses what the provider must be handed back, as a conversation from an older client would.
fn forgetful(provider: GenAi) -> impl Provider {
    let forget = |mut request: ChatRequest| {
        for message in &mut request.messages {
            for part in message.content.parts_mut() {
                if let Part::Reasoning(reasoning) = part {
                    reasoning.provider_state = None;
                }
            }
            for call in &mut message.tool_calls {
                call.provider_state = None;
            }
        }
        request
    };
    ServiceBuilder::new()
        .layer(tools())
        .map_request(forget)
        .service(provider)
}

fn refusal() -> Reply {
    let error =
        json!({"type": "invalid_request_error", "message": "thinking blocks can't be modified"});
    Reply::Status(
        400,
        "",
        json!({"type": "error", "error": error}).to_string(),
    )
}

// Answers with calls first, and then only to a request that the function accepts.
async fn demanding(
    first: String,
    second: String,
    accepts: impl Fn(&Asked) -> bool + Send + Sync + 'static,
) -> Stub {
    Stub::answering(move |asked, number| match number {
        1 => Reply::Stream(first.clone()),
        _ if accepts(asked) => Reply::Stream(second.clone()),
        _ => refusal(),
    })
    .await
}

async fn both(stub: &Stub, model: &str) -> ((Vec<Value>, Option<ProviderError>), ProviderError) {
    let request = ChatRequest::from_user("How is the weather?");
    let remembered = answer(looped(stub.provider(model)), request.clone()).await;
    let again = Stub::answering({
        let first = stub.clone();
        move |asked, number| first.reply(asked, number)
    })
    .await;
    let (_, error) = answer(forgetful(again.provider(model)), request).await;
    (
        remembered,
        error.expect("the server demands what was forgotten"),
    )
}

#[tokio::test]
async fn claude_gets_its_thoughts_back_as_they_were() {
    let first = claude::message(
        [
            claude::redacted(0, "hidden"),
            claude::thinking(1, "Hm.", ["sig", "-1"]),
            claude::text(2, &["I ", "look."]),
            claude::thinking(3, "Two.", ["sig-2", ""]),
            claude::tool_use(4, "toolu_1", "weather", &[r#"{"city": "#, r#""Oslo"}"#]),
            claude::tool_use(5, "toolu_2", "weather", &[r#"{"city": "Bern"}"#]),
        ],
        "tool_use",
    );
    let second = claude::message([claude::text(0, &["Snow."])], "end_turn");
    let stub = demanding(first, second, |asked| {
        let call = |id: &str, city: &str| {
            json!({"type": "tool_use", "id": id, "name": "weather", "input": {"city": city}})
        };
        let result = |id: &str, said: &str| {
            json!({"type": "tool_result", "tool_use_id": id, "content": said})
        };
        // Claude takes messages of one author that follow each other for one.
        asked.body["messages"]
            == json!([
                {"role": "user", "content": "How is the weather?"},
                {"role": "assistant", "content": [
                    {"type": "redacted_thinking", "data": "hidden"},
                    {"type": "thinking", "thinking": "Hm.", "signature": "sig-1"},
                    {"type": "text", "text": "I look."},
                ]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "Two.", "signature": "sig-2"},
                    call("toolu_1", "Oslo"), call("toolu_2", "Bern"),
                ]},
                {"role": "user", "content": [
                    result("toolu_1", "snow in Oslo"), result("toolu_2", "snow in Bern"),
                ]},
            ])
    })
    .await;
    let ((events, error), refused) = both(&stub, CLAUDE).await;
    assert!(error.is_none(), "{error:?} {:#}", stub.asked()[1].body);
    assert_eq!(of_type(&events, "tool_result").len(), 2);
    assert_eq!(of_type(&events, "text").last().unwrap()["content"], "Snow.");
    let end = events.last().unwrap();
    assert_eq!(end["usage"]["outputTokens"], 84);
    assert!(
        refused.message().contains("refused the request"),
        "{refused}"
    );
}

#[tokio::test]
async fn gemini_gets_the_signatures_of_its_calls_back() {
    for model in ["gemini-2.5-flash", "gemini-3-pro-preview"] {
        let call =
            |city: &str| json!({"functionCall": {"name": "weather", "args": {"city": city}}});
        let mut signed = call("Oslo");
        signed["thoughtSignature"] = "s-call".into();
        let first = frames(&[
            gemini::candidate(json!([{"text": "Hm.", "thought": true}])),
            gemini::candidate(json!([{"text": "I look.", "thoughtSignature": "s-text"}])),
            gemini::candidate(json!([signed])),
            gemini::last(json!([call("Bern")]), "STOP"),
        ]);
        let second = frames(&[gemini::last(json!([{"text": "Snow."}]), "STOP")]);
        let stub = demanding(first, second, |asked| {
            let result = |said: &str| {
                let response = json!({"name": "weather", "content": said});
                json!({"functionResponse": {"name": "weather", "response": response}})
            };
            let call = |city: &str| json!({"name": "weather", "args": {"city": city}});
            asked.body["contents"]
                == json!([
                    {"role": "user", "parts": [{"text": "How is the weather?"}]},
                    {"role": "model", "parts": [
                        {"text": "I look.", "thoughtSignature": "s-text"},
                        {"functionCall": call("Oslo"), "thoughtSignature": "s-call"},
                        {"functionCall": call("Bern")},
                    ]},
                    {"role": "user", "parts": [result("snow in Oslo"), result("snow in Bern")]},
                ])
        })
        .await;
        let ((events, error), refused) = both(&stub, model).await;
        assert!(error.is_none(), "{error:?} {:#}", stub.asked()[1].body);
        assert_eq!(of_type(&events, "text").last().unwrap()["content"], "Snow.");
        assert!(
            refused.message().contains("refused the request"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn searches_that_claude_made_go_back_where_they_were() {
    let found =
        json!({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []});
    let mut search = claude::tool_use(0, "srvtoolu_1", "web_search", &[r#"{"query": "Oslo"}"#]);
    search[0]["content_block"]["type"] = "server_tool_use".into();
    let first = claude::message(
        [
            search,
            vec![claude::start(1, found), claude::stop(1)],
            claude::tool_use(2, "toolu_1", "weather", &[r#"{"city": "Oslo"}"#]),
        ],
        "tool_use",
    );
    let second = claude::message([claude::text(0, &["Snow."])], "end_turn");
    let stub = demanding(first, second, |asked| {
        let blocks = asked.body["messages"][1]["content"].as_array().unwrap();
        let kinds: Vec<_> = blocks
            .iter()
            .map(|it| it["type"].as_str().unwrap())
            .collect();
        kinds == ["server_tool_use", "web_search_tool_result", "tool_use"]
            && blocks[0]["input"] == json!({"query": "Oslo"})
    })
    .await;
    let ((_, error), _) = both(&stub, CLAUDE).await;
    assert!(error.is_none(), "{error:?} {:#}", stub.asked()[1].body);
}

#[tokio::test]
async fn openrouter_gets_the_details_of_its_reasoning_back() {
    let chunk = |delta: Value, reason: Value| json!({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
    let detail = |detail: Value| chunk(json!({"reasoning_details": [detail]}), Value::Null);
    let call = json!({"index": 0, "id": "c1", "type": "function",
                      "function": {"name": "weather", "arguments": r#"{"city":"Oslo"}"#}});
    let done = |chunks: &[Value]| frames(chunks) + "data: [DONE]\n\n";
    let first = done(&[
        chunk(json!({"reasoning": "Hm."}), Value::Null),
        detail(json!({"type": "reasoning.text", "text": "H", "index": 0, "format": "f"})),
        detail(json!({"type": "reasoning.text", "text": "m.", "index": 0, "signature": "s"})),
        detail(json!({"type": "reasoning.encrypted", "data": "e", "index": 1})),
        detail(json!({"type": "other"})),
        chunk(
            json!({"content": "I look.", "tool_calls": [call]}),
            Value::Null,
        ),
        chunk(json!({}), json!("tool_calls")),
    ]);
    let second = done(&[
        chunk(json!({"content": "Snow."}), Value::Null),
        chunk(json!({}), json!("stop")),
    ]);
    let stub = demanding(first, second, |asked| {
        let turn = &asked.body["messages"][1];
        turn["reasoning_details"]
            == json!([
                {"type": "reasoning.text", "text": "Hm.", "index": 0, "format": "f", "signature": "s"},
                {"type": "reasoning.encrypted", "data": "e", "index": 1},
            ])
            && turn["content"] == "I look."
            && turn.get("reasoning_content").is_none()
    })
    .await;
    let ((events, error), refused) = both(&stub, "open_router::some/model").await;
    assert!(error.is_none(), "{error:?} {:#}", stub.asked()[1].body);
    assert_eq!(of_type(&events, "text").last().unwrap()["content"], "Snow.");
    assert!(
        refused.message().contains("refused the request"),
        "{refused}"
    );
}
