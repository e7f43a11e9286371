//! The encodings of stored values.

mod answer;
mod entry;
mod epoch;
mod meta;
mod state;

pub(crate) use self::{
    answer::decode_answer,
    entry::{EntryDecoder, encode_chunk},
    epoch::{decode_epoch, encode_epoch},
    meta::{checked, decode_name, decode_tombstone, encode_name},
    state::{decode_abort, decode_state, encode_abort, encode_status},
};

use std::time::Duration;

/// A duration in microseconds, rounded up. What is longer than 31 years is as long as that: Lua
/// counts exactly up to 2^53, and now is among it.
pub(crate) fn micros(duration: Duration) -> u64 {
    const MOST: u128 = 1_000_000_000_000_000;
    let micros = duration.as_nanos().div_ceil(1000).min(MOST);
    u64::try_from(micros).unwrap_or(u64::MAX)
}

/// The time so long from now, in microseconds from now.
pub(crate) fn from_now(duration: Duration) -> i64 {
    i64::try_from(micros(duration)).unwrap_or(i64::MAX)
}
