//! OpenAI's Responses, read from the frames of the server.

mod items;
mod whole;

use std::collections::{HashSet, VecDeque};

use serde_json::Value;
use unbroken::{
    chat::{ChatEvent, FinishReason, ProviderError, Usage},
    log::ErrorCode,
};

use self::items::{ItemText, ItemsSoFar, PartSoFar};
use super::{
    dropped_kinds::DroppedKinds,
    finish_reason, is_failure,
    json::{FrameReader, count, is_truthy, member, name, text},
    pictures::FoundPictures,
    reported,
    sources::NamedSources,
};
use crate::{failure, frames::ServerFrame, turn::TurnSoFar};

// A response has some items for each search or call.
const MAX_ITEMS: usize = 4096;

// Events of what is read elsewhere, or of the progress of tools that the server runs.
const SIGNS_OF_LIFE: [&str; 7] = [
    "content_part.added",
    "content_part.done",
    "reasoning_summary_part.added",
    "reasoning_summary_part.done",
    "image_generation_call.partial_image",
    "keepalive",
    "ping",
];
const PROGRESS: [&str; 7] = [
    ".in_progress",
    ".searching",
    ".generating",
    ".interpreting",
    ".completed",
    ".failed",
    "_code.delta",
];

/// A decoder of OpenAI's Responses.
#[derive(Debug)]
pub(crate) struct ResponsesDecoder {
    pub(super) turn: TurnSoFar,
    pub(super) done: bool,
    state_name: &'static str,
    reader: FrameReader,
    odd: DroppedKinds,
    items: ItemsSoFar,
    sources: NamedSources,
    pictures: FoundPictures,
    // The calls that have begun, and not ended.
    open_calls: HashSet<u64>,
    // The characters of the text so far.
    chars: u64,
}

impl ResponsesDecoder {
    pub(super) fn new(turn: TurnSoFar, state_name: &'static str) -> Self {
        Self {
            turn,
            done: false,
            state_name,
            reader: FrameReader::default(),
            odd: DroppedKinds::default(),
            items: ItemsSoFar::default(),
            sources: NamedSources::default(),
            pictures: FoundPictures::default(),
            open_calls: HashSet::new(),
            chars: 0,
        }
    }

    pub(super) fn frame(
        &mut self,
        frame: &ServerFrame,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let event = frame.name.as_deref().unwrap_or_default();
        let data = frame.data.trim();
        if reported::is_ping(data) && event != "error" {
            return Ok(());
        }
        if data.starts_with("[DONE]") {
            // The end of a response is an event before it.
            return Err(ProviderError::cut());
        }
        if event == "error" && !data.starts_with('{') {
            return Err(failure::reported(data));
        }
        let data = self.reader.read(data)?;
        if data.is_null() {
            return Ok(());
        }
        let class = text(&data, "/type").unwrap_or(event);
        if class == "error" || event == "error" {
            let error = reported::reported(&data, false);
            return Err(error.unwrap_or_else(|| failure::reported(&data.to_string())));
        }
        let of_response = class.strip_prefix("response.");
        if let Some(error) = reported::reported(&data, of_response.is_some()) {
            return Err(error);
        }
        if !data.is_object() {
            return Err(failure::unreadable("a frame that is no object"));
        }
        if let Some(class) = of_response {
            return self.event(class, &data, out);
        }
        self.odd.note("an event of another protocol");
        Ok(())
    }

    fn event(
        &mut self,
        class: &str,
        data: &Value,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        use ItemText::{Reasoning, Summary, Text};

        let index = count(data, "output_index").unwrap_or(0);
        let key = self.items.key(index, &name(data.get("item_id")));
        let part = count(data, "content_index").unwrap_or(0);
        let summary = count(data, "summary_index").unwrap_or(0);
        let member = |name: &str| member(data, name);
        match class {
            "created" | "queued" | "in_progress" => {
                self.name_model(member("response").unwrap_or(&Value::Null));
            }
            "completed" | "incomplete" | "failed" | "cancelled" | "done" => {
                self.finish(class, member("response"), out)?;
            }
            // A response that fails is told in whole; this is what some servers send for it.
            "error" => return Err(failure::reported(&data.to_string())),
            "output_text.delta" | "refusal.delta" => {
                self.piece((key, Text, part), member("delta"), out)?;
            }
            "output_text.done" => self.rest((key, Text, part), member("text"), out)?,
            "refusal.done" => self.rest((key, Text, part), member("refusal"), out)?,
            "reasoning_summary_text.delta" => {
                self.piece((key, Summary, summary), member("delta"), out)?;
            }
            "reasoning_summary_text.done" => {
                self.rest((key, Summary, summary), member("text"), out)?;
            }
            "reasoning_text.delta" => self.piece((key, Reasoning, part), member("delta"), out)?,
            "reasoning_text.done" => self.rest((key, Reasoning, part), member("text"), out)?,
            "output_text.annotation.added" => {
                if let Some(annotation) = member("annotation") {
                    self.annotation(key, part, annotation, out);
                }
            }
            "function_call_arguments.delta" => {
                self.call_piece(key, "", "", member("delta"), out)?;
            }
            "function_call_arguments.done" => {
                if let Some(arguments) = member("arguments") {
                    self.call_arguments(key, arguments, out)?;
                }
            }
            "output_item.added" => match member("item").filter(|it| it.is_object()) {
                Some(item) => self.item_added(index, item, out)?,
                None => self.odd.note("item"),
            },
            "output_item.done" => match member("item").filter(|it| it.is_object()) {
                Some(item) => {
                    let key = self.items.ending(index, &name(item.get("id")));
                    self.item_done(key, item, out)?;
                }
                None => self.odd.note("item"),
            },
            class if SIGNS_OF_LIFE.contains(&class) => {}
            class if PROGRESS.iter().any(|end| class.ends_with(end)) => {}
            class => {
                let kind = failure::plain_name(class);
                self.odd.note(&format!("response.{}", kind.unwrap_or("?")));
            }
        }
        Ok(())
    }

    fn name_model(&mut self, response: &Value) {
        if self.turn.model.is_none() {
            let model = text(response, "/model").filter(|it| (1..=256).contains(&it.len()));
            self.turn.model = model.map(str::to_owned);
        }
    }

    /// Takes the end of a response.
    fn finish(
        &mut self,
        class: &str,
        response: Option<&Value>,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let response = response.filter(|it| it.is_object());
        let is_object = response.is_some();
        let response = response.unwrap_or(&Value::Null);
        self.name_model(response);
        if let Some(counts) = member(response, "usage") {
            self.usage(counts);
        }
        let error = member(response, "error").filter(|error| is_truthy(error));
        let ends = match (class, text(response, "/status")) {
            _ if error.is_some() => "failed",
            // An event of success with a response that isn't.
            (_, Some(status @ ("failed" | "cancelled"))) => status,
            ("completed" | "done", Some("incomplete")) => "incomplete",
            ("completed" | "done", _)
                if member(response, "incomplete_details").is_some_and(says_why) =>
            {
                "incomplete"
            }
            ("done", Some("completed")) => "completed",
            ("done", _) => return Ok(()),
            ("completed", None | Some("completed")) if is_object => "completed",
            // A response that isn't there, or still runs, is no answer.
            ("completed", _) => return Err(ProviderError::cut()),
            (class, _) => class,
        };
        match ends {
            "failed" => {
                let error = error.map_or_else(|| "null".to_owned(), Value::to_string);
                return Err(failure::reported(&error));
            }
            "cancelled" => {
                let error = ProviderError::new("the model's server was told to stop this answer");
                return Err(error.recoverable(true));
            }
            _ => {}
        }
        let reason = match text(response, "/incomplete_details/reason") {
            _ if ends == "completed" => FinishReason::Stop,
            Some(word) if is_failure(word) => return Err(failure::reported("null")),
            Some(word) => match finish_reason(word) {
                // It isn't whole, whatever it says.
                whole if whole.is_whole() => FinishReason::Unknown,
                reason => reason,
            },
            None => FinishReason::Unknown,
        };
        // What of the whole output hasn't come in events.
        match member(response, "output") {
            Some(Value::Array(output)) => {
                for (place, item) in (0..).zip(output.iter().filter(|it| !it.is_null())) {
                    if let Some(key) = self.items.unfinished(place, &name(item.get("id"))) {
                        self.item_done(key, item, out)?;
                    }
                }
            }
            Some(_) => self.odd.note("output"),
            None => {}
        }
        self.turn.finish = Some(reason);
        self.done = true;
        Ok(())
    }

    pub(super) fn end(&mut self, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        let reason = self.turn.finish.as_ref().ok_or_else(ProviderError::cut)?;
        if reason.is_whole() && !self.open_calls.is_empty() {
            return Err(ProviderError::cut());
        }
        if reason.is_whole() && self.turn.has_nameless_call() {
            return Err(failure::unreadable("a call without the name of its tool"));
        }
        self.turn.end(out);
        Ok(())
    }

    fn usage(&mut self, counts: &Value) {
        let (input, output) = (
            count(counts, "input_tokens"),
            count(counts, "output_tokens"),
        );
        if input.is_none() && output.is_none() {
            self.odd.note("usage");
            return;
        }
        let mut usage = Usage::new(input.unwrap_or(0), output.unwrap_or(0));
        let detail = |details: &str, name: &str| count(counts.get(details)?, name);
        usage.cached_input_tokens = detail("input_tokens_details", "cached_tokens");
        usage.reasoning_tokens = detail("output_tokens_details", "reasoning_tokens");
        self.turn.usage = Some(usage);
    }

    fn check_items(&self) -> Result<(), ProviderError> {
        if self.items.len() <= MAX_ITEMS {
            return Ok(());
        }
        let message =
            format!("the model's answer has more than {MAX_ITEMS} items, which is the limit");
        Err(ProviderError::new(message).with_code(ErrorCode::Limit))
    }

    /// Says a piece of a text.
    fn piece(
        &mut self,
        at: (u64, ItemText, u64),
        piece: Option<&Value>,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        match piece {
            Some(Value::String(said)) => self.say(at, said, out),
            // JavaScript appends it so.
            Some(Value::Number(number)) => self.say(at, &number.to_string(), out),
            // The whole text follows.
            _ => {
                self.odd.note("delta");
                Ok(())
            }
        }
    }

    /// Says what of a whole text wasn't said in pieces.
    fn rest(
        &mut self,
        (key, kind, index): (u64, ItemText, u64),
        whole: Option<&Value>,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let Some(whole) = whole.and_then(Value::as_str) else {
            return Ok(());
        };
        let said = match self.items.part(key, kind) {
            Some(last) if last.index > index => return Ok(()),
            Some(last) if last.index == index => last.bytes,
            _ => 0,
        };
        match whole.get(said..) {
            Some(rest) => self.say((key, kind, index), rest, out),
            None => Ok(()),
        }
    }

    fn say(
        &mut self,
        (key, kind, index): (u64, ItemText, u64),
        said: &str,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if said.is_empty() {
            return Ok(());
        }
        let thinks = kind != ItemText::Text;
        let base = self.chars;
        match self.items.part(key, kind) {
            Some(last) if last.index == index => last.bytes += said.len(),
            Some(last) if last.index > index => {}
            last => {
                if last.is_some() && thinks {
                    out.push_back(ChatEvent::thinking("\n\n"));
                }
                let part = PartSoFar {
                    index,
                    bytes: said.len(),
                    base,
                    cited: 0,
                };
                self.items.begin_part(key, kind, part);
            }
        }
        self.check_items()?;
        if thinks {
            out.push_back(ChatEvent::thinking(said));
        } else {
            self.chars += said.chars().count() as u64;
            out.push_back(ChatEvent::text(said));
        }
        Ok(())
    }

    /// Takes an annotation of a text of a message.
    fn annotation(
        &mut self,
        key: u64,
        index: u64,
        annotation: &Value,
        out: &mut VecDeque<ChatEvent>,
    ) {
        let base = match self.items.part(key, ItemText::Text) {
            Some(part) if part.index == index => {
                part.cited += 1;
                part.base
            }
            _ => self.chars,
        };
        if !self.sources.annotation(annotation, base, out) {
            self.odd.note("annotation");
        }
    }
}

// Details without a reason say nothing.
fn says_why(details: &Value) -> bool {
    match details {
        Value::Object(details) => details.get("reason").is_some_and(is_truthy),
        odd => is_truthy(odd),
    }
}
