use serde_json::{Map, Value};

/// The settings of an `OpenAi` that its clones share.
pub(super) struct OpenAiConfig {
    pub(super) model: String,
    pub(super) fields: Map<String, Value>,
    pub(super) usage: bool,
    pub(super) max_event_bytes: usize,
}
