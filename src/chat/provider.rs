use futures_core::TryStream;
use tower_service::Service;

use super::{ChatEvent, ChatRequest};
use crate::BoxError;

/// A service that answers a [`ChatRequest`] with a stream of [`ChatEvent`]s.
///
/// This trait names the bound that layers put on a provider; it has no methods. Every type that meets
/// the bound implements it, so no other implementation is possible. [The module](super) has the
/// contract of a provider, [`provider_fn`](super::provider_fn) makes one of a closure.
///
/// ```
/// use tower::ServiceBuilder;
/// use unbroken::{
///     Sessions, DurableLayer,
///     access::AnyoneWithTheId,
///     chat::Provider,
///     durable::DurableService,
/// };
///
/// fn durable<P: Provider>(provider: P) -> DurableService<P> {
///     ServiceBuilder::new()
///         .layer(DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new()))
///         .service(provider)
/// }
/// ```
///
/// A provider need not be `Sync`. Frameworks that share a service between threads ask for that of
/// what they mount.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a provider",
    label = "not a `Service<ChatRequest>` that answers with a stream of `ChatEvent`s",
    note = "a provider is `Clone + Send + 'static`; its future is `Send`; its response is a \
            `TryStream<Ok = ChatEvent> + Send`; the errors of both are `Into<BoxError>`",
    note = "`unbroken::chat::provider_fn(|request| stream)` makes a provider of a closure"
)]
pub trait Provider:
    Service<
        ChatRequest,
        Response: TryStream<Ok = ChatEvent, Error: Into<BoxError>> + Send,
        Error: Into<BoxError>,
        Future: Send,
    > + Clone
    + Send
    + 'static
{
}

impl<P> Provider for P where
    P: Service<
            ChatRequest,
            Response: TryStream<Ok = ChatEvent, Error: Into<BoxError>> + Send,
            Error: Into<BoxError>,
            Future: Send,
        > + Clone
        + Send
        + 'static
{
}
