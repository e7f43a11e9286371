use std::ops::Range;

use bytes::{BufMut, BytesMut};
use serde::Serialize;

/// The frames of one record: several JSON values, one after the other. A stream has one buffer,
/// which is cleared between records.
#[derive(Debug, Default)]
pub(super) struct JsonFrames {
    json: BytesMut,
    ends: Vec<usize>,
}

impl JsonFrames {
    /// Appends a value.
    pub(super) fn push<T: Serialize>(&mut self, value: &T) {
        serde_json::to_writer((&mut self.json).writer(), value)
            .expect("the keys are strings and a BytesMut takes every byte");
        self.ends.push(self.json.len());
    }

    /// Returns the values in order.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.ends.len()).map(|at| &self.json[self.span(at)])
    }

    pub(super) fn clear(&mut self) {
        self.json.clear();
        self.ends.clear();
    }

    /// Returns the buffer for a value that the caller writes. [`end`](Self::end) completes it.
    pub(super) fn begin(&mut self) -> &mut BytesMut {
        &mut self.json
    }

    /// Completes the value that [`begin`](Self::begin) started.
    pub(super) fn end(&mut self) {
        self.ends.push(self.json.len());
    }

    fn span(&self, at: usize) -> Range<usize> {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        start..self.ends[at]
    }
}
