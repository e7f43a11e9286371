use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Buf;
use futures_core::TryStream;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{SessionBody, config::LayerConfig, exchange::serve};
use crate::{
    BoxError,
    chat::{ChatEvent, ChatRequest},
    store::BoxFuture,
};

/// A provider as a durable HTTP service, made by [`DurableLayer`](super::DurableLayer).
///
/// It is always ready, and never fails: every refusal is a response. The provider's own readiness is
/// asked for each start, on a clone of it.
#[derive(Clone)]
pub struct DurableService<S> {
    config: Arc<LayerConfig>,
    provider: S,
}

impl<S> DurableService<S> {
    pub(super) fn new(config: Arc<LayerConfig>, provider: S) -> Self {
        Self { config, provider }
    }
}

impl<S, B> Service<Request<B>> for DurableService<S>
where
    S: Service<ChatRequest> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    S::Response: TryStream<Ok = ChatEvent> + Send,
    <S::Response as TryStream>::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Buf + Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<SessionBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        ResponseFuture {
            response: Box::pin(serve(self.config.clone(), self.provider.clone(), request)),
        }
    }
}

/// Awaits the head of a response; it never waits for the provider's answer.
///
/// Dropped, the request was served as a whole or not at all: a session that was being started may
/// have been, and a repetition with the same id attaches to it.
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture {
    response: BoxFuture<'static, Response<SessionBody>>,
}

impl Future for ResponseFuture {
    type Output = Result<Response<SessionBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.response.as_mut().poll(cx).map(Ok)
    }
}

impl<S> fmt::Debug for DurableService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DurableService")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

// What hyper, axum and warp ask of what they mount.
const _: () = {
    const fn body<B: Body<Data = bytes::Bytes, Error: std::error::Error> + Send + 'static>() {}
    const fn service<T: Clone + Send + Sync + 'static>() {}
    const fn future<F: Future + Send + Unpin + 'static>() {}
    body::<SessionBody>();
    service::<DurableService<()>>();
    future::<ResponseFuture>();
};
