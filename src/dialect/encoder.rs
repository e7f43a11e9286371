use std::{fmt, time::Duration};

use bytes::{Bytes, BytesMut};

use super::SessionView;
use crate::log::{Chunk, Position};

/// Turns the records of one session into the bytes of one stream.
///
/// One is made for each response, and sees records in order, each once: first those up to the
/// client's cursor if it [wants them](Self::is_stateful), by [`skip`](Self::skip), then the rest by
/// [`encode`](Self::encode). What it writes for a record must depend on the record and those before
/// it only, so that a client that resumes in the middle gets the bytes that it would have got
/// without the cut.
///
/// A record is the JSON of a [`ChatEvent`](crate::chat::ChatEvent), without a raw line break.
pub trait Encoder: fmt::Debug + Send + Sync + 'static {
    /// The `Content-Type` of the stream.
    fn content_type(&self) -> &'static str;

    /// Written before everything else.
    fn preamble(&mut self, session: &SessionView<'_>, out: &mut BytesMut) {
        let _ = (session, out);
    }

    /// Whether it must see, from the first record on, what it doesn't encode.
    fn is_stateful(&self) -> bool {
        false
    }

    /// Takes note of records that the client has already, or that another reader's encoder wrote
    /// for it under the [shared key](Self::shared_key).
    fn skip(&mut self, records: &Chunk) {
        let _ = records;
    }

    /// Appends the records to `out`.
    fn encode(&mut self, records: &Chunk, out: &mut BytesMut);

    /// Two encoders with the same key write the same bytes for the same records, if both have seen
    /// all records before: one of them works for all readers of a live session. `None` if each
    /// stream is its own.
    fn shared_key(&self) -> Option<&'static str> {
        None
    }

    /// What shows a silent stream to be alive; `None` if there is no such thing.
    fn heartbeat(&self) -> Option<Bytes>;

    /// Tells that the store is lost. The body fails after it.
    fn unavailable(&mut self, out: &mut BytesMut);

    /// Written after the terminal event, before the end of the body.
    fn trailer(&mut self, out: &mut BytesMut) {
        let _ = out;
    }

    /// Written at the end of each frame, and once at the beginning of a stream that has nothing to
    /// say yet: where the reader stands by now. Depends on the moment, so an encoder that writes
    /// something here has no [shared key](Self::shared_key).
    fn progress(&mut self, progress: &Progress, out: &mut BytesMut) {
        let _ = (progress, out);
    }

    /// Whether a stream may end here, with the trailer and as if it were whole, if nothing more is
    /// there by now: its client takes what was written for an end, and comes back by itself.
    fn may_pause(&self) -> bool {
        false
    }

    /// How long a stream may last; it ends then as if it were whole, without the trailer. Only for
    /// protocols whose clients ask again by themselves and take something else as the proof of the
    /// end. `None` for as long as the session.
    fn lifetime(&self) -> Option<Duration> {
        None
    }
}

/// Where the reader of a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// After which record.
    pub at: Position,
    /// Whether nothing more is there by now.
    pub caught_up: bool,
    /// Whether nothing more will ever come.
    pub ended: bool,
}

impl Progress {
    /// After this record, in the middle of the log.
    pub fn new(at: Position) -> Self {
        Self {
            at,
            caught_up: false,
            ended: false,
        }
    }

    /// The same, with whether nothing more is there by now.
    pub fn caught_up(mut self, caught_up: bool) -> Self {
        self.caught_up = caught_up;
        self
    }

    /// The same, with whether nothing more will ever come.
    pub fn ended(mut self, ended: bool) -> Self {
        self.ended = ended;
        self
    }
}
