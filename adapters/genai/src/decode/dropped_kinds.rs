use std::collections::HashSet;

// A server can make kinds up.
const MAX_KINDS: usize = 32;

/// What of an answer was dropped because of its shape. Each kind is traced once.
#[derive(Debug, Default)]
pub(super) struct DroppedKinds {
    traced: HashSet<String>,
}

impl DroppedKinds {
    /// Notes a field, or an event, that is dropped.
    pub(super) fn note(&mut self, kind: &str) {
        if self.traced.len() < MAX_KINDS && self.traced.insert(kind.to_owned()) {
            tracing::warn!(
                kind,
                "the model's server sent something that is dropped; the answer goes on"
            );
        }
    }
}
