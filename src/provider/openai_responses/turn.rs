use std::collections::VecDeque;

use serde_json::Value;

use super::{
    calls::ItemCalls,
    cited::ItemSources,
    position::StreamPosition,
    progress::{ItemTextKind, ItemsProgress},
};
use crate::{
    chat::{ChatEvent, Citation, Complete, FinishReason, ProviderError, TurnEnd, Usage},
    log::ErrorCode,
    provider::http::{
        CallIds, MadePictures, Oddities, SaidText, SseAnswer, argument_bytes, is_ping,
        json::{count, members, name, string},
        reported, reported_error, too_long, unreadable,
    },
};

// A response has some items for each search or call.
const MAX_ITEMS: usize = 4096;

/// What the types of events begin with that say nothing that others don't.
const SIGNS_OF_LIFE: [&str; 11] = [
    "content_part.",
    "reasoning_summary_part.",
    "reasoning_part.",
    "web_search_call.",
    "file_search_call.",
    "code_interpreter_call",
    "image_generation_call.",
    "mcp_call",
    "mcp_list_tools.",
    "custom_tool_call_input.",
    "shell_call",
];

/// The state of one response of the server. No I/O and no clock.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about the stream"
)]
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
    pub(super) chars: u64,
    pub(super) response: Option<String>,
    sequence: Option<u64>,
    /// Events up to this one were read on another connection.
    skipped: Option<u64>,
    pub(super) background: bool,
    /// True if the server keeps the response, so that it knows items by their ids.
    pub(super) is_stored: bool,
    /// The error that the server reported last. In the background it may be one of the stream alone.
    pub(super) reported: Option<ProviderError>,
    /// True if it came over this connection, and nothing since.
    is_broken: bool,
    pub(super) finish: Option<FinishReason>,
    pub(super) usage: Option<Usage>,
    pub(super) model: Option<String>,
    /// True after `[DONE]`.
    done: bool,
    /// True once the server said that the response has ended, in whatever way.
    pub(super) is_over: bool,
    /// True once the server was told to stop it.
    is_stopped: bool,
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
            is_stored: background,
            reported: None,
            is_broken: false,
            finish: None,
            usage: None,
            model: None,
            done: false,
            is_over: false,
            is_stopped: false,
        }
    }

    /// Sets whether the server keeps the response.
    pub(super) fn stored(mut self, stored: bool) -> Self {
        self.is_stored = stored;
        self
    }

    /// Makes a new turn one that is read on from a position, before which these sources were told.
    pub(super) fn read_on(mut self, position: StreamPosition, told: &[Citation]) -> Self {
        self.items = ItemsProgress::at(&position);
        self.sources = ItemSources::told(told);
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
        self.is_broken = false;
    }

    /// Returns the response and the number of its last event, if its stream can be read again.
    pub(super) fn cursor(&self) -> Option<(String, u64)> {
        Some((self.response.clone()?, self.sequence?))
    }

    /// Returns the id of the response, if it may still run.
    pub(super) fn running(&self) -> Option<&str> {
        self.response.as_deref().filter(|_| !self.is_over)
    }

    /// Returns the id of the response, if it may still run, to be stopped. Once.
    pub(super) fn stop(&mut self) -> Option<String> {
        let response = self.running().filter(|_| !self.is_stopped)?.to_owned();
        self.is_stopped = true;
        Some(response)
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
        let names = [
            "type",
            "sequence_number",
            "output_index",
            "item_id",
            "response",
        ];
        let [class, sequence, index, id, response] = match members(data, names) {
            Ok(found) => found,
            Err(_) if data == "null" => return Ok(()),
            // No SDK knows other values than objects; text may be lost with them.
            Err(error) => return Err(reported(data, false).unwrap_or_else(|| unreadable(error))),
        };
        let class = class.and_then(string);
        let class = class.as_deref().unwrap_or(event);
        if let Some(number) = sequence.and_then(count) {
            if self.skipped.is_some_and(|skipped| number <= skipped) {
                return Ok(());
            }
            // An event without a response has no place in its stream.
            if self.response.is_some() || class.starts_with("response.") {
                self.sequence = self.sequence.max(Some(number));
            }
        }
        if class == "error" || event == "error" {
            return self.report(reported_error(data));
        }
        let Some(class) = class.strip_prefix("response.") else {
            if let Some(error) = reported(data, false) {
                return self.report(error);
            }
            self.unknown(class);
            return Ok(());
        };
        if class == "error" {
            return self.report(reported_error(data));
        }
        if let Some(error) = reported(data, true) {
            return self.report(error);
        }
        self.is_broken = false;
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
            _ => {
                let id = id.and_then(name);
                self.item_event(class, (index, id.as_deref()), data, out)
            }
        }
    }

    /// Takes an error that the server reports. One that comes in the stream of a response in the background may
    /// be the stream's: the end of the response tells, or the server, when it is asked.
    pub(super) fn report(&mut self, error: ProviderError) -> Result<(), ProviderError> {
        let can_be_asked = self.background && self.cursor().is_some();
        if !can_be_asked || self.is_over {
            return Err(self.failed(error));
        }
        self.is_broken = true;
        self.reported = Some(error);
        Ok(())
    }

    fn item_event(
        &mut self,
        class: &str,
        (index, id): (u64, Option<&str>),
        data: &str,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        use ItemTextKind::{Reasoning, Summary, Text};

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
        let key = self.items.key(index, id);
        let part = content.and_then(count).unwrap_or(0);
        let summary = summary.and_then(count).unwrap_or(0);
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
                let arguments = argument_bytes(arguments).into_owned();
                self.calls.arguments(key, arguments)?;
            }
            "output_item.added" => match item {
                Some(item) => self.item_added(index, item, out)?,
                None => self.odd.note("item"),
            },
            "output_item.done" => match item {
                Some(item) => {
                    let id = members(item.get(), ["id"]).ok().and_then(|[id]| id);
                    let key = self.items.ending(index, id.and_then(name).as_deref());
                    self.item_done(key, item, out)?;
                }
                None => self.odd.note("item"),
            },
            // Signs of life: the progress of tools that the server runs, and what stands in other events too.
            class if SIGNS_OF_LIFE.iter().any(|known| class.starts_with(known)) => {}
            class => self.unknown(class),
        }
        Ok(())
    }

    /// Notes an event of a type that this version doesn't know.
    fn unknown(&mut self, class: &str) {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'.' | b'_');
        let is_plain = class.len() <= 64 && class.bytes().all(is_plain);
        self.odd.note(if is_plain { class } else { "type" });
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

    /// Marks the response as over by an error of the server.
    pub(super) fn failed(&mut self, error: ProviderError) -> ProviderError {
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
        let is_error = name == "error" && !data.starts_with('{');
        let read = if is_error {
            self.report(reported_error(data))
        } else {
            self.read(name, data, out)
        };
        read.or_else(|error| self.fail(error))
    }

    fn take_stray(&mut self, json: &str) -> Result<(), ProviderError> {
        if let Some(error) = reported(json, false) {
            let error = self.report(error);
            return error.or_else(|error| self.fail(error));
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

    // After an error, the end of the response may follow.
    fn is_finished(&self) -> bool {
        self.is_done() || self.is_broken
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
