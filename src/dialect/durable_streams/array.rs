use bytes::{BufMut, BytesMut};

/// A JSON array under way. It is opened by its first element.
#[derive(Debug)]
pub(in crate::dialect) struct JsonArray {
    opening: &'static str,
    closing: &'static str,
    is_open: bool,
}

impl JsonArray {
    /// One that begins and ends with these, brackets included.
    pub(super) const fn new(opening: &'static str, closing: &'static str) -> Self {
        Self {
            opening,
            closing,
            is_open: false,
        }
    }

    /// Where the next element goes.
    pub(in crate::dialect) fn element(&mut self, out: &mut BytesMut) {
        if self.is_open {
            out.put_u8(b',');
        } else {
            out.put_slice(self.opening.as_bytes());
            self.is_open = true;
        }
    }

    /// Ends it, if it has an element.
    pub(super) fn close(&mut self, out: &mut BytesMut) {
        if self.is_open {
            out.put_slice(self.closing.as_bytes());
            self.is_open = false;
        }
    }
}
