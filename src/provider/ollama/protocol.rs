//! Ollama's own protocol, as far as the transport knows it.

use serde_json::value::RawValue;

use crate::provider::http::{
    Protocol,
    json::{Kind, is_truthy, kind, members, on_one_line},
};

pub(super) static OLLAMA_CHAT: Protocol = Protocol {
    path: &["api", "chat"],
    accept: "application/x-ndjson",
    as_stream,
    is_line,
};

// An answer that isn't streamed is a single line that is done, but for its line breaks.
fn as_stream(whole: &str) -> Option<Vec<u8>> {
    let [done] = members(whole, ["done"]).ok()?;
    let is_whole = says(whole) && done.is_some_and(is_truthy);
    is_whole.then(|| (on_one_line(whole) + "\n").into_bytes())
}

fn is_line(line: &str) -> bool {
    let [done] = members(line, ["done"]).unwrap_or_default();
    says(line) || done.is_some()
}

// A message, or the text of a completion.
fn says(line: &str) -> bool {
    let is = |value: Option<&RawValue>, of: Kind| value.is_some_and(|value| kind(value) == of);
    let [message, response] = members(line, ["message", "response"]).unwrap_or_default();
    is(message, Kind::Object) || is(response, Kind::String)
}
