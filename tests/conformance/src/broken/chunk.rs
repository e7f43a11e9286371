//! Chunks that are like another one but for one thing.

use unbroken::log::{Chunk, ChunkBuilder, Epoch, Lsn};

/// Returns these records by another epoch.
pub(super) fn with_epoch(chunk: &Chunk, epoch: Epoch) -> Chunk {
    rebuilt(chunk, chunk.first(), epoch, <[u8]>::len)
}

/// Returns these records from another LSN on.
pub(super) fn moved_to(chunk: &Chunk, first: Lsn) -> Chunk {
    rebuilt(chunk, first, chunk.epoch(), <[u8]>::len)
}

/// Returns as many records without their bytes.
pub(super) fn blank(chunk: &Chunk) -> Chunk {
    rebuilt(chunk, chunk.first(), chunk.epoch(), |_| 0)
}

/// Returns these records, cut to so many bytes together.
pub(super) fn cut_to(chunk: &Chunk, max_bytes: usize) -> Chunk {
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
