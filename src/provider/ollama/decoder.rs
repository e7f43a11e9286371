use std::collections::VecDeque;

use serde_json::Value;

use super::wire::{OllamaCall, OllamaLine};
use crate::{
    chat::{ChatEvent, Complete, FinishReason, ProviderError, ToolCall, Usage},
    provider::http::{CallIds, Decode, Lines, code_of_error, refused, too_long, unreadable},
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
    calls: Vec<ToolCall>,
    call_bytes: usize,
    max_call_bytes: usize,
    end: Option<Complete>,
}

impl OllamaDecoder {
    pub(super) fn new(ids: CallIds, max_bytes: usize) -> Self {
        Self {
            lines: Lines::new(max_bytes),
            turn: OllamaTurn {
                ids,
                calls: Vec::new(),
                call_bytes: 0,
                max_call_bytes: max_bytes,
                end: None,
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

    fn end(&mut self, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        // The last line may lack its end. An incomplete line is ignored.
        let rest = self.lines.rest();
        if serde_json::from_slice::<OllamaLine>(&rest).is_ok() {
            self.turn.take(&rest, out)?;
        }
        let complete = self.turn.end.take().ok_or_else(ProviderError::cut)?;
        if !self.turn.calls.is_empty() {
            out.push_back(ChatEvent::tool_calls(self.turn.calls.drain(..)));
        }
        out.push_back(complete.into());
        Ok(())
    }
}

impl OllamaTurn {
    // Returns true if the line is a message.
    fn take(&mut self, line: &[u8], out: &mut VecDeque<ChatEvent>) -> Result<bool, ProviderError> {
        let text = line.trim_ascii();
        if text.is_empty() || self.end.is_some() {
            return Ok(false);
        }
        let line: OllamaLine = serde_json::from_slice(text).map_err(unreadable)?;
        if let Some(error) = &line.error {
            return Err(refused(None, code_of_error(error), None));
        }
        if let Some(said) = line.message {
            let piece = |text: &String| !text.is_empty();
            out.extend(said.thinking.filter(piece).map(ChatEvent::thinking));
            out.extend(said.content.filter(piece).map(ChatEvent::text));
            let calls = said.tool_calls.filter(|calls| !calls.is_empty());
            if let Some(calls) = calls {
                self.call_bytes += text.len();
                self.calls
                    .extend(calls.into_iter().map(|call| whole(call, &mut self.ids)));
                if self.call_bytes > self.max_call_bytes || self.calls.len() > MAX_CALLS {
                    return Err(too_long());
                }
            }
        }
        if line.done == Some(true) {
            let reason = match line.done_reason.as_deref() {
                // `load` and `unload` answer requests without messages.
                None | Some("" | "stop" | "load" | "unload") => FinishReason::Stop,
                Some(reason) => FinishReason::from(reason),
            };
            let reason = match reason {
                FinishReason::Stop if !self.calls.is_empty() => FinishReason::ToolCalls,
                reason => reason,
            };
            let mut complete = Complete::new().finish_reason(reason);
            complete.usage = match (line.prompt_eval_count, line.eval_count) {
                (None, None) => None,
                // The first is absent if the whole prompt was in the cache.
                (input, output) => Some(Usage::new(input.unwrap_or(0), output.unwrap_or(0))),
            };
            self.end = Some(complete);
        }
        Ok(true)
    }
}

fn whole(call: OllamaCall, ids: &mut CallIds) -> ToolCall {
    let id = ids.next(call.id.unwrap_or_default());
    let name = call.function.name.unwrap_or_default();
    match call.function.arguments {
        Some(Value::String(text)) => ToolCall::from_text(id, name, &text),
        None | Some(Value::Null) => ToolCall::from_text(id, name, ""),
        Some(arguments) => ToolCall::new(id, name, arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::http::fuzz::fuzz;

    #[test]
    fn any_bytes_give_an_answer_or_an_error() {
        const SEEDS: [&[u8]; 2] = [
            include_bytes!("../../../tests/providers/recorded/ollama-thinking.ndjson"),
            include_bytes!("../../../tests/providers/recorded/ollama-tools.ndjson"),
        ];
        fuzz(&SEEDS, |max| {
            Box::new(OllamaDecoder::new(CallIds::after(&[]), max))
        });
    }
}
