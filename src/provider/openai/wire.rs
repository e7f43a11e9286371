//! The pieces that a Chat Completions server sends, with the fields that are used.
//!
//! Servers leave fields out, send them as `null`, or send something else: a field that isn't what it
//! should be is absent here, and noted.

use serde_json::{Value, value::RawValue};

use super::state::EXTRA_CONTENT;
use crate::{
    chat::Usage,
    provider::http::{
        Oddities, argument_bytes,
        json::{Kind, count, is_truthy, kind, members, name, whole_number},
        kept_object,
    },
};

/// A choice of a chunk.
pub(super) struct Choice<'a> {
    /// `None` if it has none that can be read.
    pub(super) index: Option<i64>,
    pub(super) delta: Option<&'a RawValue>,
    /// The text of a completion of the oldest protocol.
    pub(super) text: Option<&'a RawValue>,
    /// True if the delta is a whole message.
    pub(super) is_whole: bool,
    pub(super) finish_reason: Option<&'a RawValue>,
    /// The word of the server behind a gateway.
    pub(super) native_reason: Option<&'a RawValue>,
    pub(super) error: Option<&'a RawValue>,
}

impl<'a> Choice<'a> {
    pub(super) fn read(choice: &'a RawValue, odd: &mut Oddities) -> Option<Self> {
        let names = [
            "index",
            "delta",
            "message",
            "text",
            "finish_reason",
            "native_finish_reason",
            "error",
        ];
        let Ok(
            [
                index,
                delta,
                message,
                text,
                finish_reason,
                native_reason,
                error,
            ],
        ) = members(choice.get(), names)
        else {
            odd.note("choices");
            return None;
        };
        Some(Self {
            index: odd.read("index", index, whole_number),
            // A whole completion has its message.
            is_whole: delta.is_none(),
            delta: delta.or(message),
            // Some servers repeat the piece of the delta there.
            text: text.filter(|_| delta.or(message).is_none()),
            finish_reason,
            native_reason,
            error: error.filter(|error| is_truthy(error)),
        })
    }
}

/// A piece of a call.
#[derive(Debug, Default)]
pub(super) struct CallDelta {
    pub(super) index: Option<i64>,
    pub(super) id: String,
    pub(super) name: String,
    /// WTF-8.
    pub(super) arguments: Vec<u8>,
    /// Data that the server must be handed back with the call.
    pub(super) extra: Option<Value>,
}

impl CallDelta {
    pub(super) fn read(call: &RawValue, odd: &mut Oddities) -> Option<Self> {
        let names = ["index", "id", "function", EXTRA_CONTENT];
        let Ok([index, id, function, extra]) = members(call.get(), names) else {
            odd.note("tool_calls");
            return None;
        };
        let function = function.and_then(|function| Self::of_function(function, odd));
        let mut delta = function.unwrap_or_default();
        delta.index = odd.read("tool_calls.index", index, whole_number);
        delta.id = odd.read("tool_calls.id", id, name).unwrap_or_default();
        delta.extra = odd.read("tool_calls.extra_content", extra, kept_object);
        Some(delta)
    }

    /// Reads a function, which is a call of its own in the older form `function_call`.
    pub(super) fn of_function(function: &RawValue, odd: &mut Oddities) -> Option<Self> {
        let Ok([named, arguments]) = members(function.get(), ["name", "arguments"]) else {
            odd.note("function");
            return None;
        };
        Some(Self {
            name: odd.read("function.name", named, name).unwrap_or_default(),
            arguments: argument_bytes(arguments).into_owned(),
            ..Self::default()
        })
    }

    /// Returns true if the piece says nothing.
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            index: _,
            id,
            name,
            arguments,
            extra,
        } = self;
        id.is_empty() && name.is_empty() && arguments.is_empty() && extra.is_none()
    }
}

/// Reads the numbers of tokens. `None` if there is none.
pub(super) fn usage(counts: &RawValue, odd: &mut Oddities) -> Option<Usage> {
    if kind(counts) != Kind::Object {
        odd.note("usage");
        return None;
    }
    let names = [
        "prompt_tokens",
        "completion_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
    ];
    let [input, output, of_input, of_output] = members(counts.get(), names).ok()?;
    let input = odd.read("usage.prompt_tokens", input, count);
    let output = odd.read("usage.completion_tokens", output, count);
    if input.is_none() && output.is_none() {
        return None;
    }
    let mut usage = Usage::new(input.unwrap_or(0), output.unwrap_or(0));
    let detail = |details: Option<&RawValue>, name| {
        let [detail] = members(details?.get(), [name]).ok()?;
        detail.and_then(count)
    };
    usage.cached_input_tokens = detail(of_input, "cached_tokens");
    usage.reasoning_tokens = detail(of_output, "reasoning_tokens");
    Some(usage)
}
