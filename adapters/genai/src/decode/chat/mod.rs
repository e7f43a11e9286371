//! Chat Completions, read from the frames of the server.

mod details;
mod said;
mod sound;

use std::{borrow::Cow, collections::VecDeque, error::Error};

use serde_json::Value;
use unbroken::chat::{ChatEvent, FinishReason, ProviderError, Usage};

pub(crate) use self::details::REASONING_DETAILS;
use self::{details::ReasoningDetails, said::SaidParts, sound::SpokenSound};
use super::{
    dropped_kinds::DroppedKinds,
    finish_reason,
    json::{FrameReader, count, is_truthy, member, name, text, whole_number},
    reported,
    sources::NamedSources,
};
use crate::{
    failure,
    frames::ServerFrame,
    turn::{CallPiece, TurnSoFar},
};

// The longest name of a model that is kept, in bytes.
const MAX_MODEL: usize = 256;

/// A decoder of Chat Completions.
#[derive(Debug)]
pub(crate) struct ChatDecoder {
    pub(super) turn: TurnSoFar,
    pub(super) done: bool,
    state_name: &'static str,
    reader: FrameReader,
    odd: DroppedKinds,
    said: SaidParts,
    sound: SpokenSound,
    sources: NamedSources,
    details: ReasoningDetails,
    // The index of the choice that is read.
    choice: Option<i128>,
    frames: u64,
    // True if a part of the answer was refused.
    is_lost: bool,
}

impl ChatDecoder {
    /// Creates a decoder. `sound_format` is the one that the request asks for.
    pub(super) fn new(
        turn: TurnSoFar,
        state_name: &'static str,
        sound_format: Option<String>,
    ) -> Self {
        Self {
            turn,
            done: false,
            state_name,
            reader: FrameReader::default(),
            odd: DroppedKinds::default(),
            said: SaidParts::default(),
            sound: SpokenSound::new(sound_format),
            sources: NamedSources::default(),
            details: ReasoningDetails::default(),
            choice: None,
            frames: 0,
            is_lost: false,
        }
    }

    pub(super) fn frame(
        &mut self,
        frame: &ServerFrame,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let data = frame.data.trim();
        if data.starts_with("[DONE]") {
            self.done = true;
            return Ok(());
        }
        let read = if frame.name.as_deref() == Some("error") {
            Err(failure::reported(data))
        } else {
            self.chunk(data, out)
        };
        read.or_else(|error| self.fail(error))
    }

    // An answer that is whole stays so.
    fn fail(&mut self, error: ProviderError) -> Result<(), ProviderError> {
        if self.turn.finish.is_none() || self.is_lost {
            return Err(error);
        }
        tracing::warn!(
            error = &error as &dyn Error,
            "the model's server failed after its answer"
        );
        Ok(())
    }

    /// Returns true if the end of the stream is the end of the answer.
    pub(super) fn is_finished(&self) -> bool {
        !self.is_lost && (self.turn.finish.is_some() || self.sound.ends_the_answer())
    }

    pub(super) fn end(&mut self, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        let reason = match self.turn.finish.take() {
            Some(reason) => reason,
            // OpenAI ends a sound without a finish reason.
            None if self.sound.ends_the_answer() => FinishReason::Stop,
            None if self.done => FinishReason::Unknown,
            None => return Err(ProviderError::cut()),
        };
        if self.turn.has_nameless_call() && (reason.is_whole() || reason == FinishReason::Unknown) {
            return Err(failure::unreadable("a call without the name of its tool"));
        }
        self.turn.finish = Some(reason);
        out.extend(self.sound.finish()?.map(ChatEvent::from));
        out.extend(self.details.finish(self.state_name));
        self.turn.end(out);
        Ok(())
    }

    fn chunk(&mut self, data: &str, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        if reported::is_ping(data) {
            return Ok(());
        }
        self.frames += 1;
        let data = self.reader.read(data)?;
        if data.is_null() {
            return Ok(());
        }
        let mut choices = Vec::new();
        match member(&data, "choices") {
            Some(Value::Array(list)) => {
                for choice in list.iter().filter(|it| !it.is_null()) {
                    if choice.is_object() {
                        choices.push((self.index(choice), choice));
                    } else {
                        self.odd.note("choices");
                    }
                }
            }
            Some(_) => self.odd.note("choices"),
            None => {}
        }
        if let Some(error) = reported::reported(&data, !choices.is_empty()) {
            return Err(error);
        }
        if !data.is_object() {
            return Err(failure::unreadable("a frame that is no object"));
        }
        if self.turn.model.is_none() {
            let model = text(&data, "/model");
            let model = model.filter(|model| (1..=MAX_MODEL).contains(&model.len()));
            self.turn.model = model.map(str::to_owned);
        }
        let of_groq = data.get("x_groq").and_then(|of| member(of, "usage"));
        if let Some(counts) = member(&data, "usage").or(of_groq) {
            self.usage(counts);
        }
        if let Some(citations) = data.get("citations")
            && !self.sources.addresses(citations, out)
        {
            self.odd.note("citations");
        }
        // The request asks for one choice.
        let first = choices.first().map(|(index, _)| index.unwrap_or(0));
        let has_zero = choices.iter().any(|(index, _)| *index == Some(0));
        self.choice = self.choice.or(has_zero.then_some(0)).or(first);
        for (index, choice) in choices {
            // One without an index is that of the answer.
            if index.is_none() || index == self.choice {
                self.choice(choice, out)?;
            } else {
                self.odd.note("a second choice");
            }
        }
        Ok(())
    }

    fn index(&mut self, choice: &Value) -> Option<i128> {
        let index = member(choice, "index");
        let number = index.and_then(whole_number);
        if index.is_some() && number.is_none() {
            self.odd.note("index");
        }
        number.map(|number| number.max(0))
    }

    fn choice(
        &mut self,
        choice: &Value,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        // Moonshot's.
        if let Some(counts) = member(choice, "usage") {
            self.usage(counts);
        }
        // Servers that don't stream send a message.
        let delta = member(choice, "delta").or_else(|| member(choice, "message"));
        if let Some(delta) = delta {
            let read = self.delta(delta, out);
            self.is_lost |= read.is_err();
            read?;
        }
        // Of the oldest protocol.
        if let Some(said) = member(choice, "text") {
            self.said.piece(said, false, &mut self.odd, out)?;
        }
        if let Some(error) = member(choice, "error").filter(|error| is_truthy(error)) {
            return Err(failure::reported(&error.to_string()));
        }
        match choice.get("finish_reason") {
            Some(Value::String(word)) => self.finish(word, text(choice, "/native_finish_reason")),
            Some(word) if is_truthy(word) => {
                // It says that the answer is over, but not why.
                self.odd.note("finish_reason");
                self.turn.stop(FinishReason::Unknown);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    // `native` is the word of the server behind a gateway.
    fn finish(&mut self, word: &str, native: Option<&str>) -> Result<(), ProviderError> {
        let word = word.trim();
        if word.is_empty() || word.eq_ignore_ascii_case("null") {
            return Ok(());
        }
        let mut reason = finish_reason(word);
        let is_less = |it: &FinishReason| {
            it.is_failure() || matches!(it, FinishReason::Length | FinishReason::ContentFilter)
        };
        // A gateway may say of an answer that it is whole, where the server said otherwise.
        if let Some(native) = native.map(finish_reason).filter(is_less)
            && reason.is_whole()
        {
            reason = native;
        }
        if reason.is_failure() {
            return Err(failure::reported("null"));
        }
        self.turn.stop(reason);
        Ok(())
    }

    fn delta(&mut self, delta: &Value, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        if !delta.is_object() {
            self.odd.note("delta");
            return Ok(());
        }
        let truthy = |name: &str| delta.get(name).filter(|it| is_truthy(it));
        if let Some(details) = truthy(REASONING_DETAILS) {
            self.turn.hold(details.to_string().len())?;
            if !self.details.take(details) {
                self.odd.note(REASONING_DETAILS);
            }
        }
        if truthy("extra_content").is_some() {
            self.odd.note("extra_content");
        }
        // A server that sends both fields sends the same text in both.
        if let Some(thought) = truthy("reasoning_content").or_else(|| truthy("reasoning")) {
            self.said.piece(thought, true, &mut self.odd, out)?;
        }
        for said in ["content", "refusal"] {
            if let Some(said) = member(delta, said) {
                self.said.piece(said, false, &mut self.odd, out)?;
            }
        }
        if let Some(images) = truthy("images").filter(|it| says_something(it)) {
            self.said.pictures.take_all(images, out)?;
        }
        if [
            "content",
            "refusal",
            "tool_calls",
            "function_call",
            "images",
        ]
        .into_iter()
        .any(|name| member(delta, name).is_some())
        {
            self.sound.goes_on();
        }
        if let Some(audio) = truthy("audio") {
            if !audio.is_object() {
                self.odd.note("audio");
            }
            self.turn.hold(text(audio, "/data").map_or(0, str::len))?;
            if let Some(words) = self.sound.take(audio)?.filter(|words| !words.is_empty()) {
                out.push_back(ChatEvent::text(words));
            }
        }
        if let Some(annotations) = truthy("annotations")
            && !self.sources.annotations(annotations, out)
        {
            self.odd.note("annotations");
        }
        match truthy("tool_calls") {
            Some(Value::Array(calls)) => {
                for call in calls.iter().filter(|it| !it.is_null()) {
                    self.call(call, out)?;
                }
            }
            // One call without its list.
            Some(call) => self.call(call, out)?,
            None => {}
        }
        match truthy("function_call") {
            Some(function) => self.function(function, None, "", out),
            None => Ok(()),
        }
    }

    fn call(&mut self, call: &Value, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        if !call.is_object() {
            self.odd.note("tool_calls");
            return Ok(());
        }
        if let Some(extra) = member(call, "extra_content") {
            if extra.is_object() && says_something(extra) {
                return Err(failure::not_handed_back("extra_content"));
            }
            self.odd.note("tool_calls.extra_content");
        }
        let index = member(call, "index");
        let number = index.and_then(whole_number);
        if index.is_some() && number.is_none() {
            self.odd.note("tool_calls.index");
        }
        let id = name(call.get("id"));
        let function = call.get("function").unwrap_or(&Value::Null);
        self.function(function, number, &id, out)
    }

    // A function is a call of its own in the older form.
    fn function(
        &mut self,
        function: &Value,
        index: Option<i128>,
        named: &str,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let arguments = match function.get("arguments") {
            Some(Value::String(piece)) => Cow::Borrowed(piece.as_str()),
            None | Some(Value::Null) => Cow::Borrowed(""),
            // Some servers send the object itself.
            Some(whole) => Cow::Owned(whole.to_string()),
        };
        let piece = CallPiece {
            index,
            named,
            tool: &name(function.get("name")),
            arguments: &arguments,
            frame: self.frames,
            is_alone: false,
        };
        self.turn.piece_of_call(&piece, out)
    }

    fn usage(&mut self, counts: &Value) {
        let (input, output) = (
            count(counts, "prompt_tokens"),
            count(counts, "completion_tokens"),
        );
        if input.is_none() && output.is_none() {
            self.odd.note("usage");
            return;
        }
        let mut usage = Usage::new(input.unwrap_or(0), output.unwrap_or(0));
        let detail = |details: &str, name: &str| count(counts.get(details)?, name);
        usage.cached_input_tokens = detail("prompt_tokens_details", "cached_tokens");
        usage.reasoning_tokens = detail("completion_tokens_details", "reasoning_tokens");
        // xAI counts reasoning beside the output.
        if let Some(reasoning) = usage
            .reasoning_tokens
            .filter(|it| *it > usage.output_tokens)
        {
            usage.output_tokens = usage.output_tokens.saturating_add(reasoning);
        }
        self.turn.usage = Some(usage);
    }
}

fn says_something(value: &Value) -> bool {
    value.as_object().is_none_or(|members| !members.is_empty())
}
