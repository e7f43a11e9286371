//! Ollama's own protocol, as far as the transport knows it.

use serde_json::Value;

use crate::provider::http::Protocol;

pub(super) static OLLAMA_CHAT: Protocol = Protocol {
    path: &["api", "chat"],
    accept: "application/x-ndjson",
    as_stream,
    is_line,
};

// An answer that isn't streamed is a single line that is done, but for its line breaks.
fn as_stream(whole: &Value) -> Option<Vec<u8>> {
    let is_whole =
        whole.get("message")?.is_object() && whole.get("done") == Some(&Value::Bool(true));
    is_whole.then(|| format!("{whole}\n").into_bytes())
}

fn is_line(line: &Value) -> bool {
    line.get("message").is_some_and(Value::is_object) || line.get("done").is_some()
}
