use std::collections::VecDeque;

use serde_json::{Value, json};

use super::position::PROVIDER;
use crate::{
    chat::{
        ChatEvent, FinishReason, ProviderError, ProviderState, ProviderStateEvent, StateOf,
        ToolCall,
    },
    provider::http::{CallIds, PartialCall, text_of, too_long, too_many},
};

// Models ask for a few tools at once.
const MAX_CALLS: usize = 256;

/// The calls of functions of one response.
///
/// Each is an item of its own, whose beginning has its id and its name. Arguments are shown as they come.
#[derive(Debug)]
pub(super) struct ItemCalls {
    calls: Vec<ItemCall>,
    ids: CallIds,
    bytes: usize,
    max_bytes: usize,
    cut: bool,
}

#[derive(Debug)]
struct ItemCall {
    /// The index of the item.
    index: u64,
    call: PartialCall,
    /// The arguments, once the server said that they are whole. WTF-8.
    arguments: Option<Vec<u8>>,
    /// True once the server told the whole item.
    is_told: bool,
    is_incomplete: bool,
    /// The items that stand between it and the call before it.
    before: Vec<Value>,
}

/// The end of an item with a call.
#[derive(Debug, Default)]
pub(super) struct CallItem {
    pub(super) call_id: String,
    pub(super) name: String,
    /// WTF-8.
    pub(super) arguments: Vec<u8>,
    pub(super) is_incomplete: bool,
}

impl ItemCalls {
    pub(super) fn new(ids: CallIds, max_bytes: usize) -> Self {
        Self {
            calls: Vec::new(),
            ids,
            bytes: 0,
            max_bytes,
            cut: false,
        }
    }

    /// Returns true if a piece was refused, so that a call lacks it.
    pub(super) fn are_cut(&self) -> bool {
        self.cut
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Begins a call, and appends the event that announces it. `before` are the items before it.
    pub(super) fn begin(
        &mut self,
        index: u64,
        item: CallItem,
        before: Vec<Value>,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        self.count(item.call_id.len() + item.name.len() + item.arguments.len())?;
        let at = self.find_or_add(index, before)?;
        let call = &mut self.calls[at].call;
        if !item.call_id.is_empty() && call.given.is_none() {
            call.given = Some(self.ids.next(item.call_id));
        }
        if call.name.is_empty() {
            call.name = item.name;
        }
        call.json.pass(&item.arguments);
        call.arguments.extend_from_slice(&item.arguments);
        if !call.is_announced() {
            out.extend(call.announcement().map(ChatEvent::from));
        }
        Ok(())
    }

    /// Takes a piece of the arguments, and appends the event that shows it.
    pub(super) fn piece(
        &mut self,
        index: u64,
        piece: &[u8],
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        self.count(piece.len())?;
        let at = self.find_or_add(index, Vec::new())?;
        let call = &mut self.calls[at].call;
        call.json.pass(piece);
        call.arguments.extend_from_slice(piece);
        if call.is_announced() {
            out.extend(call.next_input().map(ChatEvent::from));
        }
        Ok(())
    }

    /// Takes the whole arguments of a call, whose item follows.
    pub(super) fn arguments(
        &mut self,
        index: u64,
        arguments: Vec<u8>,
    ) -> Result<(), ProviderError> {
        let item = CallItem {
            arguments,
            ..CallItem::default()
        };
        self.fill(index, item, Vec::new()).map(drop)
    }

    /// Takes a whole call.
    pub(super) fn finish(
        &mut self,
        index: u64,
        item: CallItem,
        before: Vec<Value>,
    ) -> Result<(), ProviderError> {
        let at = self.fill(index, item, before)?;
        self.calls[at].is_told = true;
        Ok(())
    }

    /// Returns true if the server told each call whole.
    pub(super) fn are_whole(&self) -> bool {
        let is_whole = |call: &ItemCall| call.is_told && !call.is_incomplete;
        self.calls.iter().all(is_whole)
    }

    fn fill(
        &mut self,
        index: u64,
        item: CallItem,
        before: Vec<Value>,
    ) -> Result<usize, ProviderError> {
        let at = self.find_or_add(index, before)?;
        let of_item = item.arguments.len();
        let ItemCall {
            call,
            arguments,
            is_incomplete,
            ..
        } = &mut self.calls[at];
        if !item.call_id.is_empty() && call.given.is_none() {
            call.given = Some(self.ids.next(item.call_id));
        }
        if !item.name.is_empty() && !call.is_announced() {
            call.name = item.name;
        }
        *is_incomplete |= item.is_incomplete;
        let is_known =
            *arguments == Some(item.arguments.clone()) || call.arguments == item.arguments;
        if !item.arguments.is_empty() || arguments.is_none() {
            *arguments = Some(if item.arguments.is_empty() {
                // The pieces are all that there is.
                call.arguments.clone()
            } else {
                item.arguments
            });
        }
        self.count(if is_known { 0 } else { of_item })?;
        Ok(at)
    }

    /// Ends the response. Returns the rest of the arguments and the event of the calls, if the turn is whole
    /// and has any, with what the server must be handed back, and the reason of the turn.
    ///
    /// # Errors
    ///
    /// If the turn is whole and a call isn't.
    pub(super) fn end(
        &mut self,
        reason: FinishReason,
    ) -> Result<(Vec<ChatEvent>, FinishReason), ProviderError> {
        if self.calls.is_empty() {
            return Ok((Vec::new(), reason));
        }
        if !reason.is_whole() {
            tracing::warn!(%reason, "the model's calls are dropped: its turn isn't whole");
            return Ok((Vec::new(), reason));
        }
        if !self.are_whole() {
            return Err(ProviderError::cut());
        }
        let (mut events, mut states) = (Vec::new(), Vec::new());
        self.calls.sort_by_key(|call| call.index);
        let mut asked = Vec::with_capacity(self.calls.len());
        for item in self.calls.drain(..) {
            let mut call = item.call;
            events.extend(call.last_input().map(ChatEvent::from));
            let id = match call.given {
                Some(id) => id,
                None => self.ids.next(call.id),
            };
            if !item.before.is_empty() {
                let state = ProviderState::new(PROVIDER, json!({"items": item.before}));
                let event = ProviderStateEvent::new(StateOf::Call(id.clone()), state);
                states.push(ChatEvent::from(event));
            }
            let arguments = text_of(&item.arguments.unwrap_or_default());
            asked.push(ToolCall::from_text(id, call.name, &arguments));
        }
        events.push(ChatEvent::tool_calls(asked));
        events.append(&mut states);
        Ok((events, FinishReason::ToolCalls))
    }

    fn find_or_add(&mut self, index: u64, before: Vec<Value>) -> Result<usize, ProviderError> {
        let at = match self.calls.iter().rposition(|call| call.index == index) {
            Some(at) => at,
            None if self.calls.len() == MAX_CALLS => {
                self.cut = true;
                return Err(too_many(MAX_CALLS));
            }
            None => {
                self.calls.push(ItemCall {
                    index,
                    call: PartialCall::new(None),
                    arguments: None,
                    is_told: false,
                    is_incomplete: false,
                    before: Vec::new(),
                });
                self.calls.len() - 1
            }
        };
        self.calls[at].before.extend(before);
        Ok(at)
    }

    fn count(&mut self, bytes: usize) -> Result<(), ProviderError> {
        self.bytes += bytes;
        if self.bytes > self.max_bytes {
            self.cut = true;
            return Err(too_long(self.max_bytes));
        }
        Ok(())
    }
}
