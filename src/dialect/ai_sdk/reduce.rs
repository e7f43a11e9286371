//! Folds chunks into a message, as the SDK's clients do.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{
    chunk::{ChunkSink, DeltaKind, UiChunk},
    parts::UiPart,
};

/// The parts and the metadata of a message, folded from its chunks by the rules of `ai`
/// (`processUIMessageStream`).
///
/// The arguments of a call that has only been announced are left out.
#[derive(Debug, Default)]
pub(super) struct MessageReducer {
    pub(super) parts: Vec<UiPart>,
    pub(super) metadata: Option<Value>,
    /// The open parts of text and reasoning, by the kind and id of their chunks.
    open: HashMap<(bool, String), usize>,
}

impl MessageReducer {
    /// Creates a message that has these parts and this metadata already.
    pub(super) fn of(parts: Vec<UiPart>, metadata: Option<Value>) -> Self {
        Self {
            parts,
            metadata,
            open: HashMap::new(),
        }
    }

    /// Adds a chunk.
    pub(super) fn push(&mut self, chunk: Value) {
        let Value::Object(mut chunk) = chunk else {
            return;
        };
        let Some(Value::String(kind)) = chunk.remove("type") else {
            return;
        };
        match kind.as_str() {
            "start-step" => self.parts.push(part(json!({ "type": "step-start" }))),
            "reset-step" => self.reset_step(),
            "text-start" | "reasoning-start" => self.begin(kind == "text-start", chunk),
            "text-delta" | "reasoning-delta" => {
                let text = take_text(&mut chunk, "delta");
                self.append(kind == "text-delta", &take_text(&mut chunk, "id"), &text);
            }
            "text-end" | "reasoning-end" => self.finish(kind == "text-end", chunk),
            "file" | "source-url" | "source-document" => {
                chunk.insert("type".into(), kind.into());
                self.parts.push(chunk);
            }
            "tool-input-start" => self.call(chunk, "input-streaming"),
            "tool-input-available" => self.call(chunk, "input-available"),
            "tool-input-error" => self.call(chunk, "output-error"),
            "tool-output-available" | "tool-output-error" => {
                self.outcome(chunk, kind == "tool-output-error");
            }
            "tool-approval-request" => {
                let approval = json!({ "id": take_text(&mut chunk, "approvalId") });
                if let Some(tool) = self.tool(&take_text(&mut chunk, "toolCallId")) {
                    tool.insert("state".into(), "approval-requested".into());
                    tool.insert("approval".into(), approval);
                }
            }
            "tool-approval-response" => self.approve(chunk),
            "start" | "finish" | "message-metadata" => {
                if let Some(more) = chunk.remove("messageMetadata").filter(|it| !it.is_null()) {
                    match &mut self.metadata {
                        Some(metadata) => merge(metadata, more),
                        metadata => *metadata = Some(more),
                    }
                }
            }
            _ if kind.starts_with("data-") => self.data(kind, chunk),
            _ => {}
        }
    }

    /// Drops the parts of the last step.
    fn reset_step(&mut self) {
        self.open.clear();
        self.parts.truncate(self.step());
    }

    /// Returns the index of the first part of the last step.
    fn step(&self) -> usize {
        let is_start = |part: &UiPart| part.get("type") == Some(&json!("step-start"));
        let start = self.parts.iter().rposition(is_start);
        start.map_or(0, |at| at + 1)
    }

    fn begin(&mut self, is_text: bool, mut chunk: UiPart) {
        let id = take_text(&mut chunk, "id");
        self.parts.push(part(if is_text {
            json!({ "type": "text", "text": "", "state": "streaming" })
        } else {
            json!({ "type": "reasoning", "id": id, "text": "", "state": "streaming" })
        }));
        self.open.insert((is_text, id), self.parts.len() - 1);
    }

    fn append(&mut self, is_text: bool, id: &str, delta: &str) {
        let at = self.open.get(&(is_text, id.to_owned()));
        if let Some(Value::String(text)) = at.and_then(|at| self.parts[*at].get_mut("text")) {
            text.push_str(delta);
        }
    }

    fn finish(&mut self, is_text: bool, mut chunk: UiPart) {
        let id = take_text(&mut chunk, "id");
        if let Some(at) = self.open.remove(&(is_text, id)) {
            let part = &mut self.parts[at];
            part.insert("state".into(), "done".into());
            if let Some(metadata) = chunk.remove("providerMetadata") {
                part.insert("providerMetadata".into(), metadata);
            }
        }
    }

    /// Adds a call to this step, or changes the one that the step has.
    fn call(&mut self, mut chunk: UiPart, state: &'static str) {
        let id = take_text(&mut chunk, "toolCallId");
        let step = self.step();
        let of_call = |part: &UiPart| part.get("toolCallId") == Some(&json!(id));
        let known = self.parts[step..].iter().position(of_call);
        let at = known.map_or(self.parts.len(), |at| step + at);
        if known.is_none() {
            self.parts.push(part(json!({ "toolCallId": id })));
        }
        let part = &mut self.parts[at];
        let name = take_text(&mut chunk, "toolName");
        part.insert("type".into(), format!("tool-{name}").into());
        part.insert("state".into(), state.into());
        for field in ["input", "errorText"] {
            set(part, field, chunk.remove(field));
        }
        set(part, "output", None);
        if let Some(metadata) = chunk.remove("providerMetadata") {
            part.insert(metadata_of(state).into(), metadata);
        }
    }

    fn outcome(&mut self, mut chunk: UiPart, failed: bool) {
        let Some(tool) = self.tool(&take_text(&mut chunk, "toolCallId")) else {
            return;
        };
        let state = if failed {
            "output-error"
        } else {
            "output-available"
        };
        tool.insert("state".into(), state.into());
        for field in ["output", "errorText"] {
            set(tool, field, chunk.remove(field));
        }
        if let Some(metadata) = chunk.remove("providerMetadata") {
            tool.insert("resultProviderMetadata".into(), metadata);
        }
    }

    fn approve(&mut self, mut chunk: UiPart) {
        let id = chunk.remove("approvalId");
        let of_approval = |part: &&mut UiPart| {
            let approval = part.get("approval");
            approval.is_some_and(|it| it.get("id") == id.as_ref())
        };
        let asked = self.parts.iter_mut().rfind(of_approval);
        let (Some(part), Some(approved)) = (asked, chunk.remove("approved")) else {
            return;
        };
        part.insert("state".into(), "approval-responded".into());
        if let Some(Value::Object(approval)) = part.get_mut("approval") {
            approval.insert("approved".into(), approved);
        }
    }

    /// Returns the last call with this id.
    fn tool(&mut self, id: &str) -> Option<&mut UiPart> {
        let of_call = |part: &&mut UiPart| part.get("toolCallId").is_some_and(|it| it == id);
        self.parts.iter_mut().rfind(of_call)
    }

    fn data(&mut self, kind: String, mut chunk: UiPart) {
        if chunk.remove("transient") == Some(Value::Bool(true)) {
            return;
        }
        let kind = Value::from(kind);
        if let Some(id) = chunk.get("id") {
            let of_id =
                |part: &&mut UiPart| part.get("type") == Some(&kind) && part.get("id") == Some(id);
            if let Some(part) = self.parts.iter_mut().find(of_id) {
                set(part, "data", chunk.remove("data"));
                return;
            }
        }
        chunk.insert("type".into(), kind);
        self.parts.push(chunk);
    }
}

impl ChunkSink for MessageReducer {
    fn chunk(&mut self, chunk: &UiChunk<'_>) {
        if let Ok(chunk) = serde_json::to_value(chunk) {
            self.push(chunk);
        }
    }

    fn delta(&mut self, kind: DeltaKind, id: &str, json: &[u8]) {
        let text = serde_json::from_slice::<String>(json).unwrap_or_default();
        match kind {
            DeltaKind::Text => self.append(true, id, &text),
            DeltaKind::Reasoning => self.append(false, id, &text),
            DeltaKind::ToolInput => {}
        }
    }
}

/// Returns the field of a tool part that holds the metadata of a chunk.
fn metadata_of(state: &str) -> &'static str {
    if state == "output-error" {
        "resultProviderMetadata"
    } else {
        "callProviderMetadata"
    }
}

fn set(part: &mut UiPart, field: &str, value: Option<Value>) {
    match value {
        Some(value) => part.insert(field.into(), value),
        None => part.remove(field),
    };
}

fn take_text(chunk: &mut UiPart, field: &str) -> String {
    match chunk.remove(field) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    }
}

fn merge(base: &mut Value, more: Value) {
    match (base, more) {
        (Value::Object(base), Value::Object(more)) => {
            for (name, value) in more {
                merge(base.entry(name).or_insert(Value::Null), value);
            }
        }
        (base, more) => *base = more,
    }
}

fn part(value: Value) -> UiPart {
    match value {
        Value::Object(part) => part,
        _ => Map::new(),
    }
}
