//! The rest of an interrupted answer.

use std::sync::Arc;

use super::{Conversation, ConversationStage};
use crate::chat::Role;

impl Conversation {
    /// Returns true if a stream is read on that has the whole answer: the provider's server runs its tools.
    pub(super) fn is_read_whole(&self) -> bool {
        let before = self.before.as_ref();
        self.reads_on && before.is_some_and(|before| before.stream_spans_turns())
    }

    /// Continues the answer that was interrupted, if one was.
    pub(super) fn resume(&mut self) {
        let Some(before) = self.before.clone() else {
            return;
        };
        if self.is_read_whole() {
            self.content = before.last_turn().said();
            self.partial = Some(before);
            return;
        }
        let (turns, open) = before.finished_turns(self.reads_on);
        self.turns = turns
            .iter()
            .filter(|turn| turn.role == Role::Assistant)
            .count();
        self.request.messages.extend(turns);
        if let Some(open) = open {
            self.content = open.content;
            self.calls = open.tool_calls;
            self.turns += 1;
            self.stage = ConversationStage::Tools(self.tools(Some(&before)));
        } else {
            let partial = before.last_turn();
            self.content = partial.said();
            self.partial = (self.reads_on || !self.content.is_empty()).then(|| Arc::new(partial));
        }
    }
}
