//! The tower layer that makes a durable HTTP service of a provider.
//!
//! [`DurableLayer`] wraps a [`Provider`](crate::chat::Provider): a `tower` service from a
//! [`ChatRequest`](crate::chat::ChatRequest) to a stream of [`ChatEvent`](crate::chat::ChatEvent)s.
//! The result is a service from HTTP requests to HTTP responses that any framework mounts. A background
//! task writes the answer to a log, so that no disconnect ends it and every reader can resume. The
//! [native dialect](crate::dialect::native) has the routes.
//!
//! ```
//! use futures_util::stream;
//! use tower::Layer;
//! use unbroken::{
//!     DurableLayer, Sessions,
//!     access::AnyoneWithTheId,
//!     chat::{ChatEvent, ProviderError, provider_fn},
//! };
//!
//! let provider = provider_fn(|_request| {
//!     stream::iter(["Hel", "lo"].map(|piece| Ok::<_, ProviderError>(ChatEvent::text(piece))))
//! });
//! let chat = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new()).layer(provider);
//! let app: axum::Router = unbroken_axum::mount("/api/chat", chat);
//! ```
//!
//! A framework without an adapter mounts the service as it does any other. Set
//! [`DurableLayer::public_path`] or add a [`MountPath`] to the request there: otherwise responses have
//! no `Location` and no `Content-Location`.
//!
//! # Guarantees
//!
//! * The head of a response is sent as soon as the session exists, before the provider is called.
//! * Refusals have a status code and come before the session exists. A later failure is the terminal
//!   event.
//! * A body ends only after the terminal event. A body that can't go on fails, so that clients can tell
//!   a cut from an end.
//! * Dropping a body, or the future of a response, doesn't stop the session. `POST /{id}/abort` does.
//!
//! # Middleware
//!
//! Outer layers see one response per reader: a timeout there cuts readers, not answers. Inner layers,
//! between this one and the provider, see one request per session. There tower's `ConcurrencyLimit` and
//! `Timeout` cover the call, not the stream behind it. They cover nothing of a
//! [`provider_fn`](crate::chat::provider_fn), whose call is ready at once: use the
//! [`Limits`](crate::session::Limits) of the registry instead. A compression layer must leave the
//! streams alone: see [`headers::may_compress`](crate::headers::may_compress).

mod admission;
mod answer_check;
mod answer_usage;
mod answers;
mod body;
mod caller;
mod client_fields;
mod client_outputs;
mod config;
mod creation;
mod declared_tools;
mod decline;
mod digest;
mod event_record;
mod exchange;
mod follow_up;
mod followed_calls;
mod format;
mod full_log;
mod handed_turn;
mod history;
mod hooks;
mod input_budget;
mod inputs;
mod kept_request;
mod layer;
mod lookup;
mod manage;
mod outbox;
mod permission;
mod provider_recovery;
mod question_index;
mod question_wait;
mod questions;
mod read;
mod recovery;
mod recovery_source;
mod recovery_way;
mod refusals;
mod reply;
mod request_depth;
mod resolved_id;
mod responder;
mod service;
mod source;
mod start;
mod stored_request;
mod successor_ids;
#[cfg(feature = "webhook")]
mod webhook;

#[cfg(feature = "webhook")]
#[cfg_attr(docsrs, doc(cfg(feature = "webhook")))]
pub use self::webhook::{Webhook, WebhookBuilder, WebhookContent, WebhookError, WebhookFailure};
pub use self::{
    body::{BodyError, SessionBody},
    client_fields::{ClientFields, ClientMedia},
    digest::digest_of,
    format::ChatFormat,
    history::{ChatExchange, History, HistoryError},
    hooks::{SessionEnded, SessionStarted},
    inputs::SessionInputs,
    layer::DurableLayer,
    outbox::Outbox,
    recovery::{Interrupted, Recovery},
    recovery_way::RecoveryWay,
    reply::Reply,
    service::{DurableService, ResponseFuture},
    source::ProviderSource,
};
pub use crate::exchange::{CrossSite, MountPath};
