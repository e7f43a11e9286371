use std::{
    any::type_name,
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    task::{Context, Poll},
};

use futures_core::TryStream;
use tower_service::Service;

use super::{ChatEvent, ChatRequest};
use crate::BoxError;

/// Makes a provider of a closure that answers a request with a stream of events.
///
/// The provider is always ready; what the closure needs to wait for, its stream waits for. (A
/// `tower::service_fn` whose future gives the stream is a provider too, but its error type has to
/// be written out.)
///
/// ```
/// use futures_util::stream;
/// use unbroken::chat::{ChatEvent, ChatRequest, ProviderError, provider_fn};
///
/// let echo = provider_fn(|request: ChatRequest| {
///     let said = request.last_user_message().map_or("", |message| &message.content);
///     let words: Vec<_> = said.split_inclusive(' ').map(ChatEvent::text).collect();
///     stream::iter(words.into_iter().map(Ok::<_, ProviderError>))
/// });
/// # fn provider<S>(_: S) where S: tower_service::Service<ChatRequest> + Clone + Send + Sync {}
/// # provider(echo);
/// ```
pub fn provider_fn<F, S>(answer: F) -> ProviderFn<F>
where
    F: FnMut(ChatRequest) -> S,
    S: TryStream<Ok = ChatEvent>,
    S::Error: Into<BoxError>,
{
    ProviderFn { answer }
}

/// The provider that [`provider_fn`] makes.
#[derive(Clone, Copy)]
pub struct ProviderFn<F> {
    answer: F,
}

impl<F, S> Service<ChatRequest> for ProviderFn<F>
where
    F: FnMut(ChatRequest) -> S,
    S: TryStream<Ok = ChatEvent>,
    S::Error: Into<BoxError>,
{
    type Response = S;
    type Error = Infallible;
    type Future = Ready<Result<S, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ChatRequest) -> Self::Future {
        ready(Ok((self.answer)(request)))
    }
}

impl<F> fmt::Debug for ProviderFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderFn")
            .field("answer", &format_args!("{}", type_name::<F>()))
            .finish()
    }
}
