use std::collections::VecDeque;

use serde_json::value::RawValue;

use super::wire::{self, OllamaLine};
use crate::{
    chat::{ChatEvent, Complete, FinishReason, ProviderError, ToolCall, TurnEnd, Usage},
    provider::http::{
        CallIds, Decode, Lines, Oddities, SaidText, is_model,
        json::{Kind, each_element, kind, string},
        refused, reported, too_long, too_many,
    },
};

// Models ask for a few tools at once.
const MAX_CALLS: usize = 256;

/// Decodes a body of JSON lines. No I/O and no clock.
#[derive(Debug)]
pub(super) struct OllamaDecoder {
    lines: Lines,
    turn: OllamaTurn,
}

#[derive(Debug)]
struct OllamaTurn {
    ids: CallIds,
    said: SaidText,
    calls: Vec<ToolCall>,
    call_bytes: usize,
    max_call_bytes: usize,
    end: Option<Complete>,
    model: Option<String>,
    odd: Oddities,
}

impl OllamaDecoder {
    pub(super) fn new(ids: CallIds, max_bytes: usize, think_tags: bool) -> Self {
        Self {
            lines: Lines::new(max_bytes),
            turn: OllamaTurn {
                ids,
                said: SaidText::new(think_tags),
                calls: Vec::new(),
                call_bytes: 0,
                max_call_bytes: max_bytes,
                end: None,
                model: None,
                odd: Oddities::default(),
            },
        }
    }
}

impl Decode for OllamaDecoder {
    fn push(&mut self, bytes: &[u8], out: &mut VecDeque<ChatEvent>) -> Result<bool, ProviderError> {
        let mut received = false;
        let turn = &mut self.turn;
        let pushed = self.lines.push(bytes, |line| {
            received |= turn.take(line, out)?;
            Ok(())
        });
        match pushed {
            Err(error) if !self.is_done() => Err(error),
            _ => Ok(received), // bytes after the end are ignored
        }
    }

    fn is_done(&self) -> bool {
        self.turn.end.is_some()
    }

    fn usage(&self) -> Option<Usage> {
        self.turn.end.as_ref()?.usage.clone()
    }

    fn end(&mut self, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        // The last line may lack its end. An incomplete line is ignored.
        let rest = self.lines.rest();
        if serde_json::from_str::<&RawValue>(&String::from_utf8_lossy(&rest)).is_ok() {
            self.turn.take(&rest, out)?;
        }
        self.turn.end(out)
    }
}

impl OllamaTurn {
    // Returns true if the line is a message.
    fn take(&mut self, line: &[u8], out: &mut VecDeque<ChatEvent>) -> Result<bool, ProviderError> {
        let line = String::from_utf8_lossy(line.trim_ascii());
        if line.is_empty() || self.end.is_some() {
            return Ok(false);
        }
        let read = OllamaLine::read(&line, &mut self.odd);
        let piece = read.as_ref().is_ok_and(|line| line.message.is_some());
        if let Some(error) = reported(&line, piece) {
            return Err(error);
        }
        let line = read?;
        if let Some(said) = line.message {
            if let Some(thinking) = said.thinking {
                self.said.thinking(thinking, &mut self.odd, out)?;
            }
            if let Some(content) = said.content {
                self.said.text(content, &mut self.odd, out)?;
            }
            if let Some(images) = said.images {
                self.said.pictures(images, out)?;
            }
            if let Some(calls) = said.tool_calls {
                self.take_calls(calls)?;
            }
        }
        if line.done {
            let reason = FinishReason::of_vendor(&line.done_reason.unwrap_or_default());
            if reason.is_failure() {
                return Err(refused(None, None, None));
            }
            let mut complete = Complete::new().finish_reason(reason);
            complete.usage = line.usage;
            let model = self.odd.read("model", line.model, string);
            self.model = model.filter(|it| is_model(it));
            self.end = Some(complete);
        }
        Ok(true)
    }

    fn take_calls(&mut self, calls: &RawValue) -> Result<(), ProviderError> {
        let mut take = |call: &RawValue| {
            self.call_bytes += call.get().len();
            if self.call_bytes > self.max_call_bytes {
                return Err(too_long(self.max_call_bytes));
            }
            if self.calls.len() == MAX_CALLS {
                return Err(too_many(MAX_CALLS));
            }
            match wire::call(call, &mut self.ids, &mut self.odd) {
                Some(call) => self.calls.push(call),
                None => self.odd.note("tool_calls"),
            }
            Ok(())
        };
        if kind(calls) == Kind::Object {
            return take(calls); // one call without its list
        }
        if !each_element(calls, take)? {
            self.odd.note("tool_calls");
        }
        Ok(())
    }

    fn end(&mut self, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        self.said.end(out);
        let mut complete = self.end.take().ok_or_else(ProviderError::cut)?;
        if !self.calls.is_empty() {
            let reason = &mut complete.finish_reason;
            if reason.is_whole() {
                // Ollama says `stop`.
                *reason = FinishReason::ToolCalls;
                out.push_back(ChatEvent::tool_calls(self.calls.drain(..)));
            } else {
                tracing::warn!(%reason, "the model's calls are dropped: its turn isn't whole");
            }
        }
        let mut turn = TurnEnd::new(complete.finish_reason.clone());
        turn.usage.clone_from(&complete.usage);
        turn.model = self.model.take();
        out.push_back(turn.into());
        out.push_back(complete.into());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::provider::http::fuzz::{Grammar, Rule, fuzz, fuzz_grammar, shapes};

    use Rule::{Count, Json, List, Object, Text};

    const GRAMMAR: Grammar = Grammar {
        frame: ("", "\n"),
        between: &["\n", "\r\n", "  \n"],
        messages: &["line", "line", "line", "completion"],
        ends: &[
            r#"{"message":{"content":""},"done":true,"done_reason":"stop"}"#,
            r#"{"done":1,"prompt_eval_count":"3"}"#,
        ],
        rules: &[
            (
                "line",
                Object(&["model", "message", "message", "done", "eval_count", "more"]),
            ),
            (
                "completion",
                Object(&[
                    "model",
                    "response",
                    "thinking",
                    "done",
                    "done_reason",
                    "error",
                ]),
            ),
            ("model", Text(&["m"])),
            (
                "message",
                Object(&["role", "content", "thinking", "tool_calls", "images"]),
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
            ("response", Text(&["Hi", ""])),
            ("thinking", Json(&["null", "\"Hm\""])),
            ("tool_calls", List("call")),
            ("call", Object(&["id", "function", "function"])),
            ("function", Object(&["name", "name", "arguments"])),
            ("id", Text(&["a", ""])),
            ("name", Text(&["t"])),
            ("arguments", Json(&["{}", "\"{}\"", "\"{\"", "null"])),
            ("done", Json(&["false", "false", "false", "true"])),
            ("done_reason", Text(&["stop", "length", "error", "load"])),
            ("eval_count", Count),
            ("error", Text(&["Sekret words"])),
        ],
    };

    const SHAPES: &str = include_str!("../../../tests/providers/recorded/shapes-ollama.txt");

    fn verdict<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Value {
        let mut decoder = OllamaDecoder::new(CallIds::after(&[]), 10_000, false);
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
    fn every_shape_has_its_verdict_wherever_its_bytes_are_split_or_cut() {
        for shape in shapes::shapes(SHAPES, "") {
            let mut cut = 0;
            for at in 0..=shape.bytes.len() {
                let (head, tail) = shape.bytes.split_at(at);
                assert_eq!(verdict([head, tail]), shape.verdict, "{}", shape.name);
                let found = verdict([head]);
                if found.get("error").is_some() {
                    cut += 1;
                } else {
                    assert_eq!(found, shape.verdict, "{} cut at {at}", shape.name);
                }
            }
            assert!(cut > 10, "{}", shape.name);
        }
    }

    #[test]
    fn arguments_of_any_depth_are_read_and_deep_ones_stay_text() {
        for depth in [1, 63, 64, 65, 100, 118, 122, 124, 127, 128, 130, 1000] {
            let lists = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            let line = format!(
                r#"{{"message":{{"tool_calls":[{{"function":{{"name":"t","arguments":{lists}}}}}]}},"done":true,"done_reason":"stop"}}"#
            );
            let mut decoder = OllamaDecoder::new(CallIds::after(&[]), 10_000, false);
            let mut events = VecDeque::new();
            decoder
                .push(format!("{line}\n").as_bytes(), &mut events)
                .unwrap();
            decoder.end(&mut events).unwrap();
            let Some(ChatEvent::ToolCalls(asked)) = events.pop_front() else {
                panic!("{events:?}")
            };
            let arguments = &asked.calls[0].arguments;
            if depth <= ToolCall::MAX_DEPTH {
                assert_eq!(arguments.to_string(), lists);
            } else {
                assert_eq!(arguments.as_str(), Some(&*lists));
            }
        }
    }

    #[test]
    fn any_bytes_give_an_answer_or_an_error() {
        const SEEDS: [&[u8]; 2] = [
            include_bytes!("../../../tests/providers/recorded/ollama-thinking.ndjson"),
            include_bytes!("../../../tests/providers/recorded/ollama-tools.ndjson"),
        ];
        fuzz(&SEEDS, |max| {
            Box::new(OllamaDecoder::new(CallIds::after(&[]), max, max % 3 == 0))
        });
    }

    #[test]
    fn any_bytes_give_an_answer_or_an_error_also_as_odd_json() {
        fuzz_grammar(&GRAMMAR, |max| {
            Box::new(OllamaDecoder::new(CallIds::after(&[]), max, max % 3 == 0))
        });
    }
}
