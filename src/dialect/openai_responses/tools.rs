use serde_json::Value;

use super::{
    event::EventBody,
    fold::{ResponseFold, write},
    item::{ItemStatus, OutputItem},
};
use crate::{
    chat::{IsomorphicHandoff, ToolCall},
    dialect::frames::JsonFrames,
};

impl ResponseFold {
    /// Writes a call that the client is to run.
    pub(super) fn handoff(&mut self, handoff: &IsomorphicHandoff, out: &mut JsonFrames) {
        let call = self.take_call(&handoff.call_id).unwrap_or_else(|| {
            ToolCall::new(
                &*handoff.call_id,
                &*handoff.tool_name,
                handoff.params.clone(),
            )
        });
        self.function_call(&call, out);
    }

    pub(super) fn function_call(&mut self, call: &ToolCall, out: &mut JsonFrames) {
        if !self.written_calls.insert(call.id.clone()) {
            return;
        }
        self.close(ItemStatus::Completed, out);
        let (id, arguments) = (self.item_id("fc"), arguments(call));
        let item = |status, arguments| OutputItem::FunctionCall {
            id: id.clone(),
            status,
            call_id: call.id.clone(),
            name: call.name.clone(),
            arguments,
        };
        self.items.push(item(ItemStatus::InProgress, String::new()));
        self.write_item("response.output_item.added", out);
        let output_index = self.items.len() - 1;
        let delta = EventBody::Arguments {
            item_id: &id,
            output_index,
            delta: &arguments,
        };
        let kind = "response.function_call_arguments.delta";
        write(kind, delta, &mut self.number, out);
        let done = EventBody::ArgumentsDone {
            item_id: &id,
            output_index,
            name: &call.name,
            arguments: &arguments,
        };
        let kind = "response.function_call_arguments.done";
        write(kind, done, &mut self.number, out);
        self.items[output_index] = item(ItemStatus::Completed, arguments);
        self.write_item("response.output_item.done", out);
    }

    /// Writes a call that ran on the server.
    pub(super) fn server_call(
        &mut self,
        id: &str,
        name: &str,
        outcome: Result<&str, &str>,
        out: &mut JsonFrames,
    ) {
        let call = self
            .take_call(id)
            .unwrap_or_else(|| ToolCall::new(id, name, Value::Null));
        if !self.written_calls.insert(call.id.clone()) {
            return;
        }
        self.close(ItemStatus::Completed, out);
        let arguments = arguments(&call);
        let item_id = self.item_id("mcp");
        let item = |status, output: Option<&str>, error: Option<&str>| OutputItem::McpCall {
            id: item_id.clone(),
            status,
            server_label: "server",
            name: call.name.clone(),
            arguments: arguments.clone(),
            output: output.map(str::to_owned),
            error: error.map(str::to_owned),
        };
        self.items.push(item(ItemStatus::InProgress, None, None));
        self.write_item("response.output_item.added", out);
        let at = self.items.len() - 1;
        self.items[at] = match outcome {
            Ok(output) => item(ItemStatus::Completed, Some(output), None),
            Err(error) => item(ItemStatus::Failed, None, Some(error)),
        };
        self.write_item("response.output_item.done", out);
    }

    fn take_call(&mut self, id: &str) -> Option<ToolCall> {
        let at = self.calls.iter().position(|call| call.id == id)?;
        Some(self.calls.remove(at))
    }
}

/// Returns the arguments as the text that a model writes.
fn arguments(call: &ToolCall) -> String {
    match &call.arguments {
        Value::String(text) => text.clone(),
        Value::Null => "{}".to_owned(),
        other => other.to_string(),
    }
}
