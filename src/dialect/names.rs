//! The lengths of the names that a request brings and that are kept with its session.

use http::request::Parts;

use super::{Problem, Refusal, query::query};
use crate::{
    chat::{ChatRequest, EnabledTools},
    log::ChatId,
};

/// The maximum length of the names of models and tools and of the ids of messages, in bytes.
pub(super) const NAME_BYTES: usize = 128;
/// The maximum length of the id of a call, in bytes.
///
/// Longer than a name: in the dialect of OpenAI's Responses the id of a call that ran on the server is
/// the id of its session, of up to 128 bytes, between a kind and a number.
const CALL_ID_BYTES: usize = 160;

/// Checks all names of a request.
///
/// # Errors
///
/// [`Problem::WrongShape`], with the name's kind and its limit.
pub(crate) fn check_names(request: &ChatRequest) -> Result<(), Refusal> {
    if let Some(model) = &request.model {
        check_name("the name of a model (`model`)", model)?;
    }
    if let Some(EnabledTools::Named(names)) = &request.enabled_tools {
        for name in names {
            check_name("the name of a tool in `enabledTools`", name)?;
        }
    }
    for tool in &request.isomorphic_tools {
        check_name(TOOL, &tool.name)?;
    }
    for message in &request.messages {
        if let Some(id) = &message.tool_call_id {
            check_call_id(id)?;
        }
        for call in &message.tool_calls {
            check_call_id(&call.id)?;
            check_name(TOOL, &call.name)?;
        }
    }
    for output in &request.isomorphic_client_outputs {
        check_call_id(&output.call_id)?;
        check_name(TOOL, &output.tool_name)?;
    }
    Ok(())
}

const TOOL: &str = "the name of a tool";

/// Checks the length of a name. `kind` names it in the refusal.
pub(super) fn check_name(kind: &str, name: &str) -> Result<(), Refusal> {
    check(kind, name, NAME_BYTES)
}

/// Checks the length of the id of a call.
pub(super) fn check_call_id(id: &str) -> Result<(), Refusal> {
    check("the id of a tool call", id, CALL_ID_BYTES)
}

fn check(kind: &str, name: &str, max: usize) -> Result<(), Refusal> {
    if name.len() <= max {
        return Ok(());
    }
    Err(Refusal::new(
        Problem::WrongShape,
        format!(
            "{kind} has at most {max} bytes, and one here has {}; send a shorter one",
            name.len()
        ),
    ))
}

/// Returns the conversation in the field `field` of a body.
#[cfg(any(feature = "ag-ui", feature = "ai-sdk"))]
pub(super) fn chat_in_body(field: &str, text: Option<String>) -> Result<Option<ChatId>, Refusal> {
    chat(Problem::WrongShape, field, text)
}

/// Returns the conversation in the parameter `name` of the query.
pub(super) fn chat_in_query(head: &Parts, name: &str) -> Result<Option<ChatId>, Refusal> {
    chat(Problem::MalformedParameter, name, query(head, name))
}

/// Returns the conversation that `place` names. A refusal says which place that is.
pub(super) fn chat(
    problem: Problem,
    place: &str,
    text: Option<String>,
) -> Result<Option<ChatId>, Refusal> {
    let chat = text.map(ChatId::try_from).transpose();
    chat.map_err(|error| Refusal::new(problem, format!("`{place}`: {error}; send another one")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn checked(request: Value) -> Result<(), Refusal> {
        check_names(&serde_json::from_value(request).unwrap())
    }

    #[test]
    fn every_name_of_a_request_is_bounded_on_both_sides() {
        let of = |bytes: usize| "n".repeat(bytes);
        let call = |id: String, name: String| {
            json!({"messages": [{
                "role": "assistant", "tool_calls": [{"id": id, "name": name, "arguments": {}}],
            }]})
        };
        let output = |id: String, name: String| json!({"messages": [], "isomorphicClientOutputs": [{"callId": id, "toolName": name}]});
        let cases: [(usize, &dyn Fn(String) -> Value); 8] = [
            (NAME_BYTES, &|it| json!({"messages": [], "model": it})),
            (
                NAME_BYTES,
                &|it| json!({"messages": [], "enabledTools": [it]}),
            ),
            (
                NAME_BYTES,
                &|it| json!({"messages": [], "isomorphicTools": [{"name": it}]}),
            ),
            (NAME_BYTES, &|it| call("1".into(), it)),
            (NAME_BYTES, &|it| output("1".into(), it)),
            (CALL_ID_BYTES, &|it| call(it, "t".into())),
            (CALL_ID_BYTES, &|it| output(it, "t".into())),
            (
                CALL_ID_BYTES,
                &|it| json!({"messages": [{"role": "tool", "tool_call_id": it}]}),
            ),
        ];
        for (max, request) in cases {
            assert_eq!(checked(request(of(max))), Ok(()), "{}", request(of(1)));
            let refusal = checked(request(of(max + 1))).unwrap_err();
            assert_eq!(refusal.problem, Problem::WrongShape);
            let said = format!("at most {max} bytes, and one here has {}", max + 1);
            assert!(refusal.detail.contains(&said), "{}", refusal.detail);
        }
    }
}
