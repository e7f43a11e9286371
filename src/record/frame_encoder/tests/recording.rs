use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};

use crate::{
    dialect::{Cursor, Encoder as _},
    log::{Chunk, ChunkBuilder, Epoch, Lsn, Position},
    record::{
        Framing,
        frame_encoder::FrameEncoder,
        records,
        splitter::{FrameKind, Splitter},
    },
};

/// A finished recording, in chunks of some records.
pub(super) struct Recording {
    framing: Framing,
    chunks: Vec<Chunk>,
}

impl Recording {
    /// Records a body that comes in chunks of `piece` bytes, and stores `batch` records at a time, each by an owner of its
    /// own.
    pub(super) fn of(framing: Framing, body: &[u8], piece: usize, batch: usize) -> Self {
        let mut records = vec![records::begin(), Bytes::from_static(b"H{}")];
        let mut splitter = Splitter::new(framing, 100_000);
        let mut drain = |splitter: &mut Splitter| {
            while let Some(frame) = splitter.next_frame().unwrap() {
                let mut out = BytesMut::new();
                records::write_frame(&frame, &mut out);
                records.push(out.freeze());
            }
        };
        for piece in body.chunks(piece) {
            splitter.push(Bytes::copy_from_slice(piece));
            drain(&mut splitter);
        }
        splitter.finish();
        drain(&mut splitter);
        let mut trailers = BytesMut::new();
        let value = HeaderValue::from_static("1");
        records::write_trailers(
            &HeaderMap::from_iter([(http::header::AGE, value)]),
            &mut trailers,
        );
        records.extend([trailers.freeze(), Bytes::from_static(b"E{}")]);
        let mut first = Lsn::new(1);
        let chunks = records.chunks(batch).map(|records| {
            let mut builder = ChunkBuilder::new();
            builder.extend(records.iter().map(|it| &it[..]));
            let chunk = builder.take(first, Epoch::first()).unwrap();
            first = chunk.last().next();
            chunk
        });
        let chunks = chunks.collect();
        Self { framing, chunks }
    }

    /// Returns the body of a reader after a cursor, with a heartbeat wherever there may be one.
    pub(super) fn read(&self, after: &str) -> Vec<u8> {
        let after = match after {
            "" => Position::START,
            after => after.parse::<Cursor>().unwrap().0,
        };
        let mut encoder = FrameEncoder::new(self.framing).after(after);
        let mut out = BytesMut::new();
        for chunk in &self.chunks {
            if let Some(rest) = chunk.after(after.lsn) {
                out.extend(encoder.heartbeat());
                encoder.encode(&rest, &mut out);
                out.extend(encoder.heartbeat());
            }
        }
        out.to_vec()
    }

    /// Returns the cursors of the events.
    pub(super) fn cursors(&self) -> Vec<String> {
        let records = self.chunks.iter().flat_map(Chunk::records);
        let events = records.filter(|it| {
            let kind = records::read_frame(it.bytes).map(|(kind, _)| kind);
            matches!(kind, Some(FrameKind::Event | FrameKind::EventWithId))
        });
        let cursor = |it: crate::log::Record<'_>| {
            Cursor(Position::tagged(it.lsn, it.epoch.tag())).to_string()
        };
        events.map(cursor).collect()
    }

    pub(super) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }
}
