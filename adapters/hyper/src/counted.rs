use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http::{Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::service::{TowerToHyperService, TowerToHyperServiceFuture};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    activity::{ActiveRequest, Activity},
    held_data::HeldData,
    response_buffer::{ResponseBuffer, ResponseStream},
};

/// An adapter of a tower service for hyper that counts its requests, and over HTTP/2 the bytes of its
/// responses.
#[derive(Debug, Clone)]
pub(crate) struct CountedService<S> {
    service: TowerToHyperService<S>,
    activity: Activity,
    buffer: ResponseBuffer,
}

impl<S> CountedService<S> {
    pub(crate) fn new(service: S, activity: Activity, buffer: ResponseBuffer) -> Self {
        Self {
            service: TowerToHyperService::new(service),
            activity,
            buffer,
        }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for CountedService<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone,
{
    type Response = Response<CountedBody<B>>;
    type Error = S::Error;
    type Future = CountedFuture<S>;

    fn call(&self, request: Request<Incoming>) -> CountedFuture<S> {
        // Over HTTP/1.1 the buffer of the connection is the bound.
        let is_http2 = request.version() == Version::HTTP_2;
        CountedFuture {
            request: Some(self.activity.begin()),
            stream: is_http2.then(|| self.buffer.open()),
            response: self.service.call(request),
        }
    }
}

pin_project! {
    pub(crate) struct CountedFuture<S>
    where
        S: Service<Request<Incoming>>,
    {
        #[pin]
        response: TowerToHyperServiceFuture<S, Request<Incoming>>,
        request: Option<ActiveRequest>,
        stream: Option<ResponseStream>,
    }
}

impl<S, B> Future for CountedFuture<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
{
    type Output = Result<Response<CountedBody<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.response.poll(cx));
        let request = this.request.take();
        let stream = this.stream.take();
        Poll::Ready(response.map(|response| {
            response.map(|body| CountedBody {
                body,
                request,
                stream,
                progress: BodyProgress::Fresh,
            })
        }))
    }
}

pin_project! {
    pub(crate) struct CountedBody<B> {
        #[pin]
        body: B,
        request: Option<ActiveRequest>,
        stream: Option<ResponseStream>,
        progress: BodyProgress,
    }
}

/// The part of a body that hyper has.
enum BodyProgress {
    /// Nothing.
    Fresh,
    /// Some data.
    Begun,
    /// All data, but not the end.
    Read(Option<http::HeaderMap>),
}

impl<B: Body> Body for CountedBody<B> {
    type Data = HeldData<B::Data>;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, B::Error>>> {
        let this = self.project();
        let Some(stream) = this.stream else {
            let frame = ready!(this.body.poll_frame(cx));
            return Poll::Ready(
                frame.map(|frame| {
                    frame.map(|frame| frame.map_data(|data| HeldData::new(data, None)))
                }),
            );
        };
        if !matches!(this.progress, BodyProgress::Read(_)) {
            ready!(stream.poll_room(cx));
            let polled = this.body.poll_frame(cx);
            let bytes = match &polled {
                Poll::Ready(Some(Ok(frame))) => frame.data_ref().map(Buf::remaining),
                _ => None,
            };
            stream.settle(bytes);
            match ready!(polled) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        *this.progress = BodyProgress::Begun;
                        let data = HeldData::new(data, Some(stream));
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    Err(frame) => *this.progress = BodyProgress::Read(frame.into_trailers().ok()),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => *this.progress = BodyProgress::Read(None),
            }
        }
        // hyper forgets a stream after its end, whether the client has taken the data or not.
        ready!(stream.poll_taken(cx));
        let BodyProgress::Read(trailers) = this.progress else {
            return Poll::Ready(None);
        };
        Poll::Ready(
            trailers
                .take()
                .map(|trailers| Ok(Frame::trailers(trailers))),
        )
    }

    fn is_end_stream(&self) -> bool {
        match (&self.stream, &self.progress) {
            (None, _) | (_, BodyProgress::Fresh) => self.body.is_end_stream(),
            _ => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
