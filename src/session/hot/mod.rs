//! The hot log: the latest records of a running session, in memory, shared by its readers.
//!
//! It consists of immutable chunks, and each publication wakes the readers once. Beyond its bounds
//! the oldest chunks are evicted. Readers that still need them share one read from the store.

mod batch;
mod budget;
mod log;
mod wakers;

pub use self::batch::Batch;
pub(crate) use self::batch::BatchLimits;
pub(super) use self::{
    budget::Budget,
    log::{BATCH_BYTES, HotLog, NextBatch},
};
