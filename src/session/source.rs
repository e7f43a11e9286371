use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::BytesMut;

use super::Outcome;

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
    /// An event after which nothing comes until a person or a client tool has answered.
    Waiting,
    /// The terminal event.
    Terminal(Outcome),
}
