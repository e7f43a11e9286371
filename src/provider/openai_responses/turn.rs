use std::collections::VecDeque;

use serde_json::{Value, value::RawValue};

use super::{
    calls::{CallItem, ItemCalls},
    cited::ItemSources,
    position::{SaidPart, StreamPosition, is_id},
    progress::{ItemTextKind, ItemsProgress},
};
use crate::{
    chat::{ChatEvent, Complete, FinishReason, ProviderError, TurnEnd, Usage, has_reserved_name},
    log::ErrorCode,
    provider::http::{
        CallIds, MadePictures, Oddities, SaidText, SseAnswer, argument_bytes, code_of_error,
        is_model, is_ping,
        json::{Kind, count, each_element, kind, members, name, string, string_bytes},
        refused, reported, reported_error, too_long, unreadable,
    },
};

// A response has some items for each search or call.
const MAX_ITEMS: usize = 4096;

/// The state of one response of the server. No I/O and no clock.
#[derive(Debug)]
pub(super) struct ResponsesTurn {
    pub(super) said: SaidText,
    pub(super) calls: ItemCalls,
    pub(super) items: ItemsProgress,
    pub(super) sources: ItemSources,
    pub(super) pictures: MadePictures,
    /// The items after the first call that the server must be handed back.
    pub(super) held: Vec<Value>,
    /// The bytes of all items that the server must be handed back.
    pub(super) kept_bytes: usize,
    pub(super) max_bytes: usize,
    pub(super) odd: Oddities,
    /// True if a part of the answer was refused.
    pub(super) is_lost: bool,
    /// The characters of the text so far.
    chars: u64,
    response: Option<String>,
    sequence: Option<u64>,
    /// Events up to this one were read on another connection.
    skipped: Option<u64>,
    background: bool,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    model: Option<String>,
    /// True after `[DONE]`.
    done: bool,
    /// True once the server said that the response has ended, in whatever way.
    is_over: bool,
}

impl ResponsesTurn {
    /// Creates a turn. In the `background`, positions in the stream are told.
    pub(super) fn new(ids: CallIds, max_bytes: usize, think_tags: bool, background: bool) -> Self {
        Self {
            said: SaidText::new(think_tags),
            calls: ItemCalls::new(ids, max_bytes),
            items: ItemsProgress::default(),
            sources: ItemSources::default(),
            pictures: MadePictures::default(),
            held: Vec::new(),
            kept_bytes: 0,
            max_bytes,
            odd: Oddities::default(),
            is_lost: false,
            chars: 0,
            response: None,
            sequence: None,
            skipped: None,
            background,
            finish: None,
            usage: None,
            model: None,
            done: false,
            is_over: false,
        }
    }

    /// Makes a new turn one that is read on from a position.
    pub(super) fn read_on(mut self, position: StreamPosition) -> Self {
        self.items = ItemsProgress::at(&position);
        self.chars = position.chars;
        self.sequence = Some(position.after);
        self.model = position.model;
        self.response = Some(position.response);
        self.reconnect();
        self
    }

    /// Drops what belongs to a connection that is lost.
    pub(super) fn reconnect(&mut self) {
        self.skipped = self.sequence;
        self.done = false;
    }

    /// Returns the response and the number of its last event, if its stream can be read again.
    pub(super) fn cursor(&self) -> Option<(String, u64)> {
        Some((self.response.clone()?, self.sequence?))
    }

    /// Returns the id of the response, if it may still run.
    pub(super) fn running(&self) -> Option<&str> {
        self.response.as_deref().filter(|_| !self.is_over)
    }

    /// Returns the position up to which a server that reads on needs nothing of this one. `None` if there is
    /// none now: half a character is held, or a call has begun.
    pub(super) fn position(&self) -> Option<StreamPosition> {
        let is_settled = self.said.is_settled() && self.calls.is_empty() && self.held.is_empty();
        if !self.background || !is_settled || self.finish.is_some() {
            return None;
        }
        let (response, after) = self.cursor()?;
        let mut position = StreamPosition {
            response,
            after,
            model: self.model.clone(),
            chars: self.chars,
            ..StreamPosition::default()
        };
        self.items.write(&mut position);
        Some(position)
    }

    fn read(
        &mut self,
        event: &str,
        data: &str,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if is_ping(data) {
            return Ok(());
        }
        let names = ["type", "sequence_number", "output_index", "response"];
        let [class, sequence, index, response] = match members(data, names) {
            Ok(found) => found,
            Err(_) if data == "null" => return Ok(()),
            // No SDK knows other values than objects; text may be lost with them.
            Err(error) => return Err(reported(data, false).unwrap_or_else(|| unreadable(error))),
        };
        let class = class.and_then(string);
        let class = class.as_deref().unwrap_or(event);
        if class == "error" {
            return Err(self.failed(reported_error(data)));
        }
        let Some(class) = class.strip_prefix("response.") else {
            return match reported(data, false) {
                Some(error) => Err(self.failed(error)),
                None => {
                    self.odd.note("type");
                    Ok(())
                }
            };
        };
        if let Some(error) = reported(data, true) {
            return Err(self.failed(error));
        }
        if let Some(number) = sequence.and_then(count) {
            if self.skipped.is_some_and(|skipped| number <= skipped) {
                return Ok(());
            }
            self.sequence = self.sequence.max(Some(number));
        }
        let index = index.and_then(count).unwrap_or(0);
        match class {
            "created" | "queued" | "in_progress" => {
                let Some(response) = response else {
                    self.odd.note("response");
                    return Ok(());
                };
                self.begin(response, out)
            }
            "completed" | "incomplete" | "failed" | "cancelled" | "done" => {
                self.finish(class, response, out)
            }
            _ => self.item_event(class, index, data, out),
        }
    }

    fn item_event(
        &mut self,
        class: &str,
        index: u64,
        data: &str,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let names = [
            "delta",
            "text",
            "refusal",
            "arguments",
            "item",
            "content_index",
            "summary_index",
            "annotation",
        ];
        let Ok(
            [
                delta,
                text,
                refusal,
                arguments,
                item,
                content,
                summary,
                annotation,
            ],
        ) = members(data, names)
        else {
            return Ok(());
        };
        let key = self.items.key(index);
        let part = content.and_then(count).unwrap_or(0);
        let summary = summary.and_then(count).unwrap_or(0);
        use ItemTextKind::{Reasoning, Summary, Text};
        match class {
            "output_text.delta" | "refusal.delta" => self.piece(key, Text, part, delta, out)?,
            "output_text.done" => self.rest(key, Text, part, text, out)?,
            "refusal.done" => self.rest(key, Text, part, refusal, out)?,
            "reasoning_summary_text.delta" => self.piece(key, Summary, summary, delta, out)?,
            "reasoning_summary_text.done" => self.rest(key, Summary, summary, text, out)?,
            "reasoning_text.delta" => self.piece(key, Reasoning, part, delta, out)?,
            "reasoning_text.done" => self.rest(key, Reasoning, part, text, out)?,
            "output_text.annotation.added" => {
                if let Some(annotation) = annotation {
                    self.annotation(key, part, annotation, out);
                }
            }
            "function_call_arguments.delta" => {
                if let Some(delta) = delta {
                    self.calls.piece(key, &argument_bytes(Some(delta)), out)?;
                }
            }
            "function_call_arguments.done" => {
                let item = CallItem {
                    arguments: argument_bytes(arguments).into_owned(),
                    ..CallItem::default()
                };
                self.calls.finish(key, item, Vec::new())?;
            }
            "output_item.added" => match item {
                Some(item) => self.item_added(index, item, out)?,
                None => self.odd.note("item"),
            },
            "output_item.done" => match item {
                Some(item) => self.item_done(key, item, out)?,
                None => self.odd.note("item"),
            },
            // Signs of life: the progress of tools that the server runs, what stands in other events too, and
            // what this version doesn't know.
            _ => {}
        }
        Ok(())
    }

    /// Checks that the response hasn't too many items.
    pub(super) fn check_items(&self) -> Result<(), ProviderError> {
        if self.items.len() > MAX_ITEMS {
            let message =
                format!("the model's answer has more than {MAX_ITEMS} items, which is the limit");
            return Err(ProviderError::new(message).with_code(ErrorCode::Limit));
        }
        Ok(())
    }

    fn piece(
        &mut self,
        key: u64,
        kind: ItemTextKind,
        index: u64,
        piece: Option<&RawValue>,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        match piece.map(|piece| (string_bytes(piece), self::kind(piece), piece)) {
            Some((Some(bytes), _, _)) => self.say(key, kind, index, &bytes, out)?,
            // JavaScript appends it so.
            Some((None, Kind::Number, piece)) => {
                self.say(key, kind, index, piece.get().as_bytes(), out)?;
            }
            // The whole text follows.
            _ => self.odd.note("delta"),
        }
        Ok(())
    }

    /// Says what of a whole text wasn't said in pieces.
    pub(super) fn rest(
        &mut self,
        key: u64,
        kind: ItemTextKind,
        index: u64,
        whole: Option<&RawValue>,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let Some(whole) = whole.and_then(string_bytes) else {
            return Ok(());
        };
        let said = match self.items.part(key, kind) {
            Some(last) if last.index > index => return Ok(()),
            Some(last) if last.index == index => last.units,
            _ => 0,
        };
        let rest = after_units(&whole, said);
        if rest.is_empty() {
            return Ok(());
        }
        self.say(key, kind, index, rest, out)
    }

    fn say(
        &mut self,
        key: u64,
        kind: ItemTextKind,
        index: u64,
        bytes: &[u8],
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let thinks = kind != ItemTextKind::Text;
        let before = out.len();
        let base = self.chars;
        let last = self.items.part(key, kind);
        match last {
            Some(last) if last.index == index => last.units += units(bytes),
            Some(last) if last.index > index => {}
            _ => {
                let follows = last.is_some();
                *last = Some(SaidPart {
                    index,
                    base,
                    units: units(bytes),
                    cited: 0,
                });
                if thinks && follows {
                    self.said.bytes(b"\n\n", true, out);
                }
            }
        }
        self.check_items()?;
        self.said.bytes(bytes, thinks, out);
        for event in out.range(before..) {
            if let ChatEvent::Text(text) = event {
                self.chars += text.content.chars().count() as u64;
            }
        }
        Ok(())
    }

    /// Takes an annotation of a text of a message.
    pub(super) fn annotation(
        &mut self,
        key: u64,
        index: u64,
        annotation: &RawValue,
        out: &mut VecDeque<ChatEvent>,
    ) {
        let chars = self.chars;
        let base = match self.items.part(key, ItemTextKind::Text) {
            Some(part) if part.index == index => {
                part.cited += 1;
                part.base
            }
            _ => chars,
        };
        if !self.sources.annotation(annotation, base, out) {
            self.odd.note("annotation");
        }
    }

    fn begin(
        &mut self,
        response: &RawValue,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let Ok([id, model]) = members(response.get(), ["id", "model"]) else {
            self.odd.note("response");
            return Ok(());
        };
        self.name_model(model);
        let Some(id) = id.and_then(name).filter(|id| is_id(id)) else {
            return Ok(());
        };
        match &self.response {
            Some(known) if *known != id && self.background => return Err(ProviderError::cut()),
            Some(_) => {}
            None => {
                self.response = Some(id);
                let position = self.position().map(|position| position.event());
                out.extend(position.map(ChatEvent::from));
            }
        }
        Ok(())
    }

    fn name_model(&mut self, model: Option<&RawValue>) {
        if self.model.is_none() {
            let model = model.and_then(string);
            self.model = model.filter(|model| is_model(model));
        }
    }

    fn finish(
        &mut self,
        class: &str,
        response: Option<&RawValue>,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let names = [
            "model",
            "status",
            "error",
            "incomplete_details",
            "usage",
            "output",
        ];
        let found = response.map(|response| members(response.get(), names));
        let [model, status, error, details, usage, output] = match found {
            Some(Ok(found)) => found,
            _ => {
                self.odd.note("response");
                Default::default()
            }
        };
        self.name_model(model);
        if let Some(counts) = usage {
            self.usage = self.read_usage(counts);
        }
        let status = status.and_then(string);
        let ends = match (class, status.as_deref()) {
            // An event of success with a response that isn't.
            (_, Some(status @ ("failed" | "cancelled"))) => status,
            ("completed" | "done", Some("incomplete")) => "incomplete",
            ("done", Some("completed")) => "completed",
            ("done", _) => return Ok(()),
            (class, _) => class,
        };
        if ends == "failed" {
            let error = error.map(|error| value(error));
            let code = error.as_ref().and_then(code_of_error);
            return Err(self.failed(refused(None, code, None)));
        }
        if ends == "cancelled" {
            let error = ProviderError::new("the model's server was told to stop this answer");
            return Err(self.failed(error.recoverable(true)));
        }
        let reason = details.and_then(|details| members(details.get(), ["reason"]).ok()?[0]);
        let reason = match ends {
            "completed" => FinishReason::Stop,
            _ => match reason.and_then(string) {
                Some(word) => match FinishReason::of_vendor(&word) {
                    // It isn't whole, whatever it says.
                    whole if whole.is_whole() => FinishReason::Unknown,
                    reason => reason,
                },
                None => FinishReason::Unknown,
            },
        };
        if let Some(output) = output {
            self.output(output, out)?;
        }
        self.is_over = true;
        self.finish = Some(reason);
        Ok(())
    }

    /// Takes what of the whole output hasn't come in events.
    fn output(
        &mut self,
        output: &RawValue,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let mut place = 0;
        let listed = each_element(output, |item| {
            let id = members(item.get(), ["id"]).ok().and_then(|[id]| id);
            let id = id.and_then(name);
            if let Some(key) = self.items.unfinished(place, id.as_deref()) {
                self.item_done(key, item, out)?;
            }
            place += 1;
            Ok(())
        })?;
        if !listed {
            self.odd.note("output");
        }
        Ok(())
    }

    fn read_usage(&mut self, counts: &RawValue) -> Option<Usage> {
        let names = [
            "input_tokens",
            "output_tokens",
            "input_tokens_details",
            "output_tokens_details",
        ];
        let Ok([input, output, of_input, of_output]) = members(counts.get(), names) else {
            self.odd.note("usage");
            return None;
        };
        let (input, output) = (input.and_then(count), output.and_then(count));
        if input.is_none() && output.is_none() {
            self.odd.note("usage");
            return None;
        }
        let mut usage = Usage::new(input.unwrap_or(0), output.unwrap_or(0));
        let detail = |details: Option<&RawValue>, name| {
            let [detail] = members(details?.get(), [name]).ok()?;
            detail.and_then(count)
        };
        usage.cached_input_tokens = detail(of_input, "cached_tokens");
        usage.reasoning_tokens = detail(of_output, "reasoning_tokens");
        Some(usage)
    }

    /// Marks the response as over by an error of the server.
    fn failed(&mut self, error: ProviderError) -> ProviderError {
        self.is_over = true;
        error
    }

    /// Counts what the server must be handed back.
    pub(super) fn count_kept(&mut self, bytes: usize) -> Result<(), ProviderError> {
        self.kept_bytes += bytes;
        if self.kept_bytes > self.max_bytes {
            self.is_lost = true;
            return Err(too_long(self.max_bytes));
        }
        Ok(())
    }
}

impl SseAnswer for ResponsesTurn {
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
            Err(self.failed(reported_error(data)))
        } else {
            self.read(name, data, out)
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
            || self.is_lost
            || self.calls.are_cut()
            || self.said.is_cut()
            || self.pictures.is_lost()
        {
            return Err(error);
        }
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the model's server failed after its answer"
        );
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.done || self.finish.is_some()
    }

    fn is_finished(&self) -> bool {
        self.is_done()
    }

    fn usage(&self) -> Option<Usage> {
        self.usage.clone()
    }

    fn end(&mut self, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        // What is held may go on, on another connection.
        if self.finish.is_some() || !self.background {
            self.said.end(out);
        }
        let reason = self.finish.clone().ok_or_else(ProviderError::cut)?;
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            out.push_back(super::item::turn_state(held));
        }
        let (calls, reason) = self.calls.end(reason)?;
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

/// Returns the length of WTF-8 in units of UTF-16.
fn units(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| units_of(*byte)).sum()
}

fn units_of(byte: u8) -> u64 {
    match byte {
        0x80..=0xbf => 0,
        0xf0.. => 2,
        _ => 1,
    }
}

/// Returns WTF-8 without its first units.
fn after_units(bytes: &[u8], mut skipped: u64) -> &[u8] {
    let mut at = 0;
    while skipped > 0 && at < bytes.len() {
        skipped = skipped.saturating_sub(units_of(bytes[at]));
        at += 1;
        while at < bytes.len() && units_of(bytes[at]) == 0 {
            at += 1;
        }
    }
    &bytes[at..]
}

/// Returns an error of the server as a value. Null for what is nested too deep, or isn't text: it has no code.
fn value(json: &RawValue) -> Value {
    if has_reserved_name(json.get()) {
        return Value::Null;
    }
    serde_json::from_str(json.get()).unwrap_or_default()
}
