use std::{fmt, time::Duration};

use bytes::{Bytes, BytesMut};

use super::SessionView;
use crate::log::{Chunk, Position};

/// An encoder of one session's records into the bytes of one stream.
///
/// Each response has its own encoder. It sees records in order, each once: first those up to the
/// client's cursor by [`skip`](Self::skip), if it is [stateful](Self::is_stateful), then the rest by
/// [`encode`](Self::encode). The bytes for a record must depend on that record and those before it
/// only. So a client that resumes in the middle gets the bytes of an uninterrupted stream.
///
/// A record is the JSON of a [`ChatEvent`](crate::chat::ChatEvent), without a raw line break.
pub trait Encoder: fmt::Debug + Send + Sync + 'static {
    /// Returns the `Content-Type` of the stream.
    fn content_type(&self) -> &'static str;

    /// Writes the first bytes of the stream, before any record. Default nothing.
    fn preamble(&mut self, session: &SessionView<'_>, out: &mut BytesMut) {
        let _ = (session, out);
    }

    /// Returns true if the encoder must see every record from the first on, encoded or not. Default
    /// false.
    fn is_stateful(&self) -> bool {
        false
    }

    /// Takes note of records without writing them: the client has them, or another reader's encoder
    /// wrote them under the [shared key](Self::shared_key).
    fn skip(&mut self, records: &Chunk) {
        let _ = records;
    }

    /// Appends the encoded records to `out`.
    fn encode(&mut self, records: &Chunk, out: &mut BytesMut);

    /// Returns the key under which readers of a live session share encoded bytes, or `None` if the
    /// stream is not shared. Default `None`.
    ///
    /// Two encoders with one key write equal bytes for equal records, if both have seen all records
    /// before.
    fn shared_key(&self) -> Option<&'static str> {
        None
    }

    /// Returns the bytes that keep a silent connection open, or `None` if the protocol has none.
    fn heartbeat(&self) -> Option<Bytes>;

    /// Writes the notice that the store is lost. The body fails after it.
    fn unavailable(&mut self, out: &mut BytesMut);

    /// Writes the last bytes, after the terminal event and before the end of the body. Default
    /// nothing.
    fn trailer(&mut self, out: &mut BytesMut) {
        let _ = out;
    }

    /// Writes the position of the reader. Called at the end of each frame, and once at the beginning
    /// of a stream that has no record yet. Default nothing.
    ///
    /// The position depends on the moment, so an encoder that writes it has no
    /// [shared key](Self::shared_key).
    fn progress(&mut self, progress: &Progress, out: &mut BytesMut) {
        let _ = (progress, out);
    }

    /// Returns true if the stream may end here when no further record is there, with the trailer and a
    /// clean end of body. For protocols whose clients treat the written events as an end and come back
    /// by themselves. Default false.
    fn may_pause(&self) -> bool {
        false
    }

    /// Returns the maximum duration of a stream, or `None` for the duration of the session. Default
    /// `None`.
    ///
    /// After it the body ends cleanly and without the trailer. Only for protocols whose clients ask
    /// again by themselves and don't treat the end of a body as the end of the session.
    fn lifetime(&self) -> Option<Duration> {
        None
    }
}

/// The position of a stream's reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The position of the last record that was written.
    pub at: Position,
    /// True if the reader has all records that exist now.
    pub caught_up: bool,
    /// True if no further record will follow.
    pub ended: bool,
}

impl Progress {
    /// Creates a progress at this position, in the middle of the log.
    pub fn new(at: Position) -> Self {
        Self {
            at,
            caught_up: false,
            ended: false,
        }
    }

    /// Sets whether the reader has all records that exist now.
    pub fn caught_up(mut self, caught_up: bool) -> Self {
        self.caught_up = caught_up;
        self
    }

    /// Sets whether no further record will follow.
    pub fn ended(mut self, ended: bool) -> Self {
        self.ended = ended;
        self
    }
}
