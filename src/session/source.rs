use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};

use crate::log::{Ending, Outcome};

/// A stream of the records of one session, which its writer polls.
///
/// The source isn't polled before the session's first record is acknowledged. The writer drops it
/// as soon as the session ends for another reason: an abort, a timeout, a limit, or a new owner on
/// another server. A panic in the source is caught and ends the session.
pub trait Source: Send + 'static {
    /// Appends the next record to `out`, and returns its kind.
    ///
    /// `None` ends the stream and completes the session. Write to `out` only if the call returns a
    /// mark. The source isn't polled again after `None`, [`Mark::Terminal`] or
    /// [`Mark::Withdraw`].
    fn poll_record(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
    ) -> Poll<Option<Mark>>;

    /// Returns the time since the source's last sign of life that is no record, such as bytes of a
    /// model's server that complete no event. `None` if there was none, or if the source doesn't know.
    ///
    /// [`Limits::idle`](field@super::Limits::idle) counts from the later of that sign and the last
    /// record. Only asked when the limit seems reached.
    fn silence(&self) -> Option<Duration> {
        None
    }

    /// Tells the source that its session ends here, before it is dropped: work that it left elsewhere may be stopped. Not called
    /// where another owner may go on with the session: after a shutdown, and once the lease has run out.
    fn end(&self) {}

    /// Returns the terminal record of an ending that the writer decides, with what only the source knows,
    /// such as the tokens used until then. `None` leaves it to [`Format::ending`](super::Format::ending).
    ///
    /// Called before the source is dropped, also after it has [panicked](Ending::Panicked). A panic here counts
    /// as `None`, and a record larger than [`Limits::event_bytes`](field@super::Limits::event_bytes) is not
    /// taken.
    fn ending(&self, ending: &Ending) -> Option<Bytes> {
        let _ = ending;
        None
    }
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
    /// No record, and nothing was written: the source is about to call a provider anew. As after a
    /// [barrier](Self::Barrier), it isn't polled before all records are acknowledged and the lease runs.
    Gate {
        /// True if a question is open meanwhile, as after [`Waiting`](Self::Waiting).
        waiting: bool,
    },
    /// The terminal event.
    Terminal(Outcome),
    /// No record, and nothing was written: the session turns out never to have been one. It is taken
    /// [out of the store](crate::store::DeleteMode::Withdrawn) as though it had not been created, and its id is free.
    ///
    /// The source is ended, dropped and not polled again. Records that are not acknowledged are dropped. Readers, on
    /// every server, get [`ReadError::NotFound`](super::ReadError::NotFound), or
    /// [`ReadError::Rewound`](super::ReadError::Rewound) if the id has a new session by the time that they notice. Once a
    /// reader of this server has it, a start with the id creates a new session. No
    /// [hook](super::SessionSpec::on_sealed) runs, and there is no ending to deliver.
    ///
    /// * An abort that comes before this mark wins: the session is sealed, and the source is dropped unpolled. One that
    ///   comes later has no effect; it finds the session, or [`StoreError::NotFound`](crate::store::StoreError::NotFound).
    /// * If another server has claimed the session meanwhile, it isn't withdrawn. Its new owner goes on with it, and
    ///   readers here follow that.
    /// * While the store doesn't answer, the call is repeated. Readers fail with
    ///   [`ReadError::Unavailable`](super::ReadError::Unavailable) after the outage timeout. If this server dies before
    ///   the store has it, the session is an orphan like any other.
    /// * A shutdown waits for a call under way. If the store doesn't take that, the lease is given back, and the session
    ///   is an orphan.
    Withdraw,
}
