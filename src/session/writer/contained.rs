//! Calls of a source whose panics end here.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
};

use bytes::Bytes;
use tokio::time::Instant;

use crate::{log::Ending, session::Source};

/// Returns when the source last gave a sign of life that is no record. A panic counts as none.
pub(super) fn last_sign_of_life(source: &Pin<Box<dyn Source>>) -> Option<Instant> {
    let silence = catch_unwind(AssertUnwindSafe(|| source.silence())).ok()??;
    Instant::now().checked_sub(silence)
}

/// Returns the source's own terminal record, unless it panics or the record has more than `most` bytes.
pub(super) fn terminal_record(
    source: &Pin<Box<dyn Source>>,
    ending: &Ending,
    most: usize,
) -> Option<Bytes> {
    let record = catch_unwind(AssertUnwindSafe(|| source.ending(ending)));
    record.ok()?.filter(|record| record.len() <= most)
}

/// Drops a source.
pub(super) fn drop(source: Pin<Box<dyn Source>>) {
    if catch_unwind(AssertUnwindSafe(|| std::mem::drop(source))).is_err() {
        tracing::error!("the source of a session panicked while it was dropped");
    }
}
