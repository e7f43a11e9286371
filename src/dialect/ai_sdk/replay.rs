//! What a message held before the session that goes on in it, as chunks: a client that comes new to a
//! message drops what it had of it.

use serde_json::{Map, Value};

use super::{
    chunk::{Chunk, Data},
    fold::Sink,
    parts::{kind, string},
};

/// The parts, as the chunks that make them.
pub(super) fn replay(parts: &[Map<String, Value>], sink: &mut impl Sink) {
    let mut in_step = false;
    for (at, part) in parts.iter().enumerate() {
        match kind(part) {
            "step-start" => {
                if in_step {
                    sink.chunk(&Chunk::FinishStep);
                }
                in_step = true;
                sink.chunk(&Chunk::StartStep);
            }
            "text" => {
                let (id, delta) = (&*format!("p{at}"), string(part, "text"));
                sink.chunk(&Chunk::TextStart { id });
                sink.chunk(&Chunk::TextDelta { id, delta });
                sink.chunk(&Chunk::TextEnd { id });
            }
            "reasoning" => {
                let (id, delta) = (&*format!("p{at}"), string(part, "text"));
                sink.chunk(&Chunk::ReasoningStart { id });
                sink.chunk(&Chunk::ReasoningDelta { id, delta });
                sink.chunk(&Chunk::ReasoningEnd { id });
            }
            "dynamic-tool" => tool(part, string(part, "toolName"), true, sink),
            "file" | "source-url" | "source-document" => sink.chunk(&Chunk::Part(part)),
            kind => {
                if let Some(name) = kind.strip_prefix("tool-") {
                    tool(part, name, false, sink);
                } else if let (Some(name), Some(data)) =
                    (kind.strip_prefix("data-"), part.get("data"))
                {
                    let id = part.get("id").and_then(Value::as_str);
                    sink.chunk(&Chunk::Data(Data::new(name, data).under(id)));
                }
            }
        }
    }
    if in_step {
        sink.chunk(&Chunk::FinishStep);
    }
}

/// A call, by its pieces: one that comes whole would be run again by who hears of it.
fn tool(part: &Map<String, Value>, name: &str, dynamic: bool, sink: &mut impl Sink) {
    let tool_call_id = string(part, "toolCallId");
    sink.chunk(&Chunk::ToolInputStart {
        tool_call_id,
        tool_name: name,
        dynamic,
    });
    let input = part.get("input").map(Value::to_string).unwrap_or_default();
    sink.chunk(&Chunk::ToolInputDelta {
        tool_call_id,
        input_text_delta: &input,
    });
    match string(part, "state") {
        "output-available" => {
            let output = part.get("output").unwrap_or(&Value::Null);
            sink.chunk(&Chunk::ToolOutputAvailable {
                tool_call_id,
                output,
            });
        }
        "output-error" => sink.chunk(&Chunk::ToolOutputError {
            tool_call_id,
            error_text: string(part, "errorText"),
        }),
        "output-denied" => sink.chunk(&Chunk::ToolOutputDenied { tool_call_id }),
        _ => {}
    }
}
