use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use futures_util::Stream;
use http::{Response, header};
use http_body::Body;
use pin_project_lite::pin_project;
use sync_wrapper::SyncWrapper;
use unbroken::BoxError;
use warp::Reply as _;

/// Converts the response into one of warp, whose body is streamed, not collected.
pub(crate) fn into_streaming<B>(response: Response<B>) -> warp::reply::Response
where
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (mut head, body) = response.into_parts();
    // A stream of warp never reports that it is empty, and HTTP/2 then resets a HEAD or a 204.
    if body.is_end_stream() {
        return Response::from_parts(head, Bytes::new()).into_response();
    }
    // Neither does it report its length.
    if let Some(length) = body.size_hint().exact() {
        head.headers
            .entry(header::CONTENT_LENGTH)
            .or_insert_with(|| length.into());
    }
    let body = SyncWrapper::new(body);
    let reply = warp::reply::stream(DataStream { body }).into_response();
    Response::from_parts(head, reply.into_body())
}

pin_project! {
    /// The data of a body; `Sync`, as warp requires.
    struct DataStream<B> {
        #[pin]
        body: SyncWrapper<B>,
    }
}

impl<B> Stream for DataStream<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Item = Result<Bytes, BoxError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.project().body.get_pin_mut();
        loop {
            let Some(frame) = ready!(body.as_mut().poll_frame(cx)) else {
                return Poll::Ready(None);
            };
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(mut data)) => {
                    let data = data.copy_to_bytes(data.remaining());
                    return Poll::Ready(Some(Ok(data)));
                }
                Ok(Err(_trailers)) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }
}
