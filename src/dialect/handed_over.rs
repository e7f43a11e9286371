//! Calls that were handed to the client.

#[cfg(any(feature = "ag-ui", feature = "openai-responses"))]
use crate::{chat::has_kind, log::Chunk};

/// The reason why an answer with such a call isn't restarted.
pub(super) const HANDED_OVER: &str = "the client may have run a tool of its own";

/// Returns true if a call was handed to the client since the answer began, or began anew.
#[cfg(any(feature = "ag-ui", feature = "openai-responses"))]
pub(super) fn has_handed_over(log: &[Chunk]) -> bool {
    let mut handed_over = false;
    for record in log.iter().flat_map(Chunk::records) {
        if has_kind(record.bytes, "restarted") {
            handed_over = false;
        } else if has_kind(record.bytes, "isomorphic_handoff") {
            handed_over = true;
        }
    }
    handed_over
}
