use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    task::Context,
};

use super::{Batch, Budget, batch::Encodings, wakers::Wakers};
use crate::{
    log::{Chunk, EpochTag, Lsn, Outcome, Position, Status},
    session::ReadError,
};

/// The most bytes of records in one batch of a reader. A frame has 64 KiB, and an encoding is larger
/// than its records.
pub(crate) const BATCH_BYTES: usize = 32 * 1024;
/// The chunks for which a full list gets room.
const MORE_CHUNKS: usize = 4;

/// The published tail of one session's log, and the wakers of its waiting readers.
#[derive(Debug)]
pub(crate) struct HotLog {
    inner: Mutex<HotLogInner>,
    budget: Arc<Budget>,
    max_bytes: usize,
}

#[derive(Debug)]
struct HotLogInner {
    chunks: VecDeque<HotChunk>,
    bytes: usize,
    tail: Lsn,
    // The epoch of the record at the tail, once known. It stays when the record is evicted.
    tail_tag: Option<EpochTag>,
    status: Status,
    // The error that readers at the tail get instead of waiting.
    failed: Option<ReadError>,
    wakers: Wakers,
}

#[derive(Debug)]
struct HotChunk {
    chunk: Chunk,
    // Made when the chunk has a second reader.
    encodings: Option<Arc<Encodings>>,
}

/// The answer to a reader at some position.
#[derive(Debug)]
pub(crate) enum NextBatch {
    Batch(Batch),
    /// The next record was evicted; the store has it.
    Evicted,
    /// There is no next record yet; the waker is registered.
    Wait,
    /// The position is at the terminal record.
    End,
    Failed(ReadError),
}

impl HotLog {
    /// Creates the hot log of a session with `tail` records in the store, and none of them here.
    pub(crate) fn new(tail: Lsn, status: Status, max_bytes: usize, budget: Arc<Budget>) -> Self {
        Self {
            inner: Mutex::new(HotLogInner {
                chunks: VecDeque::new(),
                bytes: 0,
                tail,
                tail_tag: None,
                status,
                failed: None,
                wakers: Wakers::default(),
            }),
            budget,
            max_bytes,
        }
    }

    /// Sets the tail and the status as stored, before anything is published here.
    pub(crate) fn begin(&self, tail: Lsn, status: Status) {
        let mut inner = self.lock();
        inner.tail = tail;
        inner.tail_tag = None;
        inner.status = status;
    }

    /// Adds stable chunks, and wakes the readers once. `status` is the session's status after them.
    ///
    /// Records that are here already are skipped, so a follower may read a page twice. Returns false
    /// if the chunks leave a gap; the readers fail at the gap then.
    pub(crate) fn publish(&self, chunks: impl IntoIterator<Item = Chunk>, status: Status) -> bool {
        let (woken, contiguous) = {
            let mut inner = self.lock();
            inner.failed = None;
            let mut gap = None;
            for chunk in chunks {
                if let Some(known) = chunk.record(inner.tail) {
                    inner.tail_tag.get_or_insert(known.epoch.tag());
                }
                let Some(chunk) = chunk.after(inner.tail) else {
                    continue;
                };
                if chunk.first() != inner.tail.next() {
                    // The store left records out. A gap is never skipped.
                    gap = Some(inner.tail.next());
                    break;
                }
                inner.tail = chunk.last();
                inner.tail_tag = Some(chunk.epoch().tag());
                inner.bytes += chunk.bytes();
                self.budget.take(chunk.bytes());
                if inner.chunks.len() == inner.chunks.capacity() {
                    inner.chunks.reserve_exact(MORE_CHUNKS);
                }
                inner.chunks.push_back(HotChunk {
                    chunk,
                    encodings: None,
                });
            }
            match gap {
                Some(lsn) => inner.failed = Some(ReadError::Corrupt { lsn }),
                None => inner.status = status,
            }
            self.evict(&mut inner);
            if gap.is_none() && status.outcome().is_some() {
                let made = inner
                    .chunks
                    .iter_mut()
                    .filter_map(|hot| hot.encodings.take());
                made.for_each(|encodings| encodings.close());
            }
            (inner.wakers.take(), gap.is_none())
        };
        woken.wake();
        contiguous
    }

    /// Replaces the newest chunks by one with the same records, which the store holds as well. With more than one
    /// reader they stay, for the encodings that readers share.
    pub(crate) fn replace_newest(&self, kept: Chunk) {
        let mut inner = self.lock();
        let from = inner
            .chunks
            .partition_point(|hot| hot.chunk.first() < kept.first());
        // A large chunk would be evicted as a whole.
        let is_wanted = inner.wakers.open_slots() < 2 && kept.bytes() <= self.max_bytes / 4;
        let replaced = inner.chunks.range(from..).map(|hot| &hot.chunk);
        // Not of a store that keeps the records in another form.
        if !is_wanted || kept.last() != inner.tail || !kept.holds_same(replaced) {
            return;
        }
        inner.chunks.truncate(from);
        inner.chunks.push_back(HotChunk {
            chunk: kept,
            encodings: None,
        });
    }

    /// Fails the readers at the tail with this error, until the next publication.
    pub(crate) fn fail(&self, error: ReadError) {
        let woken = {
            let mut inner = self.lock();
            inner.failed = Some(error);
            inner.wakers.take()
        };
        woken.wake();
    }

    /// Returns the next batch after `at`. With [`NextBatch::Wait`], `cx` is woken for more.
    pub(crate) fn next(&self, at: Position, slot: usize, cx: &Context<'_>) -> NextBatch {
        let mut inner = self.lock();
        if at.lsn < inner.tail {
            let may_share = inner.wakers.open_slots() > 1 && inner.status.outcome().is_none();
            let Some(hot) = inner.following(at.lsn) else {
                return NextBatch::Evicted;
            };
            if hot.chunk.first() > at.lsn.next() {
                return NextBatch::Evicted;
            }
            let whole = hot.chunk.first() == at.lsn.next() && hot.chunk.bytes() <= BATCH_BYTES;
            let rest = if whole {
                Some(hot.chunk.clone())
            } else {
                hot.chunk.after(at.lsn).map(|rest| rest.head(BATCH_BYTES))
            };
            return match rest {
                Some(rest) => {
                    let shared = (whole && may_share).then(|| {
                        let budget = &self.budget;
                        let encodings = hot.encodings.get_or_insert_with(|| Encodings::of(budget));
                        encodings.clone()
                    });
                    NextBatch::Batch(Batch::new(rest, shared))
                }
                None => NextBatch::Evicted,
            };
        }
        let ended = inner.status.outcome().is_some();
        let other = inner
            .tail_tag
            .zip(at.tag)
            .is_some_and(|(tail, reader)| tail != reader);
        // A reader whose position the store has checked may be ahead of a follower; then it waits.
        // Past the end, or at a record of another epoch, it has read records that the store lost.
        if (at.lsn == inner.tail && other) || (at.lsn > inner.tail && ended) {
            return NextBatch::Failed(ReadError::Rewound { tail: inner.tail });
        }
        if ended {
            return NextBatch::End;
        }
        if let Some(error) = &inner.failed {
            return NextBatch::Failed(error.clone());
        }
        inner.wakers.register(slot, cx.waker());
        NextBatch::Wait
    }

    /// Returns true if the record at a position is here and has the epoch of the position.
    pub(crate) fn holds(&self, at: Position) -> bool {
        let inner = self.lock();
        let found = inner
            .chunks
            .partition_point(|hot| hot.chunk.last() < at.lsn);
        inner
            .chunks
            .get(found)
            .and_then(|hot| hot.chunk.record(at.lsn))
            .is_some_and(|record| at.tag.is_none_or(|tag| record.epoch.tag() == tag))
    }

    /// Returns the position of the last published record, tagged once its epoch is known.
    pub(crate) fn end(&self) -> Position {
        let inner = self.lock();
        Position {
            lsn: inner.tail,
            tag: inner.tail_tag,
        }
    }

    pub(crate) fn tail(&self) -> Lsn {
        self.lock().tail
    }

    pub(crate) fn status(&self) -> Status {
        self.lock().status
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.status().outcome()
    }

    pub(crate) fn failure(&self) -> Option<ReadError> {
        self.lock().failed.clone()
    }

    /// Returns true if a reader has read all records and waits for more.
    pub(crate) fn has_waiting_readers(&self) -> bool {
        self.lock().wakers.waiting() > 0
    }

    pub(crate) fn open_slot(&self) -> usize {
        self.lock().wakers.open()
    }

    pub(crate) fn close_slot(&self, slot: usize) {
        self.lock().wakers.close(slot);
    }

    /// Evicts the oldest chunks until the bounds hold. The newest stays while it is within this
    /// log's own bound, so that a reader that keeps up needn't read from the store.
    fn evict(&self, inner: &mut HotLogInner) {
        while inner.bytes > self.max_bytes || (inner.chunks.len() > 1 && self.budget.is_over()) {
            let Some(oldest) = inner.chunks.pop_front() else {
                break;
            };
            inner.bytes -= oldest.chunk.bytes();
            self.budget.give_back(oldest.chunk.bytes());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HotLogInner> {
        self.inner.lock().expect("nothing panics under this lock")
    }
}

impl HotLogInner {
    /// Returns the chunk that holds the record after an LSN, or else the oldest chunk after it.
    fn following(&mut self, lsn: Lsn) -> Option<&mut HotChunk> {
        // Most readers are just before the newest chunk.
        let newest = self.chunks.back()?.chunk.first();
        if newest.before() <= lsn {
            return self.chunks.back_mut();
        }
        let found = self.chunks.partition_point(|hot| hot.chunk.last() <= lsn);
        self.chunks.get_mut(found)
    }
}

impl Drop for HotLog {
    fn drop(&mut self) {
        if let Ok(inner) = self.inner.get_mut() {
            self.budget.give_back(inner.bytes);
        }
    }
}

#[cfg(test)]
mod tests;
