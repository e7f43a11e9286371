//! The lines that Ollama sends, with the fields that are used. A field of another type than its own is
//! absent here, and noted.

use serde_json::value::RawValue;

use crate::{
    chat::{ProviderError, ToolCall, Usage},
    provider::http::{
        CallIds, Oddities, argument_bytes,
        json::{Kind, count, is_truthy, kind, members, name, string},
        text_of, unreadable,
    },
};

pub(super) struct OllamaLine<'a> {
    pub(super) message: Option<OllamaMessage<'a>>,
    pub(super) done: bool,
    pub(super) done_reason: Option<String>,
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
            "response",
            "thinking",
        ];
        let [
            message,
            done,
            done_reason,
            input,
            output,
            model,
            response,
            thinking,
        ] = members(line, names).map_err(unreadable)?;
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
        // The lines of `/api/generate`, which some gateways send for a chat.
        let is_text = response.is_some_and(|response| kind(response) == Kind::String);
        let message = message.or_else(|| {
            is_text.then_some(OllamaMessage {
                content: response,
                thinking,
                tool_calls: None,
                images: None,
            })
        });
        let input = odd.read("prompt_eval_count", input, count);
        let output = odd.read("eval_count", output, count);
        // The first is absent if the whole prompt was in the cache.
        let usage = match (input, output) {
            (None, None) => None,
            (input, output) => Some(Usage::new(input.unwrap_or(0), output.unwrap_or(0))),
        };
        Ok(Self {
            message,
            done: done.is_some_and(is_truthy),
            done_reason: odd.read("done_reason", done_reason, string),
            usage,
            model,
        })
    }
}

/// Reads a call. `None` if it is none, or names no tool.
pub(super) fn call(call: &RawValue, ids: &mut CallIds, odd: &mut Oddities) -> Option<ToolCall> {
    let [id, function] = members(call.get(), ["id", "function"]).ok()?;
    let [called, arguments] = members(function?.get(), ["name", "arguments"]).ok()?;
    let called = called.and_then(name)?;
    let id = ids.next(odd.read("tool_calls.id", id, name).unwrap_or_default());
    let arguments = text_of(&argument_bytes(arguments));
    Some(ToolCall::from_text(id, called, &arguments))
}
