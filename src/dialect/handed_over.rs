//! Calls that the client may have run.

#[cfg(any(feature = "ag-ui", feature = "ai-sdk", feature = "openai-responses"))]
use crate::{chat::has_kind, log::Chunk};

/// The reason why an answer with such a call isn't restarted.
pub(super) const HANDED_OVER: &str = "the client may have run a tool of its own";

/// Returns true if a call was handed to the client since the answer began, or began anew.
#[cfg(feature = "ag-ui")]
pub(super) fn has_handed_over(log: &[Chunk]) -> bool {
    let mut handed_over = false;
    for record in log.iter().flat_map(Chunk::records) {
        if has_kind(record.bytes, "restarted") {
            handed_over = false;
        } else if has_kind(record.bytes, "isomorphic_handoff") {
            handed_over = true;
        }
    }
    handed_over
}

/// Returns true if the client may have run a call since the answer began, or began anew: it gets each call as soon as the
/// model has made it, and the log doesn't tell that the server began it.
#[cfg(any(feature = "ai-sdk", feature = "openai-responses"))]
pub(super) fn may_have_run(log: &[Chunk]) -> bool {
    use std::collections::HashSet;

    use crate::chat::ChatEvent;

    const KINDS: [&str; 8] = [
        "session_info",
        "tool_input",
        "tool_calls",
        "tool_progress",
        "tool_result",
        "tool_error",
        "input_request",
        "isomorphic_handoff",
    ];
    let (mut of_client, mut open, mut handed_over) = (HashSet::new(), HashSet::new(), false);
    for record in log.iter().flat_map(Chunk::records) {
        if has_kind(record.bytes, "restarted") {
            open.clear();
            handed_over = false;
            continue;
        }
        if !KINDS.iter().any(|kind| has_kind(record.bytes, kind)) {
            continue;
        }
        match serde_json::from_slice(record.bytes) {
            Ok(ChatEvent::SessionInfo(info)) => {
                of_client.extend(info.capabilities.client_tools.iter().cloned());
            }
            // Its arguments are in an item of the client before the call is whole.
            Ok(ChatEvent::ToolInput(input)) => {
                let named = input.name.as_ref();
                let of_client = named.filter(|&name| of_client.contains(name));
                open.extend(of_client.map(|_| input.id.clone()));
            }
            Ok(ChatEvent::ToolCalls(calls)) => {
                open.extend(calls.calls.iter().map(|call| call.id.clone()));
            }
            Ok(ChatEvent::ToolProgress(began)) => drop(open.remove(&began.id)),
            Ok(ChatEvent::ToolResult(result)) => drop(open.remove(&result.id)),
            Ok(ChatEvent::ToolError(error)) => drop(open.remove(&error.id)),
            Ok(ChatEvent::InputRequest(request)) => {
                let call = request.call_id.as_ref();
                let _ = call.map(|call| open.remove(call));
            }
            Ok(ChatEvent::IsomorphicHandoff(_)) => handed_over = true,
            _ => {}
        }
    }
    handed_over || !open.is_empty()
}
