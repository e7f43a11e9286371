use std::collections::HashSet;

// A server names no more fields than that in its answer, unless it makes names up.
const MAX_TRACES: usize = 32;

/// The fields of an answer that were dropped because of their shape. Each is traced once.
#[derive(Debug, Default)]
pub(crate) struct Oddities {
    traced: HashSet<String>,
}

impl Oddities {
    /// Notes a field that is dropped. Its name is this library's, or a plain word of the server.
    pub(crate) fn note(&mut self, field: &str) {
        if self.traced.len() < MAX_TRACES && self.traced.insert(field.to_owned()) {
            tracing::warn!(
                field,
                "the model's server sent something that is dropped; the answer goes on"
            );
        }
    }

    /// Returns the value of a field as `read` reads it. Notes one that it can't read.
    pub(crate) fn read<V: Copy, T>(
        &mut self,
        field: &str,
        value: Option<V>,
        read: impl Fn(V) -> Option<T>,
    ) -> Option<T> {
        let value = value?;
        let read = read(value);
        if read.is_none() {
            self.note(field);
        }
        read
    }
}
