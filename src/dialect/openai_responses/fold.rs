use std::{borrow::Cow, collections::HashSet, fmt::Write as _};

use bytes::{BufMut, Bytes};
use serde::Deserialize;

use super::{
    event::{EventBody, ResponseEvent},
    item::{ItemStatus, OutputItem, OutputPart},
    response::{ResponseIdentity, ResponseObject, ResponseState},
};
use crate::{
    chat::{ChatEvent, Complete, TextKind, ToolCall, Usage, text_content},
    dialect::frames::JsonFrames,
    log::Chunk,
};

/// A log, folded into a response and the events of its stream.
///
/// Each event has a number, which is its place in the stream; so all records are counted, whether
/// the client has their events or not.
#[derive(Debug)]
pub(super) struct ResponseFold {
    id: String,
    made: ResponseIdentity,
    started: bool,
    pub(super) number: u64,
    pub(super) items: Vec<OutputItem>,
    /// The items before this one belong to an answer that began anew.
    valid_from: usize,
    open: OpenItem,
    /// Calls of which it isn't known yet who runs them.
    pub(super) calls: Vec<ToolCall>,
    /// Calls that came out as items.
    pub(super) told: HashSet<String>,
    standing: ResponseState,
    usage: Option<Usage>,
    has_text: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpenItem {
    Nothing,
    Text,
    Thinking,
}

impl ResponseFold {
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            made: ResponseIdentity::default(),
            started: false,
            number: 0,
            items: Vec::new(),
            valid_from: 0,
            open: OpenItem::Nothing,
            calls: Vec::new(),
            told: HashSet::new(),
            standing: ResponseState::InProgress,
            usage: None,
            has_text: false,
        }
    }

    /// The response that a whole log comes to.
    pub(super) fn document(id: &str, records: &[Chunk]) -> Bytes {
        let mut fold = Self::new(id);
        let mut frames = JsonFrames::default();
        for record in records.iter().flat_map(Chunk::records) {
            frames.clear();
            fold.push(record.bytes, &mut frames);
        }
        serde_json::to_vec(&fold.response())
            .expect("strings and numbers are JSON")
            .into()
    }

    /// How many events there are by now.
    pub(super) fn events(&self) -> u64 {
        self.number
    }

    /// The events that a record comes to.
    pub(super) fn push(&mut self, record: &[u8], out: &mut JsonFrames) {
        match text_content(record) {
            Some((TextKind::Text, content)) => self.piece(OpenItem::Text, content, out),
            Some((TextKind::Thinking, content)) => self.piece(OpenItem::Thinking, content, out),
            None => {
                if let Ok(event) = serde_json::from_slice::<ChatEvent>(record) {
                    self.event(&event, out);
                }
            }
        }
    }

    fn event(&mut self, event: &ChatEvent, out: &mut JsonFrames) {
        if let ChatEvent::SessionInfo(info) = event {
            self.made = ResponseIdentity::of(&info.extra);
        }
        self.start(out);
        match event {
            ChatEvent::Text(text) => self.say(OpenItem::Text, &text.content, out),
            ChatEvent::Thinking(thinking) => self.say(OpenItem::Thinking, &thinking.content, out),
            ChatEvent::ToolCalls(more) => self.calls.extend_from_slice(&more.calls),
            ChatEvent::ToolResult(result) => {
                self.ran(&result.id, &result.name, Ok(&result.content), out);
            }
            ChatEvent::ToolError(error) => {
                self.ran(&error.id, &error.name, Err(&error.message), out);
            }
            ChatEvent::IsomorphicHandoff(handoff) => self.handoff(handoff, out),
            ChatEvent::Restarted(_) => {
                self.close(ItemStatus::Incomplete, out);
                self.calls.clear();
                self.told.clear();
                self.valid_from = self.items.len();
                self.has_text = false;
            }
            ChatEvent::Complete(complete) => self.complete(complete, out),
            ChatEvent::Aborted(_) => self.end(ResponseState::Cancelled, out),
            ChatEvent::Error(error) => self.end(ResponseState::failed(error), out),
            // The SDKs refuse events that they don't know.
            _ => {}
        }
    }

    fn start(&mut self, out: &mut JsonFrames) {
        if !self.started {
            self.started = true;
            self.lifecycle("response.created", out);
            self.lifecycle("response.in_progress", out);
        }
    }

    /// A piece of an item that says something, as a string of JSON.
    fn piece(&mut self, part: OpenItem, json: &[u8], out: &mut JsonFrames) {
        self.start(out);
        if let Ok(JsonStr(text)) = serde_json::from_slice(json) {
            self.add(part, &text, json, out);
        }
    }

    fn say(&mut self, part: OpenItem, text: &str, out: &mut JsonFrames) {
        let json = serde_json::to_vec(text).expect("a string is JSON");
        self.add(part, text, &json, out);
    }

    fn add(&mut self, part: OpenItem, text: &str, json: &[u8], out: &mut JsonFrames) {
        if text.is_empty() {
            return;
        }
        self.has_text |= part == OpenItem::Text;
        if self.open != part {
            self.begin(part, out);
        }
        let at = self.items.len() - 1;
        let item = &mut self.items[at];
        item.say(text);
        // Nearly all events are one of these two, so they are put together by hand. Nothing in an
        // id has to be escaped.
        let (head, tail): (&[u8], &[u8]) = match part {
            OpenItem::Thinking => (
                br#"{"type":"response.reasoning_text.delta","item_id":""#,
                b"",
            ),
            _ => (
                br#"{"type":"response.output_text.delta","item_id":""#,
                br#","logprobs":[]"#,
            ),
        };
        let (id, number) = (item.id(), self.number);
        let frame = out.begin();
        frame.put_slice(head);
        write!(
            frame,
            r#"{id}","output_index":{at},"content_index":0,"delta":"#
        )
        .expect(FITS);
        frame.put_slice(json);
        frame.put_slice(tail);
        write!(frame, r#","sequence_number":{number}}}"#).expect(FITS);
        out.end();
        self.number += 1;
    }

    fn begin(&mut self, part: OpenItem, out: &mut JsonFrames) {
        self.close(ItemStatus::Completed, out);
        self.open = part;
        let item = match part {
            OpenItem::Thinking => OutputItem::reasoning(self.item_id("rs")),
            _ => OutputItem::message(self.item_id("msg")),
        };
        self.items.push(item);
        self.tell_item("response.output_item.added", out);
        if let Some(item) = self.items.last_mut() {
            item.open();
        }
        self.tell_part("response.content_part.added", out);
    }

    pub(super) fn close(&mut self, status: ItemStatus, out: &mut JsonFrames) {
        let done = match self.open {
            OpenItem::Nothing => return,
            OpenItem::Text => "response.output_text.done",
            OpenItem::Thinking => "response.reasoning_text.done",
        };
        self.open = OpenItem::Nothing;
        if let Some(item) = self.items.last_mut() {
            item.end(status);
        }
        if let Some((output_index, item, part)) = last_part(&self.items) {
            let what = EventBody::TextDone {
                item_id: item.id(),
                output_index,
                content_index: 0,
                text: part.said(),
                logprobs: [],
            };
            tell(done, what, &mut self.number, out);
        }
        self.tell_part("response.content_part.done", out);
        self.tell_item("response.output_item.done", out);
    }

    fn complete(&mut self, complete: &Complete, out: &mut JsonFrames) {
        // A provider that doesn't stream says everything at the end.
        if let (false, Some(text)) = (self.has_text, &complete.text) {
            self.say(OpenItem::Text, text, out);
        }
        self.usage.clone_from(&complete.usage);
        // Nobody ran these, and nobody handed them over: there is no layer for tools.
        for call in std::mem::take(&mut self.calls) {
            self.function_call(&call, out);
        }
        self.end(ResponseState::complete(complete), out);
    }

    fn end(&mut self, standing: ResponseState, out: &mut JsonFrames) {
        let whole = standing == ResponseState::Completed;
        let status = if whole {
            ItemStatus::Completed
        } else {
            ItemStatus::Incomplete
        };
        self.close(status, out);
        self.standing = standing;
        self.lifecycle(self.standing.event(), out);
    }

    fn response(&self) -> ResponseObject<'_> {
        ResponseObject::new(
            &self.id,
            &self.made,
            &self.standing,
            &self.items[self.valid_from..],
            self.usage.as_ref(),
        )
    }

    fn lifecycle(&mut self, kind: &'static str, out: &mut JsonFrames) {
        let what = EventBody::Response {
            response: self.response(),
        };
        let mut number = self.number;
        tell(kind, what, &mut number, out);
        self.number = number;
    }

    /// Tells of the last item.
    pub(super) fn tell_item(&mut self, kind: &'static str, out: &mut JsonFrames) {
        if let Some((output_index, item)) = self.items.iter().enumerate().next_back() {
            let what = EventBody::Item { output_index, item };
            tell(kind, what, &mut self.number, out);
        }
    }

    /// Tells of the last item's part.
    fn tell_part(&mut self, kind: &'static str, out: &mut JsonFrames) {
        if let Some((output_index, item, part)) = last_part(&self.items) {
            let what = EventBody::Part {
                item_id: item.id(),
                output_index,
                content_index: 0,
                part,
            };
            tell(kind, what, &mut self.number, out);
        }
    }

    /// Unique beside those of other responses of a conversation.
    pub(super) fn item_id(&self, kind: &str) -> String {
        format!("{kind}_{}_{}", self.id, self.items.len())
    }
}

const FITS: &str = "a BytesMut takes every byte";

fn last_part(items: &[OutputItem]) -> Option<(usize, &OutputItem, &OutputPart)> {
    let (at, item) = items.iter().enumerate().next_back()?;
    Some((at, item, item.part()?))
}

pub(super) fn tell(
    kind: &'static str,
    what: EventBody<'_>,
    number: &mut u64,
    out: &mut JsonFrames,
) {
    out.push(&ResponseEvent {
        r#type: kind,
        sequence_number: *number,
        what,
    });
    *number += 1;
}

/// A string of JSON, borrowed where nothing in it is escaped.
#[derive(Deserialize)]
struct JsonStr<'a>(#[serde(borrow)] Cow<'a, str>);
