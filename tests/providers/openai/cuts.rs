//! Recorded answers of servers, cut at every byte.

use serde_json::json;
use unbroken::{
    chat::{ChatEvent, Complete, FinishReason, ToolCall, ToolInput, Usage},
    provider::OpenAi,
};

use super::{Step, answer, ok};
use crate::cut_short::{Recording, never_a_clean_success};

fn complete(reason: FinishReason, usage: Usage) -> ChatEvent {
    let complete = Complete::new().finish_reason(reason);
    complete.usage(usage).into()
}

/// The end of an answer with calls, before which their arguments came in these pieces: id, name, delta.
fn calls(
    usage: Usage,
    pieces: &[(&str, &str, &str)],
    calls: impl IntoIterator<Item = ToolCall>,
) -> Vec<ChatEvent> {
    let pieces = pieces.iter().map(|(id, name, delta)| {
        let mut input = ToolInput::new(*id, *delta);
        input.name = Some((*name).to_owned()).filter(|name| !name.is_empty());
        input.into()
    });
    let end = [
        ChatEvent::tool_calls(calls),
        complete(FinishReason::ToolCalls, usage),
    ];
    pieces.chain(end).collect()
}

fn call(id: &str, name: &str, arguments: serde_json::Value) -> ToolCall {
    ToolCall::new(id, name, arguments)
}

#[expect(clippy::too_many_lines, reason = "a table of recordings")]
fn recordings() -> Vec<Recording> {
    let mut text = Usage::new(19, 10);
    text.cached_input_tokens = Some(0);
    text.reasoning_tokens = Some(0);
    let openai_tools = calls(
        Usage::new(81, 34),
        &[
            ("call_62136354", "weather", ""),
            ("call_62136354", "", r#"{"city":"#),
            ("call_62136354", "", r#""Köln"}"#),
            ("call_62136355", "now", "{}"),
        ],
        [
            call("call_62136354", "weather", json!({"city": "Köln"})),
            call("call_62136355", "now", json!({})),
        ],
    );
    let llama_cpp = calls(
        Usage::new(160, 21),
        &[
            ("Pz8kXKcV", "weather", "{"),
            ("Pz8kXKcV", "", r#""city":"Oslo"}"#),
        ],
        [call("Pz8kXKcV", "weather", json!({"city": "Oslo"}))],
    );
    let vllm = calls(
        Usage::new(170, 24),
        &[
            ("chatcmpl-tool-f0", "weather", ""),
            ("chatcmpl-tool-f0", "", r#"{"city": ""#),
            ("chatcmpl-tool-f0", "", r#"Rio"}"#),
        ],
        [call("chatcmpl-tool-f0", "weather", json!({"city": "Rio"}))],
    );
    let ollama = calls(
        Usage::new(166, 41),
        &[
            ("call_9zb2", "weather", r#"{"city":"Kraków"}"#),
            ("call_k1p0", "weather", r#"{"city":"Bern"}"#),
        ],
        [
            call("call_9zb2", "weather", json!({"city": "Kraków"})),
            call("call_k1p0", "weather", json!({"city": "Bern"})),
        ],
    );
    let odd = calls(
        Usage::new(3, 9),
        &[],
        [
            call("call_1", "weather", json!({"city": "Bonn"})),
            call("call_2", "now", json!({})),
            call("call_3", "weather", json!({"city": "}"})),
        ],
    );
    let of = |name, body: &'static str, events: Vec<ChatEvent>| {
        let finish = body.rfind("\"finish_reason\":\"").unwrap();
        let blank = body[finish..].find("\n\n").unwrap();
        Recording {
            name,
            body: body.as_bytes(),
            // The last event needs no empty line.
            whole_at: finish + blank,
            events,
        }
    };
    let after = |events: Vec<ChatEvent>, end: Vec<ChatEvent>| [events, end].concat();
    vec![
        of(
            "OpenAI's text",
            include_str!("../recorded/openai-text.sse"),
            vec![
                ChatEvent::text("Grü"),
                ChatEvent::text("ße 😀"),
                complete(FinishReason::Stop, text),
            ],
        ),
        of(
            "OpenAI's tools",
            include_str!("../recorded/openai-tools.sse"),
            openai_tools,
        ),
        of(
            "llama.cpp",
            include_str!("../recorded/llama-cpp.sse"),
            after(
                vec![ChatEvent::thinking("Weather?"), ChatEvent::text("Moment.")],
                llama_cpp,
            ),
        ),
        of(
            "vLLM",
            include_str!("../recorded/vllm.sse"),
            after(vec![ChatEvent::thinking("Hm")], vllm),
        ),
        of(
            "Ollama under /v1",
            include_str!("../recorded/ollama-v1.sse"),
            after(vec![ChatEvent::thinking("Both.")], ollama),
        ),
        of(
            "every oddity at once",
            include_str!("../recorded/odd.sse"),
            odd,
        ),
    ]
}

#[tokio::test]
async fn recorded_answers_are_understood() {
    for recording in recordings() {
        let steps = vec![ok(), Step::Chunk(recording.body.to_vec()), Step::End];
        let (events, error) = answer(steps).await;
        assert!(error.is_none(), "{}: {error:?}", recording.name);
        assert_eq!(events, recording.events, "{}", recording.name);
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_at_any_byte_is_no_clean_success() {
    for recording in recordings() {
        never_a_clean_success(&recording, |address| {
            OpenAi::builder()
                .base_url(format!("http://{address}/v1"))
                .model("m")
                .retries(0)
                .build()
                .unwrap()
        })
        .await;
    }
}

/// Some servers send the usage in every chunk. What a turn has cost is known, also where it is cut.
#[tokio::test]
async fn a_cut_turn_has_the_usage_that_its_server_told() {
    let chunk = json!({"choices": [{"index": 0, "delta": {"content": "Hel"}}],
                       "usage": {"prompt_tokens": 7, "completion_tokens": 1}});
    let body = format!("data: {chunk}\n\n");
    let (events, error) = answer(vec![ok(), Step::Chunk(body.into_bytes()), Step::End]).await;
    assert_eq!(events, [ChatEvent::text("Hel")]);
    assert_eq!(error.unwrap().usage(), Some(&Usage::new(7, 1)));
}
