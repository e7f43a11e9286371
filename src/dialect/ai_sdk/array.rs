use bytes::{BufMut, BytesMut};

use super::{AiSdk, chunk, encoder::NullSink, fold::UiMessageFold};
use crate::{dialect::durable_streams::JsonArray, log::Chunk};

/// Encodes a log as the chunks of a UI message stream, each a JSON value.
#[derive(Debug)]
pub(in crate::dialect) struct MessageChunks {
    fold: UiMessageFold,
}

impl MessageChunks {
    /// Creates an encoder for the clients of a dialect; `whole_message` adds the parts that the message had
    /// before this session.
    pub(in crate::dialect) fn new(dialect: &AiSdk, whole_message: bool) -> Self {
        let fold = dialect.fold();
        Self {
            fold: if whole_message {
                fold.with_previous_parts()
            } else {
                fold
            },
        }
    }

    /// Sets the id of the session.
    pub(in crate::dialect) fn name(&mut self, session: &str) {
        self.fold.name(session);
    }

    /// Takes note of records that the client has.
    pub(in crate::dialect) fn skip(&mut self, records: &Chunk) {
        for record in records.records() {
            self.fold.push(&record, &mut NullSink);
        }
    }

    /// Writes the chunks of the records.
    pub(in crate::dialect) fn write(
        &mut self,
        records: &Chunk,
        array: &mut JsonArray,
        out: &mut BytesMut,
    ) {
        let mut values = ArraySink { array, out };
        for record in records.records() {
            self.fold.push(&record, &mut values);
        }
    }
}

/// Writes chunks as elements of an array.
struct ArraySink<'a> {
    array: &'a mut JsonArray,
    out: &'a mut BytesMut,
}

impl chunk::ChunkSink for ArraySink<'_> {
    fn chunk(&mut self, chunk: &chunk::UiChunk<'_>) {
        self.array.element(self.out);
        serde_json::to_writer(self.out.writer(), chunk).expect("strings and JSON are JSON");
    }

    fn delta(&mut self, kind: chunk::DeltaKind, id: &str, json: &[u8]) {
        self.array.element(self.out);
        chunk::delta(kind, id, json, self.out);
    }
}
