use serde_json::Value;

use super::{
    event::{AgUiEvent, Metadata, TanstackMetadata},
    fold::AgUiFold,
};
use crate::{
    chat::{IsomorphicHandoff, ToolCall, ToolError, ToolResult},
    dialect::frames::JsonFrames,
};

impl AgUiFold {
    pub(super) fn call(&mut self, call: &ToolCall, out: &mut JsonFrames) {
        if !self.written_calls.insert(call.id.clone()) {
            return;
        }
        self.close(out);
        let parent = match self.parent.take() {
            Some(parent) => parent,
            None => self.next_id(),
        };
        let tool_call_id = &*call.id;
        out.push(&AgUiEvent::ToolCallStart {
            tool_call_id,
            tool_call_name: &call.name,
            parent_message_id: &parent,
        });
        out.push(&AgUiEvent::ToolCallArgs {
            tool_call_id,
            delta: &arguments(&call.arguments),
        });
        out.push(&AgUiEvent::ToolCallEnd { tool_call_id });
        self.parent = Some(parent);
    }

    pub(super) fn result(&mut self, result: &ToolResult, out: &mut JsonFrames) {
        self.output(&result.id, &result.content, None, out);
    }

    pub(super) fn failure(&mut self, error: &ToolError, out: &mut JsonFrames) {
        let failed = TanstackMetadata {
            state: Some("output-error"),
            ..TanstackMetadata::default()
        };
        self.output(&error.id, &error.message, Some(failed), out);
    }

    fn output(
        &mut self,
        tool_call_id: &str,
        content: &str,
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
