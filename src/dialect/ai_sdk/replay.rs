//! Replays the parts that a message had before the session that continues it: a client that begins to
//! read a message drops what it had of it.

use serde_json::{Map, Value};

use super::{
    chunk::{ChunkSink, UiChunk, UiData},
    parts::{kind, string},
};

/// Writes the chunks that make the parts.
pub(super) fn replay(parts: &[Map<String, Value>], sink: &mut impl ChunkSink) {
    let mut in_step = false;
    for (at, part) in parts.iter().enumerate() {
        match kind(part) {
            "step-start" => {
                if in_step {
                    sink.chunk(&UiChunk::FinishStep);
                }
                in_step = true;
                sink.chunk(&UiChunk::StartStep);
            }
            "text" => {
                let (id, delta) = (&*format!("p{at}"), string(part, "text"));
                sink.chunk(&UiChunk::TextStart { id });
                sink.chunk(&UiChunk::TextDelta { id, delta });
                sink.chunk(&UiChunk::TextEnd {
                    id,
                    provider_metadata: part.get("providerMetadata"),
                });
            }
            "reasoning" => {
                // The client keeps the id in the part.
                let made = format!("p{at}");
                let id = part.get("id").and_then(Value::as_str).unwrap_or(&made);
                let delta = string(part, "text");
                sink.chunk(&UiChunk::ReasoningStart { id });
                sink.chunk(&UiChunk::ReasoningDelta { id, delta });
                sink.chunk(&UiChunk::ReasoningEnd {
                    id,
                    provider_metadata: part.get("providerMetadata"),
                });
            }
            "dynamic-tool" => tool(part, string(part, "toolName"), true, sink),
            "file" | "source-url" | "source-document" => sink.chunk(&UiChunk::Part(part)),
            kind => {
                if let Some(name) = kind.strip_prefix("tool-") {
                    tool(part, name, false, sink);
                } else if let (Some(name), Some(data)) =
                    (kind.strip_prefix("data-"), part.get("data"))
                {
                    let id = part.get("id").and_then(Value::as_str);
                    sink.chunk(&UiChunk::Data(UiData::new(name, data).id(id)));
                }
            }
        }
    }
    if in_step {
        sink.chunk(&UiChunk::FinishStep);
    }
}

/// Writes a call as deltas, because the client would run one that arrives whole.
fn tool(part: &Map<String, Value>, name: &str, dynamic: bool, sink: &mut impl ChunkSink) {
    let tool_call_id = string(part, "toolCallId");
    sink.chunk(&UiChunk::ToolInputStart {
        tool_call_id,
        tool_name: name,
        dynamic,
        provider_metadata: part.get("callProviderMetadata"),
    });
    let input = part.get("input").map(Value::to_string).unwrap_or_default();
    sink.chunk(&UiChunk::ToolInputDelta {
        tool_call_id,
        input_text_delta: &input,
    });
    let provider_metadata = part.get("resultProviderMetadata");
    match string(part, "state") {
        "output-available" => {
            let output = part.get("output").unwrap_or(&Value::Null);
            sink.chunk(&UiChunk::ToolOutputAvailable {
                tool_call_id,
                output,
                provider_metadata,
            });
        }
        "output-error" => sink.chunk(&UiChunk::ToolOutputError {
            tool_call_id,
            error_text: string(part, "errorText"),
            provider_metadata,
        }),
        "output-denied" => sink.chunk(&UiChunk::ToolOutputDenied { tool_call_id }),
        _ => {}
    }
}
