use serde_json::Value;

use super::{
    event::EventBody,
    fold::{ResponseFold, write},
    item::{ItemStatus, OfResult, OutputItem},
};
use crate::{
    chat::{Content, IsomorphicHandoff, ToolCall, ToolInput},
    dialect::{argument_rest::argument_rest, frames::JsonFrames, result_parts::apart},
};

impl ResponseFold {
    /// Writes a piece of the arguments of a call that the client is to run.
    pub(super) fn tool_input(&mut self, input: &ToolInput, out: &mut JsonFrames) {
        let open = self.inputs.iter().find(|(id, _)| *id == input.id);
        let at = match open {
            Some((_, at)) if input.cut => {
                let at = *at;
                self.inputs.retain(|(id, _)| *id != input.id);
                return self.cut_call(at, out);
            }
            Some((_, at)) => *at,
            None if input.cut => return,
            None if self.written_calls.contains_key(&input.id) => return,
            // A call of a server's tool comes as one item, with its result.
            None => match input.name.as_deref().filter(|name| self.is_function(name)) {
                None => return,
                Some(name) => {
                    self.say();
                    self.begin_call(&input.id, name, self.turn, out)
                }
            },
        };
        if input.delta.is_empty() {
            return;
        }
        if let OutputItem::FunctionCall { arguments, .. } = &mut self.items[at] {
            arguments.push_str(&input.delta);
        }
        self.write_arguments(at, &input.delta, out);
    }

    /// Takes a call: one whose arguments were streamed is whole now, and any other waits for its outcome.
    pub(super) fn tool_call(&mut self, call: &ToolCall, out: &mut JsonFrames) {
        self.say();
        match self.inputs.iter().position(|(id, _)| *id == call.id) {
            Some(input) => {
                let (_, at) = self.inputs.remove(input);
                self.end_streamed(at, call, out);
            }
            None => self.calls.push((call.clone(), self.turn)),
        }
    }

    /// Ends the calls whose arguments never became whole.
    pub(super) fn cut_inputs(&mut self, out: &mut JsonFrames) {
        for (_, at) in std::mem::take(&mut self.inputs) {
            self.cut_call(at, out);
        }
    }

    fn cut_call(&mut self, at: usize, out: &mut JsonFrames) {
        self.items[at].end(ItemStatus::Incomplete);
        self.write_item_at(at, "response.output_item.done", out);
    }

    /// Writes a call that the client is to run.
    pub(super) fn handoff(&mut self, handoff: &IsomorphicHandoff, out: &mut JsonFrames) {
        let (call, turn) = self.take_call(&handoff.call_id).unwrap_or_else(|| {
            let params = handoff.params.clone();
            let call = ToolCall::new(&*handoff.call_id, &*handoff.tool_name, params);
            (call, self.turn)
        });
        self.function_call(&call, turn, out);
        self.close(ItemStatus::Completed, out);
        self.has_outcome = true;
    }

    pub(super) fn function_call(&mut self, call: &ToolCall, turn: u64, out: &mut JsonFrames) {
        if self.written_calls.contains_key(&call.id) {
            return;
        }
        if let Some(input) = self.inputs.iter().position(|(id, _)| *id == call.id) {
            let (_, at) = self.inputs.remove(input);
            return self.end_streamed(at, call, out);
        }
        self.state_of_call(call, turn, |_| call.id.clone(), out);
        let at = self.begin_call(&call.id, &call.name, turn, out);
        self.inputs.retain(|(id, _)| *id != call.id);
        self.write_rest(at, call, out);
        self.end_call(at, call, out);
    }

    /// Begins the item of a call, and returns its index.
    fn begin_call(&mut self, call_id: &str, name: &str, turn: u64, out: &mut JsonFrames) -> usize {
        self.close(ItemStatus::Completed, out);
        self.items.push(OutputItem::FunctionCall {
            id: self.item_id_of("fc", turn),
            status: ItemStatus::InProgress,
            call_id: call_id.to_owned(),
            name: name.to_owned(),
            arguments: String::new(),
        });
        self.write_item("response.output_item.added", out);
        let at = self.items.len() - 1;
        self.inputs.push((call_id.to_owned(), at));
        at
    }

    /// Ends a call whose arguments were streamed, with what belongs to it.
    fn end_streamed(&mut self, at: usize, call: &ToolCall, out: &mut JsonFrames) {
        self.write_rest(at, call, out);
        self.end_call(at, call, out);
        if let Some(state) = self.take_call_state(call) {
            self.state_after_call(at, state, out);
        }
    }

    /// Writes the arguments that the client doesn't have.
    fn write_rest(&mut self, at: usize, call: &ToolCall, out: &mut JsonFrames) {
        if let OutputItem::FunctionCall {
            arguments: streamed,
            ..
        } = &mut self.items[at]
        {
            let whole = arguments(call);
            match argument_rest(streamed, &call.arguments, &whole) {
                Some(rest) if !rest.is_empty() => {
                    streamed.push_str(&rest);
                    self.write_arguments(at, &rest, out);
                }
                Some(_) => {}
                // The events of the end have those that count.
                None => *streamed = whole,
            }
        }
    }

    fn end_call(&mut self, output_index: usize, call: &ToolCall, out: &mut JsonFrames) {
        self.written_calls.insert(call.id.clone(), output_index);
        if let OutputItem::FunctionCall { status, name, .. } = &mut self.items[output_index] {
            *status = ItemStatus::Completed;
            name.clone_from(&call.name);
        }
        // No client may run it.
        if call.is_half() {
            return self.cut_call(output_index, out);
        }
        let item = &self.items[output_index];
        if let OutputItem::FunctionCall {
            id,
            name,
            arguments,
            ..
        } = item
        {
            let done = EventBody::ArgumentsDone {
                item_id: id,
                output_index,
                name,
                arguments,
            };
            let kind = "response.function_call_arguments.done";
            write(kind, done, &mut self.number, out);
        }
        self.write_item_at(output_index, "response.output_item.done", out);
    }

    fn write_arguments(&mut self, output_index: usize, delta: &str, out: &mut JsonFrames) {
        let body = EventBody::Arguments {
            item_id: self.items[output_index].id(),
            output_index,
            delta,
        };
        let kind = "response.function_call_arguments.delta";
        write(kind, body, &mut self.number, out);
    }

    /// Writes a call that ran on the server. An output is text in this API: its media follow as items that
    /// name the call.
    pub(super) fn server_call(
        &mut self,
        id: &str,
        name: &str,
        outcome: Result<&Content, &str>,
        out: &mut JsonFrames,
    ) {
        let (call, turn) = self
            .take_call(id)
            .unwrap_or_else(|| (ToolCall::new(id, name, Value::Null), self.turn));
        self.has_outcome = true;
        self.close(ItemStatus::Completed, out);
        if self.written_calls.contains_key(&call.id) {
            return;
        }
        if call.is_half() && self.is_function(&call.name) {
            return self.function_call(&call, turn, out);
        }
        let next_item = |fold: &Self| fold.item_id_of("mcp", turn);
        self.state_of_call(&call, turn, next_item, out);
        let arguments = arguments(&call);
        let item_id = self.item_id_of("mcp", turn);
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
        self.written_calls.insert(call.id.clone(), at);
        let mut media = Vec::new();
        self.items[at] = match outcome {
            Ok(output) => {
                let (text, files) = apart(output);
                media = files;
                item(ItemStatus::Completed, Some(&text), None)
            }
            Err(error) => item(ItemStatus::Failed, None, Some(error)),
        };
        self.write_item("response.output_item.done", out);
        for (at, media) in media {
            let item_id = item_id.clone();
            self.result_media(media, OfResult { item_id, at }, turn, out);
        }
    }

    fn take_call(&mut self, id: &str) -> Option<(ToolCall, u64)> {
        let at = self.calls.iter().position(|(call, _)| call.id == id)?;
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
