//! The turn of an answer that handed calls to its client, as the end of its log has it.

use std::{
    collections::{HashMap, HashSet},
    mem,
    ops::Range,
};

use serde_json::Value;

use super::{caller::Caller, client_fields::outputs_begin, refusals};
use crate::{
    chat::{
        ChatEvent, ChatRequest, Content, ConversationState, IsomorphicClientOutput,
        IsomorphicHandoff, Message, Role, ToolCall, has_kind, value_of_text, values_in_text,
    },
    dialect::{Element, Refusal, RequestLimits},
    log::{Chunk, Lsn, Position, SessionId},
    session::ReadError,
    store::SessionState,
};

/// The number of records at the end of a log that are read first.
const END: u64 = 256;

/// The events that are decoded. Most records are text, and aren't.
const KINDS: [&str; 8] = [
    "tool_calls",
    "tool_progress",
    "tool_result",
    "tool_error",
    "isomorphic_handoff",
    "conversation_state",
    "restarted",
    "complete",
];

/// Reads logs, up to a number of pages for one request.
pub(super) struct LogPages<'a> {
    pub(super) caller: &'a Caller,
    left: usize,
}

/// The calls of an answer with their outcomes, and its last turn.
#[derive(Debug, Default)]
pub(super) struct HandedTurn {
    calls: Vec<ToolCall>,
    // The place of each call in `calls`.
    places: HashMap<String, usize>,
    handoffs: HashMap<String, IsomorphicHandoff>,
    outcomes: HashMap<String, Message>,
    // The calls that began or have an outcome, also before a restart.
    ran: HashSet<String>,
    state: Option<ConversationState>,
    is_complete: bool,
}

/// A session whose log has the calls that a client answers.
#[derive(Debug)]
pub(super) struct HandedOver {
    pub(super) session: SessionId,
    pub(super) turn: HandedTurn,
}

impl<'a> LogPages<'a> {
    /// Creates a reader of at most `pages` pages.
    pub(super) const fn new(caller: &'a Caller, pages: usize) -> Self {
        Self {
            caller,
            left: pages,
        }
    }

    /// Reads the calls of a session after an LSN; `None` once the pages are used up.
    async fn read(
        &mut self,
        id: &SessionId,
        after: Lsn,
        tail: Lsn,
    ) -> Result<Option<HandedTurn>, Refusal> {
        let mut turn = HandedTurn::default();
        let mut at = Position::after(after);
        while at.lsn < tail {
            let Some(left) = self.left.checked_sub(1) else {
                return Ok(None);
            };
            self.left = left;
            let page = self.caller.registry().page(id, at).await;
            let page = page.map_err(|error| refusals::store(&error))?;
            let Some(last) = page.chunks.last() else {
                break;
            };
            at = Position::tagged(last.last(), last.epoch().tag());
            for record in page.chunks.iter().flat_map(Chunk::records) {
                if !KINDS.iter().any(|kind| has_kind(record.bytes, kind)) {
                    continue;
                }
                let event = serde_json::from_slice(record.bytes).map_err(|_| {
                    let corrupt = ReadError::Corrupt { lsn: record.lsn };
                    refusals::read(&corrupt, at)
                })?;
                turn.push(event);
            }
        }
        Ok(Some(turn))
    }
}

impl HandedTurn {
    /// Reads the turn of a session if its log has all these calls: `handed` must have been handed over,
    /// `known` may have an outcome instead.
    pub(super) async fn read(
        pages: &mut LogPages<'_>,
        id: &SessionId,
        state: &SessionState,
        handed: &HashSet<String>,
        known: &HashSet<String>,
    ) -> Result<Option<Self>, Refusal> {
        let end = Lsn::new(state.tail.get().saturating_sub(END));
        for after in [end, Lsn::ZERO] {
            let Some(turn) = pages.read(id, after, state.tail).await? else {
                return Ok(None);
            };
            let is_outcome = |call: &String| turn.outcomes.contains_key(call);
            if handed.iter().all(|call| turn.handed(call))
                && known
                    .iter()
                    .all(|call| turn.handed(call) || is_outcome(call))
            {
                return Ok(Some(turn));
            }
            if after == Lsn::ZERO {
                break;
            }
        }
        Ok(None)
    }

    /// Returns true if the tool of one of these calls may have run: the log has its begin or an outcome.
    pub(super) async fn may_have_run(
        pages: &mut LogPages<'_>,
        id: &SessionId,
        tail: Lsn,
        calls: &HashSet<String>,
    ) -> Result<bool, Refusal> {
        let turn = pages.read(id, Lsn::ZERO, tail).await?;
        // In a log that is too long to be read it may have.
        Ok(turn.is_none_or(|turn| calls.iter().any(|call| turn.ran.contains(call))))
    }

    fn push(&mut self, event: ChatEvent) {
        match event {
            ChatEvent::ToolCalls(asked) => {
                for call in asked.calls {
                    self.places.insert(call.id.clone(), self.calls.len());
                    self.calls.push(call);
                }
            }
            ChatEvent::ToolProgress(progress) => {
                self.ran.insert(progress.id);
            }
            ChatEvent::ToolResult(result) => {
                self.ran.insert(result.id.clone());
                let message = Message::tool(&result.id, result.content);
                self.outcomes.insert(result.id, message);
            }
            ChatEvent::ToolError(error) => {
                self.ran.insert(error.id.clone());
                let message = Message::tool_failed(&error.id, &error.message);
                self.outcomes.insert(error.id, message);
            }
            ChatEvent::IsomorphicHandoff(handoff) => {
                self.handoffs.insert(handoff.call_id.clone(), *handoff);
            }
            ChatEvent::ConversationState(event) => self.state = Some(event.conversation_state),
            ChatEvent::Restarted(_) => {
                *self = Self {
                    ran: mem::take(&mut self.ran),
                    ..Self::default()
                };
            }
            ChatEvent::Complete(_) => self.is_complete = true,
            _ => {}
        }
    }

    /// Returns true if the call was handed to the client: by a handoff, or, without a layer that runs
    /// tools, by the end of the answer.
    pub(super) fn handed(&self, call: &str) -> bool {
        self.handoffs.contains_key(call) || self.open_call(call).is_some()
    }

    /// Returns true if the answer is complete; a call of any other is void.
    pub(super) const fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Returns true if a second half of the tool runs with the client's output.
    pub(super) fn concludes(&self, call: &str) -> bool {
        let handoff = self.handoffs.get(call);
        handoff.is_some_and(|handoff| handoff.uses_handoff)
    }

    /// Returns the tool's name.
    pub(super) fn tool(&self, call: &str) -> Option<&str> {
        match self.handoffs.get(call) {
            Some(handoff) => Some(&handoff.tool_name),
            None => self.open_call(call).map(|call| &*call.name),
        }
    }

    /// Returns true if a client that leaves the conversation out can be served from the log.
    pub(super) fn has_conversation(&self) -> bool {
        let state = self.state.as_ref();
        state.is_some_and(|state| !state.messages.is_empty())
    }

    fn open_call(&self, id: &str) -> Option<&ToolCall> {
        let is_open = self.is_complete && !self.outcomes.contains_key(id);
        let place = self.places.get(id).filter(|_| is_open)?;
        self.calls.get(*place)
    }

    /// Returns the calls of the turn.
    fn turn_calls(&self, named: &HashSet<String>) -> Vec<ToolCall> {
        if let Some(state) = &self.state {
            return state.tool_calls.clone();
        }
        let of_turn =
            |call: &&ToolCall| named.contains(&call.id) || self.open_call(&call.id).is_some();
        self.calls.iter().filter(of_turn).cloned().collect()
    }

    /// Puts the turn into a request in the words of the log: the assistant's message with its calls, and
    /// the outcomes of the server's tools. The client's outputs get the parameters and the server's
    /// output of the log. Outputs in texts are decoded if their JSON values, and the `values` that the
    /// request has already, are within the limits.
    pub(super) fn put_into(
        &self,
        request: &mut ChatRequest,
        mut values: usize,
        limits: &RequestLimits,
    ) -> Result<(), Refusal> {
        let outputs = &mut request.isomorphic_client_outputs;
        for output in &mut *outputs {
            self.confirm(output);
        }
        let begin = outputs_begin(&request.messages);
        let named = request.messages[begin..]
            .iter()
            .filter_map(|message| message.tool_call_id.clone())
            .chain(outputs.iter().map(|output| output.call_id.clone()))
            .collect();
        let mut given = HashMap::new();
        let mut give = |message: Message| {
            let call = message.tool_call_id.clone().unwrap_or_default();
            given.entry(call).or_insert(message);
        };
        request.messages.drain(begin..).for_each(&mut give);
        let calls = self.turn_calls(&named);
        let ids: HashSet<_> = calls.iter().map(|call| &*call.id).collect();
        let messages = &mut request.messages;
        let mut content = Content::new();
        let copy = client_copy(messages, &ids);
        if copy.is_empty()
            && messages.is_empty()
            && let Some(state) = &self.state
        {
            messages.clone_from(&state.messages);
        }
        let at = if copy.is_empty() {
            messages.len()
        } else {
            copy.start
        };
        for mut message in messages.drain(copy) {
            if message.role == Role::Tool {
                give(message);
            } else {
                content.parts_mut().append(message.content.parts_mut());
            }
        }
        if let Some(state) = &self.state {
            content.clone_from(&state.assistant_content);
        }
        let mut turn = Vec::new();
        let by_tools: HashSet<_> = outputs
            .iter()
            .map(|output| output.call_id.clone())
            .collect();
        for call in &calls {
            if let Some(outcome) = self.outcomes.get(&call.id) {
                turn.push(outcome.clone());
            } else if by_tools.contains(&call.id) {
                // The layer of the tools adds its result.
            } else if let Some(message) = given.remove(&call.id) {
                if self.concludes(&call.id) {
                    let text = message.text();
                    values = values.saturating_add(values_in_text(&*text));
                    limits.check(Element::Value, values)?;
                    outputs.push(self.output(&call.id, client_output(&message)));
                } else {
                    turn.push(message);
                }
            }
        }
        turn.insert(0, Message::assistant(content).tool_calls(calls));
        messages.splice(at..at, turn);
        Ok(())
    }

    fn output(&self, call: &str, content: Value) -> IsomorphicClientOutput {
        let name = self.tool(call).unwrap_or_default();
        let mut output = IsomorphicClientOutput::new(call, name, content);
        self.confirm(&mut output);
        output
    }

    fn confirm(&self, output: &mut IsomorphicClientOutput) {
        let handoff = self.handoffs.get(&output.call_id);
        let call = self.open_call(&output.call_id);
        output.params = match (handoff, call) {
            (Some(handoff), _) => handoff.params.clone(),
            (None, Some(call)) => call.arguments.clone(),
            (None, None) => Value::Null,
        };
        output.uses_handoff = self.concludes(&output.call_id);
        output.cached_handoff = handoff
            .filter(|handoff| handoff.uses_handoff)
            .map(|handoff| handoff.server_output.clone());
    }
}

/// Returns the value that a client gave for a call: a text as the value that it encodes, and parts with
/// media as a list of parts.
fn client_output(message: &Message) -> Value {
    if message.content.all_media().next().is_none() {
        return value_of_text(&message.text());
    }
    serde_json::to_value(&message.content).unwrap_or_default()
}

/// Returns the range of a client's copy of the turn with these calls, which may consist of several
/// messages; empty if there is none.
fn client_copy(messages: &[Message], calls: &HashSet<&str>) -> Range<usize> {
    let asks = |message: &Message| {
        let mut asked = message.tool_calls.iter();
        message.role == Role::Assistant && asked.any(|call| calls.contains(&*call.id))
    };
    let of_turn = |message: &&Message| {
        let answers = message.tool_call_id.as_deref();
        asks(message) || answers.is_some_and(|call| calls.contains(call))
    };
    let Some(at) = messages.iter().rposition(asks) else {
        return 0..0;
    };
    let (before, after) = messages.split_at(at);
    let before = before.iter().rev().take_while(of_turn).count();
    at - before..at + after.iter().take_while(of_turn).count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chat::{Media, Restarted, ToolProgress};

    #[test]
    fn media_that_a_client_gave_reach_the_second_half_as_parts() {
        let text = Message::tool("1", r#"{"seat": "1A"}"#);
        assert_eq!(client_output(&text), json!({"seat": "1A"}));
        let content = Content::new()
            .text("a")
            .media(Media::new("image/png", b"a"));
        let given = client_output(&Message::tool("1", content.clone()));
        assert_eq!(serde_json::from_value::<Content>(given).unwrap(), content);
    }

    #[test]
    fn a_tool_may_have_run_once_it_began_also_before_a_restart() {
        let mut turn = HandedTurn::default();
        turn.push(ToolProgress::new("1", "seat").into());
        turn.push(ChatEvent::text("x"));
        assert!(turn.ran.contains("1"));
        turn.push(ChatEvent::Restarted(Restarted::default()));
        assert!(turn.ran.contains("1"));
        assert!(!turn.ran.contains("2"));
    }
}
