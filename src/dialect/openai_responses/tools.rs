use serde_json::Value;

use super::{
    event::EventBody,
    fold::{ResponseFold, tell},
    item::{ItemStatus, OutputItem},
};
use crate::{
    chat::{IsomorphicHandoff, ToolCall},
    dialect::frames::JsonFrames,
};

impl ResponseFold {
    /// The client is to run a tool.
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
        if !self.told.insert(call.id.clone()) {
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
        self.tell_item("response.output_item.added", out);
        let output_index = self.items.len() - 1;
        let delta = EventBody::Arguments {
            item_id: &id,
            output_index,
            delta: &arguments,
        };
        let kind = "response.function_call_arguments.delta";
        tell(kind, delta, &mut self.number, out);
        let done = EventBody::ArgumentsDone {
            item_id: &id,
            output_index,
            name: &call.name,
            arguments: &arguments,
        };
        let kind = "response.function_call_arguments.done";
        tell(kind, done, &mut self.number, out);
        self.items[output_index] = item(ItemStatus::Completed, arguments);
        self.tell_item("response.output_item.done", out);
    }

    /// A tool ran here.
    pub(super) fn ran(
        &mut self,
        id: &str,
        name: &str,
        gave: Result<&str, &str>,
        out: &mut JsonFrames,
    ) {
        let call = self
            .take_call(id)
            .unwrap_or_else(|| ToolCall::new(id, name, Value::Null));
        if !self.told.insert(call.id.clone()) {
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
        self.tell_item("response.output_item.added", out);
        let at = self.items.len() - 1;
        self.items[at] = match gave {
            Ok(output) => item(ItemStatus::Completed, Some(output), None),
            Err(error) => item(ItemStatus::Failed, None, Some(error)),
        };
        self.tell_item("response.output_item.done", out);
    }

    fn take_call(&mut self, id: &str) -> Option<ToolCall> {
        let at = self.calls.iter().position(|call| call.id == id)?;
        Some(self.calls.remove(at))
    }
}

/// Arguments as the model would have written them.
fn arguments(call: &ToolCall) -> String {
    match &call.arguments {
        Value::String(text) => text.clone(),
        Value::Null => "{}".to_owned(),
        other => other.to_string(),
    }
}
