use std::{
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

use super::{
    body::RecordBody, config::RecordConfig, exchange::RecordExchange, inner_body::InnerBody,
};
use crate::{BoxError, BoxFuture};

/// The service that [`RecordLayer`](super::RecordLayer) makes of another one.
///
/// It is always ready: a client can resume while the wrapped service takes no more requests. Each start asks a clone
/// of that service for its readiness. It fails only as that service does; every refusal is a response.
#[derive(Clone)]
pub struct RecordService<S> {
    config: Arc<RecordConfig>,
    service: S,
}

impl<S> RecordService<S> {
    pub(super) fn new(config: Arc<RecordConfig>, service: S) -> Self {
        Self { config, service }
    }
}

impl<S, B, R> Service<Request<B>> for RecordService<S>
where
    S: Service<Request<InnerBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError> + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Buf + Send,
    B::Error: Into<BoxError>,
    R: Body + Send + 'static,
    R::Data: Buf,
    R::Error: Into<BoxError>,
{
    type Response = Response<RecordBody<R>>;
    type Error = S::Error;
    type Future = RecordFuture<R, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let exchange = RecordExchange::new(self.config.clone(), self.service.clone());
        RecordFuture {
            response: Box::pin(exchange.serve(request)),
        }
    }
}

/// The future of a response's head. The head of a recording is there once it is stored.
///
/// # Cancellation
///
/// A start whose future is dropped may have created its session, and the wrapped service runs on then. A repetition with
/// the same id attaches to that session.
#[must_use = "futures do nothing unless polled"]
pub struct RecordFuture<B, E> {
    response: BoxFuture<'static, Result<Response<RecordBody<B>>, E>>,
}

impl<B, E> Future for RecordFuture<B, E> {
    type Output = Result<Response<RecordBody<B>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.response.as_mut().poll(cx)
    }
}

impl<S> fmt::Debug for RecordService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordService")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl<B, E> fmt::Debug for RecordFuture<B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordFuture").finish_non_exhaustive()
    }
}
