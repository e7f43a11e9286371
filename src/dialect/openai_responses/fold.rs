use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fmt::Write as _,
};

use bytes::{BufMut, Bytes};
use serde::Deserialize;

use super::{
    event::{EventBody, ResponseEvent},
    item::{ItemStatus, OutputItem, OutputPart},
    response::{BesideTheApi, ResponseIdentity, ResponseObject, ResponseState},
};
use crate::{
    chat::{ChatEvent, Complete, ProviderState, TextKind, ToolCall, TurnEnd, Usage, text_content},
    dialect::frames::JsonFrames,
    log::Chunk,
};

/// Folds a log into a response and the events of its stream.
///
/// The number of an event is its position in the stream, so the fold must see every record.
#[derive(Debug)]
pub(super) struct ResponseFold {
    id: String,
    identity: ResponseIdentity,
    started: bool,
    pub(super) number: u64,
    pub(super) items: Vec<OutputItem>,
    /// The index of the first item after the last restart.
    valid_from: usize,
    pub(super) open: OpenItem,
    /// Calls without an outcome, which the client or a server tool may run, and their turns.
    pub(super) calls: Vec<(ToolCall, u64)>,
    /// The ids of the calls that are items, and the indexes of the items.
    pub(super) written_calls: HashMap<String, usize>,
    /// The calls whose arguments are being streamed, and the indexes of their items.
    pub(super) inputs: Vec<(String, usize)>,
    /// The state of calls that aren't items yet.
    pub(super) call_states: Vec<(String, ProviderState)>,
    /// The names of the client's functions.
    functions: HashSet<String>,
    /// The number of the turn.
    pub(super) turn: u64,
    /// True if a call has got its outcome in this turn. A model that says something after it is in the next.
    pub(super) has_outcome: bool,
    pub(super) place: TextPlace,
    state: ResponseState,
    usage: Option<Usage>,
    model: Option<String>,
    /// The end, without its text.
    complete: Option<Complete>,
    has_text: bool,
}

/// The place in the text of a turn, in characters.
#[derive(Debug, Default)]
pub(super) struct TextPlace {
    /// The number of characters before the open text.
    pub(super) base: u64,
    /// The bytes of the open text that are counted, and their characters.
    pub(super) counted: (usize, u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenItem {
    Nothing,
    Text,
    Thinking,
}

impl ResponseFold {
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            identity: ResponseIdentity::default(),
            started: false,
            number: 0,
            items: Vec::new(),
            valid_from: 0,
            open: OpenItem::Nothing,
            calls: Vec::new(),
            written_calls: HashMap::new(),
            inputs: Vec::new(),
            call_states: Vec::new(),
            functions: HashSet::new(),
            turn: 0,
            has_outcome: false,
            place: TextPlace::default(),
            state: ResponseState::InProgress,
            usage: None,
            model: None,
            complete: None,
            has_text: false,
        }
    }

    /// Returns the response object of a log, as JSON.
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

    /// Returns the number of events so far.
    pub(super) fn events(&self) -> u64 {
        self.number
    }

    /// Writes the events of a record.
    pub(super) fn push(&mut self, record: &[u8], out: &mut JsonFrames) {
        match text_content(record) {
            Some((TextKind::Text, content)) => self.delta(OpenItem::Text, content, out),
            Some((TextKind::Thinking, content)) => self.delta(OpenItem::Thinking, content, out),
            None => {
                if let Ok(event) = serde_json::from_slice::<ChatEvent>(record) {
                    self.event(&event, out);
                }
            }
        }
    }

    fn event(&mut self, event: &ChatEvent, out: &mut JsonFrames) {
        if let ChatEvent::SessionInfo(info) = event {
            self.identity = ResponseIdentity::of(&info.extra);
            self.functions
                .extend(info.capabilities.client_tools.iter().cloned());
        }
        self.start(out);
        match event {
            ChatEvent::Text(text) => self.text(OpenItem::Text, &text.content, out),
            ChatEvent::Thinking(thinking) => self.text(OpenItem::Thinking, &thinking.content, out),
            ChatEvent::Source(source) => self.source(source, out),
            ChatEvent::Media(media) => self.media(media, out),
            ChatEvent::ProviderState(state) => self.provider_state(state, out),
            ChatEvent::ToolInput(input) => self.tool_input(input, out),
            ChatEvent::ToolCalls(more) => {
                for call in &more.calls {
                    self.tool_call(call, out);
                }
            }
            ChatEvent::Turn(end) => self.end_turn(end, out),
            ChatEvent::ToolResult(result) => {
                self.server_call(&result.id, &result.name, Ok(&result.content), out);
            }
            ChatEvent::ToolError(error) => {
                self.server_call(&error.id, &error.name, Err(&error.message), out);
            }
            ChatEvent::IsomorphicHandoff(handoff) => self.handoff(handoff, out),
            ChatEvent::Restarted(_) => {
                self.close(ItemStatus::Incomplete, out);
                self.cut_inputs(out);
                self.calls.clear();
                self.written_calls.clear();
                self.call_states.clear();
                self.next_turn();
                self.valid_from = self.items.len();
                (self.has_text, self.usage, self.model) = (false, None, None);
                self.begin_response(out);
            }
            ChatEvent::Complete(complete) => self.complete(complete, out),
            ChatEvent::Aborted(end) => {
                self.end(ResponseState::Cancelled, end.usage.as_ref(), out);
            }
            ChatEvent::Error(end) => {
                self.end(ResponseState::failed(end), end.usage.as_ref(), out);
            }
            // The SDKs refuse unknown events.
            _ => {}
        }
    }

    fn start(&mut self, out: &mut JsonFrames) {
        if !self.started {
            self.started = true;
            self.begin_response(out);
        }
    }

    /// Writes that the response begins. After a restart, it has no items again.
    fn begin_response(&mut self, out: &mut JsonFrames) {
        self.lifecycle("response.created", out);
        self.lifecycle("response.in_progress", out);
    }

    /// Adds a delta to an item. `json` is a JSON string.
    fn delta(&mut self, part: OpenItem, json: &[u8], out: &mut JsonFrames) {
        self.start(out);
        if let Ok(JsonStr(text)) = serde_json::from_slice(json) {
            self.add(part, &text, json, out);
        }
    }

    fn text(&mut self, part: OpenItem, text: &str, out: &mut JsonFrames) {
        let json = serde_json::to_vec(text).expect("a string is JSON");
        self.add(part, text, &json, out);
    }

    fn add(&mut self, part: OpenItem, text: &str, json: &[u8], out: &mut JsonFrames) {
        if text.is_empty() {
            return;
        }
        self.has_text |= part == OpenItem::Text;
        self.say();
        if self.open != part {
            self.begin(part, out);
        }
        let at = self.open_at();
        let item = &mut self.items[at];
        item.push_str(text);
        // Written without serde, because nearly all events are of these two kinds. Ids have no
        // characters to escape.
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

    /// Begins the next turn if the model says something after an outcome.
    pub(super) fn say(&mut self) {
        if self.has_outcome {
            self.next_turn();
        }
    }

    fn next_turn(&mut self) {
        self.turn += 1;
        self.has_outcome = false;
        self.place = TextPlace::default();
    }

    fn end_turn(&mut self, end: &TurnEnd, out: &mut JsonFrames) {
        let status = if end.finish_reason.is_whole() {
            ItemStatus::Completed
        } else {
            ItemStatus::Incomplete
        };
        self.close(status, out);
        self.cut_inputs(out);
        self.next_turn();
        if let Some(usage) = &end.usage {
            *self.usage.get_or_insert_default() += usage.clone();
        }
        if end.model.is_some() {
            self.model.clone_from(&end.model);
        }
    }

    /// Returns the index of the open item.
    pub(super) fn open_at(&self) -> usize {
        self.items.len() - 1
    }

    pub(super) fn begin(&mut self, part: OpenItem, out: &mut JsonFrames) {
        self.close(ItemStatus::Completed, out);
        self.open = part;
        let item = match part {
            OpenItem::Thinking => OutputItem::reasoning(self.item_id("rs")),
            _ => OutputItem::message(self.item_id("msg")),
        };
        self.items.push(item);
        self.write_item("response.output_item.added", out);
        if let Some(item) = self.items.last_mut() {
            item.open();
        }
        self.write_part("response.content_part.added", out);
    }

    pub(super) fn close(&mut self, status: ItemStatus, out: &mut JsonFrames) {
        let done = match self.open {
            OpenItem::Nothing => return,
            OpenItem::Text => {
                self.place.base += self.text_end();
                self.place.counted = (0, 0);
                "response.output_text.done"
            }
            OpenItem::Thinking => "response.reasoning_text.done",
        };
        self.open = OpenItem::Nothing;
        if let Some(item) = self.items.last_mut() {
            item.end(status);
        }
        if let Some((output_index, item, part)) = last_part(&self.items) {
            let body = EventBody::TextDone {
                item_id: item.id(),
                output_index,
                content_index: 0,
                text: part.text(),
                logprobs: [],
            };
            write(done, body, &mut self.number, out);
        }
        self.write_part("response.content_part.done", out);
        self.write_item("response.output_item.done", out);
    }

    fn complete(&mut self, complete: &Complete, out: &mut JsonFrames) {
        // A provider that doesn't stream gives the text at the end.
        if let (false, Some(text)) = (self.has_text, &complete.text) {
            self.text(OpenItem::Text, text, out);
        }
        // Without a tool layer, calls are neither run nor handed over before the end.
        for (call, turn) in std::mem::take(&mut self.calls) {
            self.function_call(&call, turn, out);
        }
        self.complete = Some(Complete {
            text: None,
            ..complete.clone()
        });
        let state = ResponseState::complete(complete);
        self.end(state, complete.usage.as_ref(), out);
    }

    fn end(&mut self, state: ResponseState, usage: Option<&Usage>, out: &mut JsonFrames) {
        let status = if state == ResponseState::Completed {
            ItemStatus::Completed
        } else {
            ItemStatus::Incomplete
        };
        self.close(status, out);
        self.cut_inputs(out);
        self.state = state;
        if usage.is_some() {
            self.usage = usage.cloned();
        }
        self.lifecycle(self.state.event(), out);
    }

    fn response(&self) -> ResponseObject<'_> {
        let is_over = self.state != ResponseState::InProgress;
        ResponseObject::new(
            &self.id,
            &self.identity,
            &self.state,
            &self.items[self.valid_from..],
            self.model.as_deref(),
            is_over.then_some(self.usage.as_ref()).flatten(),
            self.complete.as_ref().and_then(BesideTheApi::of),
        )
    }

    fn lifecycle(&mut self, kind: &'static str, out: &mut JsonFrames) {
        let body = EventBody::Response {
            response: Box::new(self.response()),
        };
        let mut number = self.number;
        write(kind, body, &mut number, out);
        self.number = number;
    }

    /// Writes an event about the last item.
    pub(super) fn write_item(&mut self, kind: &'static str, out: &mut JsonFrames) {
        if let Some(last) = self.items.len().checked_sub(1) {
            self.write_item_at(last, kind, out);
        }
    }

    /// Writes an event about an item.
    pub(super) fn write_item_at(
        &mut self,
        output_index: usize,
        kind: &'static str,
        out: &mut JsonFrames,
    ) {
        let item = &self.items[output_index];
        let body = EventBody::Item { output_index, item };
        write(kind, body, &mut self.number, out);
    }

    /// Writes an event about the part of the last item.
    fn write_part(&mut self, kind: &'static str, out: &mut JsonFrames) {
        if let Some((output_index, item, part)) = last_part(&self.items) {
            let body = EventBody::Part {
                item_id: item.id(),
                output_index,
                content_index: 0,
                part,
            };
            write(kind, body, &mut self.number, out);
        }
    }

    /// Returns true if the arguments of this tool may be streamed: if only the client can run it.
    pub(super) fn is_function(&self, name: &str) -> bool {
        self.functions.contains(name)
    }

    /// Returns a new item id of this turn.
    pub(super) fn item_id(&self, kind: &str) -> String {
        self.item_id_of(kind, self.turn)
    }

    /// Returns a new item id. It contains the response id, to be unique in the conversation, and the turn.
    pub(super) fn item_id_of(&self, kind: &str, turn: u64) -> String {
        let mut id = format!("{kind}_{}_{}", self.id, self.items.len());
        if turn > 0 {
            write!(id, "t{turn}").expect("a String takes every text");
        }
        id
    }
}

const FITS: &str = "a BytesMut takes every byte";

fn last_part(items: &[OutputItem]) -> Option<(usize, &OutputItem, &OutputPart)> {
    let (at, item) = items.iter().enumerate().next_back()?;
    Some((at, item, item.part()?))
}

pub(super) fn write(
    kind: &'static str,
    body: EventBody<'_>,
    number: &mut u64,
    out: &mut JsonFrames,
) {
    out.push(&ResponseEvent {
        r#type: kind,
        sequence_number: *number,
        body,
    });
    *number += 1;
}

/// A JSON string, borrowed if it has no escapes.
#[derive(Deserialize)]
struct JsonStr<'a>(#[serde(borrow)] Cow<'a, str>);
