use std::collections::VecDeque;

use super::successor_ids::SuccessorIds;
use crate::{chat::ChatEvent, session::Mark};

/// The events that are written with the calls of a turn, before the stream that sends them is polled again: effects begin
/// then, and a server that takes the session over must have all that belongs to the turn.
#[derive(Debug, Default)]
pub(super) struct FollowedCalls {
    /// The events to write.
    next: VecDeque<ChatEvent>,
    /// Those that the stream sends again.
    again: VecDeque<ChatEvent>,
    /// True until the last of them is written.
    is_open: bool,
}

impl FollowedCalls {
    /// Returns the next event to write, if there is one.
    pub(super) fn next(&mut self) -> Option<ChatEvent> {
        self.next.pop_front()
    }

    /// Returns true if there are events to write.
    pub(super) fn has_next(&self) -> bool {
        !self.next.is_empty()
    }

    /// Takes an event of the stream, and gives its calls the ids that they have in the log. Returns true if it is written
    /// already.
    pub(super) fn receive(
        &mut self,
        event: &mut ChatEvent,
        mut ids: Option<&mut SuccessorIds>,
    ) -> bool {
        if let Some(expected) = self.again.pop_front() {
            let is_turn = |event: &ChatEvent| matches!(event, ChatEvent::Turn(_));
            if *event == expected || is_turn(event) && is_turn(&expected) {
                return true;
            }
            // A layer in between has changed or dropped it.
            self.again.clear();
        }
        if let Some(ids) = &mut ids {
            ids.apply(event);
        }
        if let ChatEvent::ToolCalls(calls) = event {
            let mut followers = std::mem::take(&mut calls.followers).0;
            self.is_open = !followers.is_empty();
            self.again = followers.clone().into();
            if let Some(ids) = ids {
                for event in &mut followers {
                    ids.apply(event);
                }
            }
            self.next = followers.into();
        }
        false
    }

    /// Returns the mark of a record: what belongs together is stored together, and nothing goes on before.
    pub(super) fn mark(&mut self, mark: Mark, is_large: bool) -> Mark {
        match mark {
            _ if !self.is_open => mark,
            Mark::Barrier if self.has_next() && !is_large => Mark::Event,
            _ if self.has_next() => mark,
            mark => {
                self.is_open = false;
                if mark == Mark::Event {
                    Mark::Barrier
                } else {
                    mark
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{
        CallFollowers, FinishReason, ProviderState, ProviderStateEvent, StateOf, ToolCall, TurnEnd,
    };

    #[test]
    fn calls_and_what_follows_them_are_one_barrier_and_come_once() {
        let state = ProviderState::new("p", serde_json::Value::Null);
        let state: ChatEvent = ProviderStateEvent::new(StateOf::Call("1".into()), state).into();
        let turn = |reason| ChatEvent::from(TurnEnd::new(reason));
        let end = || turn(FinishReason::ToolCalls);
        let call = ToolCall::new("1", "pay", serde_json::json!({}));
        let mut calls = ChatEvent::tool_calls([call]);
        if let ChatEvent::ToolCalls(calls) = &mut calls {
            calls.followers = CallFollowers(vec![state.clone(), end()]);
        }
        let mut followed = FollowedCalls::default();
        assert!(!followed.receive(&mut calls.clone(), None));
        assert_eq!(followed.mark(Mark::Barrier, false), Mark::Event);
        assert_eq!(followed.next(), Some(state.clone()));
        assert_eq!(followed.mark(Mark::Event, false), Mark::Event);
        assert_eq!(followed.next(), Some(end()));
        assert_eq!(followed.mark(Mark::Event, false), Mark::Barrier);
        assert_eq!(followed.next(), None);
        assert!(followed.receive(&mut state.clone(), None));
        // With another usage, say.
        assert!(followed.receive(&mut turn(FinishReason::Stop), None));
        assert!(!followed.receive(&mut end(), None));
        assert_eq!(followed.mark(Mark::Barrier, false), Mark::Barrier);
        // A layer that drops them.
        let mut followed = FollowedCalls::default();
        followed.receive(&mut calls, None);
        assert_eq!(
            followed.mark(Mark::Barrier, true),
            Mark::Barrier,
            "it is large"
        );
        assert!(!followed.receive(&mut ChatEvent::text("Hi"), None));
        assert!(!followed.receive(&mut end(), None));
    }
}
