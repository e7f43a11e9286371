//! The events that become data parts.

use serde_json::{Value, json};

use crate::{
    chat::{Custom, InputRequest, InputResolved, ToolProgress},
    dialect::ai_sdk::chunk::{ChunkSink, UiChunk, UiData},
};

pub(super) fn tool_progress(progress: &ToolProgress, sink: &mut impl ChunkSink) {
    let data = json!({
        "toolName": progress.name,
        "message": progress.message,
        "progress": progress.progress,
        "total": progress.total,
    });
    let data = UiData::new("tool-progress", &data).id(Some(&progress.id));
    sink.chunk(&UiChunk::Data(data.transient(true)));
}

pub(super) fn input_request(request: &InputRequest, sink: &mut impl ChunkSink) {
    let Ok(mut data) = serde_json::to_value(request) else {
        return;
    };
    if let Some(data) = data.as_object_mut() {
        data.remove("inputId");
    }
    let data = UiData::new("input-request", &data).id(Some(request.input_id.as_str()));
    sink.chunk(&UiChunk::Data(data));
}

pub(super) fn input_resolved(resolved: &InputResolved, sink: &mut impl ChunkSink) {
    let data = json!({ "action": resolved.action });
    let data = UiData::new("input-resolved", &data);
    sink.chunk(&UiChunk::Data(data.id(Some(resolved.input_id.as_str()))));
}

pub(super) fn custom(event: &Custom, sink: &mut impl ChunkSink) {
    let id = event.extra.get("id").and_then(Value::as_str);
    let transient = event.extra.get("transient").and_then(Value::as_bool);
    let data = UiData::new(&event.name, &event.data).id(id);
    sink.chunk(&UiChunk::Data(data.transient(transient.unwrap_or(false))));
}
