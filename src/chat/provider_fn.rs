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

/// Makes a provider of a closure that returns a stream of events.
///
/// The provider is always ready, and its call completes at once; waiting happens in the stream.
/// tower's `Timeout` and `ConcurrencyLimit` cover the call, so they have no effect here: use the
/// [limits](crate::session::Limits) of the registry.
///
/// ```
/// use futures_util::stream;
/// use unbroken::chat::{ChatEvent, ChatRequest, Message, ProviderError, provider_fn};
///
/// let echo = provider_fn(|request: ChatRequest| {
///     let said = request.last_user_message().map(Message::text).unwrap_or_default();
///     let words: Vec<_> = said.split_inclusive(' ').map(ChatEvent::text).collect();
///     stream::iter(words.into_iter().map(Ok::<_, ProviderError>))
/// });
/// # fn provider<S>(_: S) where S: tower_service::Service<ChatRequest> + Clone + Send + Sync {}
/// # provider(echo);
/// ```
///
/// If the provider has to wait before the stream begins, an `async fn` in a `tower::service_fn` is
/// a provider too, and tower's layers cover the wait. Its errors are
/// [`ProviderError`](super::ProviderError)s or those of tower's layers; `map_err` gives the latter
/// a message for clients:
///
/// ```
/// use std::time::Duration;
///
/// use futures_util::{Stream, stream};
/// use tower::{BoxError, ServiceBuilder, timeout::error::Elapsed};
/// use unbroken::{chat::{ChatEvent, ChatRequest, ProviderError}, log::ErrorCode};
///
/// async fn ask(
///     request: ChatRequest,
/// ) -> Result<impl Stream<Item = Result<ChatEvent, ProviderError>>, ProviderError> {
///     let _said = request.last_user_message(); // connect, send it, wait for the head …
///     Ok(stream::iter([Ok(ChatEvent::text("Hello"))]))
/// }
///
/// fn public(error: BoxError) -> BoxError {
///     if !error.is::<Elapsed>() {
///         return error;
///     }
///     ProviderError::new("the model took too long; try again")
///         .with_code(ErrorCode::Timeout)
///         .recoverable(true)
///         .with_source(error)
///         .into()
/// }
///
/// let provider = ServiceBuilder::new()
///     .map_err(public)
///     .timeout(Duration::from_secs(30)) // until `ask` is done, not until its stream is
///     .service_fn(ask);
/// # fn provider_is<S>(_: S) where S: tower_service::Service<ChatRequest> + Clone + Send + Sync {}
/// # provider_is(provider);
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
