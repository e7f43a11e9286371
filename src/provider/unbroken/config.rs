use serde_json::{Map, Value};

/// The settings of an `UnbrokenUpstream` that its clones share.
pub(super) struct UnbrokenConfig {
    pub(super) model: Option<String>,
    pub(super) fields: Map<String, Value>,
    pub(super) max_event_bytes: usize,
}
