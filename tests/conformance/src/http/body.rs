use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// The body of a request. A pause may delay its last byte.
#[derive(Debug)]
pub(super) struct PacedBody {
    bytes: Bytes,
    pause: Option<Pin<Box<Sleep>>>,
}

impl PacedBody {
    pub(super) fn new(bytes: Bytes, pause: Option<Duration>) -> Self {
        Self {
            bytes,
            pause: pause.map(|pause| Box::pin(sleep(pause))),
        }
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        let next = match (&mut this.pause, this.bytes.len()) {
            (_, 0) => return Poll::Ready(None),
            (Some(_), len @ 2..) => this.bytes.split_to(len - 1),
            (Some(pause), _) => {
                ready!(pause.as_mut().poll(cx));
                std::mem::take(&mut this.bytes)
            }
            (None, _) => std::mem::take(&mut this.bytes),
        };
        Poll::Ready(Some(Ok(Frame::data(next))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
