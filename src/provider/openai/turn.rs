use std::collections::VecDeque;

use super::{
    calls::Calls,
    wire::{CompletionChunk, Delta},
};
use crate::{
    chat::{ChatEvent, Complete, FinishReason, ProviderError, Usage},
    provider::http::{CallIds, code_of_error, refused, unreadable},
};

/// The state of one answer of the server. No I/O and no clock.
#[derive(Debug)]
pub(super) struct OpenAiTurn {
    calls: Calls,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    events: u64,
    done: bool,
}

impl OpenAiTurn {
    pub(super) fn new(ids: CallIds, max_call_bytes: usize) -> Self {
        Self {
            calls: Calls::new(ids, max_call_bytes),
            finish: None,
            usage: None,
            events: 0,
            done: false,
        }
    }

    /// Returns true if the server sent `[DONE]`.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Takes the data of one server-sent event.
    pub(super) fn take(
        &mut self,
        data: &[u8],
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            self.done = true;
            return Ok(());
        }
        if data.is_empty() {
            return Ok(());
        }
        self.events += 1;
        let chunk: CompletionChunk = serde_json::from_slice(data).map_err(unreadable)?;
        if let Some(error) = &chunk.error {
            return Err(refused(None, code_of_error(error), None));
        }
        if chunk.object.as_deref() == Some("error") {
            let error = serde_json::json!({"code": chunk.code, "type": chunk.kind});
            return Err(refused(None, code_of_error(&error), None));
        }
        if let Some(counts) = chunk.usage {
            self.usage = Some(counts.into());
        }
        for choice in chunk.choices.into_iter().flatten() {
            // The request asks for one choice; servers that send more interleave them.
            if choice.index.is_some_and(|index| index != 0) {
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

    /// Ends the stream, with or without `[DONE]`. Appends the events that are left.
    ///
    /// # Errors
    ///
    /// If the answer was cut.
    pub(super) fn end(&mut self, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        if self.finish.is_none() && !self.done {
            return Err(ProviderError::cut());
        }
        let mut reason = self.finish.take().unwrap_or_default();
        if !self.calls.is_empty() {
            // Some servers send `stop` here.
            if reason == FinishReason::Stop {
                reason = FinishReason::ToolCalls;
            }
            out.push_back(ChatEvent::tool_calls(self.calls.finish()));
        }
        let mut complete = Complete::new().finish_reason(reason);
        complete.usage = self.usage.take();
        out.push_back(complete.into());
        Ok(())
    }

    fn delta(&mut self, delta: Delta, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        let said = |text: &String| !text.is_empty();
        // A server that sends both fields sends the same text in both.
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
            self.calls.take(call, self.events)?;
        }
        Ok(())
    }

    fn finish(&mut self, reason: &str) -> Result<(), ProviderError> {
        self.finish = Some(match reason {
            "error" => return Err(refused(None, None, None)),
            "function_call" => FinishReason::ToolCalls,
            reason => FinishReason::from(reason),
        });
        Ok(())
    }
}
