//! The content of streams in a form that doesn't depend on how the server cuts it into frames.

use serde_json::Value;
use unbroken::chat::{ChatEvent, Transcript};

/// Returns the transcript and the last LSN of an NDJSON stream.
pub(crate) fn of_lines(bytes: &[u8]) -> String {
    let lines = bytes
        .split(|&byte| byte == b'\n')
        .filter(|it| !it.is_empty());
    let mut last = 0;
    let mut transcript = Transcript::new();
    for line in lines {
        let line: Value = serde_json::from_slice(line).unwrap();
        let lsn = line["lsn"].as_u64().unwrap();
        assert!(lsn > last, "{lsn} after {last}");
        last = lsn;
        push(&mut transcript, &line["event"]);
    }
    format!("{last} {transcript:?}")
}

/// Returns the transcript and the last cursor of native server-sent events.
pub(crate) fn of_events(bytes: &[u8]) -> String {
    let mut last = String::new();
    let mut transcript = Transcript::new();
    for line in String::from_utf8_lossy(bytes).lines() {
        if let Some(id) = line.strip_prefix("id: ") {
            id.clone_into(&mut last);
        } else if let Some(event) = line.strip_prefix("data: ") {
            push(&mut transcript, &serde_json::from_str(event).unwrap());
        }
    }
    format!("{last} {transcript:?}")
}

fn push(transcript: &mut Transcript, event: &Value) {
    if let Ok(event) = serde_json::from_value::<ChatEvent>(event.clone()) {
        transcript.push(&event);
    }
}

/// Returns the chunks of the AI SDK, with the deltas of each part joined.
#[cfg(feature = "ai-sdk")]
pub(crate) fn of_chunks(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let chunks = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let mut joined: Vec<Value> = Vec::new();
    for chunk in chunks.filter(|chunk| *chunk != "[DONE]") {
        let chunk: Value = serde_json::from_str(chunk).unwrap();
        let field = match &chunk["type"] {
            kind if kind == "tool-input-delta" => "inputTextDelta",
            _ => "delta",
        };
        match joined.last_mut() {
            Some(last)
                if chunk[field].is_string()
                    && ["type", "id", "toolCallId"]
                        .iter()
                        .all(|it| last[it] == chunk[it]) =>
            {
                let both = format!("{}{}", text_of(&last[field]), text_of(&chunk[field]));
                last[field] = both.into();
            }
            _ => joined.push(chunk),
        }
    }
    format!("{joined:#?} {}", text.ends_with("data: [DONE]\n\n"))
}

#[cfg(feature = "ai-sdk")]
fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Returns the elements of Durable Streams over SSE. A `control` follows each `data`, and offsets grow.
#[cfg(feature = "durable-streams")]
pub(crate) fn of_stream(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let (mut elements, mut offset) = (Vec::<Value>::new(), String::new());
    let mut data = None;
    for event in text.split_terminator("\n\n") {
        if let Some(array) = event.strip_prefix("event: data\ndata:") {
            assert!(data.is_none(), "two `data` events in a row: {text}");
            data = Some(serde_json::from_str::<Vec<Value>>(array).unwrap());
        } else {
            let control = event.strip_prefix("event: control\ndata:").unwrap();
            let control: Value = serde_json::from_str(control).unwrap();
            let next = control["streamNextOffset"].as_str().unwrap().to_owned();
            assert!(next >= offset, "{next} after {offset}");
            offset = next;
            elements.extend(data.take().unwrap_or_default());
        }
    }
    assert!(data.is_none(), "a `data` event without `control`: {text}");
    format!("{elements:#?}")
}
