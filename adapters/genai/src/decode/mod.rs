//! Answers into events, without I/O.

mod anthropic;
mod chat;
mod dropped_kinds;
mod events;
#[cfg(test)]
mod fuzz;
mod gemini;
mod json;
mod pictures;
mod reported;
mod responses;
mod sources;

use std::collections::VecDeque;

use genai::chat::ChatStreamEvent;
use serde_json::Value;
use unbroken::chat::{
    ChatEvent, FinishReason, ProviderError, ProviderState, ProviderStateEvent, StateOf, Usage,
};

pub(crate) use self::chat::REASONING_DETAILS;
use self::{
    anthropic::MessagesDecoder, chat::ChatDecoder, events::EventsDecoder, gemini::GeminiDecoder,
    responses::ResponsesDecoder,
};
use crate::{frames::ServerFrame, turn::TurnSoFar, wire_format::WireFormat};

/// A decoder of one answer.
#[derive(Debug)]
pub(crate) enum Decoder {
    Messages(MessagesDecoder),
    Gemini(GeminiDecoder),
    Chat(Box<ChatDecoder>),
    Responses(Box<ResponsesDecoder>),
    Events(EventsDecoder),
}

impl Decoder {
    /// Creates a decoder. `sound_format` is the one that the request asks for.
    pub(crate) fn new(
        wire: WireFormat,
        state_name: &'static str,
        turn: TurnSoFar,
        sound_format: Option<String>,
    ) -> Self {
        match wire {
            WireFormat::Anthropic | WireFormat::VertexClaude => {
                Self::Messages(MessagesDecoder::new(turn))
            }
            WireFormat::Gemini => Self::Gemini(GeminiDecoder::new(turn)),
            WireFormat::Chat => {
                Self::Chat(Box::new(ChatDecoder::new(turn, state_name, sound_format)))
            }
            WireFormat::Responses => {
                Self::Responses(Box::new(ResponsesDecoder::new(turn, state_name)))
            }
            WireFormat::Other => Self::Events(EventsDecoder::new(turn, state_name)),
        }
    }

    /// Returns true if frames are read here, also those that genai doesn't understand, and genai's events aren't.
    pub(crate) fn reads_frames(&self) -> bool {
        !matches!(self, Self::Events(_))
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
            Self::Chat(decoder) => decoder.frame(frame, out),
            Self::Responses(decoder) => decoder.frame(frame, out),
            Self::Events(decoder) => decoder.frame(frame),
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
            _ => Ok(()),
        }
    }

    fn turn(&self) -> (&TurnSoFar, bool) {
        match self {
            Self::Messages(decoder) => (&decoder.turn, decoder.done),
            Self::Gemini(decoder) => (&decoder.turn, decoder.done),
            Self::Chat(decoder) => (&decoder.turn, decoder.done),
            Self::Responses(decoder) => (&decoder.turn, decoder.done),
            Self::Events(decoder) => (&decoder.turn, decoder.done),
        }
    }

    /// Returns the usage of the turn so far.
    pub(crate) fn usage(&self) -> Option<&Usage> {
        self.turn().0.usage.as_ref()
    }

    /// Returns true if the answer is whole, and nothing more of it is read.
    pub(crate) fn is_done(&self) -> bool {
        self.turn().1
    }

    /// Returns true if the answer is whole, though more of it may come.
    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Self::Messages(_) | Self::Gemini(_) | Self::Responses(_) => self.is_done(),
            Self::Chat(decoder) => decoder.is_finished(),
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
            Self::Chat(decoder) => return decoder.end(out),
            Self::Responses(decoder) => return decoder.end(out),
            Self::Events(decoder) => return decoder.end(out),
        }
        Ok(())
    }
}

fn state_event(provider: &str, data: Value) -> ChatEvent {
    ProviderStateEvent::new(StateOf::Turn, ProviderState::new(provider, data)).into()
}

/// Returns true if a reason of the end means that the server failed.
fn is_failure(word: &str) -> bool {
    finish_reason(word).is_failure()
}

fn finish_reason(word: &str) -> FinishReason {
    FinishReason::of_vendor(word)
}
