use bytes::{Bytes, BytesMut};

use super::{
    accept::SSE,
    splice::{RecordSplice, splice},
};
use crate::{
    dialect::{Encoder, SessionView},
    log::Chunk,
};

/// Writes server-sent events: `id: 1.k3f…`, `data: {…}`, an empty line. Without `event:`, so that
/// `onmessage` gets all of them.
#[derive(Debug)]
pub(super) struct NativeSse;

impl NativeSse {
    pub(super) fn new() -> Self {
        Self
    }
}

impl Encoder for NativeSse {
    fn content_type(&self) -> &'static str {
        SSE
    }

    fn preamble(&mut self, _: &SessionView<'_>, out: &mut BytesMut) {
        out.extend_from_slice(b"retry: 1000\n\n");
    }

    fn encode(&mut self, records: &Chunk, out: &mut BytesMut) {
        // A chunk has one epoch, so all its records have one tag.
        let middle = format!(".{}\ndata: ", records.epoch().tag());
        let event = RecordSplice {
            open: b"id: ",
            middle: middle.as_bytes(),
            close: b"\n\n",
        };
        splice(records, &event, out);
    }

    fn shared_key(&self) -> Option<&'static str> {
        Some("native-sse")
    }

    fn heartbeat(&self) -> Option<Bytes> {
        Some(Bytes::from_static(b": \n\n"))
    }

    fn unavailable(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(b"data: {\"type\":\"unavailable\"}\n\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dialect::Cursor,
        log::{ChunkBuilder, Epoch, Lsn, Position},
    };

    #[test]
    fn the_id_of_an_event_is_its_cursor() {
        let epoch = Epoch::first();
        let mut batch = ChunkBuilder::new();
        batch.push(b"{}");
        batch.push(b"[]");
        let chunk = batch.take(Lsn::new(9), epoch).unwrap();
        let mut out = BytesMut::new();
        NativeSse.encode(&chunk, &mut out);
        let tag = epoch.tag();
        let text = std::str::from_utf8(&out).unwrap();
        assert_eq!(
            text,
            format!("id: 9.{tag}\ndata: {{}}\n\nid: 10.{tag}\ndata: []\n\n")
        );
        let id = text.lines().next().unwrap().strip_prefix("id: ").unwrap();
        assert_eq!(id.parse(), Ok(Cursor(Position::tagged(Lsn::new(9), tag))));
    }
}
