use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::{frame_encoder::FrameEncoder, inner_body::in_bytes};
use crate::{
    BoxError,
    exchange::{FLUSH, SessionStream},
    log::{Outcome, Status},
    session::{ReadError, Reader},
};

pin_project! {
    /// The body of a response of a [`RecordService`](super::RecordService): a recording, the body of a response that
    /// isn't recorded, a document, or nothing.
    ///
    /// The body of a recording ends cleanly if the recorded body did. Otherwise it fails, shortly after its last frame:
    /// over HTTP/1.1 the last chunk is missing then, over HTTP/2 the stream is reset. Dropping a body doesn't stop its
    /// session.
    pub struct RecordBody<B> {
        #[pin]
        kind: RecordBodyKind<B>,
    }
}

pin_project! {
    #[project = RecordBodyProjection]
    enum RecordBodyKind<B> {
        Inner { #[pin] body: B },
        Document { bytes: Bytes },
        Recording { stream: Box<SessionStream<FrameEncoder>>, end: BodyEnd },
    }
}

/// The end of a recording's body.
enum BodyEnd {
    /// There may be more.
    Open,
    /// All frames were given, and the error follows.
    Cut(Outcome, Pin<Box<Sleep>>),
    Done,
}

/// The error of a body that breaks off.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordBodyError {
    /// The body of a response that isn't recorded failed.
    #[error("the response broke off")]
    Inner(#[source] BoxError),
    /// The recording can't be read on here. The client may resume after the last frame that it has.
    #[error("the recording was cut; resume after the last frame")]
    Cut(#[source] ReadError),
    /// The recorded body ended before its time. There is no more than what was given.
    #[error("the recorded response is not complete: its status is {}", Status::Ended(*.0))]
    Incomplete(Outcome),
}

impl<B> RecordBody<B> {
    pub(super) const fn inner(body: B) -> Self {
        Self {
            kind: RecordBodyKind::Inner { body },
        }
    }

    pub(super) const fn document(bytes: Bytes) -> Self {
        Self {
            kind: RecordBodyKind::Document { bytes },
        }
    }

    /// Returns the length of a document, in bytes; `None` if it isn't one, or is empty.
    pub(super) fn document_len(&self) -> Option<usize> {
        match &self.kind {
            RecordBodyKind::Document { bytes } if !bytes.is_empty() => Some(bytes.len()),
            _ => None,
        }
    }

    pub(super) const fn empty() -> Self {
        Self::document(Bytes::new())
    }

    /// Creates a body of the frames that the reader reads, with a heartbeat after so much silence.
    pub(super) fn recording(
        reader: Reader,
        encoder: FrameEncoder,
        heartbeat: Option<Duration>,
    ) -> Self {
        let stream = SessionStream::new(reader, Box::new(encoder), BytesMut::new(), heartbeat);
        Self {
            kind: RecordBodyKind::Recording {
                stream: Box::new(stream),
                end: BodyEnd::Open,
            },
        }
    }
}

impl<B> Body for RecordBody<B>
where
    B: Body,
    B::Data: Buf,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = RecordBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RecordBodyError>>> {
        match self.project().kind.project() {
            RecordBodyProjection::Inner { body } => {
                let frame = ready!(body.poll_frame(cx)).map(|frame| {
                    frame
                        .map(in_bytes)
                        .map_err(|error| RecordBodyError::Inner(error.into()))
                });
                Poll::Ready(frame)
            }
            RecordBodyProjection::Document { bytes } if bytes.is_empty() => Poll::Ready(None),
            RecordBodyProjection::Document { bytes } => {
                Poll::Ready(Some(Ok(Frame::data(mem::take(bytes)))))
            }
            RecordBodyProjection::Recording { stream, end } => poll_recording(stream, end, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            RecordBodyKind::Inner { body } => body.is_end_stream(),
            RecordBodyKind::Document { bytes } => bytes.is_empty(),
            RecordBodyKind::Recording { end, .. } => matches!(end, BodyEnd::Done),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            RecordBodyKind::Inner { body } => body.size_hint(),
            RecordBodyKind::Document { bytes } => SizeHint::with_exact(bytes.len() as u64),
            RecordBodyKind::Recording { .. } => SizeHint::default(),
        }
    }
}

fn poll_recording(
    stream: &mut SessionStream<FrameEncoder>,
    end: &mut BodyEnd,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, RecordBodyError>>> {
    loop {
        match end {
            BodyEnd::Open => {
                match ready!(stream.poll_bytes(cx)) {
                    Some(Ok(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                    Some(Err(error)) => {
                        *end = BodyEnd::Done;
                        return Poll::Ready(Some(Err(RecordBodyError::Cut(error))));
                    }
                    None => {}
                }
                *end = match stream.status().outcome() {
                    Some(outcome) if outcome != Outcome::Complete => {
                        BodyEnd::Cut(outcome, Box::pin(tokio::time::sleep(FLUSH)))
                    }
                    _ => BodyEnd::Done,
                };
                if let (BodyEnd::Done, Some(trailers)) = (&end, stream.encoder().take_trailers()) {
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
            }
            BodyEnd::Cut(outcome, flushed) => {
                ready!(flushed.as_mut().poll(cx));
                let error = RecordBodyError::Incomplete(*outcome);
                *end = BodyEnd::Done;
                return Poll::Ready(Some(Err(error)));
            }
            BodyEnd::Done => return Poll::Ready(None),
        }
    }
}

impl<B> fmt::Debug for RecordBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            RecordBodyKind::Inner { .. } => f.debug_tuple("Inner").finish_non_exhaustive(),
            RecordBodyKind::Document { bytes } => {
                f.debug_tuple("Document").field(&bytes.len()).finish()
            }
            RecordBodyKind::Recording { stream, .. } => stream.fmt(f),
        }
    }
}
