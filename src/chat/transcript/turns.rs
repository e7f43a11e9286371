//! The turns of an answer that used tools.

use super::{Message, Piece, StateOf, Transcript, pieces::PieceAt};
use crate::chat::Content;

// The end of a turn that asked for tools, as lengths of the transcript's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    order: usize,
    calls: usize,
    // The number of outcomes at that point.
    outcomes: usize,
}

impl Transcript {
    // Calls belong to one turn until there is something new of the model, or an outcome.
    pub(super) fn end_turn(&mut self) {
        let turn = Turn {
            order: self.order.len(),
            calls: self.tool_calls.len(),
            outcomes: self.outcomes(),
        };
        let begin = self.turns.last().map_or(0, |last| last.order);
        let is_new = self.order[begin..turn.order]
            .iter()
            .any(|at| self.is_of_another_turn(at));
        match self.turns.last_mut() {
            Some(last) if !is_new => *last = turn,
            _ => self.turns.push(turn),
        }
    }

    // Returns true if calls after this piece are not in one turn with those before it.
    fn is_of_another_turn(&self, at: &PieceAt) -> bool {
        match at {
            PieceAt::Call(_) | PieceAt::Input(_) | PieceAt::Resolved(_) | PieceAt::Custom(_) => {
                false
            }
            PieceAt::State(at) => self.states[*at].of == StateOf::Turn,
            PieceAt::Text(_)
            | PieceAt::Thinking(_)
            | PieceAt::Media(_)
            | PieceAt::Source(_)
            | PieceAt::Result(_)
            | PieceAt::Error(_)
            | PieceAt::Handoff(_)
            | PieceAt::TurnEnd(_) => true,
        }
    }

    // All that the model said before the first outcome of a turn's calls belongs to that turn. Call this
    // before the outcome is added.
    pub(super) fn record_outcome(&mut self) {
        let outcomes = self.outcomes();
        if let Some(last) = self.turns.last_mut()
            && last.outcomes == outcomes
        {
            last.order = self.order.len();
        }
    }

    fn outcomes(&self) -> usize {
        self.tool_results.len() + self.tool_errors.len() + self.handoffs.len()
    }

    /// Returns the answer as messages of a conversation, for a model to continue: for each turn the
    /// assistant's text and calls, then the results of the tools, in the order of the calls. A call
    /// without an outcome has no message of a tool; models refuse such a conversation.
    ///
    /// ```
    /// # use serde_json::json;
    /// use unbroken::chat::{ChatEvent, Message, ToolCall, Transcript};
    ///
    /// let call = ToolCall::new("1", "now", json!({}));
    /// let transcript: Transcript = [
    ///     ChatEvent::text("Let me look. "),
    ///     ChatEvent::tool_calls([call.clone()]),
    ///     ChatEvent::tool_result("1", "now", "noon"),
    ///     ChatEvent::text("It is noon."),
    /// ]
    /// .iter()
    /// .collect();
    /// assert_eq!(
    ///     transcript.messages(),
    ///     [
    ///         Message::assistant("Let me look. ").tool_calls([call]),
    ///         Message::tool("1", "noon"),
    ///         Message::assistant("It is noon."),
    ///     ]
    /// );
    /// ```
    pub fn messages(&self) -> Vec<Message> {
        let mut messages = self.messages_of(&self.turns);
        let rest = self.content(self.last_order()..self.order.len());
        if !rest.is_empty() {
            messages.push(Message::assistant(rest));
        }
        messages
    }

    // The messages of the first turns.
    fn messages_of(&self, turns: &[Turn]) -> Vec<Message> {
        let mut messages = Vec::new();
        let (mut order, mut calls) = (0, 0);
        for turn in turns {
            let asked = &self.tool_calls[calls..turn.calls];
            let said = self.content(order..turn.order);
            messages.push(Message::assistant(said).tool_calls(asked.iter().cloned()));
            messages.extend(asked.iter().filter_map(|call| self.outcome(&call.id)));
            (order, calls) = (turn.order, turn.calls);
        }
        messages
    }

    fn last_order(&self) -> usize {
        self.turns.last().map_or(0, |last| last.order)
    }

    /// Returns the messages of the turns whose tools are done, and the message of the turn whose tools
    /// may not be.
    ///
    /// The open turn begins at the first turn with a call that has no outcome, whatever the model has said
    /// after it: the model gets no further turn before it has all outcomes of this one. If every call
    /// has its outcome, the open turn is the last one, unless the model has said something after it, or,
    /// with `reads_on`, its stream can be read on.
    #[cfg(feature = "tools")]
    pub(crate) fn finished_turns(&self, reads_on: bool) -> (Vec<Message>, Option<Message>) {
        let before = |at: usize| match at.checked_sub(1) {
            Some(before) => (self.turns[before].order, self.turns[before].calls),
            None => (0, 0),
        };
        let mut turns = 0..self.turns.len();
        let unknown = turns.find(|at| {
            let calls = &self.tool_calls[before(*at).1..self.turns[*at].calls];
            calls.iter().any(|call| self.outcome(&call.id).is_none())
        });
        let silent = || {
            let last = self.turns.len().checked_sub(1);
            last.filter(|_| !(reads_on && self.stream.is_some()))
                .filter(|_| self.last_turn().has_said_nothing())
        };
        let Some(open) = unknown.or_else(silent) else {
            return (self.messages_of(&self.turns), None);
        };
        let (order, calls) = before(open);
        let messages = self.messages_of(&self.turns[..open]);
        let said = self.content(order..self.order.len());
        let asked = self.tool_calls[calls..].iter().cloned();
        (messages, Some(Message::assistant(said).tool_calls(asked)))
    }

    /// Returns true if tools were asked for, and the model has said nothing since.
    pub(crate) fn is_between_turns(&self) -> bool {
        !self.turns.is_empty() && self.last_turn().has_said_nothing()
    }

    /// Returns true if a call has no outcome, so that tools come next, and not the model.
    pub(crate) fn has_open_calls(&self) -> bool {
        let is_open = |id: &str| {
            self.outcome(id).is_none() && !self.handoffs.iter().any(|it| it.call_id == id)
        };
        self.tool_calls.iter().any(|call| is_open(&call.id))
    }

    /// Returns what the model has said since tools were last asked for.
    pub(crate) fn last_turn(&self) -> Self {
        let mut turn = Self::new();
        for at in &self.order[self.last_order()..] {
            match self.piece(at) {
                Piece::Text(text) => turn.push_text(text),
                Piece::Thinking(text) => turn.push_thinking(text),
                Piece::Media(media) => turn.push(&media.clone().into()),
                Piece::Source(source) => turn.push(&source.clone().into()),
                Piece::ProviderState(state) => turn.push_state(state),
                _ => {}
            }
        }
        turn.stream.clone_from(&self.stream);
        turn.spans_turns = self.spans_turns;
        turn.tail.clone_from(&self.tail);
        turn
    }

    /// Returns what the model has said, as the content of one message.
    pub(crate) fn said(&self) -> Content {
        self.content(0..self.order.len())
    }

    pub(crate) fn has_said_nothing(&self) -> bool {
        self.said().is_empty()
    }

    /// Returns true if it has an outcome of the call, a handoff included.
    #[cfg(feature = "tools")]
    pub(crate) fn has_outcome(&self, call_id: &str) -> bool {
        self.outcome(call_id).is_some() || self.handoffs.iter().any(|it| it.call_id == call_id)
    }

    /// Returns the message with the outcome of a call, if there is one.
    fn outcome(&self, call_id: &str) -> Option<Message> {
        let result = self.tool_results.iter().find(|result| result.id == call_id);
        let error = || self.tool_errors.iter().find(|error| error.id == call_id);
        match result {
            Some(result) => Some(Message::tool(call_id, result.content.clone())),
            None => error().map(|error| Message::tool_failed(call_id, &error.message)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chat::{ChatEvent, ToolCall};

    #[test]
    fn each_turn_has_its_own_messages() {
        let call = |id: &str| ToolCall::new(id, "now", json!({}));
        let transcript: Transcript = [
            ChatEvent::text("One."),
            ChatEvent::tool_calls([call("1")]),
            ChatEvent::tool_calls([call("2")]),
            ChatEvent::tool_error("2", "now", "no clock"),
            ChatEvent::tool_result("1", "now", "noon"),
            ChatEvent::tool_calls([call("3")]),
            ChatEvent::text("Two."),
        ]
        .iter()
        .collect();
        assert_eq!(
            transcript.messages(),
            [
                Message::assistant("One.").tool_calls([call("1"), call("2")]),
                Message::tool("1", "noon"),
                Message::tool_failed("2", "no clock"),
                Message::assistant("").tool_calls([call("3")]),
                Message::assistant("Two."),
            ]
        );
        assert_eq!(Transcript::new().messages(), []);
    }

    #[test]
    fn text_before_the_first_outcome_belongs_to_the_turn_of_the_calls() {
        let call = |id: &str| ToolCall::new(id, "now", json!({}));
        let transcript: Transcript = [
            ChatEvent::tool_calls([call("1")]),
            ChatEvent::text("I look."),
            ChatEvent::tool_result("1", "now", "noon"),
            ChatEvent::text("It is noon."),
        ]
        .iter()
        .collect();
        assert_eq!(
            transcript.messages(),
            [
                Message::assistant("I look.").tool_calls([call("1")]),
                Message::tool("1", "noon"),
                Message::assistant("It is noon."),
            ]
        );
    }

    #[cfg(feature = "tools")]
    #[test]
    fn a_turn_is_open_while_a_call_has_no_outcome_whatever_text_follows() {
        let call = |id: &str| ToolCall::new(id, "now", json!({}));
        let log = [
            ChatEvent::tool_calls([call("1")]),
            ChatEvent::text("One. "),
            ChatEvent::tool_calls([call("2")]),
            ChatEvent::text("Two."),
            ChatEvent::tool_result("2", "now", "noon"),
            ChatEvent::tool_result("1", "now", "noon"),
            ChatEvent::text("Three."),
        ];
        let both = [call("1"), call("2")];
        for (stored, text) in [(1, ""), (2, "One. "), (4, "One. Two."), (5, "One. Two.")] {
            let transcript: Transcript = log[..stored].iter().collect();
            let (messages, open) = transcript.finished_turns(false);
            assert_eq!(messages, [], "{stored}");
            let calls = &both[..if stored < 3 { 1 } else { 2 }];
            let turn = Message::assistant(text).tool_calls(calls.iter().cloned());
            assert_eq!(open, Some(turn), "{stored}");
        }
        let transcript: Transcript = log.iter().collect();
        let (messages, open) = transcript.finished_turns(false);
        assert_eq!((messages.len(), open), (4, None));
        assert_eq!(transcript.last_turn().text(), "Three.");
    }
}
