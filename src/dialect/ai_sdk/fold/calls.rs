use std::collections::BTreeSet;

use serde_json::Value;

use super::UiMessageFold;
use crate::{
    chat::{IsomorphicHandoff, ToolCall, ToolInput, ToolResult, value_of_text},
    dialect::{
        ai_sdk::{
            chunk::{ChunkSink, DeltaKind, UiChunk, UiData},
            metadata,
        },
        result_parts::apart,
    },
};

/// The error of a call that was announced and never came.
const NEVER_CAME: &str = "The call was not completed.";
/// The error of a call that was decided about and has no outcome.
const NEVER_ENDED: &str = "The call has no outcome.";

impl UiMessageFold {
    /// Announces a call, or adds to the arguments of an announced one. An open text goes on, as in a log
    /// without the event.
    pub(super) fn tool_input(&mut self, input: &ToolInput, sink: &mut impl ChunkSink) {
        let id = &*input.id;
        if self.calls.contains(id) {
            return;
        }
        if input.cut {
            if let Some(tool_name) = self.announced.remove(id) {
                never_came(id, &tool_name, sink);
            }
            return;
        }
        if !self.announced.contains_key(id) {
            let Some(tool_name) = input.name.as_deref().filter(|name| !name.is_empty()) else {
                return;
            };
            self.step(sink);
            sink.chunk(&UiChunk::ToolInputStart {
                tool_call_id: id,
                tool_name,
                dynamic: false,
                provider_metadata: None,
            });
            self.announced.insert(id.to_owned(), tool_name.to_owned());
        }
        if !input.delta.is_empty()
            && let Ok(json) = serde_json::to_vec(&input.delta)
        {
            sink.delta(DeltaKind::ToolInput, id, &json);
        }
    }

    /// Ends the calls that were announced and never came. While one is open, the client neither runs the
    /// other calls of the step nor sends answers to approvals.
    pub(super) fn give_up_announced(&mut self, sink: &mut impl ChunkSink) {
        for (id, tool_name) in std::mem::take(&mut self.announced) {
            never_came(&id, &tool_name, sink);
        }
    }

    pub(super) fn calls(&mut self, calls: &[ToolCall], sink: &mut impl ChunkSink) {
        // The client looks for an announced call in the last step.
        if !calls.iter().any(|it| self.announced.contains_key(&it.id)) {
            self.step(sink);
        }
        self.close(sink);
        for call in calls {
            self.approvals.call(&call.id);
            self.call(call, sink);
        }
    }

    fn call(&mut self, call: &ToolCall, sink: &mut impl ChunkSink) {
        self.announced.remove(&call.id);
        // A client would run a call twice.
        if self.calls.insert(call.id.clone()) {
            let earlier = self.states.remove(&call.id);
            let state = call.provider_state.as_ref().or(earlier.as_ref());
            if call.is_half() {
                self.approvals.settle(&call.id);
                sink.chunk(&UiChunk::ToolInputError {
                    tool_call_id: &call.id,
                    tool_name: &call.name,
                    input: call.arguments.clone(),
                    error_text: ToolCall::HALF,
                    provider_metadata: state.map(metadata::of_state).as_ref(),
                });
                return;
            }
            sink.chunk(&UiChunk::ToolInputAvailable {
                tool_call_id: &call.id,
                tool_name: &call.name,
                input: &call.arguments,
                provider_metadata: state.map(metadata::of_state).as_ref(),
            });
        }
    }

    pub(super) fn handoff(&mut self, handoff: &IsomorphicHandoff, sink: &mut impl ChunkSink) {
        self.answer.handed_over = true;
        self.close(sink);
        let (id, name) = (&*handoff.call_id, &*handoff.tool_name);
        if handoff.uses_handoff || !handoff.server_output.is_null() {
            // Before the call, because the client runs the tool as soon as it gets the call.
            let data = serde_json::json!({
                "toolName": name,
                "serverOutput": handoff.server_output,
                "usesHandoff": handoff.uses_handoff,
            });
            sink.chunk(&UiChunk::Data(UiData::new("handoff", &data).id(Some(id))));
        }
        if !self.calls.contains(id) {
            self.call(&ToolCall::new(id, name, handoff.params.clone()), sink);
        }
        self.approvals.settle(id);
    }

    /// Ends a call with its result. The SDK has no form for media in one, so they are files after it, whose
    /// metadata name the call.
    pub(super) fn result(&mut self, result: &ToolResult, sink: &mut impl ChunkSink) {
        let id = &*result.id;
        if !self.end_call(id, sink) {
            return;
        }
        let (text, media) = apart(&result.content);
        let end = text.chars().count();
        // JSON is written anew, in which a place is another.
        let is_within = media.iter().any(|(at, _)| (1..end).contains(at));
        let output = if is_within {
            Value::from(&*text)
        } else {
            output(&text)
        };
        sink.chunk(&UiChunk::ToolOutputAvailable {
            tool_call_id: id,
            output: &output,
            provider_metadata: None,
        });
        for (at, media) in media {
            let at = (at < end).then_some(at);
            sink.chunk(&UiChunk::File {
                url: &media.url,
                media_type: &media.media_type,
                provider_metadata: Some(&metadata::of_result(media, id, at)),
            });
        }
    }

    pub(super) fn failed(&mut self, id: &str, error_text: &str, sink: &mut impl ChunkSink) {
        if self.end_call(id, sink) {
            sink.chunk(&UiChunk::ToolOutputError {
                tool_call_id: id,
                error_text,
                provider_metadata: None,
            });
        }
    }

    fn end_call(&mut self, id: &str, sink: &mut impl ChunkSink) -> bool {
        self.close(sink);
        self.approvals.settle(id);
        self.step_is_over = true;
        self.calls.contains(id)
    }
}

fn never_came(tool_call_id: &str, tool_name: &str, sink: &mut impl ChunkSink) {
    sink.chunk(&UiChunk::ToolInputError {
        tool_call_id,
        tool_name,
        input: Value::Null,
        error_text: NEVER_CAME,
        provider_metadata: Some(&metadata::of_incomplete()),
    });
}

/// Ends the calls that have a decision and no outcome. A client that gave the decision
/// would send it again as soon as the stream ends, and again.
pub(super) fn give_up_decided(calls: &BTreeSet<String>, sink: &mut impl ChunkSink) {
    let incomplete = metadata::of_incomplete();
    for id in calls {
        sink.chunk(&UiChunk::ToolOutputError {
            tool_call_id: id,
            error_text: NEVER_ENDED,
            provider_metadata: Some(&incomplete),
        });
    }
}

/// Returns the output of a tool: an object or list if the string holds one that the client may send
/// back, else the string.
fn output(content: &str) -> Value {
    match value_of_text(content) {
        value @ (Value::Object(_) | Value::Array(_)) => value,
        _ => Value::from(content),
    }
}
