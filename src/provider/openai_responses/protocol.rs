//! The Responses API, as far as the transport knows it.

use crate::provider::http::{
    Protocol,
    json::{Kind, is_truthy, kind, members, on_one_line, string},
};

pub(super) static RESPONSES: Protocol = Protocol {
    path: &["responses"],
    accept: "text/event-stream",
    as_stream,
    is_line: |_| false,
};

// Servers that can't stream send the whole response.
fn as_stream(whole: &str) -> Option<Vec<u8>> {
    let [status, error, output, object] =
        members(whole, ["status", "error", "output", "object"]).ok()?;
    let is_response = object.and_then(string).as_deref() == Some("response");
    let status = status.and_then(string);
    let class = match status.as_deref() {
        _ if error.is_some_and(is_truthy) => "failed",
        Some("completed") | None => "completed",
        Some("incomplete") => "incomplete",
        Some("failed" | "cancelled") => "failed",
        // It only begins.
        Some(_) => return None,
    };
    let output = output.filter(|output| kind(output) == Kind::List);
    let is_empty = output.is_none_or(|output| output.get()[1..].trim_start() == "]");
    // An error that isn't a response's is no answer.
    let is_whole = match class {
        "failed" => is_response,
        _ => output.is_some() && (is_response || (status.is_some() && !is_empty)),
    };
    let whole = on_one_line(whole);
    let event = format!(r#"data: {{"type":"response.{class}","response":{whole}}}"#);
    is_whole.then(|| (event + "\n\n").into_bytes())
}
