use bytes::{BufMut, BytesMut};

/// A JSON array that is being written. The first element opens it.
#[derive(Debug)]
pub(in crate::dialect) struct JsonArray {
    opening: &'static str,
    closing: &'static str,
    is_open: bool,
}

impl JsonArray {
    /// Creates an array with these texts at its beginning and end, brackets included.
    pub(super) const fn new(opening: &'static str, closing: &'static str) -> Self {
        Self {
            opening,
            closing,
            is_open: false,
        }
    }

    /// Writes the text before the next element.
    pub(in crate::dialect) fn element(&mut self, out: &mut BytesMut) {
        if self.is_open {
            out.put_u8(b',');
        } else {
            out.put_slice(self.opening.as_bytes());
            self.is_open = true;
        }
    }

    /// Ends the array if it has an element.
    pub(super) fn close(&mut self, out: &mut BytesMut) {
        if self.is_open {
            out.put_slice(self.closing.as_bytes());
            self.is_open = false;
        }
    }
}
