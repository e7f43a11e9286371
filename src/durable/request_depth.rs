//! The nesting of the JSON values that a client sends: a request is stored only if it can be read back.

use serde_json::{Map, Value};

use crate::{
    chat::{ChatRequest, ProviderState, ToolCall, is_deeper},
    dialect::{Dialect, Problem, Refusal},
};

/// The most levels of a note above the values of the client's message in it.
const NOTE: usize = 8;

/// Refuses a request with a value that is nested deeper than [`ToolCall::MAX_DEPTH`], in the words of the
/// dialect.
///
/// `notes` may be nested some levels deeper, since they enclose such values.
pub(super) fn check(
    request: &ChatRequest,
    notes: &Map<String, Value>,
    dialect: &dyn Dialect,
) -> Result<(), Refusal> {
    let most = ToolCall::MAX_DEPTH;
    let deep = |value: &Value| is_deeper(value, most);
    let refused = |field: String| {
        Refusal::new(
            Problem::WrongShape,
            format!("`{field}` is nested deeper than {most} levels; nest it less"),
        )
    };
    for (at, message) in request.messages.iter().enumerate() {
        let mut calls = message.tool_calls.iter();
        if let Some(call) = calls.position(|call| deep(&call.arguments)) {
            return Err(refused(format!(
                "messages[{at}].tool_calls[{call}].arguments"
            )));
        }
        let is_deep = |state: Option<&ProviderState>| state.is_some_and(|it| deep(&it.data));
        let mut calls = message.tool_calls.iter();
        if let Some(call) = calls.position(|call| is_deep(call.provider_state.as_ref())) {
            return Err(refused(format!(
                "messages[{at}].tool_calls[{call}].providerState"
            )));
        }
        let mut reasoning = message.content.all_reasoning();
        if reasoning.any(|it| is_deep(it.provider_state.as_ref())) {
            return Err(refused(format!("messages[{at}].content")));
        }
    }
    let mut tools = request.isomorphic_tools.iter();
    if let Some(at) = tools.position(|tool| deep(&tool.parameters)) {
        let tools = dialect.field_name("isomorphicTools");
        return Err(refused(format!("{tools}[{at}].parameters")));
    }
    for (at, output) in request.isomorphic_client_outputs.iter().enumerate() {
        for (field, value) in [
            ("params", &output.params),
            ("clientOutput", &output.client_output),
        ] {
            if deep(value) {
                return Err(refused(format!("isomorphicClientOutputs[{at}].{field}")));
            }
        }
    }
    if let Some((name, _)) = request.extra.iter().find(|(_, value)| deep(value)) {
        return Err(refused(name.clone()));
    }
    if notes.values().any(|note| is_deeper(note, most + NOTE)) {
        return Err(refused("parts".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        chat::{ChatEvent, SessionInfo},
        dialect::Native,
        durable::stored_request,
    };

    fn lists(depth: usize) -> Value {
        (0..depth).fold(Value::Null, |inner, _| json!([inner]))
    }

    fn requests(value: &Value) -> Vec<(&'static str, ChatRequest)> {
        let read = |json: Value| serde_json::from_value(json).unwrap();
        vec![
            (
                "messages[0].tool_calls[1].arguments",
                read(json!({"messages": [{"role": "assistant", "tool_calls": [
                    {"id": "1", "name": "t"}, {"id": "2", "name": "t", "arguments": value}
                ]}]})),
            ),
            (
                "isomorphicTools[0].parameters",
                read(
                    json!({"messages": [], "isomorphicTools": [{"name": "t", "parameters": value}]}),
                ),
            ),
            (
                "isomorphicClientOutputs[0].clientOutput",
                read(json!({"messages": [], "isomorphicClientOutputs": [
                    {"callId": "1", "toolName": "t", "clientOutput": value}
                ]})),
            ),
            (
                "messages[0].tool_calls[0].providerState",
                read(json!({"messages": [{"role": "assistant", "tool_calls": [
                    {"id": "1", "name": "t", "providerState": {"provider": "p", "data": value}}
                ]}]})),
            ),
            (
                "messages[0].content",
                read(json!({"messages": [{"role": "assistant", "content": [
                    {"type": "reasoning", "providerState": {"provider": "p", "data": value}}
                ]}]})),
            ),
            (
                "isomorphicClientOutputs[0].params",
                read(json!({"messages": [], "isomorphicClientOutputs": [
                    {"callId": "1", "toolName": "t", "params": value}
                ]})),
            ),
            ("script", read(json!({"messages": [], "script": value}))),
        ]
    }

    #[test]
    fn every_value_of_a_client_has_a_limit_on_its_nesting_and_is_named() {
        for depth in [0, 1, 63, 64, 65, 100, 124, 125, 126, 127, 128, 129, 130] {
            for (field, request) in requests(&lists(depth)) {
                let checked = check(&request, &Map::new(), &Native::new());
                if depth <= ToolCall::MAX_DEPTH {
                    checked.unwrap();
                    let stored = stored_request::store(&request).unwrap();
                    stored_request::restore(&stored).unwrap();
                } else {
                    let refusal = checked.unwrap_err();
                    assert_eq!(refusal.problem, Problem::WrongShape);
                    assert!(refusal.detail.contains(field), "{}", refusal.detail);
                    assert!(refusal.detail.contains("64"), "{}", refusal.detail);
                }
            }
        }
    }

    #[test]
    fn notes_that_pass_can_be_stored_and_read_back() {
        for (depth, passes) in [(64, true), (72, true), (73, false), (127, false)] {
            let notes = Map::from_iter([("note".to_owned(), lists(depth))]);
            let request = ChatRequest::from_user("Hi");
            assert_eq!(
                check(&request, &notes, &Native::new()).is_ok(),
                passes,
                "{depth}"
            );
            if passes {
                let info = SessionInfo::default();
                let first = stored_request::first_record(&info, &request, notes.clone());
                let ChatEvent::SessionInfo(info) = serde_json::from_slice(&first).unwrap() else {
                    panic!("the first record is another event");
                };
                assert_eq!(info.extra["note"], notes["note"]);
            }
        }
    }
}
