use bytes::{BufMut, BytesMut};

use super::encoder::delta;
use crate::dialect::compact::MAX_BYTES;

/// Pieces of one part that go out as one.
#[derive(Debug)]
pub(super) struct DeltaRun {
    kind: &'static str,
    id: String,
    // A JSON string without the quote that ends it; empty if nothing waits.
    json: BytesMut,
    most: usize,
}

impl DeltaRun {
    pub(super) fn new() -> Self {
        Self {
            kind: "",
            id: String::new(),
            json: BytesMut::new(),
            most: MAX_BYTES,
        }
    }

    /// Of at most so many bytes.
    pub(super) fn bounded(&mut self, bytes: usize) {
        self.most = bytes.min(MAX_BYTES);
    }

    /// Adds a piece, which is JSON with its quotes. What it can't be added to is written.
    pub(super) fn add(&mut self, kind: &'static str, id: &str, json: &[u8], out: &mut BytesMut) {
        let same = self.kind == kind && self.id == id;
        if !same || self.json.len() + json.len() > self.most {
            self.end(out);
        }
        if self.json.is_empty() {
            self.kind = kind;
            id.clone_into(&mut self.id);
            self.json.put_u8(b'"');
        }
        self.json.put_slice(&json[1..json.len() - 1]);
    }

    /// Writes what waits.
    pub(super) fn end(&mut self, out: &mut BytesMut) {
        if !self.json.is_empty() {
            self.json.put_u8(b'"');
            delta(self.kind, &self.id, &self.json, out);
            self.json.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pieces: &[(&'static str, &str, &str)], most: usize) -> String {
        let (mut run, mut out) = (DeltaRun::new(), BytesMut::new());
        run.bounded(most);
        for (kind, id, json) in pieces {
            run.add(kind, id, json.as_bytes(), &mut out);
        }
        run.end(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn pieces_of_one_part_are_one_and_no_others() {
        let pieces = [
            ("text-delta", "t1", r#""a\n""#),
            ("text-delta", "t1", r#""b""#),
            ("text-delta", "t2", r#""c""#),
            ("reasoning-delta", "t2", r#""d""#),
        ];
        let expected = concat!(
            r#"data: {"type":"text-delta","id":"t1","delta":"a\nb"}"#,
            "\n\n",
            r#"data: {"type":"text-delta","id":"t2","delta":"c"}"#,
            "\n\n",
            r#"data: {"type":"reasoning-delta","id":"t2","delta":"d"}"#,
            "\n\n",
        );
        assert_eq!(said(&pieces, 1000), expected);
    }

    #[test]
    fn a_run_is_no_longer_than_it_may_be() {
        let pieces = [("text-delta", "t1", r#""abcd""#); 3];
        assert_eq!(said(&pieces, 12).matches("data: ").count(), 2);
        assert_eq!(said(&pieces, 1).matches("data: ").count(), 3);
    }
}
