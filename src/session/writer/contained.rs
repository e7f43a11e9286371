//! Calls of a source whose panics end here.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    thread,
};

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use crate::{
    log::Ending,
    session::{Format, Mark, Source},
};

/// Polls a source for its next record. An error if it panics.
pub(super) fn poll_record(
    source: &mut Pin<Box<dyn Source>>,
    cx: &mut Context<'_>,
    record: &mut BytesMut,
) -> thread::Result<Poll<Option<Mark>>> {
    catch_unwind(AssertUnwindSafe(|| source.as_mut().poll_record(cx, record)))
}

/// Returns when the source last gave a sign of life that is no record. A panic counts as none.
pub(super) fn last_sign_of_life(source: &Pin<Box<dyn Source>>) -> Option<Instant> {
    let silence = catch_unwind(AssertUnwindSafe(|| source.silence())).ok()??;
    Instant::now().checked_sub(silence)
}

/// Returns the terminal record of an ending: that of the source, unless it panics or the record is larger than `most`
/// bytes, or else that of the format.
pub(super) fn terminal_record(
    source: Option<&Pin<Box<dyn Source>>>,
    ending: &Ending,
    (format, most): (&dyn Format, usize),
) -> Bytes {
    let of = |source: &Pin<Box<dyn Source>>| {
        let record = catch_unwind(AssertUnwindSafe(|| source.ending(ending)));
        record.ok()?.filter(|record| record.len() <= most)
    };
    let record = source.and_then(of);
    record.unwrap_or_else(|| format.ending(ending))
}

/// Tells a source that its session ends.
pub(super) fn end(source: &Pin<Box<dyn Source>>) {
    if catch_unwind(AssertUnwindSafe(|| source.end())).is_err() {
        tracing::error!("the source of a session panicked as it was ended");
    }
}

/// Drops a source.
pub(super) fn drop(source: Pin<Box<dyn Source>>) {
    if catch_unwind(AssertUnwindSafe(|| std::mem::drop(source))).is_err() {
        tracing::error!("the source of a session panicked while it was dropped");
    }
}
