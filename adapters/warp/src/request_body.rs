use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};

/// The body of a request to a mounted service.
///
/// It is read from the connection as the service polls it, never collected. It has no trailers, as
/// warp doesn't show them.
pub struct RequestBody {
    stream: Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send + Sync>>,
    /// Bytes to come, of a body that announced its length.
    remaining: Option<u64>,
    ended: bool,
}

impl RequestBody {
    pub(crate) fn new<B: Buf>(
        stream: impl Stream<Item = Result<B, warp::Error>> + Send + Sync + 'static,
        headers: &HeaderMap,
    ) -> Self {
        let contiguous = |data: Result<B, _>| data.map(|mut it| it.copy_to_bytes(it.remaining()));
        Self {
            stream: Box::pin(stream.map(contiguous)),
            remaining: content_length(headers),
            ended: false,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = warp::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, warp::Error>>> {
        self.stream.as_mut().poll_next(cx).map(|next| {
            match &next {
                Some(Ok(data)) => {
                    let read = data.len() as u64;
                    self.remaining = self.remaining.map(|bytes| bytes.saturating_sub(read));
                }
                Some(Err(_)) => {}
                None => self.ended = true,
            }
            next.map(|data| data.map(Frame::data))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.remaining == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        match self.remaining {
            _ if self.ended => SizeHint::with_exact(0),
            Some(bytes) => SizeHint::with_exact(bytes),
            None => SizeHint::default(),
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody")
            .field("remaining", &self.remaining)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    // A transfer encoding overrides the length (RFC 9112, 6.3).
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return None;
    }
    let length = headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}
