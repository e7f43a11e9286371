use bytes::{BufMut, BytesMut};
use serde::Serialize;
use serde_json::{Map, Value};

/// A receiver of chunks.
pub(super) trait ChunkSink {
    /// Receives a chunk.
    fn chunk(&mut self, chunk: &UiChunk<'_>);

    /// Receives a delta chunk. `json` is the delta as a JSON string, quotes included.
    fn delta(&mut self, kind: DeltaKind, id: &str, json: &[u8]);
}

/// The kind of a delta chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeltaKind {
    /// `text-delta`.
    Text,
    /// `reasoning-delta`.
    Reasoning,
    /// `tool-input-delta`.
    ToolInput,
}

impl DeltaKind {
    /// Returns the JSON before the id.
    const fn head(self) -> &'static str {
        match self {
            Self::Text => r#"{"type":"text-delta","id":"#,
            Self::Reasoning => r#"{"type":"reasoning-delta","id":"#,
            Self::ToolInput => r#"{"type":"tool-input-delta","toolCallId":"#,
        }
    }

    /// Returns the JSON between the id and the delta.
    const fn middle(self) -> &'static str {
        match self {
            Self::Text | Self::Reasoning => r#","delta":"#,
            Self::ToolInput => r#","inputTextDelta":"#,
        }
    }
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
        #[serde(skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<&'a Value>,
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
        #[serde(skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<&'a Value>,
    },
    ToolInputAvailable {
        tool_call_id: &'a str,
        tool_name: &'a str,
        input: &'a Value,
        #[serde(skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<&'a Value>,
    },
    ToolInputError {
        tool_call_id: &'a str,
        tool_name: &'a str,
        input: Value,
        error_text: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<&'a Value>,
    },
    ToolInputStart {
        tool_call_id: &'a str,
        tool_name: &'a str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        dynamic: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<&'a Value>,
    },
    ToolInputDelta {
        tool_call_id: &'a str,
        input_text_delta: &'a str,
    },
    ToolApprovalRequest {
        approval_id: &'a str,
        tool_call_id: &'a str,
    },
    ToolApprovalResponse {
        approval_id: &'a str,
        approved: bool,
    },
    ToolOutputAvailable {
        tool_call_id: &'a str,
        output: &'a Value,
        #[serde(skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<&'a Value>,
    },
    ToolOutputError {
        tool_call_id: &'a str,
        error_text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<&'a Value>,
    },
    ToolOutputDenied {
        tool_call_id: &'a str,
    },
    SourceUrl {
        source_id: &'a str,
        url: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<&'a Value>,
    },
    SourceDocument {
        source_id: &'a str,
        media_type: &'a str,
        title: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<&'a Value>,
    },
    File {
        url: &'a str,
        media_type: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<&'a Value>,
    },
    FinishStep,
    ResetStep,
    MessageMetadata {
        message_metadata: &'a Value,
    },
    Abort {
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    Error {
        error_text: &'a str,
    },
    Finish {
        finish_reason: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        message_metadata: Option<&'a Value>,
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
pub(super) fn delta(kind: DeltaKind, id: &str, json: &[u8], out: &mut BytesMut) {
    out.reserve(64 + id.len() + json.len());
    out.put_slice(kind.head().as_bytes());
    match kind {
        // Made here, without a character to escape.
        DeltaKind::Text | DeltaKind::Reasoning => {
            out.put_u8(b'"');
            out.put_slice(id.as_bytes());
            out.put_u8(b'"');
        }
        DeltaKind::ToolInput => {
            serde_json::to_writer((&mut *out).writer(), id).expect("a string is JSON");
        }
    }
    out.put_slice(kind.middle().as_bytes());
    out.put_slice(json);
    out.put_u8(b'}');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_delta_of_a_call_escapes_the_id_of_the_model() {
        let mut out = BytesMut::new();
        delta(DeltaKind::ToolInput, "a\"b", br#""{""#, &mut out);
        assert_eq!(
            serde_json::from_slice::<Value>(&out).unwrap(),
            json!({"type": "tool-input-delta", "toolCallId": "a\"b", "inputTextDelta": "{"})
        );
    }

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
                provider_metadata: None,
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
