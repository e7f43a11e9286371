use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{body::Body, response::Response};
use futures_util::{Stream, StreamExt, stream::Fuse};

/// Ends the body at the first event that is not in the log yet.
pub(crate) async fn ends_early(response: Response) -> Response {
    let (head, body) = response.into_parts();
    let frames = EarlyEnd {
        frames: body.into_data_stream().fuse(),
        has_frame: false,
    };
    Response::from_parts(head, Body::from_stream(frames))
}

#[derive(Debug)]
struct EarlyEnd<S> {
    frames: Fuse<S>,
    has_frame: bool,
}

impl<S: Stream + Unpin> Stream for EarlyEnd<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let frame = self.frames.poll_next_unpin(cx);
        if self.has_frame && frame.is_pending() {
            return Poll::Ready(None);
        }
        let frame = ready!(frame);
        self.has_frame = true;
        Poll::Ready(frame)
    }
}
