use std::ops::Range;

use bytes::{BufMut, BytesMut};
use serde::Serialize;

/// What one record comes to in a dialect: several values of JSON, one after the other. Made once
/// for a stream, and emptied between two records.
#[derive(Debug, Default)]
pub(super) struct JsonFrames {
    json: BytesMut,
    ends: Vec<usize>,
}

impl JsonFrames {
    /// Adds a value.
    pub(super) fn push<T: Serialize>(&mut self, value: &T) {
        serde_json::to_writer((&mut self.json).writer(), value)
            .expect("the keys are strings and a BytesMut takes every byte");
        self.ends.push(self.json.len());
    }

    /// The values, in order.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.ends.len()).map(|at| &self.json[self.span(at)])
    }

    pub(super) fn clear(&mut self) {
        self.json.clear();
        self.ends.clear();
    }

    /// Begins a value that is written as it comes; [`end`](Self::end) closes it.
    pub(super) fn begin(&mut self) -> &mut BytesMut {
        &mut self.json
    }

    /// Ends the value that was begun.
    pub(super) fn end(&mut self) {
        self.ends.push(self.json.len());
    }

    fn span(&self, at: usize) -> Range<usize> {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        start..self.ends[at]
    }
}
