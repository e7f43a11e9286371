use serde_json::Value;

use super::{
    content::ResultContent,
    event::{AgUiEvent, Metadata, TanstackMetadata, UnbrokenMetadata},
    fold::{AgUiFold, custom, state_of_call},
};
use crate::{
    chat::{ChatEvent, IsomorphicHandoff, ToolCall, ToolError, ToolInput, ToolResult},
    dialect::{argument_rest::argument_rest, frames::JsonFrames},
};

/// The result of a call whose arguments were streamed and that never came. A client without a result would
/// run the call, or wait for one.
pub(super) const NEVER_CAME: &str = "The call was not completed.";

impl AgUiFold {
    /// Writes a piece of the arguments of a call.
    pub(super) fn tool_input(&mut self, input: &ToolInput, out: &mut JsonFrames) {
        let open = |inputs: &[(String, String)]| inputs.iter().position(|(id, _)| *id == input.id);
        let at = match (open(&self.inputs), &input.name) {
            (Some(at), _) if input.cut => {
                self.inputs.remove(at);
                return self.cut_call(&input.id, out);
            }
            (Some(at), _) => at,
            (None, Some(name)) if self.written_calls.insert(input.id.clone()) => {
                self.begin_call(&input.id, name, out);
                self.inputs.push((input.id.clone(), String::new()));
                self.inputs.len() - 1
            }
            // The call comes as a whole.
            _ => return,
        };
        if !input.delta.is_empty() {
            self.inputs[at].1.push_str(&input.delta);
            out.push(&AgUiEvent::ToolCallArgs {
                tool_call_id: &input.id,
                delta: &input.delta,
            });
        }
    }

    pub(super) fn call(&mut self, call: &ToolCall, out: &mut JsonFrames) {
        let tool_call_id = &*call.id;
        let streamed = self.inputs.iter().position(|(id, _)| id == tool_call_id);
        if let Some(at) = streamed {
            let (_, streamed) = self.inputs.remove(at);
            end_streamed(call, &streamed, out);
            return self.state_of(call, out);
        }
        if !self.written_calls.insert(call.id.clone()) {
            if self.cut_calls.remove(tool_call_id) {
                custom(&ChatEvent::tool_calls([call.clone()]), out);
            }
            return;
        }
        self.begin_call(tool_call_id, &call.name, out);
        out.push(&AgUiEvent::ToolCallArgs {
            tool_call_id,
            delta: &arguments(&call.arguments),
        });
        out.push(&AgUiEvent::ToolCallEnd {
            tool_call_id,
            metadata: None,
        });
        self.state_of(call, out);
    }

    /// Returns true if a call is written, and its arguments with it.
    pub(super) fn is_whole(&self, id: &str) -> bool {
        self.written_calls.contains(id) && self.inputs.iter().all(|(open, _)| open != id)
    }

    /// Writes what belongs to a call that is whole now.
    fn state_of(&mut self, call: &ToolCall, out: &mut JsonFrames) {
        let of = self.call_states.iter().position(|(id, _)| *id == call.id);
        let earlier = of.map(|at| self.call_states.swap_remove(at).1);
        if let Some(state) = call.provider_state.as_ref().or(earlier.as_ref()) {
            state_of_call(&call.id, state, out);
        }
    }

    /// Ends the calls whose arguments never became whole.
    pub(super) fn cut_inputs(&mut self, out: &mut JsonFrames) {
        for (id, _) in std::mem::take(&mut self.inputs) {
            self.cut_call(&id, out);
        }
    }

    /// Ends a call that never comes, with a result that says so. An open text goes on.
    fn cut_call(&mut self, tool_call_id: &str, out: &mut JsonFrames) {
        self.cut_calls.insert(tool_call_id.to_owned());
        out.push(&AgUiEvent::ToolCallEnd {
            tool_call_id,
            metadata: None,
        });
        out.push(&AgUiEvent::ToolCallResult {
            message_id: &self.next_id(),
            tool_call_id,
            content: ResultContent::Text(NEVER_CAME),
            role: "tool",
            metadata: Some(Metadata {
                tanstack: Some(failed()),
                unbroken: Some(UnbrokenMetadata {
                    incomplete: true,
                    ..UnbrokenMetadata::default()
                }),
            }),
        });
    }

    fn begin_call(&mut self, tool_call_id: &str, tool_call_name: &str, out: &mut JsonFrames) {
        self.close(out);
        let parent = match self.parent.take() {
            Some(parent) => parent,
            None => self.next_id(),
        };
        out.push(&AgUiEvent::ToolCallStart {
            tool_call_id,
            tool_call_name,
            parent_message_id: &parent,
        });
        self.parent = Some(parent);
    }

    pub(super) fn result(&mut self, result: &ToolResult, out: &mut JsonFrames) {
        self.output(&result.id, ResultContent::of(&result.content), None, out);
    }

    pub(super) fn failure(&mut self, error: &ToolError, out: &mut JsonFrames) {
        let message = ResultContent::Text(&error.message);
        self.output(&error.id, message, Some(failed()), out);
    }

    fn output(
        &mut self,
        tool_call_id: &str,
        content: ResultContent<'_>,
        tanstack: Option<TanstackMetadata<'_>>,
        out: &mut JsonFrames,
    ) {
        self.close(out);
        self.parent = None;
        self.calls.retain(|call| call.id != tool_call_id);
        out.push(&AgUiEvent::ToolCallResult {
            message_id: &self.next_id(),
            tool_call_id,
            content,
            role: "tool",
            metadata: tanstack.map(|tanstack| Metadata {
                tanstack: Some(tanstack),
                unbroken: None,
            }),
        });
    }

    pub(super) fn handoff(&mut self, handoff: &IsomorphicHandoff, out: &mut JsonFrames) {
        self.calls.retain(|call| call.id != handoff.call_id);
        let params = handoff.params.clone();
        let call = ToolCall::new(&*handoff.call_id, &*handoff.tool_name, params);
        self.hand_over(&call, &handoff.server_output, out);
    }

    /// Hands a call over to the client. TanStack's client runs a tool on this `CUSTOM` event; other
    /// clients run the pending calls of the end.
    pub(super) fn hand_over(
        &mut self,
        call: &ToolCall,
        server_output: &Value,
        out: &mut JsonFrames,
    ) {
        self.call(call, out);
        if call.is_half() {
            return self.failure(&ToolError::new(&*call.id, &*call.name, ToolCall::HALF), out);
        }
        self.close(out);
        let mut value = serde_json::json!({
            "toolCallId": call.id,
            "toolName": call.name,
            "input": call.arguments,
        });
        if !server_output.is_null() {
            value["serverOutput"] = server_output.clone();
        }
        out.push(&AgUiEvent::Custom {
            name: "tool-input-available",
            value: &value,
        });
        self.pending.push(call.id.clone());
    }
}

/// Returns the arguments as the text that a model writes.
fn arguments(arguments: &Value) -> String {
    match arguments {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Returns the metadata of the result of a call that failed.
fn failed() -> TanstackMetadata<'static> {
    TanstackMetadata {
        state: Some("output-error"),
        ..TanstackMetadata::default()
    }
}

/// Ends a call whose arguments were streamed, after the rest of them. Those that the call has otherwise come
/// as `input` for TanStack's client, and as `CUSTOM`: a client can't take back what it has.
fn end_streamed(call: &ToolCall, streamed: &str, out: &mut JsonFrames) {
    let tool_call_id = &*call.id;
    let rest = argument_rest(streamed, &call.arguments, &arguments(&call.arguments));
    if let Some(delta) = rest.as_deref().filter(|rest| !rest.is_empty()) {
        out.push(&AgUiEvent::ToolCallArgs {
            tool_call_id,
            delta,
        });
    }
    let others = rest.is_none().then(|| TanstackMetadata {
        input: Some(&call.arguments),
        ..TanstackMetadata::default()
    });
    out.push(&AgUiEvent::ToolCallEnd {
        tool_call_id,
        metadata: others.map(|tanstack| Metadata {
            tanstack: Some(tanstack),
            unbroken: None,
        }),
    });
    if rest.is_none() {
        custom(&ChatEvent::tool_calls([call.clone()]), out);
    }
}
