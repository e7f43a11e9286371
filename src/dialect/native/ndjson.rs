use bytes::{Bytes, BytesMut};

use super::{
    accept::NDJSON,
    splice::{RecordSplice, splice},
};
use crate::{dialect::Encoder, log::Chunk};

/// Writes one line for each event: `{"lsn":1,"event":{…}}`. The stored bytes are copied unparsed.
#[derive(Debug)]
pub(super) struct NativeNdjson {
    heartbeat: bool,
}

const LINE: RecordSplice<'static> = RecordSplice {
    open: b"{\"lsn\":",
    middle: b",\"event\":",
    close: b"}\n",
};

impl NativeNdjson {
    pub(super) fn new(heartbeat: bool) -> Self {
        Self { heartbeat }
    }
}

impl Encoder for NativeNdjson {
    fn content_type(&self) -> &'static str {
        NDJSON
    }

    fn encode(&mut self, records: &Chunk, out: &mut BytesMut) {
        splice(records, &LINE, out);
    }

    fn shared_key(&self) -> Option<&'static str> {
        Some("native-ndjson")
    }

    fn heartbeat(&self) -> Option<Bytes> {
        self.heartbeat.then_some(Bytes::from_static(b"\n"))
    }

    fn unavailable(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(b"{\"event\":{\"type\":\"unavailable\"}}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{ChunkBuilder, Epoch, Lsn};

    #[test]
    fn a_line_holds_the_lsn_and_the_event_as_stored() {
        let mut batch = ChunkBuilder::new();
        batch.push(br#"{"type":"text","content":"Hel"}"#);
        batch.push(b"{}");
        let chunk = batch.take(Lsn::new(9), Epoch::first()).unwrap();
        let mut out = BytesMut::new();
        NativeNdjson::new(true).encode(&chunk, &mut out);
        assert_eq!(
            out,
            concat!(
                r#"{"lsn":9,"event":{"type":"text","content":"Hel"}}"#,
                "\n",
                r#"{"lsn":10,"event":{}}"#,
                "\n"
            )
        );
    }

    #[test]
    fn the_heartbeat_can_be_turned_off() {
        assert_eq!(
            NativeNdjson::new(true).heartbeat().as_deref(),
            Some(&b"\n"[..])
        );
        assert_eq!(NativeNdjson::new(false).heartbeat(), None);
    }
}
