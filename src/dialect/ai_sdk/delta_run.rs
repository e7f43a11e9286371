use bytes::{BufMut, BytesMut};

use super::chunk::{self, DeltaKind};
use crate::dialect::compact::MAX_BYTES;

/// Deltas of one part that are written as one.
#[derive(Debug)]
pub(super) struct DeltaRun {
    kind: DeltaKind,
    id: String,
    // A JSON string without its closing quote; empty if no delta is pending.
    json: BytesMut,
    max_bytes: usize,
}

impl DeltaRun {
    pub(super) fn new() -> Self {
        Self {
            kind: DeltaKind::Text,
            id: String::new(),
            json: BytesMut::new(),
            max_bytes: MAX_BYTES,
        }
    }

    /// Sets the maximum size of a written delta, in bytes; at most [`MAX_BYTES`].
    pub(super) fn set_max_bytes(&mut self, bytes: usize) {
        self.max_bytes = bytes.min(MAX_BYTES);
    }

    /// Adds a delta, a JSON string with its quotes. Pending deltas of another part are written first.
    pub(super) fn add(&mut self, kind: DeltaKind, id: &str, json: &[u8], out: &mut BytesMut) {
        let same_part = self.kind == kind && self.id == id;
        if !same_part || self.json.len() + json.len() > self.max_bytes {
            self.end(out);
        }
        if self.json.is_empty() {
            self.kind = kind;
            id.clone_into(&mut self.id);
            self.json.put_u8(b'"');
        }
        self.json.put_slice(&json[1..json.len() - 1]);
    }

    /// Writes the pending delta.
    pub(super) fn end(&mut self, out: &mut BytesMut) {
        if !self.json.is_empty() {
            self.json.put_u8(b'"');
            write_delta(self.kind, &self.id, &self.json, out);
            self.json.clear();
        }
    }
}

/// Writes a delta as a server-sent event.
pub(super) fn write_delta(kind: DeltaKind, id: &str, json: &[u8], out: &mut BytesMut) {
    out.put_slice(b"data: ");
    chunk::delta(kind, id, json, out);
    out.put_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pieces: &[(DeltaKind, &str, &str)], max_bytes: usize) -> String {
        let (mut run, mut out) = (DeltaRun::new(), BytesMut::new());
        run.set_max_bytes(max_bytes);
        for (kind, id, json) in pieces {
            run.add(*kind, id, json.as_bytes(), &mut out);
        }
        run.end(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn only_deltas_of_one_part_are_joined() {
        let pieces = [
            (DeltaKind::Text, "t1", r#""a\n""#),
            (DeltaKind::Text, "t1", r#""b""#),
            (DeltaKind::Text, "t2", r#""c""#),
            (DeltaKind::Reasoning, "t2", r#""d""#),
            (DeltaKind::ToolInput, "t2", r#""{""#),
            (DeltaKind::ToolInput, "t2", r#""}""#),
        ];
        let expected = concat!(
            r#"data: {"type":"text-delta","id":"t1","delta":"a\nb"}"#,
            "\n\n",
            r#"data: {"type":"text-delta","id":"t2","delta":"c"}"#,
            "\n\n",
            r#"data: {"type":"reasoning-delta","id":"t2","delta":"d"}"#,
            "\n\n",
            r#"data: {"type":"tool-input-delta","toolCallId":"t2","inputTextDelta":"{}"}"#,
            "\n\n",
        );
        assert_eq!(written(&pieces, 1000), expected);
    }

    #[test]
    fn a_run_is_bounded() {
        let pieces = [(DeltaKind::Text, "t1", r#""abcd""#); 3];
        assert_eq!(written(&pieces, 12).matches("data: ").count(), 2);
        assert_eq!(written(&pieces, 1).matches("data: ").count(), 3);
    }
}
