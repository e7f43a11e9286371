use std::collections::VecDeque;

use genai::chat::{ChatStreamEvent, StreamEnd, Usage as GenAiUsage};
use serde_json::{Value, json};
use unbroken::chat::{ChatEvent, ProviderError, Usage};

use super::{finish_reason, is_failure, json::FrameReader, reported, state_event};
use crate::{failure, frames::ServerFrame, turn::TurnSoFar};

/// A decoder of genai's own events. Of frames it reads the errors, which genai skips in some protocols.
#[derive(Debug)]
pub(crate) struct EventsDecoder {
    pub(super) turn: TurnSoFar,
    pub(super) done: bool,
    state_name: &'static str,
    has_signatures: bool,
    reader: FrameReader,
}

impl EventsDecoder {
    pub(super) fn new(turn: TurnSoFar, state_name: &'static str) -> Self {
        Self {
            turn,
            done: false,
            state_name,
            has_signatures: false,
            reader: FrameReader::default(),
        }
    }

    pub(super) fn frame(&mut self, frame: &ServerFrame) -> Result<(), ProviderError> {
        // Not all protocols have JSON.
        let data = self.reader.read(&frame.data).unwrap_or_default();
        // Each frame may be a piece of an answer.
        reported::reported(&data, true).map_or(Ok(()), Err)
    }

    pub(super) fn event(
        &mut self,
        event: ChatStreamEvent,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        match event {
            ChatStreamEvent::Start | ChatStreamEvent::Heartbeat => {}
            ChatStreamEvent::Chunk(piece) => {
                let said = piece.content;
                out.extend((!said.is_empty()).then(|| ChatEvent::text(said)));
            }
            ChatStreamEvent::ReasoningChunk(piece) => {
                let thought = piece.content;
                out.extend((!thought.is_empty()).then(|| ChatEvent::thinking(thought)));
            }
            ChatStreamEvent::ThoughtSignatureChunk(piece) => {
                self.has_signatures = true;
                self.signature(&piece.content, out)?;
            }
            ChatStreamEvent::ToolCallChunk(piece) => {
                let call = piece.tool_call;
                match call.fn_arguments {
                    Value::String(so_far) => {
                        self.turn
                            .call_so_far(&call.call_id, &call.fn_name, &so_far, out)?;
                    }
                    whole => {
                        let named = call.call_id;
                        self.turn.named_call(named, call.fn_name, whole)?;
                    }
                }
            }
            ChatStreamEvent::End(end) => self.take_end(end, out)?,
        }
        Ok(())
    }

    fn take_end(
        &mut self,
        end: StreamEnd,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        self.done = true;
        if let Some(stop) = end.captured_stop_reason {
            // Servers that have no other way to report an error.
            if is_failure(stop.raw()) {
                return Err(failure::reported("null"));
            }
            self.turn.finish = Some(finish_reason(stop.raw()));
        }
        let counts = end.captured_usage.as_ref().and_then(usage);
        self.turn.usage = counts.or(self.turn.usage.take());
        let Some(content) = end.captured_content else {
            return Ok(());
        };
        for part in content.parts() {
            if let Some(signature) = part.as_thought_signature()
                && !self.has_signatures
            {
                self.signature(signature, out)?;
            }
            let Some(call) = part.as_tool_call() else {
                continue;
            };
            if !self.turn.knows_call(&call.call_id) {
                // A call without arguments may have had no piece.
                let (named, tool) = (call.call_id.clone(), call.fn_name.clone());
                self.turn
                    .named_call(named, tool, call.fn_arguments.clone())?;
            }
        }
        Ok(())
    }

    /// Returns true if the server said why it stopped, so that the end of its stream is no cut.
    pub(super) fn is_finished(&self) -> bool {
        self.turn.finish.is_some()
    }

    pub(super) fn end(&mut self, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        // genai makes an end of a cut for some protocols, which all have a reason otherwise.
        if !self.is_finished() {
            return Err(ProviderError::cut());
        }
        self.turn.end(out);
        Ok(())
    }

    fn signature(
        &mut self,
        signature: &str,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        self.turn.hold(signature.len())?;
        let data = json!({"signature": signature});
        out.push_back(state_event(self.state_name, data));
        Ok(())
    }
}

fn usage(counts: &GenAiUsage) -> Option<Usage> {
    let of = |count: Option<i32>| count.and_then(|count| u64::try_from(count).ok());
    let (input, output) = (of(counts.prompt_tokens), of(counts.completion_tokens));
    if input.is_none() && output.is_none() {
        return None;
    }
    let mut usage = Usage::new(input.unwrap_or(0), output.unwrap_or(0));
    let read = counts.prompt_tokens_details.as_ref();
    usage.cached_input_tokens = read.and_then(|details| of(details.cached_tokens));
    let written = counts.completion_tokens_details.as_ref();
    usage.reasoning_tokens = written.and_then(|details| of(details.reasoning_tokens));
    Some(usage)
}
