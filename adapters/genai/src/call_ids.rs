use std::collections::HashSet;

use unbroken::chat::Message;

/// The ids of a conversation's calls, no two of which may be the same.
#[derive(Debug)]
pub(crate) struct UsedIds {
    given: usize,
    used: HashSet<String>,
}

impl UsedIds {
    /// Creates the ids for an answer to these messages.
    pub(crate) fn after(messages: &[Message]) -> Self {
        let calls = messages.iter().flat_map(|message| &message.tool_calls);
        let used: HashSet<_> = calls.map(|call| call.id.clone()).collect();
        Self {
            given: used.len(),
            used,
        }
    }

    /// Returns the id of the next call, given the server's id.
    pub(crate) fn next(&mut self, named: &str) -> String {
        self.free(named, |number| format!("call_{number}"))
    }

    /// Returns the id of a call to which Gemini gave none. genai knows the form, and doesn't send such an id
    /// back.
    pub(crate) fn next_of_gemini(&mut self, named: &str, tool: &str) -> String {
        self.free(named, |number| format!("call#{tool}#{number}"))
    }

    fn free(&mut self, named: &str, numbered: impl Fn(usize) -> String) -> String {
        self.given += 1;
        let mut id = named.to_owned();
        let mut number = self.given;
        while id.is_empty() || self.used.contains(&id) {
            id = numbered(number);
            number += 1;
        }
        self.used.insert(id.clone());
        id
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use unbroken::chat::ToolCall;

    use super::*;

    #[test]
    fn no_two_calls_of_a_conversation_share_an_id() {
        let call = |id: &str| ToolCall::new(id, "t", Value::Null);
        let before = [Message::assistant("").tool_calls([call("call_1"), call("call#now#3")])];
        let mut ids = UsedIds::after(&before);
        assert_eq!(ids.next_of_gemini("", "now"), "call#now#4");
        assert_eq!(ids.next("call_1"), "call_4");
        assert_eq!(ids.next("x"), "x");
        assert_eq!(ids.next("x"), "call_6");
    }
}
