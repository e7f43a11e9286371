//! [`unbroken`] for axum.
//!
//! A durable service mounts unchanged, with axum's own `nest_service`. This crate adds:
//!
//! * [`mount`] nests a service so that its `Location` and `Content-Location` headers have the whole
//!   path;
//! * [`identify_with`] names a session's owner by any extractor, and keeps its rejection;
//! * [`RequestSessionId`], [`RequestCursor`] and [`Resume`] are extractors for the application's own
//!   handlers, with [`Rejection`]s as `application/problem+json`;
//! * [`SessionResponse`] is the response of such a handler.
//!
//! ```
//! use axum::Router;
//! use futures_util::stream;
//! use tower::Layer;
//! use unbroken::{access::OnlyTheOwner, chat::{ChatEvent, ProviderError, provider_fn}, durable::DurableLayer, session::Sessions};
//! # #[derive(Clone)] struct User(String);
//! # impl<S: Sync> axum::extract::FromRequestParts<S> for User {
//! #     type Rejection = http::StatusCode;
//! #     async fn from_request_parts(
//! #         parts: &mut http::request::Parts, _: &S,
//! #     ) -> Result<Self, http::StatusCode> {
//! #         parts.extensions.get().cloned().ok_or(http::StatusCode::UNAUTHORIZED)
//! #     }
//! # }
//!
//! let provider = provider_fn(|_request| {
//!     stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))])
//! });
//! // `User` is an extractor of the application, with a rejection of its own.
//! let access = OnlyTheOwner::new(unbroken_axum::identify_with(|user: User| user.0));
//! let chat = DurableLayer::new(Sessions::in_memory(), access).layer(provider);
//! let app: Router = unbroken_axum::mount("/api/chat", chat);
//! ```
//!
//! `axum::serve` does not set `TCP_NODELAY` on its sockets, so a token may wait until the client has
//! acknowledged the token before it. Set the option:
//!
//! ```no_run
//! use axum::serve::ListenerExt;
//! # async fn serves(app: axum::Router) -> std::io::Result<()> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
//! axum::serve(listener, app).await
//! # }
//! ```
//!
//! # Shutdown
//!
//! axum's graceful shutdown waits for every body. Await
//! [`Sessions::shutdown`](unbroken::session::Sessions::shutdown), which ends the bodies, in the future
//! that is passed to `with_graceful_shutdown`:
//!
//! ```no_run
//! # use std::time::Duration;
//! # use unbroken::session::Sessions;
//! # async fn signal() {}
//! # async fn serves(
//! #     listener: tokio::net::TcpListener, app: axum::Router, sessions: Sessions,
//! # ) -> std::io::Result<()> {
//! axum::serve(listener, app)
//!     .with_graceful_shutdown(async move {
//!         signal().await; // of the application, such as `tokio::signal::ctrl_c`
//!         sessions.shutdown(Duration::from_secs(5)).await;
//!     })
//!     .await
//! # }
//! ```
//!
//! New sessions are refused, and running ones may finish until the deadline. Then their bodies fail, so
//! that clients resume on another server.

mod cursor;
mod identify;
mod mount;
mod rejection;
mod response;
mod resume;
mod session_id;

pub use self::{
    cursor::RequestCursor,
    identify::{IdentifyWith, identify_with},
    mount::{Mounted, mount},
    rejection::Rejection,
    response::SessionResponse,
    resume::Resume,
    session_id::RequestSessionId,
};

/// The examples of the README are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
