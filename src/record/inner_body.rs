use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of a request to the service that a [`RecordLayer`](super::RecordLayer) wraps: the client's own, or the
    /// bytes that the layer has read.
    #[derive(Debug)]
    pub struct InnerBody<B> {
        #[pin]
        kind: InnerBodyKind<B>,
    }
}

pin_project! {
    #[project = InnerBodyProjection]
    #[derive(Debug)]
    enum InnerBodyKind<B> {
        Client { #[pin] body: B },
        Read { bytes: Bytes },
    }
}

impl<B> InnerBody<B> {
    pub(super) const fn client(body: B) -> Self {
        Self {
            kind: InnerBodyKind::Client { body },
        }
    }

    pub(super) const fn read(bytes: Bytes) -> Self {
        Self {
            kind: InnerBodyKind::Read { bytes },
        }
    }
}

impl<B> Body for InnerBody<B>
where
    B: Body,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            InnerBodyProjection::Client { body } => {
                let frame = ready!(body.poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map(in_bytes)))
            }
            InnerBodyProjection::Read { bytes } if bytes.is_empty() => Poll::Ready(None),
            InnerBodyProjection::Read { bytes } => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            InnerBodyKind::Client { body } => body.is_end_stream(),
            InnerBodyKind::Read { bytes } => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            InnerBodyKind::Client { body } => body.size_hint(),
            InnerBodyKind::Read { bytes } => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

/// Converts the data of a frame; without a copy if it is one piece of [`Bytes`].
pub(super) fn in_bytes<D: Buf>(frame: Frame<D>) -> Frame<Bytes> {
    frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))
}
