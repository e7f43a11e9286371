use std::collections::VecDeque;

use super::{
    failure,
    wire::{CallDelta, Chunk, Delta},
};
use crate::chat::{ChatEvent, Complete, FinishReason, ProviderError, ToolCall, Usage};

// Models ask for a handful of tools at once.
const MAX_CALLS: usize = 256;

/// What the server has said so far of one answer. No I/O and no clock.
#[derive(Debug)]
pub(super) struct Turn {
    calls: Vec<PartialCall>,
    call_bytes: usize,
    max_call_bytes: usize,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    done: bool,
}

#[derive(Debug)]
struct PartialCall {
    index: Option<u32>,
    id: String,
    name: String,
    arguments: String,
}

impl Turn {
    pub(super) fn new(max_call_bytes: usize) -> Self {
        Self {
            calls: Vec::new(),
            call_bytes: 0,
            max_call_bytes,
            finish: None,
            usage: None,
            done: false,
        }
    }

    /// Whether the server said that this was all.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Takes the data of one server-sent event.
    pub(super) fn take(
        &mut self,
        data: &str,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let data = data.trim();
        if data == "[DONE]" {
            self.done = true;
            return Ok(());
        }
        if data.is_empty() {
            return Ok(());
        }
        let chunk: Chunk = serde_json::from_str(data).map_err(failure::garbled)?;
        if let Some(error) = &chunk.error {
            return Err(failure::refused(None, failure::code_of_error(error), None));
        }
        if chunk.object.as_deref() == Some("error") {
            let error = serde_json::json!({ "code": chunk.code });
            return Err(failure::refused(None, failure::code_of_error(&error), None));
        }
        if let Some(counts) = chunk.usage {
            self.usage = Some(counts.into());
        }
        for choice in chunk.choices.into_iter().flatten() {
            // We ask for one; a server that gives more has them interleaved.
            if choice.index != 0 {
                continue;
            }
            if let Some(delta) = choice.delta {
                self.delta(delta, out)?;
            }
            if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
                self.finish(&reason)?;
            }
        }
        Ok(())
    }

    /// The stream is over, `[DONE]` or not: gives what is still to be said, or says that the answer
    /// was cut.
    pub(super) fn end(&mut self, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        if self.finish.is_none() && !self.done {
            return Err(ProviderError::cut());
        }
        let mut reason = self.finish.take().unwrap_or_default();
        if !self.calls.is_empty() {
            // Some servers say `stop` all the same.
            if reason == FinishReason::Stop {
                reason = FinishReason::ToolCalls;
            }
            let calls = self.calls.drain(..).enumerate();
            out.push_back(ChatEvent::tool_calls(
                calls.map(|(at, call)| call.whole(at)),
            ));
        }
        let mut complete = Complete::new().with_finish_reason(reason);
        complete.usage = self.usage.take();
        out.push_back(complete.into());
        Ok(())
    }

    fn delta(&mut self, delta: Delta, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        let said = |text: &String| !text.is_empty();
        // Where a server sends both names of the reasoning, they say the same.
        let thinking = delta.reasoning_content.filter(said);
        if let Some(thinking) = thinking.or(delta.reasoning.filter(said)) {
            out.push_back(ChatEvent::thinking(thinking));
        }
        for text in [delta.content, delta.refusal].into_iter().flatten() {
            if said(&text) {
                out.push_back(ChatEvent::text(text));
            }
        }
        for call in delta.tool_calls.into_iter().flatten() {
            self.call(call)?;
        }
        Ok(())
    }

    fn finish(&mut self, reason: &str) -> Result<(), ProviderError> {
        self.finish = Some(match reason {
            "error" => return Err(failure::refused(None, None, None)),
            "function_call" => FinishReason::ToolCalls,
            reason => FinishReason::from(reason),
        });
        Ok(())
    }

    fn call(&mut self, delta: CallDelta) -> Result<(), ProviderError> {
        let id = delta.id.filter(|id| !id.is_empty());
        let (name, arguments) = match delta.function {
            Some(function) => (function.name, function.arguments),
            None => (None, None),
        };
        let name = name.unwrap_or_default();
        let arguments = arguments.unwrap_or_default();
        let id_bytes = id.as_ref().map_or(0, String::len);
        self.call_bytes += id_bytes + name.len() + arguments.len();
        if self.call_bytes > self.max_call_bytes {
            return Err(failure::too_long());
        }
        let at = self.slot(delta.index, id.as_deref())?;
        let call = &mut self.calls[at];
        if let Some(id) = id {
            call.id = id;
        }
        // Some servers repeat the name with every piece.
        if call.name.is_empty() {
            call.name = name;
        }
        call.arguments.push_str(&arguments);
        Ok(())
    }

    // Which call a piece belongs to. Servers that leave out the index, or give every call the index
    // 0, tell calls apart by their ids.
    fn slot(&mut self, index: Option<u32>, id: Option<&str>) -> Result<usize, ProviderError> {
        let same_id = |call: &PartialCall| match id {
            Some(id) => call.id.is_empty() || call.id == id,
            None => true,
        };
        let found = match index {
            Some(_) => self.calls.iter().rposition(|call| call.index == index),
            None => self.calls.len().checked_sub(1),
        };
        if let Some(at) = found.filter(|at| same_id(&self.calls[*at])) {
            return Ok(at);
        }
        if self.calls.len() == MAX_CALLS {
            return Err(failure::too_long());
        }
        self.calls.push(PartialCall {
            index,
            id: String::new(),
            name: String::new(),
            arguments: String::new(),
        });
        Ok(self.calls.len() - 1)
    }
}

impl PartialCall {
    fn whole(self, at: usize) -> ToolCall {
        let id = if self.id.is_empty() {
            format!("call_{}", at + 1)
        } else {
            self.id
        };
        ToolCall::from_text(id, self.name, &self.arguments)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn calls(deltas: &[serde_json::Value]) -> Result<Vec<ToolCall>, ProviderError> {
        let (mut turn, mut out) = (Turn::new(1000), VecDeque::new());
        for delta in deltas {
            let chunk = json!({"choices": [{"delta": {"tool_calls": [delta]}}]});
            turn.take(&chunk.to_string(), &mut out)?;
        }
        turn.take("[DONE]", &mut out)?;
        turn.end(&mut out)?;
        match out.pop_front() {
            Some(ChatEvent::ToolCalls(event)) => Ok(event.calls),
            other => panic!("{other:?}"),
        }
    }

    fn piece(index: Option<u32>, id: Option<&str>, arguments: &str) -> serde_json::Value {
        json!({"index": index, "id": id, "function": {"name": "t", "arguments": arguments}})
    }

    #[test]
    fn pieces_of_several_calls_are_told_apart_by_index() {
        let found = calls(&[
            piece(Some(0), Some("a"), "[1"),
            piece(Some(1), Some("b"), "[2"),
            piece(Some(0), None, ",3]"),
            piece(Some(1), Some(""), ",4]"),
        ])
        .unwrap();
        assert_eq!(
            found,
            [
                ToolCall::new("a", "t", json!([1, 3])),
                ToolCall::new("b", "t", json!([2, 4])),
            ]
        );
    }

    #[test]
    fn pieces_without_a_useful_index_are_told_apart_by_id() {
        for index in [None, Some(0)] {
            let found = calls(&[
                piece(index, Some("a"), "[1"),
                piece(index, Some("a"), "]"),
                piece(index, Some("b"), "[2"),
                piece(index, None, "]"),
            ])
            .unwrap();
            let arguments: Vec<_> = found.iter().map(|call| call.arguments.clone()).collect();
            assert_eq!(arguments, [json!([1]), json!([2])]);
        }
    }

    #[test]
    fn a_call_without_id_gets_one() {
        let found = calls(&[piece(Some(0), None, "")]).unwrap();
        assert_eq!(found, [ToolCall::new("call_1", "t", json!({}))]);
    }

    #[test]
    fn calls_without_end_are_stopped() {
        let long: Vec<_> = vec![piece(Some(0), Some("a"), &"x".repeat(90)); 12];
        assert!(calls(&long[..10]).is_ok());
        assert!(calls(&long).is_err());
        let many: Vec<_> = (0..257).map(|index| piece(Some(index), None, "")).collect();
        assert!(calls(&many[..256]).is_ok());
        assert!(calls(&many).is_err());
    }
}
