//! The tower layer: HTTP in, a durable stream out.
//!
//! [`DurableLayer`] wraps a provider, which is any `tower` service from a
//! [`ChatRequest`](crate::chat::ChatRequest) to a stream of [`ChatEvent`](crate::chat::ChatEvent)s.
//! What comes of it is a service from HTTP requests to HTTP responses that any framework mounts. The
//! answer is written to a log by a task in the background, so that no disconnect ends it and every
//! reader can resume. The [native dialect](crate::dialect::native) has the routes.
//!
//! ```
//! use axum::Router;
//! use futures_util::stream;
//! use tower_layer::Layer;
//! use unbroken::{
//!     access::AnyoneWithTheId,
//!     chat::{ChatEvent, ProviderError, provider_fn},
//!     durable::DurableLayer,
//!     session::Sessions,
//! };
//!
//! let provider = provider_fn(|_request| {
//!     stream::iter(["Hel", "lo"].map(|piece| Ok::<_, ProviderError>(ChatEvent::text(piece))))
//! });
//! let chat = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new()).layer(provider);
//! let app: Router = Router::new().nest_service("/api/chat", chat);
//! ```
//!
//! # What holds
//!
//! * The response's head leaves as soon as the session exists, before the provider was called.
//! * What can be refused is refused with a status code before the session exists; after that a
//!   failure is the terminal event.
//! * A body ends only after the terminal event. One that can't go on fails, so that clients can tell
//!   a cut from an end.
//! * Dropping a body, or the response's future, doesn't stop the session. `POST /{id}/abort` does.
//!
//! # Middleware around it
//!
//! Layers outside see one response per reader: a timeout there cuts readers, not answers. Layers
//! inside, between this one and the provider, see one request per session; `ConcurrencyLimit` and
//! `Timeout` of tower cover the call, not the stream behind it, so that they cover nothing of a
//! [`provider_fn`](crate::chat::provider_fn), whose call is ready at once: use the
//! [`Limits`](crate::session::Limits) of the registry. Keep compression off the streams with
//! [`headers::may_compress`](crate::headers::may_compress).

mod abort;
mod admission;
mod answers;
mod body;
mod client_fields;
mod config;
mod digest;
mod exchange;
mod format;
mod full_log;
mod hooks;
mod inputs;
mod layer;
mod lookup;
mod mount;
mod provider_recovery;
mod read;
mod recovery;
mod refusals;
mod reply;
mod request_body;
mod service;
mod session_stream;
mod source;
mod start;
mod stored_request;

pub use self::{
    body::{BodyError, SessionBody},
    client_fields::ClientFields,
    digest::digest_of,
    format::ChatFormat,
    hooks::{SessionEnded, SessionStarted},
    inputs::SessionInputs,
    layer::DurableLayer,
    mount::MountPath,
    recovery::{Interrupted, Recovery, RecoveryPolicy},
    reply::Reply,
    service::{DurableService, ResponseFuture},
    source::ProviderSource,
};
