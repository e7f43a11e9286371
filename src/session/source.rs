use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::BytesMut;

use crate::log::Outcome;

/// A stream of the records of one session, which its writer polls.
///
/// The source isn't polled before the session's first record is acknowledged. The writer drops it
/// as soon as the session ends for another reason: an abort, a timeout, a limit, or a new owner on
/// another server. A panic in the source is caught and ends the session.
pub trait Source: Send + 'static {
    /// Appends the next record to `out`, and returns its kind.
    ///
    /// `None` ends the stream and completes the session. Write to `out` only if the call returns a
    /// mark. The source isn't polled again after `None` or [`Mark::Terminal`].
    fn poll_record(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
    ) -> Poll<Option<Mark>>;
}

/// The mark of a record: its meaning for the session's writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mark {
    /// An event without further meaning for the registry.
    Event,
    /// An event that must be stored before its effects begin. The source isn't polled again until
    /// this record and all before it are acknowledged and the lease runs.
    Barrier,
    /// A barrier after which a question to a person or a client tool is open. The session has the
    /// status `waiting`, and [`Limits::idle`](field@super::Limits::idle) doesn't run.
    Waiting,
    /// The terminal event.
    Terminal(Outcome),
}
