//! The hot log: what a running session published lately, in memory, for its readers to share.
//!
//! Batches are immutable chunks, and each wakes its readers once. What passes the bounds is
//! evicted, oldest first, and read back from the store by whoever still needs it, in one read for
//! all of them.

mod batch;
mod budget;
mod log;
mod wakers;

pub use self::batch::Batch;
pub(super) use self::{
    budget::Budget,
    log::{BATCH_BYTES, HotLog, NextBatch},
};
