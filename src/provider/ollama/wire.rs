//! The lines that Ollama sends, with the fields that are used. A field of another type than its own is
//! absent here, and noted.

use serde_json::value::RawValue;

use crate::{
    chat::{ProviderError, ToolCall, Usage},
    provider::http::{
        CallIds, Oddities, argument_bytes,
        json::{count, is_truthy, members, name},
        text_of, unreadable,
    },
};

pub(super) struct OllamaLine<'a> {
    pub(super) message: Option<OllamaMessage<'a>>,
    pub(super) done: bool,
    pub(super) done_reason: Option<&'a RawValue>,
    pub(super) usage: Option<Usage>,
    pub(super) model: Option<&'a RawValue>,
}

pub(super) struct OllamaMessage<'a> {
    pub(super) content: Option<&'a RawValue>,
    pub(super) thinking: Option<&'a RawValue>,
    pub(super) tool_calls: Option<&'a RawValue>,
    pub(super) images: Option<&'a RawValue>,
}

impl<'a> OllamaLine<'a> {
    pub(super) fn read(line: &'a str, odd: &mut Oddities) -> Result<Self, ProviderError> {
        let names = [
            "message",
            "done",
            "done_reason",
            "prompt_eval_count",
            "eval_count",
            "model",
        ];
        let [message, done, done_reason, input, output, model] =
            members(line, names).map_err(unreadable)?;
        let message = message.and_then(|message| {
            let names = ["content", "thinking", "tool_calls", "images"];
            let Ok([content, thinking, tool_calls, images]) = members(message.get(), names) else {
                odd.note("message");
                return None;
            };
            Some(OllamaMessage {
                content,
                thinking,
                tool_calls,
                images,
            })
        });
        // The first is absent if the whole prompt was in the cache.
        let usage = match (input.and_then(count), output.and_then(count)) {
            (None, None) => None,
            (input, output) => Some(Usage::new(input.unwrap_or(0), output.unwrap_or(0))),
        };
        Ok(Self {
            message,
            done: done.is_some_and(is_truthy),
            done_reason,
            usage,
            model,
        })
    }
}

/// Reads a call. `None` if it is none, or names no tool.
pub(super) fn call(call: &RawValue, ids: &mut CallIds) -> Option<ToolCall> {
    let [id, function] = members(call.get(), ["id", "function"]).ok()?;
    let [called, arguments] = members(function?.get(), ["name", "arguments"]).ok()?;
    let called = called.and_then(name)?;
    let id = ids.next(id.and_then(name).unwrap_or_default());
    let arguments = text_of(&argument_bytes(arguments));
    Some(ToolCall::from_text(id, called, &arguments))
}
