use std::{fmt::Write as _, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};

use super::{array::JsonArray, items::StreamItems, offset::OffsetDisplay};
use crate::{
    dialect::{Encoder, Progress, SessionView},
    log::{Chunk, Position},
};

/// Writes server-sent events: the elements of a frame as one `data` event, and a `control` event with
/// the offset after it. A client uses the elements only once it has the `control` event.
#[derive(Debug)]
pub(super) struct DurableStreamEncoder {
    items: StreamItems,
    array: JsonArray,
    at: Position,
    cursor: u64,
    closed: bool,
    lifetime: Duration,
}

impl DurableStreamEncoder {
    /// Creates an encoder. `cursor` is the next cursor of the client.
    pub(super) fn new(items: StreamItems, cursor: u64, lifetime: Duration) -> Self {
        Self {
            items,
            array: JsonArray::new("event: data\ndata:[", "]\n\n"),
            at: Position::START,
            cursor,
            closed: false,
            lifetime,
        }
    }
}

impl Encoder for DurableStreamEncoder {
    fn content_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn preamble(&mut self, session: &SessionView<'_>, _: &mut BytesMut) {
        self.items.name(session.id.as_str());
    }

    fn is_stateful(&self) -> bool {
        self.items.is_stateful()
    }

    fn skip(&mut self, records: &Chunk) {
        self.items.skip(records);
        self.at = Position::tagged(records.last(), records.epoch().tag());
    }

    fn encode(&mut self, records: &Chunk, out: &mut BytesMut) {
        self.items.write(records, &mut self.array, out);
        self.at = Position::tagged(records.last(), records.epoch().tag());
    }

    fn heartbeat(&self) -> Option<Bytes> {
        Some(Bytes::from_static(b": \n\n"))
    }

    fn unavailable(&mut self, out: &mut BytesMut) {
        self.array.close(out);
        control(Progress::new(self.at), self.cursor, out);
        out.put_slice(b": unavailable\n\n");
    }

    fn progress(&mut self, progress: &Progress, out: &mut BytesMut) {
        self.array.close(out);
        self.at = progress.at;
        self.closed |= progress.ended;
        control(*progress, self.cursor, out);
    }

    fn trailer(&mut self, out: &mut BytesMut) {
        self.array.close(out);
        // A client without records knows its offset already.
        if !self.closed && self.at != Position::START {
            self.closed = true;
            let end = Progress::new(self.at).caught_up(true).ended(true);
            control(end, self.cursor, out);
        }
    }

    fn lifetime(&self) -> Option<Duration> {
        Some(self.lifetime)
    }
}

/// Writes a `control` event with the offset of the client. Nothing in it has to be escaped.
pub(super) fn control(progress: Progress, cursor: u64, out: &mut BytesMut) {
    let (offset, everything) = (OffsetDisplay(progress.at), "a BytesMut takes everything");
    write!(
        out,
        "event: control\ndata:{{\"streamNextOffset\":\"{offset}\""
    )
    .expect(everything);
    if !progress.ended {
        // No client reconnects to a closed stream.
        write!(out, ",\"streamCursor\":\"{cursor}\"").expect(everything);
    }
    if progress.caught_up {
        out.put_slice(b",\"upToDate\":true");
    }
    if progress.ended {
        out.put_slice(b",\"streamClosed\":true");
    }
    out.put_slice(b"}\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{ChunkBuilder, Epoch, Lsn};

    fn chunk(first: u64, records: &[&str]) -> Chunk {
        let mut batch = ChunkBuilder::new();
        batch.extend(records.iter().map(|record| record.as_bytes()));
        let epoch = Epoch {
            counter: 1,
            bits: 7,
        };
        batch.take(Lsn::new(first), epoch).unwrap()
    }

    fn stream() -> DurableStreamEncoder {
        DurableStreamEncoder::new(StreamItems::events(), 5, Duration::from_secs(60))
    }

    fn tag() -> String {
        chunk(1, &["{}"]).epoch().tag().to_string()
    }

    #[test]
    fn a_frame_is_one_array_and_the_offset_after_it() {
        let (mut stream, mut out) = (stream(), BytesMut::new());
        stream.encode(&chunk(1, &["{}", "1"]), &mut out);
        let last = chunk(3, &["[2]"]);
        stream.encode(&last, &mut out);
        let at = Position::tagged(last.last(), last.epoch().tag());
        stream.progress(&Progress::new(at).caught_up(true), &mut out);
        let expected = format!(
            "event: data\ndata:[{{}},1,[2]]\n\nevent: control\n\
             data:{{\"streamNextOffset\":\"00000000000000000003.{}\",\"streamCursor\":\"5\",\
             \"upToDate\":true}}\n\n",
            tag()
        );
        assert_eq!(out, expected);
    }

    #[test]
    fn the_end_is_written_once() {
        let (mut stream, mut out) = (stream(), BytesMut::new());
        let last = chunk(1, &["{}"]);
        stream.encode(&last, &mut out);
        let at = Position::tagged(last.last(), last.epoch().tag());
        let ended = Progress::new(at).caught_up(true).ended(true);
        stream.progress(&ended, &mut out);
        stream.trailer(&mut out);
        let text = String::from_utf8_lossy(&out);
        assert_eq!(text.matches("streamClosed").count(), 1, "{text}");
        assert!(!text.contains("streamCursor"), "{text}");
    }

    #[test]
    fn the_trailer_writes_the_pending_elements_and_the_end() {
        let (mut stream, mut out) = (stream(), BytesMut::new());
        stream.encode(&chunk(1, &["{}"]), &mut out);
        stream.trailer(&mut out);
        let expected = format!(
            "event: data\ndata:[{{}}]\n\nevent: control\n\
             data:{{\"streamNextOffset\":\"00000000000000000001.{}\",\"upToDate\":true,\
             \"streamClosed\":true}}\n\n",
            tag()
        );
        assert_eq!(out, expected);
    }
}
