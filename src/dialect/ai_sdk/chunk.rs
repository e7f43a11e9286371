use bytes::{BufMut, BytesMut};
use serde::Serialize;
use serde_json::{Map, Value};

/// A receiver of chunks.
pub(super) trait ChunkSink {
    /// Receives a chunk.
    fn chunk(&mut self, chunk: &UiChunk<'_>);

    /// Receives a delta chunk. `json` is the delta as a JSON string, quotes included.
    fn delta(&mut self, kind: &'static str, id: &str, json: &[u8]);
}

/// A chunk of a UI message stream.
#[derive(Debug, Serialize)]
#[serde(
    tag = "type",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub(super) enum UiChunk<'a> {
    Start {
        message_id: &'a str,
    },
    StartStep,
    TextStart {
        id: &'a str,
    },
    TextDelta {
        id: &'a str,
        delta: &'a str,
    },
    TextEnd {
        id: &'a str,
    },
    ReasoningStart {
        id: &'a str,
    },
    ReasoningDelta {
        id: &'a str,
        delta: &'a str,
    },
    ReasoningEnd {
        id: &'a str,
    },
    ToolInputAvailable {
        tool_call_id: &'a str,
        tool_name: &'a str,
        input: &'a Value,
    },
    ToolInputStart {
        tool_call_id: &'a str,
        tool_name: &'a str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        dynamic: bool,
    },
    ToolInputDelta {
        tool_call_id: &'a str,
        input_text_delta: &'a str,
    },
    ToolApprovalRequest {
        approval_id: &'a str,
        tool_call_id: &'a str,
    },
    ToolOutputAvailable {
        tool_call_id: &'a str,
        output: &'a Value,
    },
    ToolOutputError {
        tool_call_id: &'a str,
        error_text: &'a str,
    },
    ToolOutputDenied {
        tool_call_id: &'a str,
    },
    FinishStep,
    Abort {
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    Error {
        error_text: &'a str,
    },
    Finish {
        finish_reason: &'static str,
    },
    /// A part whose JSON is also its chunk.
    #[serde(untagged)]
    Part(&'a Map<String, Value>),
    /// Data of the application; its name follows `data-`.
    #[serde(untagged)]
    Data(UiData<'a>),
}

#[derive(Debug, Serialize)]
pub(super) struct UiData<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "data")]
    value: &'a Value,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    transient: bool,
}

impl<'a> UiData<'a> {
    pub(super) fn new(name: &str, value: &'a Value) -> Self {
        Self {
            kind: format!("data-{name}"),
            id: None,
            value,
            transient: false,
        }
    }

    /// Sets the id. Later data with the same id replaces this one.
    pub(super) fn id(mut self, id: Option<&'a str>) -> Self {
        self.id = id;
        self
    }

    /// Sets whether the client leaves the data out of the message.
    pub(super) fn transient(mut self, transient: bool) -> Self {
        self.transient = transient;
        self
    }
}

/// Writes a delta chunk. `json` is the delta as a JSON string.
pub(super) fn delta(kind: &str, id: &str, json: &[u8], out: &mut BytesMut) {
    out.reserve(64 + json.len());
    for part in [
        b"{\"type\":\"",
        kind.as_bytes(),
        b"\",\"id\":\"",
        id.as_bytes(),
        b"\",\"delta\":",
        json,
        b"}",
    ] {
        out.put_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn chunks_have_the_field_names_of_the_sdk() {
        let text = |chunk: &UiChunk<'_>| serde_json::to_string(chunk).unwrap();
        assert_eq!(
            text(&UiChunk::Start { message_id: "m" }),
            r#"{"type":"start","messageId":"m"}"#
        );
        let input = json!({});
        assert_eq!(
            text(&UiChunk::ToolInputAvailable {
                tool_call_id: "c",
                tool_name: "now",
                input: &input,
            }),
            r#"{"type":"tool-input-available","toolCallId":"c","toolName":"now","input":{}}"#
        );
        assert_eq!(
            text(&UiChunk::Abort { reason: None }),
            r#"{"type":"abort"}"#
        );
        let data = UiData::new("mood", &input).id(Some("x")).transient(true);
        assert_eq!(
            text(&UiChunk::Data(data)),
            r#"{"type":"data-mood","id":"x","data":{},"transient":true}"#
        );
    }
}
