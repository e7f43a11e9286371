use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{
    dialect::{Encoder, SessionView},
    exchange::SessionStream,
    session::{ReadError, Reader},
};

/// The body of a response: a document, the stream of a session, or empty.
///
/// A stream ends only after the terminal event. A stream that can't go on fails, shortly after its
/// last frame: over HTTP/1.1 the last chunk is missing then, over HTTP/2 the stream is reset. Dropping
/// a body doesn't stop its session.
pub struct SessionBody {
    kind: BodyKind,
}

enum BodyKind {
    Document(Bytes),
    Stream(Box<SessionStream>),
}

/// The error of a body whose stream was cut. The client may resume after the last event that it has.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the stream was cut before the terminal event")]
pub struct BodyError {
    #[from]
    source: ReadError,
}

impl SessionBody {
    /// Creates an empty body.
    pub const fn empty() -> Self {
        Self::document(Bytes::new())
    }

    /// Creates a body of these bytes.
    pub const fn document(bytes: Bytes) -> Self {
        Self {
            kind: BodyKind::Document(bytes),
        }
    }

    /// Creates a body that streams what the reader reads, in the encoder's bytes, with a heartbeat
    /// after so much silence.
    ///
    /// For a [stateful](Encoder::is_stateful) encoder the reader must stand at the start of the log, and
    /// [`after`](Self::after) names the client's cursor.
    pub fn stream(
        reader: Reader,
        mut encoder: Box<dyn Encoder>,
        session: &SessionView<'_>,
        heartbeat: Option<Duration>,
    ) -> Self {
        let mut preamble = bytes::BytesMut::new();
        encoder.preamble(session, &mut preamble);
        Self {
            kind: BodyKind::Stream(Box::new(SessionStream::new(
                reader, encoder, preamble, heartbeat,
            ))),
        }
    }

    /// Sets the LSN up to which the encoder skips records: it reads them and writes nothing.
    pub fn after(mut self, lsn: crate::log::Lsn) -> Self {
        if let BodyKind::Stream(stream) = &mut self.kind {
            stream.skip_to(lsn);
        }
        self
    }
}

impl Body for SessionBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.kind {
            BodyKind::Document(bytes) if bytes.is_empty() => Poll::Ready(None),
            BodyKind::Document(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            BodyKind::Stream(stream) => stream
                .poll_bytes(cx)
                .map(|next| next.map(|bytes| bytes.map(Frame::data).map_err(BodyError::from))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            BodyKind::Document(bytes) => bytes.is_empty(),
            BodyKind::Stream(stream) => stream.is_done(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            BodyKind::Document(bytes) => SizeHint::with_exact(bytes.len() as u64),
            BodyKind::Stream(stream) if stream.is_done() => SizeHint::with_exact(0),
            BodyKind::Stream(_) => SizeHint::default(),
        }
    }
}

impl Default for SessionBody {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Bytes> for SessionBody {
    fn from(bytes: Bytes) -> Self {
        Self::document(bytes)
    }
}

impl fmt::Debug for SessionBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            BodyKind::Document(bytes) => f.debug_tuple("Document").field(&bytes.len()).finish(),
            BodyKind::Stream(stream) => stream.fmt(f),
        }
    }
}
