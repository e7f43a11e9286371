//! Tools between the two: the requests to the model's server, turn by turn.

use serde::Deserialize;
use tower::ServiceBuilder;
use unbroken::{
    provider::{Ollama, by_model},
    tools::{Call, ToolFailure, ToolLayer, Tools, tool_fn},
};

use super::*;
use crate::stub::{Step, done, finish, ok, refusal, serve_in_turn, text};

const VLLM: &[u8] = include_bytes!("../recorded/vllm.sse");
const OLLAMA: &[u8] = include_bytes!("../recorded/ollama-tools.ndjson");

#[derive(Deserialize, schemars::JsonSchema)]
struct City {
    city: String,
}

fn tools() -> ToolLayer {
    let weather = tool_fn("weather", "The weather.", async |city: City, _: Call| {
        Ok(format!("{} is sunny", city.city))
    });
    let now = tool_fn("now", "The time.", async |_: Value, _: Call| {
        Err::<String, _>(ToolFailure::new("the clock is broken").into())
    });
    ToolLayer::new(Tools::new().with(weather).with(now))
}

fn asking() -> Value {
    let mut request = hello();
    request["enabledTools"] = true.into();
    request
}

fn whole(body: &[u8]) -> Vec<Step> {
    vec![ok(), Step::Chunk(body.to_vec()), Step::End]
}

fn types(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_call_goes_round_by_chat_completions_and_each_turn_is_tried_again_by_itself() {
    let overloaded = || {
        vec![refusal(
            "503 Service Unavailable",
            "retry-after-ms: 1\r\n",
            "",
        )]
    };
    let answer = vec![ok(), text("Sun."), finish("stop"), done(), Step::End];
    let answers = vec![overloaded(), whole(VLLM), overloaded(), answer];
    let mut stub = serve_in_turn(answers).await;
    let model = OpenAi::builder()
        .base_url(stub.url("/v1"))
        .model("small")
        .retries(1)
        .build()
        .unwrap();
    let models = by_model().alias("default", "qwen", model);
    let chat = layer().layer(
        ServiceBuilder::new()
            .layer(tools())
            .concurrency_limit(1)
            .timeout(GUARD)
            .service(models),
    );
    let events = read(start(&chat, &asking()).await).await;
    let expected = [
        "session_info",
        "thinking",
        "tool_input",
        "tool_input",
        "tool_input",
        "tool_calls",
        "turn",
        "tool_result",
        "text",
        "turn",
        "complete",
    ];
    assert_eq!(types(&events), expected);
    assert_eq!(events[7]["content"], "Rio is sunny");

    let mut bodies = Vec::new();
    while let Ok(seen) = stub.requests.try_recv() {
        bodies.push(seen.body);
    }
    assert_eq!(bodies.len(), 4);
    let offered: Vec<_> = bodies[0]["tools"].as_array().unwrap().iter().collect();
    assert_eq!(offered[0]["function"]["name"], "weather");
    assert_eq!(
        offered[0]["function"]["parameters"]["required"],
        json!(["city"])
    );
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(bodies[2], bodies[3]);
    assert_eq!(bodies[3]["model"], "qwen");
    assert_eq!(
        bodies[3]["messages"],
        json!([
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": null, "tool_calls": [{
                "id": "chatcmpl-tool-f0", "type": "function",
                "function": {"name": "weather", "arguments": "{\"city\":\"Rio\"}"}
            }]},
            {"role": "tool", "content": "Rio is sunny", "tool_call_id": "chatcmpl-tool-f0"},
        ])
    );
}

#[tokio::test]
async fn a_call_goes_round_by_ollamas_own_protocol() {
    let answer = br#"{"message":{"content":"Sun."},"done":true,"done_reason":"stop"}"#;
    let mut stub = serve_in_turn(vec![whole(OLLAMA), whole(answer)]).await;
    let model = Ollama::builder()
        .base_url(stub.url(""))
        .model("small")
        .build()
        .unwrap();
    let chat = layer().layer(ServiceBuilder::new().layer(tools()).service(model));
    let events = read(start(&chat, &asking()).await).await;
    assert_eq!(
        outcomes(&events),
        ["tool_calls", "tool_error", "tool_result"]
    );
    assert_eq!(end(&events)["type"], "complete");

    stub.requests.try_recv().unwrap();
    let second = stub.requests.try_recv().unwrap().body;
    assert_eq!(
        second["messages"],
        json!([
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "", "tool_calls": [
                {"id": "call_1", "function": {"name": "weather", "arguments": {"city": "Tōkyō"}}},
                {"id": "call_o9xq", "function": {"name": "now", "arguments": {}}},
            ]},
            {"role": "tool", "content": "Tōkyō is sunny", "tool_call_id": "call_1", "tool_name": "weather"},
            {"role": "tool", "content": "Error: the clock is broken", "tool_call_id": "call_o9xq", "tool_name": "now"},
        ])
    );
}

// Returns the outcomes of the calls, sorted.
fn outcomes(events: &[Value]) -> Vec<&str> {
    let mut types = types(events);
    types.retain(|kind| kind.starts_with("tool_"));
    types.sort_unstable();
    types
}
