use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::BytesMut;

use crate::log::Outcome;

/// What a writer pulls the records of a session from.
///
/// It isn't polled before the session's first record is acknowledged, and it is dropped as soon as
/// the session ends in another way than by its own word: aborted, timed out, over a limit, fenced.
/// A panic in it is caught and ends the session.
pub trait Source: Send + 'static {
    /// Writes the next record to the end of `out`, and says what it was.
    ///
    /// `None` is the end of the stream; a session that ends so is complete. Nothing may be written
    /// to `out` unless a mark is returned. Not polled again after `None` or [`Mark::Terminal`].
    fn poll_record(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
    ) -> Poll<Option<Mark>>;
}

/// What a record was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// One of many.
    Event,
    /// An event that must be stored before anything comes of it: the source isn't polled again until
    /// it, and all before it, is acknowledged. The lease runs then, too.
    Barrier,
    /// An event after which a person or a client tool is still asked something: the session waits,
    /// and the silence of its source doesn't count. It must be stored as well before the source is
    /// polled again.
    Waiting,
    /// The terminal event.
    Terminal(Outcome),
}
