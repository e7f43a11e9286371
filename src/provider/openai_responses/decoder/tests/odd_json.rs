//! Answers of the protocol's own words, with other values than they have.

use super::*;
use crate::provider::http::fuzz::{
    Grammar,
    Rule::{Count, Json, List, Object, Text},
    fuzz_grammar,
};

const GRAMMAR: Grammar = Grammar {
    frame: ("data: ", "\n\n"),
    between: &[
        "data: [DONE]\n\n",
        ": ping\n\n",
        "event: response.output_text.delta\n",
        "\n",
        "data: ping\n\n",
    ],
    messages: &["event", "event", "event", "lifecycle"],
    ends: &[
        r#"{"type":"response.completed","response":{"id":"r","status":"completed","output":[]}}"#,
        r#"{"type":"response.incomplete","response":{"incomplete_details":{"reason":"max_output_tokens"}}}"#,
        r#"{"type":"response.done","response":{"id":"r","status":"completed","usage":{"input_tokens":"3"}}}"#,
    ],
    rules: &[
        (
            "event",
            Object(&[
                "type",
                "sequence_number",
                "output_index",
                "item_id",
                "content_index",
                "summary_index",
                "delta",
                "text",
                "arguments",
                "item",
                "item",
                "annotation",
                "more",
            ]),
        ),
        (
            "lifecycle",
            Object(&[
                "type=lifecycle_type",
                "type=lifecycle_type",
                "response",
                "response",
            ]),
        ),
        (
            "type",
            Text(&[
                "response.output_text.delta",
                "response.output_text.done",
                "response.refusal.delta",
                "response.reasoning_summary_text.delta",
                "response.reasoning_text.delta",
                "response.output_text.annotation.added",
                "response.function_call_arguments.delta",
                "response.function_call_arguments.done",
                "response.output_item.added",
                "response.output_item.added",
                "response.output_item.done",
                "response.output_item.done",
                "response.unheard_of",
            ]),
        ),
        (
            "lifecycle_type",
            Text(&[
                "response.created",
                "response.in_progress",
                "response.completed",
                "response.done",
            ]),
        ),
        (
            "item_type",
            Text(&[
                "message",
                "message",
                "reasoning",
                "function_call",
                "web_search_call",
                "image_generation_call",
            ]),
        ),
        (
            "response",
            Object(&[
                "id",
                "model",
                "status",
                "output",
                "output",
                "usage",
                "incomplete_details",
                "error",
            ]),
        ),
        ("id", Text(&["a", "b", ""])),
        ("item_id", Text(&["a", "b", ""])),
        ("model", Text(&["m"])),
        (
            "status",
            Text(&[
                "completed",
                "completed",
                "in_progress",
                "incomplete",
                "failed",
            ]),
        ),
        ("output", List("item")),
        (
            "item",
            Object(&[
                "id",
                "type=item_type",
                "type=item_type",
                "status",
                "content",
                "summary",
                "call_id",
                "name",
                "arguments",
                "encrypted_content",
                "result",
            ]),
        ),
        ("content", List("part")),
        ("summary", List("part")),
        (
            "part",
            Json(&[
                r#"{"type":"output_text","text":"Hi","annotations":[]}"#,
                r#"{"type":"summary_text","text":"Hm"}"#,
                r#"{"type":"refusal","refusal":"\ud83d"}"#,
            ]),
        ),
        ("delta", Json(&["\"Hi\"", "\"\\ud83d\"", "\"{\"", "\"}\""])),
        ("text", Json(&["\"Hi\"", "\"Hi there\"", "null"])),
        ("arguments", Json(&["\"{}\"", "\"{\"", "{\"a\":1}"])),
        ("call_id", Text(&["c", "d", ""])),
        ("name", Text(&["t"])),
        (
            "annotation",
            Json(&[r#"{"type":"url_citation","url":"https://a.b"}"#]),
        ),
        ("sequence_number", Count),
        ("output_index", Count),
        ("content_index", Count),
        ("summary_index", Count),
        ("usage", Object(&["input_tokens", "output_tokens"])),
        ("input_tokens", Count),
        ("output_tokens", Count),
        (
            "incomplete_details",
            Json(&[
                "null",
                "null",
                r#"{"reason":"max_output_tokens"}"#,
                r#"{"reason":"server_error"}"#,
            ]),
        ),
        (
            "error",
            Json(&[
                "null",
                "null",
                r#"{"code":"server_error","message":"Sekret"}"#,
            ]),
        ),
    ],
};

#[test]
fn any_bytes_give_an_answer_or_an_error_also_as_odd_json() {
    fuzz_grammar(&GRAMMAR, |max| {
        let turn = ResponsesTurn::new(CallIds::after(&[]), max, max % 3 == 0, max % 2 == 0);
        Box::new(SharedTurn::new(turn).decoder(max))
    });
}
