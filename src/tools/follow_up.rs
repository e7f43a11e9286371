//! The results of a client's tools, in the request that continues the conversation.

use std::collections::HashSet;

use crate::chat::{IsomorphicClientOutput, Message, Role, ToolCall};

/// The position of a follow-up's results among its messages.
#[derive(Debug, PartialEq)]
pub(super) struct FollowUpPosition {
    /// The index of the message before which they go.
    pub(super) at: usize,
    /// The other calls of the turn that have no result.
    pub(super) unanswered: Vec<ToolCall>,
}

/// Finds the turn whose calls the client answers, or adds it if the client left it out.
///
/// Clients send the turn as the [conversation's state](crate::chat::ConversationState) has it: the
/// assistant's message with its calls, then the results of the server's tools. Of two outputs for
/// one call the first counts.
pub(super) fn locate(
    messages: &mut Vec<Message>,
    outputs: &mut Vec<IsomorphicClientOutput>,
) -> FollowUpPosition {
    let mut seen = HashSet::new();
    outputs.retain(|output| seen.insert(output.call_id.clone()));
    let asks = |message: &Message| {
        message.role == Role::Assistant
            && message
                .tool_calls
                .iter()
                .any(|call| seen.contains(&call.id))
    };
    let turn = if let Some(turn) = messages.iter().rposition(asks) {
        turn
    } else {
        messages.push(Message::assistant(""));
        messages.len() - 1
    };
    let after = &messages[turn + 1..];
    let answers = after.iter().take_while(|it| it.role == Role::Tool);
    let answered: HashSet<String> = answers.filter_map(|it| it.tool_call_id.clone()).collect();
    let at = turn + 1 + after.iter().take_while(|it| it.role == Role::Tool).count();
    // The server's results count before the client's.
    outputs.retain(|output| !answered.contains(&output.call_id));
    let calls = &mut messages[turn].tool_calls;
    let mut asked: HashSet<String> = calls.iter().map(|call| call.id.clone()).collect();
    for output in &*outputs {
        if asked.insert(output.call_id.clone()) {
            let call = ToolCall::new(&output.call_id, &output.tool_name, output.params.clone());
            calls.push(call);
        }
    }
    let unanswered = calls
        .iter()
        .filter(|call| !seen.contains(&call.id) && !answered.contains(&call.id))
        .cloned()
        .collect();
    FollowUpPosition { at, unanswered }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(id: &str) -> ToolCall {
        ToolCall::new(id, "map", json!({"x": 1}))
    }

    fn output(id: &str) -> IsomorphicClientOutput {
        let mut output = IsomorphicClientOutput::new(id, "map", json!("seen"));
        output.params = json!({"x": 1});
        output
    }

    #[test]
    fn results_belong_after_those_of_the_servers_tools() {
        let mut messages = vec![
            Message::user("Hi"),
            Message::assistant("").tool_calls([call("1"), call("2"), call("3")]),
            Message::tool("1", "noon"),
            Message::user("and hurry"),
        ];
        let before = messages.clone();
        let mut outputs = vec![output("2"), output("1"), output("2")];
        let position = locate(&mut messages, &mut outputs);
        assert_eq!(position.at, 3);
        assert_eq!(position.unanswered, [call("3")]);
        assert_eq!(
            outputs.len(),
            1,
            "one for each call, and none for a call with a result"
        );
        assert_eq!(messages, before);
    }

    #[test]
    fn a_turn_that_the_client_left_out_is_added() {
        let mut messages = vec![Message::user("Hi")];
        let mut outputs = vec![output("1"), output("2")];
        let position = locate(&mut messages, &mut outputs);
        assert_eq!((position.at, position.unanswered.len()), (2, 0));
        let turn = Message::assistant("").tool_calls([call("1"), call("2")]);
        assert_eq!(messages, [Message::user("Hi"), turn]);
    }

    #[test]
    fn an_output_without_a_call_adds_the_call_to_the_turn() {
        let mut messages = vec![Message::assistant("").tool_calls([call("1")])];
        let mut outputs = vec![output("1"), output("2")];
        let position = locate(&mut messages, &mut outputs);
        assert_eq!((position.at, position.unanswered.len()), (1, 0));
        assert_eq!(messages[0].tool_calls, [call("1"), call("2")]);
    }
}
