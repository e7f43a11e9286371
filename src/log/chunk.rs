use std::{fmt, ops::Range, sync::Arc};

use bytes::{BufMut, Bytes, BytesMut};

use super::{Epoch, Lsn};

/// A run of records with consecutive LSNs that one epoch wrote, immutable and cheap to clone.
///
/// All its bytes lie in one buffer, with four more for each record, so that a log of many small
/// events costs little more than their bytes. A chunk is never empty.
///
/// ```
/// use unbroken::log::{ChunkBuilder, Epoch, Lsn};
///
/// let mut batch = ChunkBuilder::new();
/// batch.push(b"Hel");
/// batch.push(b"lo");
/// let chunk = batch.take(Lsn::new(7), Epoch::first()).unwrap();
/// assert_eq!(chunk.last(), Lsn::new(8));
/// assert_eq!(chunk.after(Lsn::new(7)).unwrap().records().count(), 1);
/// ```
#[derive(Clone)]
pub struct Chunk {
    first: Lsn,
    epoch: Epoch,
    data: Bytes,
    // `None` if `data` is one record.
    ends: Option<RecordEnds>,
}

/// The ends of several records.
#[derive(Clone)]
struct RecordEnds {
    // The end of each record in the buffer; shared by all slices of a chunk.
    all: Arc<[u32]>,
    // The part of `all` that belongs to this slice.
    from: u32,
    to: u32,
}

/// One event as stored, borrowed from a [`Chunk`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The position of the record in the log.
    pub lsn: Lsn,
    /// The epoch that wrote the record.
    pub epoch: Epoch,
    /// The bytes of the event.
    pub bytes: &'a [u8],
}

impl Chunk {
    /// Returns the LSN of the first record.
    pub fn first(&self) -> Lsn {
        self.first
    }

    /// Returns the LSN of the last record.
    pub fn last(&self) -> Lsn {
        self.first.plus(self.len() as u64 - 1)
    }

    /// Returns the epoch that wrote the records.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns the number of records, at least one.
    #[expect(clippy::len_without_is_empty, reason = "a chunk is never empty")]
    pub fn len(&self) -> usize {
        self.ends.as_ref().map_or(1, RecordEnds::len)
    }

    /// Returns the number of bytes of all records together.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    /// Returns the records in the order of their LSNs.
    pub fn records(&self) -> impl ExactSizeIterator<Item = Record<'_>> + DoubleEndedIterator {
        (0..self.len()).map(|at| Record {
            lsn: self.first.plus(at as u64),
            epoch: self.epoch,
            bytes: &self.data[self.span(at..at + 1)],
        })
    }

    /// Returns the record at `lsn`, or `None` if the chunk does not hold it.
    pub fn record(&self, lsn: Lsn) -> Option<Record<'_>> {
        let at = usize::try_from(lsn.get().checked_sub(self.first.get())?).ok()?;
        (at < self.len()).then(|| Record {
            lsn,
            epoch: self.epoch,
            bytes: &self.data[self.span(at..at + 1)],
        })
    }

    /// Returns the records after `lsn` without copying them, or `None` if there are none.
    pub fn after(&self, lsn: Lsn) -> Option<Self> {
        if lsn < self.first {
            return Some(self.clone());
        }
        let skip = usize::try_from(lsn.get() - self.first.get() + 1).ok()?;
        self.slice(skip..self.len())
    }

    /// Returns the records up to and including `lsn` without copying them, or `None` if there are
    /// none.
    pub fn up_to(&self, lsn: Lsn) -> Option<Self> {
        if lsn < self.first {
            return None;
        }
        let count = usize::try_from(lsn.get() - self.first.get() + 1).unwrap_or(usize::MAX);
        self.slice(0..count.min(self.len()))
    }

    /// Returns the first records that have at most `max_bytes` together, and at least one record.
    #[must_use]
    pub fn head(&self, max_bytes: usize) -> Self {
        let Some(ends) = self.ends.as_ref().filter(|_| self.data.len() > max_bytes) else {
            return self.clone();
        };
        let limit = ends.base() as usize + max_bytes;
        let fits = ends.part().partition_point(|&end| end as usize <= limit);
        self.slice(0..fits.max(1)).unwrap_or_else(|| self.clone())
    }

    fn slice(&self, part: Range<usize>) -> Option<Self> {
        if part.is_empty() || part.end > self.len() {
            return None;
        }
        let span = self.span(part.clone());
        let ends = self.ends.as_ref().filter(|_| part.len() > 1);
        Some(Self {
            first: self.first.plus(part.start as u64),
            epoch: self.epoch,
            ends: ends.map(|ends| ends.slice(&part)),
            data: self.data.slice(span),
        })
    }

    /// Returns the range of these records in `data`.
    fn span(&self, part: Range<usize>) -> Range<usize> {
        let end = |at: usize| match (at, &self.ends) {
            (0, _) => 0,
            (_, None) => self.data.len(),
            (_, Some(ends)) => (ends.part()[at - 1] - ends.base()) as usize,
        };
        end(part.start)..end(part.end)
    }

    /// Returns true if these adjacent chunks hold the same records.
    pub(crate) fn holds_same<'a>(&'a self, chunks: impl Iterator<Item = &'a Self>) -> bool {
        self.records().eq(chunks.flat_map(Self::records))
    }

    /// Copies adjacent chunks of one epoch into one, whose buffer holds nothing else. `None` without chunks.
    pub(crate) fn concat<'a>(chunks: impl Iterator<Item = &'a Self> + Clone) -> Option<Self> {
        let first = chunks.clone().next()?;
        let mut data = Vec::with_capacity(chunks.clone().map(Self::bytes).sum());
        chunks
            .clone()
            .for_each(|chunk| data.extend_from_slice(&chunk.data));
        let records = chunks.clone().map(Self::len).sum();
        let ends = (records > 1).then(|| {
            let mut end = 0;
            let mut sizes = chunks
                .flat_map(Self::records)
                .map(|record| record.bytes.len());
            // By their number, so that the list is allocated once.
            let all = (0..records).map(|_| {
                end += sizes.next().unwrap_or_default();
                to_u32(end)
            });
            RecordEnds {
                all: all.collect(),
                from: 0,
                to: to_u32(records),
            }
        });
        Some(Self {
            first: first.first,
            epoch: first.epoch,
            data: data.into(),
            ends,
        })
    }
}

impl RecordEnds {
    /// Creates the ends of these records, unless it is one.
    fn of(ends: &[u32]) -> Option<Self> {
        (ends.len() > 1).then(|| Self {
            all: ends.into(),
            from: 0,
            to: to_u32(ends.len()),
        })
    }

    fn len(&self) -> usize {
        (self.to - self.from) as usize
    }

    fn part(&self) -> &[u32] {
        &self.all[self.from as usize..self.to as usize]
    }

    /// Returns the offset of the records within the buffer that the ends count from.
    fn base(&self) -> u32 {
        let before = self.from.checked_sub(1);
        before.map_or(0, |at| self.all[at as usize])
    }

    /// Returns the ends of a part of the records.
    fn slice(&self, part: &Range<usize>) -> Self {
        Self {
            all: self.all.clone(),
            from: self.from + to_u32(part.start),
            to: self.from + to_u32(part.end),
        }
    }
}

fn to_u32(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a chunk has less than 4 GiB")
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Records hold the users' text, which does not belong in a trace.
        f.debug_struct("Chunk")
            .field("first", &self.first)
            .field("last", &self.last())
            .field("epoch", &self.epoch)
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Chunk {
    /// Returns true if both chunks hold the same records with the same LSNs by the same epoch.
    fn eq(&self, other: &Self) -> bool {
        self.first == other.first
            && self.epoch == other.epoch
            && self.len() == other.len()
            && self.data == other.data
            && self.records().zip(other.records()).all(|(a, b)| a == b)
    }
}

impl Eq for Chunk {}

/// The most record ends for which a builder keeps room.
const KEPT_ENDS: usize = 64;

/// A buffer that collects records and turns them into a [`Chunk`] with [`take`](Self::take).
#[derive(Debug, Default)]
pub struct ChunkBuilder {
    data: BytesMut,
    ends: Vec<u32>,
}

impl ChunkBuilder {
    /// Creates an empty builder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a record.
    ///
    /// # Panics
    ///
    /// If all records together pass 4 GiB.
    pub fn push(&mut self, record: &[u8]) {
        self.data.put_slice(record);
        self.end_record();
    }

    /// Returns the buffer to write the next record into; [`end_record`](Self::end_record) ends it.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.data
    }

    /// Ends the record that was written into the [`buffer`](Self::buffer), and returns its size in
    /// bytes.
    ///
    /// # Panics
    ///
    /// If all records together pass 4 GiB.
    pub fn end_record(&mut self) -> usize {
        let start = self.bytes();
        self.ends.push(to_u32(self.data.len()));
        self.data.len() - start
    }

    /// Discards the bytes that were written after the last record.
    pub fn discard_open_record(&mut self) {
        let end = self.bytes();
        self.data.truncate(end);
    }

    /// Removes the last record, and the bytes that were written after it.
    pub fn pop(&mut self) {
        self.ends.pop();
        self.discard_open_record();
    }

    /// Returns the number of records.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns true if there is no record.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the number of bytes of all records together.
    pub fn bytes(&self) -> usize {
        self.ends.last().map_or(0, |&end| end as usize)
    }

    /// Takes the records as a chunk that begins at `first`, and leaves the builder empty.
    ///
    /// Returns `None` if there is no record. Bytes after the last record are discarded.
    pub fn take(&mut self, first: Lsn, epoch: Epoch) -> Option<Chunk> {
        self.discard_open_record();
        if self.is_empty() {
            return None;
        }
        let ends = RecordEnds::of(&self.ends);
        self.ends.clear();
        self.ends.shrink_to(KEPT_ENDS);
        // Splitting a full buffer would cost one allocation more than handing it over.
        let full = self.data.len() == self.data.capacity();
        let data = if full {
            std::mem::take(&mut self.data)
        } else {
            self.data.split()
        };
        Some(Chunk {
            first,
            epoch,
            data: data.freeze(),
            ends,
        })
    }
}

impl<'a> Extend<&'a [u8]> for ChunkBuilder {
    fn extend<I: IntoIterator<Item = &'a [u8]>>(&mut self, records: I) {
        for record in records {
            self.push(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(first: u64, records: &[&[u8]]) -> Chunk {
        let mut batch = ChunkBuilder::new();
        batch.extend(records.iter().copied());
        batch
            .take(
                Lsn::new(first),
                Epoch {
                    counter: 1,
                    bits: 0,
                },
            )
            .unwrap()
    }

    fn texts(chunk: &Chunk) -> Vec<(u64, &str)> {
        chunk
            .records()
            .map(|r| (r.lsn.get(), std::str::from_utf8(r.bytes).unwrap()))
            .collect()
    }

    #[test]
    fn a_chunk_gives_back_what_was_pushed() {
        let it = chunk(5, &[b"a", b"", b"ccc"]);
        assert_eq!(texts(&it), [(5, "a"), (6, ""), (7, "ccc")]);
        assert_eq!(
            (it.first().get(), it.last().get(), it.len(), it.bytes()),
            (5, 7, 3, 4)
        );
    }

    #[test]
    fn slices_of_slices_keep_their_lsns_and_bytes() {
        let it = chunk(1, &[b"a", b"bb", b"ccc", b"dddd"]);
        let tail = it.after(Lsn::new(1)).unwrap();
        assert_eq!(texts(&tail), [(2, "bb"), (3, "ccc"), (4, "dddd")]);
        let middle = tail.up_to(Lsn::new(3)).unwrap();
        assert_eq!(texts(&middle), [(2, "bb"), (3, "ccc")]);
        let last = middle.after(Lsn::new(2)).unwrap();
        assert_eq!(texts(&last), [(3, "ccc")]);
        assert_eq!(last.record(Lsn::new(3)).unwrap().bytes, b"ccc");
        assert_eq!(last.record(Lsn::new(2)), None);
        assert_eq!(last.record(Lsn::new(4)), None);
    }

    #[test]
    fn a_slice_up_to_a_record_has_it_as_the_last() {
        let it = chunk(5, &[b"a", b"b", b"c", b"d"]);
        for (lsn, len) in [(5, 1), (6, 2), (7, 3), (8, 4), (9, 4)] {
            let head = it.up_to(Lsn::new(lsn)).unwrap();
            assert_eq!((head.first().get(), head.len()), (5, len), "up to {lsn}");
        }
    }

    #[test]
    fn chunks_are_equal_only_if_all_of_them_is() {
        let it = chunk(5, &[b"ab", b"c"]);
        assert_eq!(it, chunk(5, &[b"ab", b"c"]));
        assert_ne!(it, chunk(6, &[b"ab", b"c"]));
        assert_ne!(it, chunk(5, &[b"ab", b"d"]));
        assert_ne!(it, chunk(5, &[b"a", b"bc"]));
        assert_ne!(it, chunk(5, &[b"abc"]));
        let mut by_another = ChunkBuilder::new();
        by_another.extend([&b"ab"[..], b"c"]);
        let by_another = by_another.take(Lsn::new(5), Epoch::first()).unwrap();
        assert_ne!(it, by_another);
    }

    #[test]
    fn a_builder_counts_records_and_the_bytes_written_into_its_buffer() {
        let mut batch = ChunkBuilder::new();
        assert_eq!((batch.len(), batch.is_empty()), (0, true));
        for (count, record) in [(1, "one"), (2, ""), (3, "three")] {
            batch.buffer().put_slice(record.as_bytes());
            assert_eq!(batch.end_record(), record.len());
            assert_eq!((batch.len(), batch.is_empty()), (count, false));
        }
        assert_eq!(batch.bytes(), 8);
    }

    #[test]
    fn a_slice_without_records_is_none() {
        let it = chunk(3, &[b"a", b"b"]);
        assert_eq!(it.after(Lsn::new(4)), None);
        assert_eq!(it.after(Lsn::new(9)), None);
        assert_eq!(it.up_to(Lsn::new(2)), None);
        assert_eq!(it.after(Lsn::ZERO), Some(it.clone()));
        assert_eq!(it.up_to(Lsn::MAX), Some(it));
    }

    #[test]
    fn a_head_fits_its_bytes_but_has_at_least_one_record() {
        let it = chunk(1, &[b"aaa", b"bbb", b"ccc"]);
        assert_eq!(it.head(9).len(), 3);
        assert_eq!(it.head(8).len(), 2);
        assert_eq!(it.head(6).len(), 2);
        assert_eq!(it.head(5).len(), 1);
        assert_eq!(it.head(0).len(), 1);
        assert_eq!(it.after(Lsn::new(1)).unwrap().head(5).len(), 1);
        assert_eq!(it.after(Lsn::new(1)).unwrap().head(6).len(), 2);
    }

    #[test]
    fn an_open_record_can_be_discarded() {
        let mut batch = ChunkBuilder::new();
        batch.push(b"kept");
        batch.buffer().put_slice(b"half");
        batch.discard_open_record();
        batch.push(b"wrong");
        batch.pop();
        batch.push(b"next");
        let it = batch.take(Lsn::new(1), Epoch::first()).unwrap();
        assert_eq!(texts(&it), [(1, "kept"), (2, "next")]);
        assert!(batch.take(Lsn::new(3), Epoch::first()).is_none());
    }
}
