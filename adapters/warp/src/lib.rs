//! [`unbroken`] for warp.
//!
//! A durable service is a `tower` service, and warp has filters. This crate converts the one into the
//! other:
//!
//! * [`mount`] serves a service below a path, and [`mount_with`] hands it the value of another filter;
//! * [`identify_with`] names a session's owner by such a value;
//! * [`session_id`], [`cursor`] and [`resume`] are filters for the application's own routes, with
//!   [`Refused`]s that [`recover`] answers as `application/problem+json`;
//! * [`SessionReply`] is the reply of such a route.
//!
//! ```
//! use futures_util::stream;
//! use tower_layer::Layer;
//! use unbroken::{access::OnlyTheOwner, chat::{ChatEvent, ProviderError, provider_fn}, durable::DurableLayer, session::Sessions};
//! use warp::Filter;
//! # #[derive(Clone)] struct User(String);
//! # fn user() -> impl Filter<Extract = (User,), Error = warp::Rejection> + Copy {
//! #     warp::ext::get::<User>()
//! # }
//!
//! let provider = provider_fn(|_request| {
//!     stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))])
//! });
//! // `user()` is a filter of the application, with rejections of its own.
//! let access = OnlyTheOwner::new(unbroken_warp::identify_with(|user: User| user.0));
//! let chat = DurableLayer::new(Sessions::in_memory(), access).layer(provider);
//! let app = warp::path!("api" / "chat" / ..).and(unbroken_warp::mount_with(chat, user()));
//! # let _ = async { warp::serve(app).run(([127, 0, 0, 1], 3000)).await };
//! ```
//!
//! # Existing routes
//!
//! A route that replies with server-sent events becomes durable as a service of the whole application:
//!
//! ```no_run
//! # use std::convert::Infallible;
//! use futures_util::stream;
//! use tower_layer::Layer;
//! use unbroken::{access::AnyoneWithTheId, record::RecordLayer, session::Sessions};
//! use warp::Filter;
//!
//! # async fn serves(listener: tokio::net::TcpListener) {
//! let ask = warp::path!("ask").and(warp::post()).map(|| {
//!     let events = [Ok::<_, Infallible>(warp::sse::Event::default().data("Hello"))];
//!     warp::sse::reply(stream::iter(events))
//! });
//! let app = RecordLayer::new(Sessions::in_memory(), AnyoneWithTheId::new()).layer(warp::service(ask));
//! unbroken_hyper::serve(listener, app).await;
//! # }
//! ```
//!
//! A tower service that is recorded is [mounted](mount) as any other. Don't mount a `warp::service` inside of a filter: warp
//! doesn't allow that. The module [`record`](unbroken::record) says what clients send.
//!
//! # Deployment
//!
//! `warp::serve` has no time limits for clients. A connection with half a request head, or with a response
//! that is never read, stays until the client closes it; some thousands use up the file descriptors of a
//! server. Serve the filter by `unbroken_hyper::serve`, which closes them, and speaks HTTP/1.1, and HTTP/2
//! to clients that begin with it ("prior knowledge") or that agree on it over TLS:
//!
//! ```no_run
//! # use std::time::Duration;
//! # use unbroken::session::Sessions;
//! # use warp::Filter;
//! # async fn signal() {}
//! # async fn serves(listener: tokio::net::TcpListener, sessions: Sessions) {
//! # let app = warp::any().map(warp::reply);
//! unbroken_hyper::serve(listener, warp::service(app))
//!     .with_graceful_shutdown(signal()) // of the application, such as `tokio::signal::ctrl_c`
//!     .hand_over(sessions, Duration::from_secs(5))
//!     .await;
//! # }
//! ```
//!
//! New sessions are refused after the signal, and running ones may finish until the deadline. Then their
//! bodies fail, so that clients resume on another server.
//!
//! Behind a proxy with limits of its own, `warp::serve` (warp's feature `server`) does too. It logs an
//! error when a client disconnects in the middle of a stream; the session is not affected. It does not
//! set `TCP_NODELAY` on its sockets, so a token may wait until the client has acknowledged the token
//! before it. On Linux the sockets that a listener accepts inherit the option:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! let socket = tokio::net::TcpSocket::new_v4()?;
//! socket.set_nodelay(true)?;
//! socket.bind(([127, 0, 0, 1], 0).into())?;
//! let listener = socket.listen(1024)?;
//! # use warp::Filter;
//! # let app = warp::any().map(warp::reply);
//! # let client = tokio::net::TcpStream::connect(listener.local_addr()?).await?;
//! # let (accepted, _) = listener.accept().await?;
//! # #[cfg(target_os = "linux")] assert!(accepted.nodelay()?);
//! let server = warp::serve(app).incoming(listener);
//! # drop((client, accepted, server)); Ok(()) }
//! ```
//!
//! Its graceful shutdown waits for every body. Await
//! [`Sessions::shutdown`](unbroken::session::Sessions::shutdown), which ends the bodies, in the future
//! that is passed to `graceful`.

mod cursor;
mod head;
mod identify;
mod mount;
mod refused;
mod reply;
mod request_body;
mod response_body;
mod resume;
mod session_id;

pub use self::{
    cursor::cursor,
    identify::{IdentifyByExtension, identify_with},
    mount::{mount, mount_with},
    refused::{Refused, recover},
    reply::SessionReply,
    request_body::RequestBody,
    resume::{ResumeRequest, resume},
    session_id::{optional_session_id, session_id},
};

/// The examples of the README are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
