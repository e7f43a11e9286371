use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};

/// The body of a request as a mounted service gets it: read from the connection as the service asks
/// for it, never collected. Trailers are not in it, as warp doesn't show them.
pub struct RequestBody {
    stream: Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send + Sync>>,
    /// What is to come of a body that announced its length.
    left: Option<u64>,
    over: bool,
}

impl RequestBody {
    pub(crate) fn new<B: Buf>(
        stream: impl Stream<Item = Result<B, warp::Error>> + Send + Sync + 'static,
        headers: &HeaderMap,
    ) -> Self {
        let whole = |data: Result<B, _>| data.map(|mut it| it.copy_to_bytes(it.remaining()));
        Self {
            stream: Box::pin(stream.map(whole)),
            left: announced(headers),
            over: false,
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
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                }
                Some(Err(_)) => {}
                None => self.over = true,
            }
            next.map(|data| data.map(Frame::data))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            _ if self.over => SizeHint::with_exact(0),
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody")
            .field("left", &self.left)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    // Beside a transfer encoding the length means nothing (RFC 9112, 6.3).
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return None;
    }
    let length = headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}
