//! Copies of a chunk with one change.

use unbroken::log::{Chunk, ChunkBuilder, Epoch, Lsn};

/// Returns the records under another epoch.
pub(super) fn with_epoch(chunk: &Chunk, epoch: Epoch) -> Chunk {
    rebuilt(chunk, chunk.first(), epoch, <[u8]>::len)
}

/// Returns the records from another LSN on.
pub(super) fn with_first(chunk: &Chunk, first: Lsn) -> Chunk {
    rebuilt(chunk, first, chunk.epoch(), <[u8]>::len)
}

/// Returns empty records in place of the records.
pub(super) fn emptied(chunk: &Chunk) -> Chunk {
    rebuilt(chunk, chunk.first(), chunk.epoch(), |_| 0)
}

/// Returns the records, truncated to this number of bytes in all.
pub(super) fn truncated(chunk: &Chunk, max_bytes: usize) -> Chunk {
    let mut left = max_bytes;
    rebuilt(chunk, chunk.first(), chunk.epoch(), |record| {
        let len = record.len().min(left);
        left -= len;
        len
    })
}

fn rebuilt(chunk: &Chunk, first: Lsn, epoch: Epoch, mut len: impl FnMut(&[u8]) -> usize) -> Chunk {
    let mut records = ChunkBuilder::new();
    for record in chunk.records() {
        records.push(&record.bytes[..len(record.bytes)]);
    }
    records
        .take(first, epoch)
        .expect("a chunk has at least one record")
}
