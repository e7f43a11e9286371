//! The Responses API, as far as the transport knows it.

use serde_json::{Value, json};

use crate::provider::http::Protocol;

pub(super) static RESPONSES: Protocol = Protocol {
    path: &["responses"],
    accept: "text/event-stream",
    as_stream,
    is_line: |_| false,
};

// Servers that can't stream send the whole response.
fn as_stream(whole: &Value) -> Option<Vec<u8>> {
    let status = whole.get("status").and_then(Value::as_str);
    let failed = whole.get("error").is_some_and(|error| !error.is_null());
    let kind = match status {
        _ if failed => "response.failed",
        Some("completed") | None => "response.completed",
        Some("incomplete") => "response.incomplete",
        Some("failed" | "cancelled") => "response.failed",
        // It only begins.
        Some(_) => return None,
    };
    let output = whole.get("output")?.as_array()?;
    let named = whole.get("object").and_then(Value::as_str) == Some("response");
    if !named && (status.is_none() || output.is_empty()) {
        return None;
    }
    let event = json!({"type": kind, "response": whole});
    Some(format!("data: {event}\n\n").into_bytes())
}
