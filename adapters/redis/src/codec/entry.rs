use unbroken::log::{Chunk, ChunkBuilder, Epoch, Lsn};

use super::epoch::decode_epochs;
use crate::reply::{DecodeError, ScriptReply};

/// Encodes a chunk as one stream entry: the number of records, their sizes, their bytes.
///
/// A number has seven bits in each byte, the low ones first; the high bit marks that more follow.
pub(crate) fn encode_chunk(chunk: &Chunk) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(chunk.bytes() + 2 * chunk.len() + 4);
    push_number(&mut bytes, chunk.len());
    for record in chunk.records() {
        push_number(&mut bytes, record.bytes.len());
    }
    for record in chunk.records() {
        bytes.extend_from_slice(record.bytes);
    }
    bytes
}

/// A decoder of the entries of one session.
pub(crate) struct EntryDecoder {
    epochs: Vec<Epoch>,
}

/// The id of an entry: its last LSN, and the epoch that wrote it.
#[derive(Debug, Clone, Copy)]
struct StreamEntryId {
    last: Lsn,
    epoch: Epoch,
}

impl EntryDecoder {
    /// Creates a decoder for a session with these encoded epochs.
    pub(crate) fn new(epochs: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self {
            epochs: decode_epochs(epochs)?,
        })
    }

    /// Returns the epoch that wrote the entry with this id.
    pub(crate) fn author(&self, id: &[u8]) -> Option<Epoch> {
        self.id(id).map(|id| id.epoch)
    }

    fn id(&self, id: &[u8]) -> Option<StreamEntryId> {
        let (last, counter) = std::str::from_utf8(id).ok()?.split_once('-')?;
        let counter: u64 = counter.parse().ok()?;
        let epoch = self.epochs.iter().find(|epoch| epoch.counter == counter)?;
        Some(StreamEntryId {
            last: Lsn::new(last.parse().ok()?),
            epoch: *epoch,
        })
    }

    /// Returns the records after an LSN that fit into `max_bytes`, at least one if there is any.
    ///
    /// The page ends before an entry that can't be decoded.
    ///
    /// # Errors
    ///
    /// Returns the LSN of the first record if its entry can't be decoded.
    pub(crate) fn page(
        &self,
        mut ids: ScriptReply,
        mut records: ScriptReply,
        after: Lsn,
        max_bytes: usize,
    ) -> Result<Vec<Chunk>, Lsn> {
        let mut page = PageBuilder {
            chunks: Vec::new(),
            batch: ChunkBuilder::new(),
            epoch: None,
            last: after,
            left: max_bytes,
            full: false,
        };
        while !ids.is_empty() && !page.full {
            let entry = ids.bytes().ok().zip(records.bytes().ok());
            let read = entry.and_then(|(id, bytes)| page.add(self.id(&id)?, &bytes));
            if read.is_none() {
                if page.last == after {
                    return Err(after.next());
                }
                break;
            }
        }
        page.end_chunk();
        Ok(page.chunks)
    }
}

/// A page under construction: consecutive entries of one epoch become one chunk.
struct PageBuilder {
    chunks: Vec<Chunk>,
    batch: ChunkBuilder,
    epoch: Option<Epoch>,
    last: Lsn,
    left: usize,
    full: bool,
}

impl PageBuilder {
    /// Adds an entry. Returns `None` if it can't be decoded or doesn't follow.
    fn add(&mut self, by: StreamEntryId, mut bytes: &[u8]) -> Option<()> {
        let count = take_number(&mut bytes)?;
        let first = by.last.get().checked_sub(u64::try_from(count).ok()?)? + 1;
        if count == 0 || first > self.last.next().get() {
            return None;
        }
        let mut sizes = bytes;
        let mut rest = bytes;
        for _ in 0..count {
            take_number(&mut rest)?;
        }
        // The whole entry is checked first, so that no part of a broken one is returned.
        let mut all = sizes;
        let mut total = 0_usize;
        for _ in 0..count {
            total = total.checked_add(take_number(&mut all)?)?;
        }
        if total != rest.len() {
            return None;
        }
        if self.epoch != Some(by.epoch) {
            self.end_chunk();
            self.epoch = Some(by.epoch);
        }
        for lsn in first..=by.last.get() {
            let (record, tail) = rest.split_at_checked(take_number(&mut sizes)?)?;
            rest = tail;
            if lsn <= self.last.get() {
                continue;
            }
            if record.len() > self.left {
                self.full = true;
                // A page has at least one record.
                if !self.chunks.is_empty() || !self.batch.is_empty() {
                    break;
                }
            }
            self.left = self.left.saturating_sub(record.len());
            self.batch.push(record);
            self.last = Lsn::new(lsn);
            if self.full {
                break;
            }
        }
        Some(())
    }

    /// Ends the chunk.
    fn end_chunk(&mut self) {
        if let Some(epoch) = self.epoch {
            let count = u64::try_from(self.batch.len()).unwrap_or(u64::MAX);
            let first = Lsn::new(self.last.get() - count + 1);
            self.chunks.extend(self.batch.take(first, epoch));
        }
    }
}

fn push_number(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = number.to_le_bytes()[0] & 0x7f;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(0x80 | low);
    }
}

fn take_number(bytes: &mut &[u8]) -> Option<usize> {
    let mut number = 0_usize;
    for shift in (0..usize::BITS).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;
    use crate::codec::encode_epoch;

    /// The id and the bytes of an entry.
    type Stored = (String, Vec<u8>);

    /// Returns three appends by two epochs, with records of many sizes, as the server would send them.
    fn entries() -> (EntryDecoder, Vec<Stored>, Vec<Vec<u8>>) {
        let first = Epoch::first();
        let epochs = [first, first.succeed()];
        let sizes = [vec![0, 1, 127], vec![128, 0, 20_000], vec![5]];
        let mut all = Vec::new();
        let mut stored = Vec::new();
        for (sizes, epoch) in sizes.iter().zip([first, first, epochs[1]]) {
            let mut batch = ChunkBuilder::new();
            let at = Lsn::new(u64::try_from(all.len()).unwrap() + 1);
            for &size in sizes {
                let record = vec![u8::try_from(all.len()).unwrap(); size];
                batch.push(&record);
                all.push(record);
            }
            let chunk = batch.take(at, epoch).unwrap();
            let id = format!("{}-{}", chunk.last(), epoch.counter);
            stored.push((id, encode_chunk(&chunk)));
        }
        let epochs = epochs.map(encode_epoch).concat();
        (EntryDecoder::new(&epochs).unwrap(), stored, all)
    }

    fn page(
        entries: &EntryDecoder,
        stored: &[Stored],
        after: u64,
        max_bytes: usize,
    ) -> Result<Vec<Chunk>, Lsn> {
        let value = |bytes: &[u8]| Value::BulkString(bytes.to_vec());
        let ids = stored.iter().map(|(id, _)| value(id.as_bytes()));
        let records = stored.iter().map(|(_, bytes)| value(bytes));
        let (ids, records) = (
            ScriptReply::new(ids.collect()),
            ScriptReply::new(records.collect()),
        );
        entries.page(ids, records, Lsn::new(after), max_bytes)
    }

    #[test]
    fn a_page_begins_after_any_lsn_and_ends_where_it_is_full() {
        let (entries, stored, all) = entries();
        for after in 0..all.len() {
            let begin = stored.partition_point(|(id, _)| {
                entries.id(id.as_bytes()).unwrap().last.get() <= after as u64
            });
            for max_bytes in [0, 1, 127, 128, 300, usize::MAX] {
                let chunks = page(&entries, &stored[begin..], after as u64, max_bytes).unwrap();
                let mut fits = 1;
                let mut bytes = all[after].len();
                for record in &all[after + 1..] {
                    bytes = bytes.saturating_add(record.len());
                    if bytes > max_bytes {
                        break;
                    }
                    fits += 1;
                }
                let records: Vec<_> = chunks.iter().flat_map(Chunk::records).collect();
                assert_eq!(records.len(), fits, "after {after}, {max_bytes} bytes");
                for (record, at) in records.iter().zip(after..) {
                    assert_eq!(record.lsn, Lsn::new(at as u64 + 1));
                    assert_eq!(record.bytes, all[at]);
                    assert_eq!(record.epoch.counter, if at < 6 { 1 } else { 2 });
                }
            }
        }
    }

    #[test]
    fn an_entry_that_is_broken_anywhere_is_corrupt_and_those_before_it_are_returned() {
        let (entries, stored, _) = entries();
        for broken in 0..stored.len() {
            for end in 0..stored[broken].1.len().min(200) {
                let mut stored = stored.clone();
                stored[broken].1.truncate(end);
                let whole = page(&entries, &stored, 0, usize::MAX);
                if broken == 0 {
                    assert_eq!(whole, Err(Lsn::new(1)));
                } else {
                    let last = whole.unwrap().last().unwrap().last();
                    assert_eq!(last.get(), 3 * broken as u64);
                }
            }
            let mut missing = stored.clone();
            missing.remove(broken);
            let page = page(&entries, &missing, 0, usize::MAX);
            assert_eq!(page.is_err(), broken == 0);
        }
        for id in ["", "3", "3-", "x-1", "3-9", "3-1-1"] {
            let stored = [(id.to_owned(), stored[0].1.clone())];
            assert!(page(&entries, &stored, 0, 10).is_err(), "{id}");
        }
    }

    #[test]
    fn numbers_are_decoded_as_they_were_encoded() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u32::MAX as usize] {
            let mut bytes = Vec::new();
            push_number(&mut bytes, number);
            let mut rest = &bytes[..];
            assert_eq!(take_number(&mut rest), Some(number));
            assert!(rest.is_empty());
        }
        assert_eq!(take_number(&mut &[0xff; 20][..]), None);
    }
}
