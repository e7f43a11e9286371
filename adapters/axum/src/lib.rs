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
//! # Existing routes
//!
//! A handler that answers [`Sse`](axum::response::Sse) becomes durable by one line, and needs no change:
//!
//! ```
//! # use std::convert::Infallible;
//! use axum::{Router, response::sse::{Event, Sse}, routing::post};
//! use futures_util::stream::{self, Stream};
//! use unbroken::{access::AnyoneWithTheId, record::RecordLayer, session::Sessions};
//!
//! async fn ask(question: String) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
//!     Sse::new(stream::iter([Ok(Event::default().data(question))]))
//! }
//!
//! let app: Router = Router::new()
//!     .route("/ask", post(ask))
//!     .layer(RecordLayer::new(Sessions::in_memory(), AnyoneWithTheId::new()));
//! ```
//!
//! `Router::route_layer` and `MethodRouter::layer` take the layer too. `MethodRouter::route_layer` is not enough: the `GET`
//! that resumes doesn't pass it. The module [`record`](unbroken::record) says what clients send.
//!
//! # Deployment
//!
//! `axum::serve` has no time limits for clients. A connection with half a request head, or with a response
//! that is never read, stays until the client closes it; some thousands use up the file descriptors of a
//! server. Serve the router by `unbroken_hyper::serve`, which closes them and has other limits too:
//!
//! ```no_run
//! # use std::time::Duration;
//! # use unbroken::session::Sessions;
//! # async fn signal() {}
//! # async fn serves(
//! #     listener: tokio::net::TcpListener, app: axum::Router, sessions: Sessions,
//! # ) {
//! unbroken_hyper::serve(listener, app)
//!     .with_graceful_shutdown(signal()) // of the application, such as `tokio::signal::ctrl_c`
//!     .hand_over(sessions, Duration::from_secs(5))
//!     .await;
//! # }
//! ```
//!
//! New sessions are refused after the signal, and running ones may finish until the deadline. Then their
//! bodies fail, so that clients resume on another server.
//!
//! The address of a client is the extension `unbroken_hyper::Peer<SocketAddr>`. For handlers that extract
//! axum's `ConnectInfo<SocketAddr>`, a layer copies it:
//!
//! ```
//! use std::net::SocketAddr;
//! use axum::{Router, extract::{ConnectInfo, Request}, middleware::map_request};
//! use unbroken_hyper::Peer;
//!
//! async fn connect_info(mut request: Request) -> Request {
//!     let peer = request.extensions().get::<Peer<SocketAddr>>().copied();
//!     if let Some(Peer(address)) = peer {
//!         request.extensions_mut().insert(ConnectInfo(address));
//!     }
//!     request
//! }
//!
//! let app: Router = Router::new().layer(map_request(connect_info));
//! ```
//!
//! Behind a proxy with limits of its own, `axum::serve` does too. It doesn't set `TCP_NODELAY` on its
//! sockets, so a token may wait until the client has acknowledged the token before it, and its graceful
//! shutdown waits for every body. Set the option, and await
//! [`Sessions::shutdown`](unbroken::session::Sessions::shutdown), which ends the bodies:
//!
//! ```no_run
//! use axum::serve::ListenerExt;
//! # use std::time::Duration;
//! # use unbroken::session::Sessions;
//! # async fn signal() {}
//! # async fn serves(app: axum::Router, sessions: Sessions) -> std::io::Result<()> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
//! axum::serve(listener, app)
//!     .with_graceful_shutdown(async move {
//!         signal().await;
//!         sessions.shutdown(Duration::from_secs(5)).await;
//!     })
//!     .await
//! # }
//! ```

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
