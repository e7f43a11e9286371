use crate::log::{Chunk, EpochTag, Lsn, Position};

/// The records of one session.
///
/// An append is added without a copy. Adjacent pieces of one epoch are merged later, into pieces of at
/// least one size after the other. A record is copied a few times at most, however small the appends are. A finished log has few pieces, and none of them keeps a larger buffer alive.
#[derive(Debug, Clone, Default)]
pub(super) struct RecordLog {
    pieces: Vec<LogPiece>,
}

#[derive(Debug, Clone)]
struct LogPiece {
    chunk: Chunk,
    // True if the buffer holds only the records of the chunk.
    exact: bool,
}

// The sizes of merged pieces, each four times the one before: a list of few pieces, and few copies.
const SIZES: [usize; 5] = [512, 2 << 10, 8 << 10, 32 << 10, LARGE];
const LARGE: usize = 128 << 10;
// The number of pieces of the smallest size that are merged even if they have few bytes.
const MAX_SMALL: usize = 8;
// The pieces for which a full list gets room: a running session has no more than it needs.
const MORE_PIECES: usize = 4;

impl RecordLog {
    /// Adds the records of an append.
    pub(super) fn push(&mut self, chunk: Chunk) {
        if self
            .pieces
            .last()
            .is_some_and(|last| last.chunk.epoch() != chunk.epoch())
        {
            self.compact();
        }
        if self.pieces.len() == self.pieces.capacity() {
            self.pieces.reserve_exact(MORE_PIECES);
        }
        self.pieces.push(LogPiece {
            chunk,
            exact: false,
        });
        for size in SIZES {
            let (from, bytes) = self.run_below(size);
            let is_long = size == SIZES[0] && self.pieces.len() - from >= MAX_SMALL;
            if bytes >= size || is_long {
                self.merge(from);
            }
        }
    }

    /// Returns the piece with the last records if it was merged.
    pub(super) fn merged_last(&self) -> Option<&Chunk> {
        let last = self.pieces.last().filter(|last| last.exact)?;
        Some(&last.chunk)
    }

    /// Merges the last small pieces and copies records out of larger buffers, once no record follows
    /// in this epoch.
    pub(super) fn compact(&mut self) {
        for piece in &mut self.pieces {
            if !piece.exact && piece.chunk.bytes() >= LARGE {
                *piece = merged(std::slice::from_ref(piece));
            }
        }
        let (from, _) = self.run_below(LARGE);
        self.merge(from);
        self.pieces.shrink_to_fit();
    }

    /// Returns the index of the first of the last pieces that are smaller than `size` and of one
    /// epoch, and their bytes.
    fn run_below(&self, size: usize) -> (usize, usize) {
        let mut from = self.pieces.len();
        let mut bytes = 0;
        let epoch = self.pieces.last().map(|last| last.chunk.epoch());
        for piece in self.pieces.iter().rev() {
            if piece.chunk.bytes() >= size || Some(piece.chunk.epoch()) != epoch {
                break;
            }
            from -= 1;
            bytes += piece.chunk.bytes();
        }
        (from, bytes)
    }

    /// Merges the pieces from this index on.
    fn merge(&mut self, from: usize) {
        let run = &self.pieces[from..];
        if run.is_empty() || (run.len() == 1 && run[0].exact) {
            return;
        }
        let piece = merged(run);
        self.pieces.truncate(from);
        self.pieces.push(piece);
    }

    /// Returns the tag of the epoch that wrote the record at `lsn`, if there is that record.
    pub(super) fn tag_at(&self, lsn: Lsn) -> Option<EpochTag> {
        let at = self.first_after(lsn.before());
        let chunk = &self.pieces.get(at)?.chunk;
        chunk.record(lsn).map(|record| record.epoch.tag())
    }

    /// Returns the records after a position that fit into `max_bytes`, at least one if there is any.
    pub(super) fn read(&self, after: Position, max_bytes: usize) -> Vec<Chunk> {
        let lsn = after.lsn;
        let mut left = max_bytes;
        let mut page: Vec<Chunk> = Vec::new();
        for piece in &self.pieces[self.first_after(lsn)..] {
            let Some(rest) = piece.chunk.after(lsn) else {
                continue;
            };
            let head = rest.head(left);
            if head.bytes() > left && !page.is_empty() {
                break;
            }
            let is_whole = head.len() == rest.len();
            left = left.saturating_sub(head.bytes());
            page.push(head);
            if !is_whole {
                break;
            }
        }
        page
    }

    /// Returns the index of the piece that has the record after `lsn`.
    fn first_after(&self, lsn: Lsn) -> usize {
        self.pieces
            .partition_point(|piece| piece.chunk.last() <= lsn)
    }
}

/// Copies adjacent pieces of one epoch into one buffer of exactly their size.
fn merged(run: &[LogPiece]) -> LogPiece {
    let chunks = run.iter().map(|piece| &piece.chunk);
    LogPiece {
        chunk: Chunk::concat(chunks).unwrap_or_else(|| run[0].chunk.clone()),
        exact: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{ChunkBuilder, Epoch};

    fn epoch(counter: u64) -> Epoch {
        Epoch { counter, bits: 0 }
    }

    /// Returns a log of `appends` appends, each of one record of `size` bytes.
    fn log(appends: u64, size: usize) -> RecordLog {
        let mut log = RecordLog::default();
        for lsn in 1..=appends {
            log.push(one(lsn, size, 1));
        }
        log
    }

    fn one(lsn: u64, size: usize, by: u64) -> Chunk {
        let mut batch = ChunkBuilder::new();
        batch.push(&record(lsn, size));
        batch.take(Lsn::new(lsn), epoch(by)).unwrap()
    }

    fn record(lsn: u64, size: usize) -> Vec<u8> {
        lsn.to_be_bytes().into_iter().cycle().take(size).collect()
    }

    fn check(log: &RecordLog, appends: u64, size: usize) {
        let page = log.read(Position::START, usize::MAX);
        let mut lsn = 0;
        for found in page.iter().flat_map(Chunk::records) {
            lsn += 1;
            assert_eq!(found.lsn.get(), lsn);
            assert_eq!(found.bytes, record(lsn, size));
        }
        assert_eq!(lsn, appends);
    }

    #[test]
    fn pieces_are_merged_without_loss() {
        for (appends, size) in [(500, 0), (5000, 10), (2000, 60), (100, 5000), (3, 70_000)] {
            let mut log = log(appends, size);
            check(&log, appends, size);
            let bytes = usize::try_from(appends).unwrap() * size;
            let max = MAX_SMALL + 4 * (SIZES.len() - 1) + bytes / LARGE;
            assert!(log.pieces.len() <= max, "{} pieces", log.pieces.len());
            log.compact();
            check(&log, appends, size);
            assert!(log.pieces.len() <= 1 + bytes / LARGE);
            assert!(log.pieces.iter().all(|piece| piece.exact));
        }
    }

    #[test]
    fn a_new_append_is_stored_without_a_copy() {
        let mut log = log(3, 60);
        let chunk = one(4, 60, 1);
        let at = chunk.records().next().unwrap().bytes.as_ptr();
        log.push(chunk.clone());
        let page = log.read(Position::after(Lsn::new(3)), usize::MAX);
        assert_eq!(page[0].records().next().unwrap().bytes.as_ptr(), at);
    }

    #[test]
    fn pieces_of_two_epochs_are_never_merged() {
        let mut log = log(10, 60);
        for lsn in 11..=20 {
            log.push(one(lsn, 60, 2));
        }
        log.compact();
        check(&log, 20, 60);
        assert_eq!(log.pieces.len(), 2);
        assert_eq!(log.tag_at(Lsn::new(10)), Some(epoch(1).tag()));
        assert_eq!(log.tag_at(Lsn::new(11)), Some(epoch(2).tag()));
        assert_eq!(log.tag_at(Lsn::new(21)), None);
    }

    #[test]
    fn pages_follow_one_another_at_any_size() {
        let log = log(500, 60);
        for max in [0, 1, 60, 61, 200, 5000, 40_000] {
            let mut lsn = Lsn::ZERO;
            loop {
                let page = log.read(Position::after(lsn), max);
                let bytes: usize = page.iter().map(Chunk::bytes).sum();
                assert!(bytes <= max.max(60));
                let Some(last) = page.last() else { break };
                assert_eq!(page[0].first(), lsn.next());
                lsn = last.last();
            }
            assert_eq!(lsn.get(), 500);
        }
    }
}
