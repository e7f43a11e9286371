//! The header of a batch, which is written and synced at once: the header, and the frames of many
//! sessions.
//!
//! `salt of the store | sequence number | time | length of the frames | crc32c of the header`
//!
//! The salt is random, so that no data of a session can be mistaken for a header.

use std::time::Duration;

use bytes::{Buf, BufMut};

/// The header of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) sequence: u64,
    /// The time of the write by the store's clock.
    pub(crate) time: Duration,
    /// The length of the frames in bytes.
    pub(crate) len: u32,
}

impl BatchHeader {
    pub(crate) const LEN: usize = 32;

    pub(crate) fn write(self, salt: u64, to: &mut [u8]) {
        let mut rest = &mut *to;
        rest.put_u64_le(salt);
        rest.put_u64_le(self.sequence);
        rest.put_u64_le(u64::try_from(self.time.as_nanos()).unwrap_or(u64::MAX));
        rest.put_u32_le(self.len);
        let checksum = crc32c::crc32c(&to[..Self::LEN - 4]);
        to[Self::LEN - 4..Self::LEN].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Reads the header at the beginning of `from`, if there is one.
    pub(crate) fn read(salt: u64, from: &[u8]) -> Option<Self> {
        let mut from = from.get(..Self::LEN)?;
        let checksum = crc32c::crc32c(&from[..Self::LEN - 4]);
        if from.get_u64_le() != salt {
            return None;
        }
        let header = Self {
            sequence: from.get_u64_le(),
            time: Duration::from_nanos(from.get_u64_le()),
            len: from.get_u32_le(),
        };
        (from.get_u32_le() == checksum).then_some(header)
    }

    /// Returns the offset of the next header at or after `from`.
    pub(crate) fn find(salt: u64, bytes: &[u8], from: usize) -> Option<usize> {
        let first = salt.to_le_bytes()[0];
        let mut at = from;
        loop {
            at += bytes.get(at..)?.iter().position(|&byte| byte == first)?;
            if Self::read(salt, &bytes[at..]).is_some() {
                return Some(at);
            }
            at += 1;
        }
    }
}
