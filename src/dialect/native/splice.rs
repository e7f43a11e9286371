use std::io::Write as _;

use bytes::BytesMut;

use crate::{dialect::shown::shown, log::Chunk};

/// The bytes of an encoding around each record: fixed text, with the LSN in it.
pub(super) struct RecordSplice<'a> {
    /// Before the LSN.
    pub(super) open: &'a [u8],
    /// Between the LSN and the record.
    pub(super) middle: &'a [u8],
    /// After the record.
    pub(super) close: &'a [u8],
}

/// Appends the records unparsed. The bytes between two records differ only in the LSN, so a record
/// costs two copies.
pub(super) fn splice(records: &Chunk, around: &RecordSplice<'_>, out: &mut BytesMut) {
    let mut joint = SpliceJoint::new(around, records.first().get());
    // Exact, unless the LSNs get another digit: a frame with room left costs one allocation more.
    let more_digits = records.last().get().ilog10() - records.first().get().ilog10();
    let joints = joint.bytes().len() + more_digits as usize;
    out.reserve(records.bytes() + records.len() * joints);
    let mut from = around.close.len();
    for record in records.records() {
        out.extend_from_slice(&joint.bytes()[from..]);
        out.extend_from_slice(&shown(record.bytes));
        joint.increment();
        from = 0;
    }
    out.extend_from_slice(around.close);
}

/// The end of one record and the beginning of the next.
struct SpliceJoint {
    bytes: [u8; Self::MAX],
    len: usize,
    // The range of the LSN's digits.
    start: usize,
    end: usize,
}

impl SpliceJoint {
    const MAX: usize = 64;

    fn new(around: &RecordSplice<'_>, lsn: u64) -> Self {
        let mut joint = Self {
            bytes: [0; Self::MAX],
            len: 0,
            start: 0,
            end: 0,
        };
        joint.push(around.close);
        joint.push(around.open);
        joint.start = joint.len;
        let mut free = &mut joint.bytes[joint.len..];
        write!(free, "{lsn}").expect("there is room for 20 digits");
        joint.len = Self::MAX - free.len();
        joint.end = joint.len;
        joint.push(around.middle);
        joint
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, text: &[u8]) {
        self.bytes[self.len..][..text.len()].copy_from_slice(text);
        self.len += text.len();
    }

    /// Adds one to the LSN.
    fn increment(&mut self) {
        for digit in self.bytes[self.start..self.end].iter_mut().rev() {
            if *digit < b'9' {
                *digit += 1;
                return;
            }
            *digit = b'0';
        }
        // The LSN has one more digit now.
        self.bytes.copy_within(self.start..self.len, self.start + 1);
        self.bytes[self.start] = b'1';
        self.end += 1;
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{ChunkBuilder, Epoch, Lsn};

    #[test]
    fn lsns_are_incremented_as_decimal_numbers() {
        let around = RecordSplice {
            open: b"<",
            middle: b":",
            close: b">",
        };
        for first in [1, 8, 9, 98, 99, 100, 999_999, u64::MAX - 4] {
            let mut batch = ChunkBuilder::new();
            batch.extend([&b"a"[..], b"", b"ccc"]);
            let chunk = batch.take(Lsn::new(first), Epoch::first()).unwrap();
            let mut out = BytesMut::from("before ");
            splice(&chunk, &around, &mut out);
            let (second, third) = (first + 1, first + 2);
            let expected = format!("before <{first}:a><{second}:><{third}:ccc>");
            assert_eq!(out, expected);
        }
    }
}
