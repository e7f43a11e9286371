use serde_json::{Map, Value};

use super::ReasoningHistory;
use crate::provider::http::Unsupported;

/// The settings of an `OpenAi` that its clones share.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own"
)]
pub(super) struct OpenAiConfig {
    pub(super) model: String,
    pub(super) fields: Map<String, Value>,
    pub(super) usage: bool,
    pub(super) unsupported: Unsupported,
    /// True if results of tools may hold media.
    pub(super) tool_media: bool,
    /// True if the model goes on from a partial answer at the end of the messages.
    pub(super) continues: bool,
    pub(super) max_tokens_field: &'static str,
    pub(super) reasoning_history: ReasoningHistory,
    pub(super) reasoning_field: String,
    pub(super) max_event_bytes: usize,
    pub(super) think_tags: bool,
}
