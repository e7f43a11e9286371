//! Calls in a client's history that have no result.

use std::collections::HashSet;

use crate::chat::{Message, Role};

/// Leaves out the calls of earlier turns that have no result, and messages that have nothing else. Servers of
/// models refuse a conversation with such a call. A client has one after an answer that was cut in the middle of
/// the call's arguments, or stopped before its result.
pub(super) fn leave_out(messages: &mut Vec<Message>) {
    let results = messages.iter().filter_map(|it| it.tool_call_id.as_deref());
    let results: HashSet<String> = results.map(str::to_owned).collect();
    let goes_on = |message: &Message| matches!(message.role, Role::User | Role::Assistant);
    let Some(last) = messages.iter().rposition(goes_on) else {
        return;
    };
    let mut at = 0;
    messages.retain_mut(|message| {
        let is_earlier = at < last;
        at += 1;
        if !is_earlier || message.tool_calls.is_empty() {
            return true;
        }
        message
            .tool_calls
            .retain(|call| results.contains(call.id.as_str()));
        !(message.tool_calls.is_empty() && message.content.is_empty())
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chat::ToolCall;

    fn asks(text: &str, calls: &[&str]) -> Message {
        let calls = calls.iter().map(|id| ToolCall::new(*id, "t", json!({})));
        Message::assistant(text).tool_calls(calls)
    }

    fn left(messages: &[Message]) -> Vec<Message> {
        let mut messages = messages.to_vec();
        leave_out(&mut messages);
        messages
    }

    #[test]
    fn calls_of_earlier_turns_without_a_result_are_left_out() {
        let (hi, more) = (Message::user("Hi"), Message::user("More"));
        let cut = [
            hi.clone(),
            asks("", &["a", "b"]),
            Message::tool("b", "done"),
            asks("Let me see.", &["c"]),
            asks("", &["d"]),
            more.clone(),
        ];
        let expected = [
            hi,
            asks("", &["b"]),
            Message::tool("b", "done"),
            asks("Let me see.", &[]),
            more,
        ];
        assert_eq!(left(&cut), expected);
    }

    #[test]
    fn calls_of_the_last_turn_stay_for_those_who_bring_the_results() {
        let waiting = [
            Message::user("Hi"),
            asks("", &["a", "b"]),
            Message::tool("a", "done"),
        ];
        assert_eq!(left(&waiting), waiting);
        assert_eq!(left(&[]), []);
    }
}
