use super::event_record::escaped_len;
use crate::chat::ToolInput;

/// The part of a session's bytes that streamed arguments may take.
const OF_SESSION: usize = 8;
/// The part of a record's bytes that its id and name may take: each piece repeats the id.
const OF_EVENT: usize = 4;
/// The bytes of a record without its id, name and delta.
const RECORD: usize = r#"{"type":"tool_input","id":"","name":"","delta":""}"#.len();

/// The room for the streamed arguments of calls. What they show comes again with the calls, so a log has room
/// for those first.
#[derive(Debug, Default)]
pub(super) struct InputBudget {
    spent: usize,
    is_spent: bool,
}

impl InputBudget {
    /// Returns true if there is room for the event in a session of so many bytes, with events of so many. Once
    /// there is none, no event is taken any more: a call lacks no piece in the middle.
    pub(super) fn takes(
        &mut self,
        input: &ToolInput,
        session_bytes: usize,
        event_bytes: usize,
    ) -> bool {
        let written = |text: &str| text.chars().map(escaped_len).sum::<usize>();
        let name = input.name.as_deref().map_or(0, written);
        let head = RECORD + written(&input.id) + name;
        self.spent = self.spent.saturating_add(head + written(&input.delta));
        let is_too_much = self.spent > session_bytes / OF_SESSION || head > event_bytes / OF_EVENT;
        if is_too_much && !self.is_spent {
            self.is_spent = true;
            tracing::debug!("the arguments of calls are streamed no further: they come whole");
        }
        !self.is_spent
    }
}
