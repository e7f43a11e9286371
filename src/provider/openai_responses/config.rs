use serde_json::{Map, Value};

use crate::provider::http::Unsupported;

/// The settings of a `ResponsesUpstream` that its clones share.
#[expect(
    clippy::struct_excessive_bools,
    reason = "settings, each of which holds or not by itself"
)]
pub(super) struct ResponsesConfig {
    pub(super) model: String,
    pub(super) fields: Map<String, Value>,
    pub(super) unsupported: Unsupported,
    /// True if the server keeps the responses.
    pub(super) store: bool,
    /// True if the server goes on without a connection.
    pub(super) background: bool,
    /// True if the server is asked for encrypted reasoning.
    pub(super) encrypted_reasoning: bool,
    pub(super) max_event_bytes: usize,
    pub(super) think_tags: bool,
}
