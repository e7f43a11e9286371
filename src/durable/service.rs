use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Buf;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{SessionBody, config::LayerConfig, exchange::Exchange};
use crate::{BoxError, BoxFuture, chat::Provider};

/// The HTTP service that [`DurableLayer`](super::DurableLayer) makes of a provider.
///
/// It is always ready, and it never fails: every refusal is a response. Each start asks a clone of the
/// provider for its readiness.
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
    S: Provider,
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
        let exchange = Exchange::new(self.config.clone(), self.provider.clone());
        ResponseFuture {
            response: Box::pin(exchange.serve(request)),
        }
    }
}

/// The future of a response's head.
///
/// The head doesn't depend on the provider's answer, unless the dialect responds to a start with the
/// full log.
///
/// # Cancellation
///
/// A start whose future is dropped may have created its session. A repetition with the same id
/// attaches to that session.
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

// The bounds of hyper, axum and warp on a service that they mount.
const _: () = {
    const fn body<B: Body<Data = bytes::Bytes, Error: std::error::Error> + Send + 'static>() {}
    const fn service<T: Clone + Send + Sync + 'static>() {}
    const fn future<F: Future + Send + Unpin + 'static>() {}
    body::<SessionBody>();
    service::<DurableService<()>>();
    future::<ResponseFuture>();
};
