//! The table of the README of what is refused, cell by cell.

use serde_json::{Value, json};
use unbroken::chat::{
    ChatOptions, ChatRequest, Content, Media, Message, ReasoningEffort, ResponseFormat, ToolCall,
    ToolChoice,
};

use crate::{
    claude::CLAUDE,
    gemini::GEMINI,
    requests::{GPT, sent, with},
    responses::GPT_5,
};

const OLLAMA: &str = "ollama::qwen3";
/// The columns of the table.
const MODELS: [&str; 5] = [CLAUDE, GEMINI, GPT, GPT_5, OLLAMA];

/// What a cell says: the place in the body where the server reads it, a name in the error, or that it is fine to
/// send nothing.
enum Cell {
    Sent(&'static str),
    Refused,
    Taken,
}

use Cell::{Refused, Sent, Taken};

async fn row(name: &str, request: ChatRequest, cells: [Cell; 5]) {
    for (model, cell) in MODELS.into_iter().zip(cells) {
        let sent = sent(model, &request).await;
        match (cell, sent) {
            (Sent(place), Ok(body)) => {
                assert!(
                    body.pointer(place).is_some(),
                    "{name}, {model}: {place} in {body:#}"
                );
            }
            (Refused, Err(error)) => assert!(error.contains(name), "{name}, {model}: {error}"),
            (Taken, Ok(_)) => {}
            (_, sent) => panic!("{name}, {model}: {sent:?}"),
        }
    }
}

fn none() -> ChatOptions {
    ChatOptions::new()
}

#[tokio::test]
async fn options_are_sent_or_refused_as_the_table_says() {
    row(
        "seed",
        with(none().seed(7)),
        [
            Refused,
            Sent("/generationConfig/seed"),
            Sent("/seed"),
            Refused,
            Refused,
        ],
    )
    .await;
    row(
        "seed",
        with(none().seed(-7)),
        [Refused, Refused, Refused, Refused, Refused],
    )
    .await;
    let choice = with(none().tool_choice(ToolChoice::Required));
    row(
        "toolChoice",
        choice,
        [
            Sent("/tool_choice/type"),
            Sent("/toolConfig/functionCallingConfig/mode"),
            Sent("/tool_choice"),
            Sent("/tool_choice"),
            Refused,
        ],
    )
    .await;
    row(
        "parallelToolCalls",
        with(none().parallel_tool_calls(true)),
        [Taken, Taken, Taken, Taken, Taken],
    )
    .await;
    row(
        "parallelToolCalls",
        with(none().parallel_tool_calls(false)),
        [
            Sent("/tool_choice/disable_parallel_tool_use"),
            Refused,
            Sent("/parallel_tool_calls"),
            Sent("/parallel_tool_calls"),
            Refused,
        ],
    )
    .await;
    let effort = |effort| with(none().reasoning_effort(effort));
    row(
        "reasoning.effort",
        effort(ReasoningEffort::Low),
        [
            Sent("/thinking"),
            Sent("/generationConfig/thinkingConfig"),
            Sent("/reasoning_effort"),
            Sent("/reasoning/effort"),
            Refused,
        ],
    )
    .await;
    row(
        "reasoning.effort",
        effort(ReasoningEffort::Minimal),
        [
            Refused,
            Refused,
            Sent("/reasoning_effort"),
            Sent("/reasoning/effort"),
            Refused,
        ],
    )
    .await;
    // As the model has them.
    let minimal = sent("gemini-3-pro", &effort(ReasoningEffort::Minimal)).await;
    let level = minimal.unwrap()["generationConfig"]["thinkingConfig"]["thinkingLevel"].take();
    assert_eq!(level, "MINIMAL");
    let none = sent(GEMINI, &effort(ReasoningEffort::None)).await.unwrap();
    assert_eq!(
        none["generationConfig"]["thinkingConfig"]["thinkingBudget"],
        0
    );
    let error = sent("gemini-3-pro", &effort(ReasoningEffort::None)).await;
    assert!(error.unwrap_err().contains("`reasoning.effort`"));
    row(
        "reasoning.effort",
        effort(ReasoningEffort::Xhigh),
        [
            Taken,
            Refused,
            Sent("/reasoning_effort"),
            Sent("/reasoning/effort"),
            Refused,
        ],
    )
    .await;
}

#[tokio::test]
async fn formats_are_sent_or_refused_as_the_table_says() {
    let schema = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let format = ResponseFormat::json_schema("answer", schema);
    row(
        "responseFormat",
        with(none().response_format(format.clone())),
        [
            Sent("/output_config/format/schema"),
            Sent("/generationConfig/responseJsonSchema"),
            Sent("/response_format/json_schema"),
            Sent("/text/format/schema"),
            Refused,
        ],
    )
    .await;
    let mut loose = serde_json::to_value(&format).unwrap();
    loose["strict"] = false.into();
    let loose: ResponseFormat = serde_json::from_value(loose).unwrap();
    row(
        "responseFormat",
        with(none().response_format(loose)),
        [Refused, Refused, Refused, Refused, Refused],
    )
    .await;
    let object = with(none().response_format(ResponseFormat::JsonObject));
    row(
        "responseFormat",
        object,
        [
            Refused,
            Refused,
            Sent("/response_format/type"),
            Refused,
            Refused,
        ],
    )
    .await;
}

#[tokio::test]
async fn provider_fields_are_sent_or_refused_as_the_table_says() {
    let field = |name: &str, value: Value| with(none().provider_field(name, value));
    row(
        "providerFields.service_tier",
        field("service_tier", json!("auto")),
        [
            Sent("/service_tier"),
            Sent("/service_tier"),
            Sent("/service_tier"),
            Sent("/service_tier"),
            Refused,
        ],
    )
    .await;
    row(
        "providerFields.top_k",
        field("top_k", json!(40)),
        [
            Sent("/top_k"),
            Sent("/generationConfig/topK"),
            Sent("/top_k"),
            Refused,
            Refused,
        ],
    )
    .await;
    for (name, place, of_gemini) in [
        (
            "presence_penalty",
            "/presence_penalty",
            "/generationConfig/presencePenalty",
        ),
        (
            "frequency_penalty",
            "/frequency_penalty",
            "/generationConfig/frequencyPenalty",
        ),
    ] {
        row(
            &format!("providerFields.{name}"),
            field(name, json!(0.5)),
            [Refused, Sent(of_gemini), Sent(place), Refused, Refused],
        )
        .await;
    }
}

#[tokio::test]
async fn media_are_sent_or_refused_as_the_table_says() {
    let ask = |media: Media| ChatRequest::from_user(Content::new().text("What?").media(media));
    let each = |data: [bool; 5]| data.map(|takes| if takes { Taken } else { Refused });
    for (media, takes) in [
        (
            Media::new("image/png", b"png"),
            [true, true, true, true, true],
        ),
        (
            Media::link("image/png", "https://a.b/c.png"),
            [true, true, true, false, false],
        ),
        (
            Media::new("application/pdf", b"pdf"),
            [true, true, true, false, false],
        ),
        (
            Media::link("application/pdf", "https://a.b/c.pdf"),
            [true, true, false, false, false],
        ),
        (
            Media::new("text/plain", b"text"),
            [true, true, true, false, false],
        ),
        (
            Media::new("audio/wav", b"wav"),
            [false, true, true, false, false],
        ),
        (
            Media::link("audio/wav", "https://a.b/c.wav"),
            [false, true, false, false, false],
        ),
        (
            Media::new("video/mp4", b"mp4"),
            [false, true, false, false, false],
        ),
        (
            Media::link("image/*", "https://a.b/c"),
            [true, false, true, false, false],
        ),
    ] {
        let name = media.media_type.clone();
        row(&name, ask(media), each(takes)).await;
    }
    let picture = Media::new("image/png", b"png");
    let call = ToolCall::new("c1", "photo", json!({}));
    let shot = ChatRequest::new([
        Message::user("Shoot."),
        Message::assistant("").tool_calls([call]),
        Message::tool("c1", Content::new().text("Done.").media(picture.clone())),
    ]);
    row(
        "role `tool`",
        shot,
        each([true, false, false, false, false]),
    )
    .await;
    let drawn = ChatRequest::new([
        Message::user("Draw."),
        Message::assistant(Content::new().text("There.").media(picture)),
        Message::user("Again."),
    ]);
    row("role `assistant`", drawn, each([false; 5])).await;
}
