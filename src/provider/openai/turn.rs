use std::collections::VecDeque;

use serde_json::value::RawValue;

use super::{
    calls::Calls,
    cited::CitedSources,
    sound::MadeSound,
    state::{EXTRA_CONTENT, REASONING_DETAILS, TurnState},
    wire::{CallDelta, Choice, usage},
};
use crate::{
    chat::{ChatEvent, Complete, FinishReason, ProviderError, TurnEnd, Usage},
    log::ErrorCode,
    provider::http::{
        CallIds, Oddities, SaidText, SseAnswer, error_of, is_model, is_ping,
        json::{Kind, each_element, is_truthy, kind, members, string},
        refused, reported, reported_error, unreadable,
    },
};

/// The state of one answer of the server. No I/O and no clock.
#[derive(Debug)]
pub(super) struct OpenAiTurn {
    calls: Calls,
    said: SaidText,
    /// The index of the choice that is the answer, once one has come.
    choice: Option<i64>,
    finish: Option<FinishReason>,
    /// True if the finish reason was no word.
    is_finish_odd: bool,
    usage: Option<Usage>,
    model: Option<String>,
    state: TurnState,
    sound: MadeSound,
    sources: CitedSources,
    /// True if the last delta ended the sound and said nothing else.
    sound_is_over: bool,
    events: u64,
    done: bool,
    odd: Oddities,
}

impl OpenAiTurn {
    /// Creates a turn. `sound_format` is the one that the request asks for.
    pub(super) fn new(
        ids: CallIds,
        max_call_bytes: usize,
        think_tags: bool,
        sound_format: Option<String>,
    ) -> Self {
        Self {
            calls: Calls::new(ids, max_call_bytes),
            sound: MadeSound::new(sound_format, max_call_bytes),
            sources: CitedSources::default(),
            sound_is_over: false,
            said: SaidText::new(think_tags),
            choice: None,
            finish: None,
            is_finish_odd: false,
            usage: None,
            model: None,
            state: TurnState::new(max_call_bytes),
            events: 0,
            done: false,
            odd: Oddities::default(),
        }
    }
}

impl SseAnswer for OpenAiTurn {
    fn is_done(&self) -> bool {
        self.done
    }

    fn is_finished(&self) -> bool {
        self.done || self.finish.is_some()
    }

    fn usage(&self) -> Option<Usage> {
        self.usage.clone()
    }

    fn take(
        &mut self,
        name: &str,
        data: &str,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let data = data.trim();
        if data.starts_with("[DONE]") {
            self.done = true;
            return Ok(());
        }
        let read = if name == "error" {
            Err(reported_error(data))
        } else {
            self.read(data, out)
        };
        read.or_else(|error| self.fail(error))
    }

    fn take_stray(&mut self, json: &str) -> Result<(), ProviderError> {
        if let Some(error) = reported(json, false) {
            return self.fail(error);
        }
        self.odd.note("a line without a field");
        Ok(())
    }

    fn fail(&mut self, error: ProviderError) -> Result<(), ProviderError> {
        if self.finish.is_none()
            || self.calls.are_cut()
            || self.said.is_cut()
            || self.sound.is_lost()
        {
            return Err(error);
        }
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the model's server failed after its answer"
        );
        if error.code() == ErrorCode::Limit {
            self.done = true; // nothing can be read after a line without end
        }
        Ok(())
    }

    fn end(&mut self, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        self.said.end(out);
        let reason = match self.finish.take() {
            Some(reason) => reason,
            // OpenAI ends a sound without a finish reason.
            None if self.sound_is_over && self.sound.is_whole() => FinishReason::Stop,
            None if self.done => FinishReason::Unknown,
            None => return Err(ProviderError::cut()),
        };
        out.extend(self.sound.finish()?.map(ChatEvent::from));
        out.extend(self.state.finish().map(ChatEvent::from));
        let (calls, reason) = self.calls.end(reason);
        out.extend(calls);
        let mut turn = TurnEnd::new(reason.clone());
        turn.usage.clone_from(&self.usage);
        turn.model = self.model.take();
        out.push_back(turn.into());
        let mut complete = Complete::new().finish_reason(reason);
        complete.usage = self.usage.take();
        out.push_back(complete.into());
        Ok(())
    }
}

impl OpenAiTurn {
    fn read(&mut self, data: &str, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        if is_ping(data) {
            return Ok(());
        }
        self.events += 1;
        let names = ["choices", "usage", "model", "citations", "object"];
        let [choices, counts, model, citations, object] = match members(data, names) {
            Ok(found) => found,
            Err(_) if data == "null" => return Ok(()),
            // No SDK knows other values than objects; text may be lost with them.
            Err(error) => return Err(reported(data, false).unwrap_or_else(|| unreadable(error))),
        };
        let mut chosen = Vec::new();
        if let Some(choices) = choices {
            let listed = each_element(choices, |choice| {
                chosen.extend(Choice::read(choice, &mut self.odd));
                Ok(())
            })?;
            if !listed {
                self.odd.note("choices");
            }
        }
        if let Some(error) = reported(data, !chosen.is_empty()) {
            return Err(error);
        }
        if let Some(usage) = counts.and_then(|counts| usage(counts, &mut self.odd)) {
            self.usage = Some(usage);
        }
        if self.model.is_none() {
            let model = model.and_then(string);
            self.model = model.filter(|model| is_model(model));
        }
        if let Some(citations) = citations {
            self.sources.addresses(citations, &mut self.odd, out)?;
        }
        // Of a whole completion, calls have no index, or one that says nothing.
        let is_whole = object.and_then(string).as_deref() == Some("chat.completion");
        for choice in self.answering(&chosen) {
            if let Some(error) = choice.error {
                return Err(error_of(error));
            }
            if let Some(delta) = choice.delta {
                self.delta(delta, (choice.is_whole, is_whole), out)?;
            }
            if let Some(text) = choice.text {
                self.said.text(text, &mut self.odd, out)?;
            }
            if let Some(reason) = choice.finish_reason {
                self.finish(reason, choice.native_reason)?;
            }
        }
        Ok(())
    }

    /// Returns the choices of a chunk that belong to the answer: those of index 0, or of the index that came first.
    /// The request asks for one; servers that send more interleave them.
    fn answering<'a, 'b>(&mut self, choices: &'b [Choice<'a>]) -> Vec<&'b Choice<'a>> {
        // One without an index is that of the answer.
        let index = |choice: &Choice<'_>| choice.index.map(|index| index.max(0));
        let first = choices.first().map(|first| index(first).unwrap_or(0));
        let has_zero = choices.iter().any(|choice| index(choice) == Some(0));
        let first = if has_zero { Some(0) } else { first };
        let answer = self.choice.or(first);
        self.choice = answer;
        let (answering, others): (Vec<_>, Vec<_>) = choices
            .iter()
            .partition(|choice| index(choice).is_none_or(|index| Some(index) == answer));
        if !others.is_empty() {
            self.odd.note("choices: more than one");
        }
        answering
    }

    fn delta(
        &mut self,
        delta: &RawValue,
        (is_message, is_whole): (bool, bool),
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let names = [
            "content",
            "refusal",
            "reasoning_content",
            "reasoning",
            "tool_calls",
            "function_call",
            "images",
            "audio",
            "annotations",
            REASONING_DETAILS,
            EXTRA_CONTENT,
        ];
        let Ok(
            [
                content,
                refusal,
                thinking,
                reasoning,
                calls,
                function,
                images,
                audio,
                annotations,
                details,
                extra,
            ],
        ) = members(delta.get(), names)
        else {
            self.odd.note("delta");
            return Ok(());
        };
        if let Some(details) = details.filter(|it| is_truthy(it))
            && !self.state.take_details(details)?
        {
            self.odd.note(REASONING_DETAILS);
        }
        if let Some(extra) = extra.filter(|it| is_truthy(it))
            && !self.state.take_extra(extra)?
        {
            self.odd.note(EXTRA_CONTENT);
        }
        // A server that sends both fields sends the same text in both.
        let both = [thinking, reasoning].into_iter().flatten();
        if let Some(thinking) = both.into_iter().find(|it| is_truthy(it)) {
            self.said.thinking(thinking, &mut self.odd, out)?;
        }
        for text in [content, refusal].into_iter().flatten() {
            self.said.text(text, &mut self.odd, out)?;
        }
        if let Some(images) = images.filter(|it| is_truthy(it)) {
            self.said.pictures(images, out)?;
        }
        let has_said = [content, refusal, calls, function, images];
        self.sound_is_over = false;
        if let Some(audio) = audio {
            match self.sound.take(audio)? {
                Some(piece) => {
                    self.sound_is_over = piece.is_last && has_said.iter().all(Option::is_none);
                    if let Some(words) = piece.transcript {
                        self.said.text(words, &mut self.odd, out)?;
                    }
                }
                None => self.odd.note("audio"),
            }
        }
        if let Some(annotations) = annotations.filter(|it| is_truthy(it)) {
            self.sources.annotations(annotations, &mut self.odd, out)?;
        }
        // The calls of a whole message follow at once.
        let mut shown = (!is_message).then_some(out);
        if let Some(calls) = calls {
            self.call(calls, (is_message, is_whole), shown.as_deref_mut())?;
        }
        // A message has the one call in both forms.
        let function = function.filter(|_| !is_message || self.calls.are_none());
        if let Some(function) = function
            && let Some(call) = CallDelta::of_function(function, &mut self.odd)
        {
            self.calls.take(call, self.events, shown)?;
        }
        Ok(())
    }

    fn call(
        &mut self,
        calls: &RawValue,
        (is_message, is_whole): (bool, bool),
        mut out: Option<&mut VecDeque<ChatEvent>>,
    ) -> Result<(), ProviderError> {
        let (odd, taken, event) = (&mut self.odd, &mut self.calls, self.events);
        let mut place = 0;
        let mut take = |call: &RawValue| {
            let Some(mut call) = CallDelta::read(call, odd) else {
                return Ok(());
            };
            if is_message && (is_whole || call.index.is_none()) {
                call.index = Some(place);
            }
            place += 1;
            taken.take(call, event, out.as_deref_mut())
        };
        if each_element(calls, &mut take)? {
            return Ok(());
        }
        // One call without its list.
        if kind(calls) == Kind::Object {
            take(calls)?;
        } else {
            self.odd.note("tool_calls");
        }
        Ok(())
    }

    /// Takes the reason of the end, and that of the server behind a gateway, if the gateway tells it.
    fn finish(
        &mut self,
        reason: &RawValue,
        native: Option<&RawValue>,
    ) -> Result<(), ProviderError> {
        if !is_truthy(reason) {
            return Ok(());
        }
        // It says that the answer is over, but not why.
        let Some(word) = string(reason) else {
            self.odd.note("finish_reason");
            self.is_finish_odd = self.finish.is_none();
            self.finish.get_or_insert(FinishReason::Unknown);
            return Ok(());
        };
        if matches!(&*word.trim().to_ascii_lowercase(), "" | "null") {
            return Ok(());
        }
        let mut reason = FinishReason::of_vendor(&word);
        let native = native.and_then(string);
        let native = native.map(|word| FinishReason::of_vendor(&word));
        let is_less = |it: &FinishReason| {
            it.is_failure() || matches!(it, FinishReason::Length | FinishReason::ContentFilter)
        };
        // A gateway may say of an answer that it is whole, where the server said otherwise.
        if let Some(native) = native.filter(|it| reason.is_whole() && is_less(it)) {
            reason = native;
        }
        if reason.is_failure() {
            return Err(refused(None, None, None));
        }
        // What isn't whole stays so, whatever follows.
        let replaces = |known: &FinishReason| known.is_whole() || self.is_finish_odd;
        if self.finish.as_ref().is_none_or(replaces) {
            self.finish = Some(reason);
            self.is_finish_odd = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
