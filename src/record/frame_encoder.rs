use std::fmt::Write as _;

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;

use super::{
    Framing,
    records::{read_frame, read_trailers},
    splitter::{BYTE_ORDER_MARK, FrameKind, LineKind, lines},
};
use crate::{
    dialect::Encoder,
    log::{Chunk, Lsn, Position, Record},
};

const COMMENT: &[u8] = b":\n";

/// The position of the head in every recording.
const HEAD: Lsn = Lsn::new(2);

/// The encoder of a recording's frames into the bytes of a reader's body.
///
/// Lines and opaque bytes are as they came. Each event gets a line `id` with its cursor in front, in place of its own. An
/// event source that was cut hands the cursor of the last whole event back.
///
/// Nothing else may end in an empty line. Some clients take an empty line for an event once they know an id (OpenAI's
/// Python SDK does); by the standard, one at the beginning of a body makes an event source forget the cursor. So empty
/// lines between events and after comments are left out, and a heartbeat is a comment without one.
#[derive(Debug)]
pub(super) struct FrameEncoder {
    framing: Framing,
    // A comment may come next.
    between_events: bool,
    trailers: Option<HeaderMap>,
}

impl FrameEncoder {
    /// Creates the encoder for a reader from the beginning.
    pub(super) const fn new(framing: Framing) -> Self {
        Self {
            framing,
            between_events: false,
            trailers: None,
        }
    }

    /// Makes it the encoder for a reader at this position. Behind the head, only the ids of events have a tag: such a reader
    /// has received one.
    pub(super) const fn after(mut self, at: Position) -> Self {
        let has_event = at.tag.is_some() && at.lsn.get() > HEAD.get();
        self.between_events = matches!(self.framing, Framing::Events) && has_event;
        self
    }

    /// Takes the trailers of the body, once their record was encoded or skipped.
    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    /// Takes note of a record.
    fn pass(&mut self, record: &Record<'_>) {
        match read_frame(record.bytes) {
            Some((FrameKind::Event | FrameKind::EventWithId, _)) => self.between_events = true,
            Some((FrameKind::NoEvent, bytes)) => {
                self.between_events =
                    bytes == BYTE_ORDER_MARK || matches!(bytes, [.., b'\r' | b'\n']);
            }
            Some((FrameKind::Line | FrameKind::Opaque, _)) => self.between_events = false,
            None => {
                if let Some(trailers) = read_trailers(record.bytes) {
                    self.trailers = Some(trailers);
                }
            }
        }
    }
}

impl Encoder for FrameEncoder {
    fn content_type(&self) -> &'static str {
        match self.framing {
            Framing::Events => "text/event-stream",
            Framing::Lines => "application/x-ndjson",
            Framing::Bytes => "application/octet-stream",
        }
    }

    fn skip(&mut self, records: &Chunk) {
        for record in records.records() {
            self.pass(&record);
        }
    }

    fn encode(&mut self, records: &Chunk, out: &mut BytesMut) {
        // A chunk has one epoch.
        let tag = records.epoch().tag().to_string();
        out.reserve(records.bytes() + records.len() * 24);
        for record in records.records() {
            self.pass(&record);
            let Some((kind, bytes)) = read_frame(record.bytes) else {
                continue;
            };
            match kind {
                FrameKind::Line | FrameKind::Opaque => out.put_slice(bytes),
                FrameKind::Event => {
                    write_id(&record, &tag, out);
                    let blank = bytes.iter().take_while(|it| matches!(it, b'\r' | b'\n'));
                    out.put_slice(&bytes[blank.count()..]);
                }
                FrameKind::EventWithId => {
                    write_id(&record, &tag, out);
                    let mut begun = false;
                    write_lines(bytes, out, |line| {
                        begun |= line != LineKind::Empty;
                        begun && line != LineKind::Id
                    });
                }
                FrameKind::NoEvent if bytes == BYTE_ORDER_MARK => {}
                FrameKind::NoEvent => {
                    let keep = |line| !matches!(line, LineKind::Empty | LineKind::Id);
                    let first = lines(bytes).find(|(kind, _)| keep(*kind));
                    if first.is_some_and(|(_, line)| line.starts_with(BYTE_ORDER_MARK)) {
                        // At the beginning of a body it would vanish, and leave a field.
                        out.put_slice(COMMENT);
                    }
                    write_lines(bytes, out, keep);
                }
            }
        }
    }

    fn shared_key(&self) -> Option<&'static str> {
        Some("recording")
    }

    /// Returns a comment, unless it could be misread: within lines, opaque bytes and a cut event, and before it shows
    /// that the body is an event stream at all.
    fn heartbeat(&self) -> Option<Bytes> {
        self.between_events.then_some(Bytes::from_static(COMMENT))
    }

    /// Writes nothing: the frames are the recorded body's only.
    fn unavailable(&mut self, _: &mut BytesMut) {}
}

fn write_id(record: &Record<'_>, tag: &str, out: &mut BytesMut) {
    writeln!(out, "id: {}.{tag}", record.lsn).expect("the buffer grows");
}

/// Writes those lines for which `keep` is true.
fn write_lines(bytes: &[u8], out: &mut BytesMut, mut keep: impl FnMut(LineKind) -> bool) {
    let mut ends_with_cr = false;
    for (kind, line) in lines(bytes) {
        if keep(kind) {
            if ends_with_cr && line == b"\n" {
                // Without the line between them, the two would be one end.
                out.put_u8(b'\n');
            }
            out.put_slice(line);
            ends_with_cr = line.ends_with(b"\r");
        }
    }
}

#[cfg(test)]
mod tests;
