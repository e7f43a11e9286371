//! An LLM answer that outlives its connection.
//!
//! `unbroken` is a tower middleware. It wraps any chat-provider service, writes every event of the
//! answer to an append-only log with a log sequence number (LSN), and serves that log as a
//! streaming [`http_body::Body`]. The writer runs in the background and survives every disconnect;
//! any number of readers resume from their last LSN.
//!
//! ```
//! use futures_util::stream;
//! use tower::ServiceBuilder;
//! use unbroken::{
//!     access::AnyoneWithTheId,
//!     chat::{ChatEvent, ProviderError, provider_fn},
//!     durable::DurableLayer,
//!     session::Sessions,
//!     store::Memory,
//! };
//!
//! let sessions = Sessions::builder(Memory::new()).build();
//! let chat = ServiceBuilder::new()
//!     .layer(DurableLayer::new(sessions, AnyoneWithTheId::new())) // http in, durable stream out
//!     .service(provider_fn(|_request| {
//!         stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))])
//!     }));
//! let app: axum::Router = unbroken_axum::mount("/api/chat", chat);
//! ```
//!
//! # Where to look
//!
//! | module | what it is for |
//! |---|---|
//! | [`durable`] | the layer: HTTP in, a durable stream out |
//! | [`access`] | who may start, read, stop, delete and list |
//! | [`chat`] | requests, events, transcripts, and what a provider is |
//! | [`provider`] | providers: `OpenAi`, `Ollama`, `Scripted`, and a router by model; layers between |
//! | [`session`] | the registry [`Sessions`](session::Sessions), for handlers of one's own |
//! | [`store`] | where logs live, and the contract for other people's stores |
//! | [`dialect`] | how clients speak; [`dialect::native`] has the routes |
//! | [`headers`] | names for a CORS layer, and what a compression layer must leave alone |
//! | `tools` | the layer that runs tools, and asks people |
//! | `testing` | conformance suites, and a store that fails on purpose |
//!
//! # Features
//!
//! None is on by default.
//!
//! * `ag-ui`, `ai-sdk`, `durable-streams`, `openai-responses`: [`dialect`]`::AgUi`, `::AiSdk`,
//!   `::DurableStreams` and `::OpenAiResponses`, for clients that exist.
//! * `disk`: [`store`]`::Disk`, which keeps logs in files of its own.
//! * `ollama`: [`provider`]`::Ollama`, Ollama's own protocol.
//! * `openai`: [`provider`]`::OpenAi`, any server that speaks Chat Completions.
//! * `scripted`: [`provider`]`::Scripted`, which says what it is told, for tests and demos.
//! * `testing`: the module of that name.
//! * `tools`: the module of that name.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod access;
pub mod chat;
pub mod dialect;
pub mod durable;
pub mod headers;
pub mod log;
pub mod provider;
pub mod session;
pub mod store;

#[cfg(feature = "tools")]
#[cfg_attr(docsrs, doc(cfg(feature = "tools")))]
pub mod tools;

#[doc(no_inline)]
pub use self::{durable::DurableLayer, session::Sessions};

/// A boxed error, as in tower.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A boxed future, the return type of the object-safe traits.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;

/// The examples of the README are compiled.
#[cfg(all(doctest, feature = "openai", feature = "tools"))]
#[doc = include_str!("../README.md")]
struct Readme;
