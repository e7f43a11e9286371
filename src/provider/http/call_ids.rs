use std::collections::HashSet;

use crate::chat::Message;

/// Replaces the ids of calls that the server left empty or used before.
///
/// Models and logs refer to a call by its id, so no two calls of a conversation may share one. Such
/// a call gets a number after those that the conversation has.
#[derive(Debug, Clone)]
pub(crate) struct CallIds {
    given: usize,
    used: HashSet<String>,
}

impl CallIds {
    /// Creates the ids for an answer to these messages.
    pub(crate) fn after(messages: &[Message]) -> Self {
        let calls = messages.iter().flat_map(|message| &message.tool_calls);
        Self {
            given: calls.clone().count(),
            used: calls.map(|call| call.id.clone()).collect(),
        }
    }

    /// Returns the id of the next call, given the server's id.
    pub(crate) fn next(&mut self, named: String) -> String {
        self.given += 1;
        let mut id = named;
        let mut number = self.given;
        while id.is_empty() || self.used.contains(&id) {
            id = format!("call_{number}");
            number += 1;
        }
        self.used.insert(id.clone());
        id
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::chat::ToolCall;

    #[test]
    fn calls_without_an_id_are_numbered_through_the_conversation() {
        let call = |id: &str| ToolCall::new(id, "t", Value::Null);
        let before = [
            Message::user("Hi"),
            Message::assistant("").tool_calls([call("call_1"), call("x")]),
        ];
        let mut ids = CallIds::after(&before);
        assert_eq!(ids.next(String::new()), "call_3");
        assert_eq!(ids.next("y".into()), "y");
        assert_eq!(ids.next("y".into()), "call_5");
        assert_eq!(ids.next("x".into()), "call_6");
        assert_eq!(ids.next("call_7".into()), "call_7");
        assert_eq!(ids.next(String::new()), "call_8");
    }

    #[test]
    fn an_id_of_the_server_is_not_used_again() {
        let mut ids = CallIds::after(&[]);
        assert_eq!(ids.next("call_2".into()), "call_2");
        assert_eq!(ids.next(String::new()), "call_3");
    }
}
