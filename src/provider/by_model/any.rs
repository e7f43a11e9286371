use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::{Stream, TryStream};

use crate::{
    BoxError,
    chat::{ChatEvent, ChatRequest, Provider, ProviderError},
};

/// The stream of a provider of any type.
pub struct AnyStream {
    inner: Pin<Box<dyn Stream<Item = Result<ChatEvent, BoxError>> + Send>>,
}

/// A future that waits until the selected provider is ready and its stream begins.
///
/// Dropping it drops the request.
pub struct AnyFuture {
    inner: Pin<Box<dyn Future<Output = Result<AnyStream, BoxError>> + Send>>,
}

/// A provider of any type.
pub(super) trait AnyProvider: Send + Sync {
    fn ask(&self, request: ChatRequest) -> AnyFuture;
}

impl<P> AnyProvider for P
where
    P: Provider + Sync,
{
    fn ask(&self, request: ChatRequest) -> AnyFuture {
        let mut provider = self.clone();
        AnyFuture {
            inner: Box::pin(async move {
                poll_fn(|cx| provider.poll_ready(cx))
                    .await
                    .map_err(Into::into)?;
                let answer = provider.call(request).await.map_err(Into::into)?;
                Ok(AnyStream {
                    inner: Box::pin(BoxedStream { answer }),
                })
            }),
        }
    }
}

impl AnyFuture {
    pub(super) fn failed(error: ProviderError) -> Self {
        Self {
            inner: Box::pin(async { Err(error.into()) }),
        }
    }
}

impl Future for AnyFuture {
    type Output = Result<AnyStream, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx)
    }
}

impl Stream for AnyStream {
    type Item = Result<ChatEvent, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inner.as_mut().poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl fmt::Debug for AnyFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyFuture").finish_non_exhaustive()
    }
}

impl fmt::Debug for AnyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyStream").finish_non_exhaustive()
    }
}

pin_project_lite::pin_project! {
    // Converts the errors of any provider.
    struct BoxedStream<A> {
        #[pin]
        answer: A,
    }
}

impl<A> Stream for BoxedStream<A>
where
    A: TryStream<Ok = ChatEvent>,
    A::Error: Into<BoxError>,
{
    type Item = Result<ChatEvent, BoxError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.project().answer.try_poll_next(cx);
        polled.map(|event| event.map(|event| event.map_err(Into::into)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.answer.size_hint()
    }
}
