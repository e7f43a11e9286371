//! An LLM answer that outlives its connection.
//!
//! `unbroken` is a tower middleware. It wraps any chat-provider service, writes every event of the
//! answer to an append-only log under a log sequence number (LSN), and serves that log as a
//! streaming [`http_body::Body`]. The writer runs in the background and survives every disconnect.
//! Any number of readers resume, each after the last LSN that it has.
//!
//! ```
//! use futures_util::stream;
//! use tower::ServiceBuilder;
//! use unbroken::{
//!     DurableLayer, Sessions,
//!     access::AnyoneWithTheId,
//!     chat::{ChatEvent, ProviderError, provider_fn},
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
//! # Modules
//!
//! | module | contents |
//! |---|---|
//! | [`durable`] | the layer that makes a durable HTTP service of a provider |
//! | [`access`] | policies, which authorise starts, reads, aborts, deletes and lists |
//! | [`chat`] | requests, events, transcripts, and the contract of a provider |
//! | [`provider`] | providers: `OpenAi`, `Ollama`, `Scripted`, and a router by model |
//! | [`session`] | the registry [`Sessions`], its limits, and readers, for an application's own handlers |
//! | [`store`] | the contract of a store, and the memory store |
//! | [`dialect`] | the protocols of clients; [`dialect::native`] has the routes |
//! | [`log`] | the vocabulary of a log: ids, LSNs, epochs, outcomes |
//! | [`headers`] | header names for a CORS layer, and a predicate for a compression layer |
//! | `tools` | the layer that runs tools and asks the client questions |
//!
//! # Tasks
//!
//! | to | see |
//! |---|---|
//! | mount a chat in a framework | [`durable`], and the crates `unbroken-axum`, `unbroken-warp`, `unbroken-hyper` |
//! | limit what sessions may cost | [`session::Limits`], [`DurableLayer`] |
//! | authorise clients | [`access`] |
//! | resume from a client's cursor | [`dialect::native`]; in a handler of the application's own [`durable::Reply`] |
//! | carry answers on after a crash | [`durable::Recovery`] |
//! | write a provider | [`chat`], [`chat::provider_fn`] |
//! | write a store | [`store::Store`], and the crate `unbroken-conformance`, which tests one |
//! | write a dialect | [`dialect::Dialect`] |
//! | see why a session failed | [`durable::SessionEnded`], [`log::Outcome`]; causes are traced with `tracing` |
//!
//! # Features
//!
//! None is on by default.
//!
//! * `ag-ui`, `ai-sdk`, `durable-streams`, `openai-responses`: [`dialect`]`::AgUi`, `::AiSdk`,
//!   `::DurableStreams` and `::OpenAiResponses`, for existing clients.
//! * `ollama`: [`provider`]`::Ollama`, for Ollama's own protocol.
//! * `openai`: [`provider`]`::OpenAi`, for servers of the Chat Completions protocol.
//! * `scripted`: [`provider`]`::Scripted`, which plays a script, for tests and demos.
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

/// Compiles the examples of the README.
#[cfg(all(doctest, feature = "openai", feature = "tools"))]
#[doc = include_str!("../README.md")]
struct Readme;
