use crate::log::{Chunk, ChunkBuilder, EpochTag, Lsn, Position};

/// The records of one session.
///
/// An append is kept as it came, without a copy. What lies next to each other in one epoch is put
/// together later: small pieces into middling ones, those into big ones, so that a record is copied
/// a few times at most however small the appends are, and a finished log has few pieces, none of
/// which keeps a larger buffer alive.
#[derive(Debug, Clone, Default)]
pub(super) struct RecordLog {
    pieces: Vec<LogPiece>,
}

#[derive(Debug, Clone)]
struct LogPiece {
    chunk: Chunk,
    // Whether its buffer holds nothing but its records.
    tight: bool,
}

const MIDDLING: usize = 4 << 10;
const BIG: usize = 64 << 10;
// So many small pieces are put together even if they are small together.
const MANY: usize = 64;

impl RecordLog {
    pub(super) fn push(&mut self, chunk: Chunk) {
        if self
            .pieces
            .last()
            .is_some_and(|last| last.chunk.epoch() != chunk.epoch())
        {
            self.settle();
        }
        self.pieces.push(LogPiece {
            chunk,
            tight: false,
        });
        let (from, bytes) = self.run_below(MIDDLING);
        if bytes >= MIDDLING || self.pieces.len() - from >= MANY {
            self.merge(from);
        }
        let (from, bytes) = self.run_below(BIG);
        if bytes >= BIG {
            self.merge(from);
        }
    }

    /// Puts together whatever still lies in small pieces or large buffers: nothing follows.
    pub(super) fn settle(&mut self) {
        for piece in &mut self.pieces {
            if !piece.tight && piece.chunk.bytes() >= BIG {
                *piece = merged(std::slice::from_ref(piece));
            }
        }
        let (from, _) = self.run_below(BIG);
        self.merge(from);
        self.pieces.shrink_to_fit();
    }

    /// Where the last pieces begin that are smaller than this and of one epoch, and their bytes.
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

    fn merge(&mut self, from: usize) {
        let run = &self.pieces[from..];
        if run.is_empty() || (run.len() == 1 && run[0].tight) {
            return;
        }
        let piece = merged(run);
        self.pieces.truncate(from);
        self.pieces.push(piece);
    }

    /// The tag of the epoch that wrote the record there, if there is one.
    pub(super) fn tag_at(&self, lsn: Lsn) -> Option<EpochTag> {
        let at = self.first_after(lsn.before());
        let chunk = &self.pieces.get(at)?.chunk;
        chunk.record(lsn).map(|record| record.epoch.tag())
    }

    /// The records after a position that fit into so many bytes, at least one if there is any.
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
            let whole = head.len() == rest.len();
            left = left.saturating_sub(head.bytes());
            page.push(head);
            if !whole {
                break;
            }
        }
        page
    }

    /// Which piece has the record after this one.
    fn first_after(&self, lsn: Lsn) -> usize {
        self.pieces
            .partition_point(|piece| piece.chunk.last() <= lsn)
    }
}

/// These pieces, which follow one another in one epoch, in one buffer of just their size.
fn merged(run: &[LogPiece]) -> LogPiece {
    let mut all = ChunkBuilder::new();
    all.buffer()
        .reserve(run.iter().map(|piece| piece.chunk.bytes()).sum());
    for piece in run {
        for record in piece.chunk.records() {
            all.push(record.bytes);
        }
    }
    let first = &run[0].chunk;
    LogPiece {
        chunk: all
            .take(first.first(), first.epoch())
            .unwrap_or_else(|| first.clone()),
        tight: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Epoch;

    fn epoch(counter: u64) -> Epoch {
        Epoch { counter, bits: 0 }
    }

    /// A log of so many appends of one record each, and what the records are.
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
    fn pieces_are_put_together_as_they_come_and_nothing_is_lost() {
        for (appends, size) in [(500, 0), (5000, 10), (2000, 60), (100, 5000), (3, 70_000)] {
            let mut log = log(appends, size);
            check(&log, appends, size);
            let bytes = usize::try_from(appends).unwrap() * size;
            let most = MANY + BIG / MIDDLING + bytes / BIG;
            assert!(log.pieces.len() <= most, "{} pieces", log.pieces.len());
            log.settle();
            check(&log, appends, size);
            assert!(log.pieces.len() <= 1 + bytes / BIG);
            assert!(log.pieces.iter().all(|piece| piece.tight));
        }
    }

    #[test]
    fn a_new_append_is_kept_without_a_copy() {
        let mut log = log(3, 60);
        let chunk = one(4, 60, 1);
        let at = chunk.records().next().unwrap().bytes.as_ptr();
        log.push(chunk.clone());
        let page = log.read(Position::after(Lsn::new(3)), usize::MAX);
        assert_eq!(page[0].records().next().unwrap().bytes.as_ptr(), at);
    }

    #[test]
    fn epochs_are_never_mixed() {
        let mut log = log(10, 60);
        for lsn in 11..=20 {
            log.push(one(lsn, 60, 2));
        }
        log.settle();
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
