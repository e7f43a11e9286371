//! Encodes chunks as rows, and decodes them.

use std::error::Error;

use tokio_postgres::Row;
use unbroken::log::{Chunk, ChunkBuilder, Epoch, Lsn};

use crate::row::{COLUMNS, epoch};

/// Encodes the lengths of a chunk's records as LEB128 numbers: one byte for each below 128.
pub(crate) fn lengths(chunk: &Chunk) -> Vec<u8> {
    let mut out = Vec::with_capacity(chunk.len() + chunk.len() / 4);
    for record in chunk.records() {
        let mut left = record.bytes.len();
        loop {
            let [low, ..] = left.to_le_bytes();
            left >>= 7;
            if left == 0 {
                out.push(low & 0x7f);
                break;
            }
            out.push(low | 0x80);
        }
    }
    out
}

/// Returns the bytes of a chunk's records, one after the other.
pub(crate) fn data(chunk: &Chunk) -> Vec<u8> {
    let mut out = Vec::with_capacity(chunk.bytes());
    for record in chunk.records() {
        out.extend_from_slice(record.bytes);
    }
    out
}

/// The rows of chunks that follow one another.
#[derive(Debug)]
pub(crate) struct ChunkRows<'a> {
    first: Vec<i64>,
    last: Vec<i64>,
    counter: Vec<i64>,
    bits: Vec<i64>,
    lengths: Vec<&'a [u8]>,
    data: Vec<&'a [u8]>,
}

/// The records of some rows that fit on a page.
#[derive(Debug)]
pub(crate) struct FittingRows {
    pub(crate) chunks: Vec<Chunk>,
    /// The last record on the page; the position where the page began if there is none.
    pub(crate) last: Lsn,
    /// The reason why the page ends before the last row; `None` if it has all rows.
    pub(crate) cut: Option<RowCut>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowCut {
    Full,
    Corrupt,
}

/// The approximate limit of a chunk on a page in bytes, so that a reader of a part doesn't keep the
/// whole page in memory.
const PIECE: usize = 256 << 10;

impl<'a> ChunkRows<'a> {
    /// Decodes the last columns of a page's row.
    pub(crate) fn new(row: &'a Row) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let at = COLUMNS + 4;
        Ok(Self {
            first: row.try_get::<_, Option<_>>(at)?.unwrap_or_default(),
            last: row.try_get::<_, Option<_>>(at + 1)?.unwrap_or_default(),
            counter: row.try_get::<_, Option<_>>(at + 2)?.unwrap_or_default(),
            bits: row.try_get::<_, Option<_>>(at + 3)?.unwrap_or_default(),
            lengths: row.try_get::<_, Option<_>>(at + 4)?.unwrap_or_default(),
            data: row.try_get::<_, Option<_>>(at + 5)?.unwrap_or_default(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.first.len()
    }

    /// Returns the records after an LSN that fit into `max_bytes`, but at least one.
    pub(crate) fn after(&self, after: Lsn, max_bytes: usize) -> FittingRows {
        let mut page = ChunkMerger {
            pieces: Vec::new(),
            open: ChunkBuilder::new(),
            epoch: epoch(0, 0),
            last: after,
            left: max_bytes,
        };
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by_key(|&at| self.last[at]);
        let cut = order.into_iter().find_map(|at| self.add(at, &mut page));
        page.close();
        FittingRows {
            chunks: page.pieces,
            last: page.last,
            cut,
        }
    }

    /// Adds the records of a row, and returns the reason if not all were added.
    fn add(&self, at: usize, page: &mut ChunkMerger) -> Option<RowCut> {
        let (Ok(first), Ok(last)) = (u64::try_from(self.first[at]), u64::try_from(self.last[at]))
        else {
            return Some(RowCut::Corrupt);
        };
        let (mut lengths, mut data) = (self.lengths[at], self.data[at]);
        if first > page.last.next().get() || !is_whole(first, last, lengths, data) {
            return Some(RowCut::Corrupt);
        }
        page.begin(epoch(self.counter[at], self.bits[at]));
        for lsn in first..=last {
            let Some(record) = take_length(&mut lengths).and_then(|len| data.split_off(..len))
            else {
                return Some(RowCut::Corrupt);
            };
            if lsn > page.last.get() && !page.push(record) {
                return Some(RowCut::Full);
            }
        }
        None
    }
}

/// Returns true if the lengths match the number of records and the data.
fn is_whole(first: u64, last: u64, mut lengths: &[u8], data: &[u8]) -> bool {
    let (mut count, mut bytes) = (0, 0_usize);
    while !lengths.is_empty() {
        let Some(length) = take_length(&mut lengths) else {
            return false;
        };
        count += 1;
        bytes = bytes.saturating_add(length);
    }
    first >= 1 && last >= first && last - first + 1 == count && bytes == data.len()
}

fn take_length(lengths: &mut &[u8]) -> Option<usize> {
    let mut length = 0;
    for shift in (0..35).step_by(7) {
        let byte = *lengths.split_off_first()?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(length);
        }
    }
    None
}

/// A page under construction: consecutive records of one epoch become one chunk.
struct ChunkMerger {
    pieces: Vec<Chunk>,
    open: ChunkBuilder,
    epoch: Epoch,
    last: Lsn,
    left: usize,
}

impl ChunkMerger {
    fn begin(&mut self, epoch: Epoch) {
        if epoch != self.epoch || self.open.bytes() >= PIECE {
            self.close();
            self.epoch = epoch;
        }
    }

    /// Adds a record. Returns false if it didn't fit.
    fn push(&mut self, record: &[u8]) -> bool {
        let is_first = self.open.is_empty() && self.pieces.is_empty();
        if record.len() > self.left && !is_first {
            return false;
        }
        self.left = self.left.saturating_sub(record.len());
        self.open.push(record);
        self.last = self.last.next();
        true
    }

    fn close(&mut self) {
        let first = Lsn::new(self.last.get() + 1 - self.open.len() as u64);
        self.pieces.extend(self.open.take(first, self.epoch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(first: u64, sizes: &[usize]) -> Chunk {
        let mut batch = ChunkBuilder::new();
        for (size, fill) in sizes.iter().zip(b'a'..) {
            batch.push(&vec![fill; *size]);
        }
        batch.take(Lsn::new(first), epoch(1, 7)).unwrap()
    }

    fn rows<'a>(of: &[&Chunk], lengths: &'a [Vec<u8>], data: &'a [Vec<u8>]) -> ChunkRows<'a> {
        ChunkRows {
            first: of.iter().map(|it| it.first().get().cast_signed()).collect(),
            last: of.iter().map(|it| it.last().get().cast_signed()).collect(),
            counter: vec![1; of.len()],
            bits: vec![7; of.len()],
            lengths: lengths.iter().map(Vec::as_slice).collect(),
            data: data.iter().map(Vec::as_slice).collect(),
        }
    }

    #[test]
    fn records_of_any_length_come_back() {
        let it = chunk(1, &[0, 1, 127, 128, 16_383, 16_384, 300_000, 0]);
        let (lengths, data) = ([lengths(&it)], [data(&it)]);
        let page = rows(&[&it], &lengths, &data).after(Lsn::ZERO, usize::MAX);
        assert_eq!(page.chunks, [it]);
        assert_eq!((page.last, page.cut), (Lsn::new(8), None));
    }

    #[test]
    fn a_row_has_the_bytes_that_its_migration_says() {
        let it = chunk(1, &[0, 1, 127, 128, 300]);
        assert_eq!(lengths(&it), [0, 1, 127, 0x80, 1, 0xac, 2]);
        let of = [(b'a', 0), (b'b', 1), (b'c', 127), (b'd', 128), (b'e', 300)];
        assert_eq!(data(&it), of.map(|(fill, size)| vec![fill; size]).concat());
    }

    #[test]
    fn a_page_begins_in_the_middle_of_a_row_and_ends_in_one() {
        let (a, b) = (chunk(1, &[3, 3, 3]), chunk(4, &[3, 3, 3]));
        let lengths = [lengths(&a), lengths(&b)];
        let data = [data(&a), data(&b)];
        let rows = rows(&[&a, &b], &lengths, &data);
        for after in 0..6 {
            for max in 0..20 {
                let after = Lsn::new(after);
                let page = rows.after(after, max);
                let count = (max / 3)
                    .max(1)
                    .min(6 - usize::try_from(after.get()).unwrap());
                let found: Vec<_> = page.chunks.iter().flat_map(Chunk::records).collect();
                assert_eq!(found.len(), count, "{max} bytes after {after}");
                assert_eq!(found[0].lsn, after.next());
                assert_eq!(page.last, after.plus(count as u64));
                let fill = b'a' + u8::try_from(after.get() % 3).unwrap();
                assert_eq!(found[0].bytes, [fill; 3]);
            }
        }
    }

    #[test]
    fn what_does_not_fit_together_is_corrupt() {
        let (a, b) = (chunk(1, &[3, 3, 3]), chunk(4, &[3, 3, 3]));
        let good = lengths(&a);
        let bad: [Vec<u8>; 5] = [
            vec![3, 3],
            vec![3, 3, 4],
            vec![3, 3, 3, 0],
            vec![3, 3, 0x83],
            vec![0xff; 12],
        ];
        for bad in bad {
            let lengths = [good.clone(), bad];
            let data = [data(&a), data(&b)];
            let page = rows(&[&a, &b], &lengths, &data).after(Lsn::ZERO, 100);
            assert_eq!((page.last, page.cut), (Lsn::new(3), Some(RowCut::Corrupt)));
        }
        let gap = chunk(5, &[3]);
        let lengths = [good, lengths(&gap)];
        let data = [data(&a), data(&gap)];
        let page = rows(&[&a, &gap], &lengths, &data).after(Lsn::ZERO, 100);
        assert_eq!((page.last, page.cut), (Lsn::new(3), Some(RowCut::Corrupt)));
    }
}
