//! Chat Completions, as far as the transport knows it.

use serde_json::value::RawValue;

use crate::provider::http::{
    Protocol,
    json::{Kind, each_element, kind, members, on_one_line},
};

pub(super) static CHAT_COMPLETIONS: Protocol = Protocol {
    path: &["chat", "completions"],
    accept: "text/event-stream",
    as_stream,
    is_line: |_| false,
};

// Servers that can't stream, or not with tools, send the whole completion. Its choices are read like pieces.
fn as_stream(whole: &str) -> Option<Vec<u8>> {
    let [choices] = members(whole, ["choices"]).ok()?;
    let mut is_whole = false;
    let each = each_element(choices?, |choice| {
        is_whole |= has_answer(choice);
        Ok(())
    });
    each.ok()?;
    is_whole.then(|| format!("data: {}\n\ndata: [DONE]\n\n", on_one_line(whole)).into_bytes())
}

// A message, or the text of a completion of the oldest protocol.
fn has_answer(choice: &RawValue) -> bool {
    let [message, text] = members(choice.get(), ["message", "text"]).unwrap_or_default();
    message.is_some_and(|message| kind(message) == Kind::Object)
        || text.is_some_and(|text| kind(text) == Kind::String)
}
