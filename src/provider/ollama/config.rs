use serde_json::{Map, Value};

use crate::provider::http::Unsupported;

/// The settings of an `Ollama` that its clones share.
pub(super) struct OllamaConfig {
    pub(super) model: String,
    pub(super) fields: Map<String, Value>,
    pub(super) options: Map<String, Value>,
    /// True if the model goes on from a partial answer at the end of the messages.
    pub(super) continues: bool,
    pub(super) unsupported: Unsupported,
    pub(super) max_event_bytes: usize,
    pub(super) think_tags: bool,
}
