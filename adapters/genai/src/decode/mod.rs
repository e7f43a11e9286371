//! Answers into events, without I/O.

mod anthropic;
mod chat_extras;
mod events;
#[cfg(test)]
mod fuzz;
mod gemini;
mod reported;

use std::collections::VecDeque;

use genai::chat::ChatStreamEvent;
use serde_json::Value;
use unbroken::chat::{
    ChatEvent, FinishReason, ProviderError, ProviderState, ProviderStateEvent, StateOf, Usage,
};

pub(crate) use self::chat_extras::REASONING_DETAILS;
use self::{anthropic::MessagesDecoder, events::EventsDecoder, gemini::GeminiDecoder};
use crate::{failure, frames::ServerFrame, turn::TurnSoFar, wire_format::WireFormat};

/// A decoder of one answer.
#[derive(Debug)]
pub(crate) enum Decoder {
    Messages(MessagesDecoder),
    Gemini(GeminiDecoder),
    Events(EventsDecoder),
}

impl Decoder {
    pub(crate) fn new(wire: WireFormat, state_name: &'static str, turn: TurnSoFar) -> Self {
        match wire {
            WireFormat::Anthropic | WireFormat::VertexClaude => {
                Self::Messages(MessagesDecoder::new(turn))
            }
            WireFormat::Gemini => Self::Gemini(GeminiDecoder::new(turn)),
            WireFormat::Chat | WireFormat::Responses | WireFormat::Other => {
                Self::Events(EventsDecoder::new(turn, wire, state_name))
            }
        }
    }

    /// Returns true if each frame is read here, also one that genai doesn't understand.
    pub(crate) fn reads_every_frame(&self) -> bool {
        match self {
            Self::Messages(_) | Self::Gemini(_) => true,
            Self::Events(decoder) => decoder.reads_every_frame(),
        }
    }

    /// Takes a frame of the server.
    ///
    /// # Errors
    ///
    /// If the server reports one, or if the frame can't be read.
    pub(crate) fn frame(
        &mut self,
        frame: &ServerFrame,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        match self {
            Self::Messages(decoder) => decoder.frame(frame, out),
            Self::Gemini(decoder) => decoder.frame(frame, out),
            Self::Events(decoder) => decoder.frame(frame, out),
        }
    }

    /// Takes an event of genai.
    ///
    /// # Errors
    ///
    /// If it can't be read.
    pub(crate) fn event(
        &mut self,
        event: ChatStreamEvent,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        match self {
            Self::Events(decoder) => decoder.event(event, out),
            // What genai takes for the end is one only if the frames say so.
            Self::Messages(_) | Self::Gemini(_) => Ok(()),
        }
    }

    /// Returns the usage of the turn so far.
    pub(crate) fn usage(&self) -> Option<&Usage> {
        match self {
            Self::Messages(decoder) => decoder.turn.usage.as_ref(),
            Self::Gemini(decoder) => decoder.turn.usage.as_ref(),
            Self::Events(decoder) => decoder.turn.usage.as_ref(),
        }
    }

    /// Returns true if the answer is whole.
    pub(crate) fn is_done(&self) -> bool {
        match self {
            Self::Messages(decoder) => decoder.done,
            Self::Gemini(decoder) => decoder.done,
            Self::Events(decoder) => decoder.done,
        }
    }

    /// Returns true if the end of the stream is the end of the answer.
    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Self::Messages(_) | Self::Gemini(_) => false,
            Self::Events(decoder) => decoder.is_finished(),
        }
    }

    /// Ends the answer.
    ///
    /// # Errors
    ///
    /// If its end shows that it isn't whole.
    pub(crate) fn end(&mut self, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        match self {
            Self::Messages(decoder) => decoder.turn.end(out),
            Self::Gemini(decoder) => decoder.turn.end(out),
            Self::Events(decoder) => return decoder.end(out),
        }
        Ok(())
    }
}

fn state_event(provider: &str, data: Value) -> ChatEvent {
    ProviderStateEvent::new(StateOf::Turn, ProviderState::new(provider, data)).into()
}

fn json(frame: &ServerFrame) -> Result<Value, ProviderError> {
    serde_json::from_str(&frame.data).map_err(|_| failure::unreadable("a frame that isn't JSON"))
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

fn count(value: &Value, name: &str) -> Option<u64> {
    value.get(name)?.as_u64()
}

fn finish_reason(word: &str) -> FinishReason {
    FinishReason::of_vendor(word)
}
