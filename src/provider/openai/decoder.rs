use super::turn::OpenAiTurn;
use crate::provider::http::{CallIds, SseDecoder};

/// Decodes a body of server-sent events, each with a chunk of the answer.
pub(super) type OpenAiDecoder = SseDecoder<OpenAiTurn>;

/// Creates a decoder. `sound_format` is the one that the request asks for.
pub(super) fn decoder(
    ids: CallIds,
    max_bytes: usize,
    think_tags: bool,
    sound_format: Option<String>,
) -> OpenAiDecoder {
    let turn = OpenAiTurn::new(ids, max_bytes, think_tags, sound_format);
    SseDecoder::new(turn, max_bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use serde_json::Value;

    use super::*;
    use crate::provider::http::{
        Decode,
        fuzz::{Grammar, Rule, fuzz, fuzz_grammar, shapes},
    };

    use Rule::{Count, Json, List, Object, Text};

    const GRAMMAR: Grammar = Grammar {
        frame: ("data: ", "\n\n"),
        between: &[
            "data: [DONE]\n\n",
            ": ping\n\n",
            "event: ping\n",
            "\n",
            "data: ping\n\n",
        ],
        messages: &["chunk", "chunk", "chunk", "completion"],
        ends: &[
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":"3"}}"#,
        ],
        rules: &[
            (
                "chunk",
                Object(&[
                    "id",
                    "object",
                    "choices",
                    "usage",
                    "model",
                    "citations",
                    "x_groq",
                    "more",
                ]),
            ),
            (
                "completion",
                Object(&[
                    "id", "choices", "usage", "error", "detail", "status", "type", "message",
                ]),
            ),
            (
                "object",
                Text(&[
                    "chat.completion.chunk",
                    "chat.completion",
                    "text_completion",
                ]),
            ),
            ("id", Text(&["1", "call_1", "", "x"])),
            ("model", Text(&["m"])),
            ("choices", List("choice")),
            (
                "choice",
                Object(&[
                    "index",
                    "delta",
                    "delta",
                    "text",
                    "finish_reason",
                    "native_finish_reason",
                    "logprobs",
                ]),
            ),
            ("index", Json(&["0", "0", "0", "1", "\"0\""])),
            (
                "delta",
                Object(&[
                    "role",
                    "content",
                    "refusal",
                    "reasoning_content",
                    "reasoning",
                    "tool_calls",
                    "function_call",
                    "images",
                    "audio",
                    "annotations",
                    "reasoning_details",
                    "extra_content",
                ]),
            ),
            ("role", Text(&["assistant"])),
            (
                "content",
                Json(&[
                    "\"Hi\"",
                    "\"<think>\"",
                    "\"\\ud83d\"",
                    "null",
                    "[{\"type\":\"text\",\"text\":\"a\"}]",
                ]),
            ),
            ("text", Text(&["Hi", ""])),
            ("refusal", Json(&["null", "\"No.\""])),
            ("reasoning_content", Json(&["null", "\"Hm\""])),
            ("reasoning", Json(&["null", "\"Hm\""])),
            ("tool_calls", List("call")),
            (
                "call",
                Object(&["index", "id", "function", "function", "extra_content"]),
            ),
            ("function", Object(&["name", "arguments", "arguments"])),
            ("function_call", Object(&["name", "arguments"])),
            ("name", Text(&["t", "u"])),
            (
                "arguments",
                Json(&[
                    "\"{\"",
                    "\"}\"",
                    "\"{}\"",
                    "{\"a\":1}",
                    "\"\"",
                    "\"{\\\"a\\\":\"",
                ]),
            ),
            (
                "finish_reason",
                Json(&[
                    "null",
                    "null",
                    "null",
                    "\"stop\"",
                    "\"length\"",
                    "\"error\"",
                ]),
            ),
            (
                "native_finish_reason",
                Json(&[
                    "null",
                    "\"STOP\"",
                    "\"MAX_TOKENS\"",
                    "\"MALFORMED_FUNCTION_CALL\"",
                ]),
            ),
            (
                "usage",
                Object(&[
                    "prompt_tokens",
                    "completion_tokens",
                    "prompt_tokens_details",
                ]),
            ),
            ("prompt_tokens", Count),
            ("completion_tokens", Count),
            ("error", Object(&["code", "type", "message"])),
            ("x_groq", Object(&["id", "usage", "more"])),
            ("code", Json(&["429", "\"rate_limit_exceeded\"", "null"])),
            ("message", Text(&["Sekret words"])),
            (
                "annotations",
                Json(&["[{\"type\":\"url_citation\",\"url\":\"https://a.b\"}]"]),
            ),
            ("citations", Json(&["[\"https://a.b\"]"])),
        ],
    };

    const SHAPES: &str = include_str!("../../../tests/providers/recorded/shapes.txt");

    fn verdict<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Value {
        let mut decoder = decoder(CallIds::after(&[]), 10_000, false, None);
        let mut events = VecDeque::new();
        let mut failed = false;
        for piece in pieces {
            failed = decoder.push(piece, &mut events).is_err();
            if failed || decoder.is_done() {
                break;
            }
        }
        failed = failed || decoder.end(&mut events).is_err();
        let events = events.iter();
        let events = events.map(|event| serde_json::from_slice(&event.to_json()).unwrap());
        shapes::verdict(events, failed)
    }

    #[test]
    fn every_shape_has_its_verdict_wherever_its_bytes_are_split() {
        for shape in shapes::shapes(SHAPES, shapes::ROLE) {
            for at in 0..=shape.bytes.len() {
                let (head, tail) = shape.bytes.split_at(at);
                assert_eq!(verdict([head, tail]), shape.verdict, "{}", shape.name);
            }
        }
    }

    #[test]
    fn a_shape_that_is_cut_at_any_byte_is_no_other_success() {
        let without_usage = |mut verdict: Value| {
            verdict.as_object_mut().unwrap().remove("usage");
            verdict
        };
        for shape in shapes::shapes(SHAPES, shapes::ROLE) {
            let whole = without_usage(shape.verdict);
            let (mut cut, mut ended) = (0, 0);
            for at in 0..shape.bytes.len() {
                let found = without_usage(verdict([&shape.bytes[..at]]));
                if found.get("error").is_some() {
                    cut += 1;
                } else {
                    ended += 1;
                    assert_eq!(found, whole, "{} cut at {at}", shape.name);
                }
            }
            assert!(cut > 10, "{}: {cut} {ended}", shape.name);
        }
    }

    #[test]
    fn any_bytes_give_an_answer_or_an_error() {
        const SEEDS: [&[u8]; 7] = [
            include_bytes!("../../../tests/providers/recorded/openai-text.sse"),
            include_bytes!("../../../tests/providers/recorded/openai-tools.sse"),
            include_bytes!("../../../tests/providers/recorded/llama-cpp.sse"),
            include_bytes!("../../../tests/providers/recorded/vllm.sse"),
            include_bytes!("../../../tests/providers/recorded/ollama-v1.sse"),
            include_bytes!("../../../tests/providers/recorded/odd.sse"),
            include_bytes!("../../../tests/providers/recorded/media.sse"),
        ];
        fuzz(&SEEDS, |max| {
            let format = (max % 5 == 0).then(|| "pcm16".to_owned());
            let ids = CallIds::after(&[]);
            Box::new(decoder(ids, max, max % 3 == 0, format))
        });
    }

    #[test]
    fn any_bytes_give_an_answer_or_an_error_also_as_odd_json() {
        fuzz_grammar(&GRAMMAR, |max| {
            let ids = CallIds::after(&[]);
            Box::new(decoder(ids, max, max % 3 == 0, None))
        });
    }
}
