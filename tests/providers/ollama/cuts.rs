//! Recorded answers of Ollama, cut at every byte.

use serde_json::json;
use unbroken::{
    chat::{ChatEvent, Complete, FinishReason, ToolCall, Usage},
    provider::Ollama,
};

use super::{Step, answer, ok};
use crate::cut_short::{Recording, never_a_clean_success};

fn recordings() -> [Recording; 2] {
    let of = |name, body: &'static str, events| Recording {
        name,
        body: body.as_bytes(),
        whole_at: body.trim_end().len(),
        events,
    };
    [
        of(
            "thinking and text",
            include_str!("../recorded/ollama-thinking.ndjson"),
            vec![
                ChatEvent::thinking("Kurz"),
                ChatEvent::thinking("."),
                ChatEvent::text("Grü"),
                ChatEvent::text("ße 😀"),
                Complete::new().usage(Usage::new(26, 282)).into(),
            ],
        ),
        of(
            "tools",
            include_str!("../recorded/ollama-tools.ndjson"),
            vec![
                ChatEvent::tool_calls([
                    ToolCall::new("call_1", "weather", json!({"city": "Tōkyō"})),
                    ToolCall::new("call_o9xq", "now", json!({})),
                ]),
                Complete::new()
                    .finish_reason(FinishReason::ToolCalls)
                    .usage(Usage::new(165, 22))
                    .into(),
            ],
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
            Ollama::builder()
                .base_url(format!("http://{address}"))
                .model("m")
                .retries(0)
                .build()
                .unwrap()
        })
        .await;
    }
}
