//! [`unbroken`] for plain hyper: a server with limits and a graceful shutdown.
//!
//! A durable service is a tower service, and hyper serves it unchanged. This crate adds:
//!
//! * [`serve`] accepts clients, over HTTP/1.1 and HTTP/2 on one port, and shuts down in a defined
//!   order;
//! * [`ServerLimits`] bound the resources of a client;
//! * [`mount`] puts a service below a path, beside another service;
//! * [`Listener`] is the trait to implement for TLS, and [`Peer`] the address of a request's client;
//! * [`serve_connection`] serves one connection of another accept loop.
//!
//! ```
//! use std::time::Duration;
//!
//! use futures_util::stream;
//! use tokio::net::TcpListener;
//! use tower::Layer;
//! use unbroken::{
//!     access::AnyoneWithTheId,
//!     chat::{ChatEvent, ProviderError, provider_fn},
//!     durable::DurableLayer,
//!     session::Sessions,
//! };
//!
//! # async fn asked_to_stop() {}
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! let provider = provider_fn(|_request| {
//!     stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))])
//! });
//! let sessions = Sessions::in_memory();
//! let chat = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new()).layer(provider);
//!
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! unbroken_hyper::serve(listener, unbroken_hyper::mount("/api/chat", chat))
//!     .with_graceful_shutdown(asked_to_stop())
//!     .hand_over(sessions, Duration::from_secs(5))
//!     .await;
//! # Ok(()) }
//! ```
//!
//! # Existing services
//!
//! A service that streams becomes durable by a layer around it:
//!
//! ```
//! use std::convert::Infallible;
//!
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use hyper::{Request, Response, body::Incoming};
//! use tower::{Layer, service_fn};
//! use unbroken::{access::AnyoneWithTheId, record::{InnerBody, RecordLayer}, session::Sessions};
//!
//! let ask = service_fn(|_: Request<InnerBody<Incoming>>| async {
//!     let events = Full::new(Bytes::from("data: Hel\n\ndata: lo\n\n"));
//!     let response = Response::builder().header("content-type", "text/event-stream");
//!     Ok::<_, Infallible>(response.body(events).expect("these headers are valid"))
//! });
//! let ask = RecordLayer::new(Sessions::in_memory(), AnyoneWithTheId::new()).layer(ask);
//! let app = unbroken_hyper::mount("/ask", ask);
//! # fn serves<T: tower::Service<Request<Incoming>>>(_: T) {}
//! # serves(app);
//! ```
//!
//! The module [`record`](unbroken::record) says what clients send.
//!
//! # With axum and warp
//!
//! `axum::serve` and `warp::serve` have no time limits for clients. [`serve`] takes an `axum::Router`, and a
//! filter of warp as `warp::service(filter)`, as any other service.
//!
//! # Without this crate
//!
//! `hyper_util::service::TowerToHyperService` converts a durable service into one of hyper; nothing
//! else needs converting. The application then provides four things:
//!
//! * a timer: without one hyper's builders have no timeouts, and panic where a timeout is set;
//! * `TCP_NODELAY`: without it events wait for acknowledgements;
//! * [`DurableLayer::public_path`](unbroken::durable::DurableLayer::public_path) or a
//!   [`MountPath`](unbroken::durable::MountPath): without them responses have no `Location`;
//! * on shutdown, [`Sessions::shutdown`](unbroken::session::Sessions::shutdown) beside
//!   `graceful_shutdown` of the connections: without it these wait for the longest answer.
//!
//! ```
//! use hyper_util::{
//!     rt::{TokioExecutor, TokioIo, TokioTimer},
//!     server::conn::auto,
//!     service::TowerToHyperService,
//! };
//! # use futures_util::stream;
//! # use tower::Layer;
//! # use unbroken::{
//! #     access::AnyoneWithTheId, chat::{ChatEvent, ProviderError, provider_fn},
//! #     durable::DurableLayer, session::Sessions,
//! # };
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! # let provider = provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hi"))]));
//! # let chat = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new())
//! #     .public_path("/").layer(provider);
//! # let (stream, mut client) = tokio::io::duplex(64 * 1024);
//! # use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
//! # client.write_all(b"OPTIONS / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
//!
//! let mut builder = auto::Builder::new(TokioExecutor::new());
//! builder.http1().timer(TokioTimer::new());
//! let service = TowerToHyperService::new(chat);
//! let ended = builder.serve_connection(TokioIo::new(stream), service).await;
//! # ended.unwrap();
//! # let mut answer = String::new();
//! # client.read_to_string(&mut answer).await.unwrap();
//! # assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
//! # }
//! ```

mod accept;
mod activity;
mod connection;
mod counted;
mod held_data;
mod limits;
mod listener;
mod mount;
mod peer;
mod response_buffer;
mod serve;
mod server;
mod stream_task;
mod write_timeout;

pub use self::{
    connection::{Connection, ConnectionError, serve_connection},
    limits::ServerLimits,
    listener::Listener,
    mount::{Mount, MountFuture, NotFound, mount},
    peer::Peer,
    serve::{Serve, Serving, serve},
};

/// The examples of the README are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
