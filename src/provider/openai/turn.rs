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
        CallIds, Oddities, SaidText, SseAnswer, is_model, is_ping,
        json::{Kind, each_element, is_truthy, kind, members, string},
        refused, reported, reported_error, unreadable,
    },
};

/// The state of one answer of the server. No I/O and no clock.
#[derive(Debug)]
pub(super) struct OpenAiTurn {
    calls: Calls,
    said: SaidText,
    finish: Option<FinishReason>,
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
            finish: None,
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
        let names = ["choices", "usage", "model", "citations"];
        let [choices, counts, model, citations] = match members(data, names) {
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
        // The request asks for one choice; servers that send more interleave them.
        for choice in chosen.iter().filter(|choice| choice.index <= 0) {
            if let Some(delta) = choice.delta {
                self.delta(delta, choice.is_whole, out)?;
            }
            if let Some(reason) = choice.finish_reason {
                self.finish(reason)?;
            }
        }
        Ok(())
    }

    fn delta(
        &mut self,
        delta: &RawValue,
        is_whole: bool,
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
        let mut shown = (!is_whole).then_some(out);
        if let Some(calls) = calls {
            self.call(calls, shown.as_deref_mut())?;
        }
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
        mut out: Option<&mut VecDeque<ChatEvent>>,
    ) -> Result<(), ProviderError> {
        let (odd, taken, event) = (&mut self.odd, &mut self.calls, self.events);
        let mut take = |call: &RawValue| match CallDelta::read(call, odd) {
            Some(call) => taken.take(call, event, out.as_deref_mut()),
            None => Ok(()),
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

    fn finish(&mut self, reason: &RawValue) -> Result<(), ProviderError> {
        if !is_truthy(reason) {
            return Ok(());
        }
        let Some(word) = string(reason) else {
            // It says that the answer is over, but not why.
            self.odd.note("finish_reason");
            self.finish = Some(FinishReason::Unknown);
            return Ok(());
        };
        match &*word.trim().to_ascii_lowercase() {
            "" | "null" => {}
            "error" | "network_error" => return Err(refused(None, None, None)),
            _ => self.finish = Some(FinishReason::of_vendor(&word)),
        }
        Ok(())
    }
}
