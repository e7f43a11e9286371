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
//! | [`record`] | the layer that makes an existing streaming route durable |
//! | [`session`] | the registry [`Sessions`], its limits, and readers, for an application's own handlers |
//! | [`store`] | the contract of a store, and the memory store |
//! | [`dialect`] | the protocols of clients; [`dialect::native`] has the routes |
//! | [`log`] | the vocabulary of a session's log (not logging): ids, LSNs, epochs, outcomes |
//! | [`headers`] | header names for a CORS layer, and a predicate for a compression layer |
#![cfg_attr(
    feature = "tools",
    doc = "| [`tools`] | the layer that runs tools and asks the client questions |"
)]
#![cfg_attr(
    not(feature = "tools"),
    doc = "| `tools` | the layer that runs tools and asks the client questions |"
)]
//!
//! # Tasks
//!
//! | to | see |
//! |---|---|
//! | mount a chat in a framework | [`durable`], and the crates [`unbroken-axum`], [`unbroken-warp`], [`unbroken-hyper`] |
//! | make an existing route durable | [`RecordLayer`] |
//! | limit what sessions may cost | [`session::Limits`] with [`SessionsBuilder::limits`](session::SessionsBuilder::limits), [`DurableLayer::max_body`], and `ServerLimits` of [`unbroken-hyper`] |
//! | authorise clients | [`access`] |
//! | resume from a client's cursor | [`dialect::native`]; in a handler of the application's own [`durable::Reply`] |
//! | continue answers after a crash | [`durable::Recovery`] |
//! | deliver usage and history reliably | [`durable::Outbox`] |
//! | stop a server | [`Sessions::shutdown`] |
//! | answer a readiness probe | [`Sessions::health`] |
//! | write a provider | [a guide](provider#writing-a-provider), and [the contract](chat#providers) |
//! | write a store | [`store::Store`], and the crate [`unbroken-conformance`], which tests one |
//! | write a dialect | [`dialect::Dialect`] |
//! | see why a session failed | [`DurableLayer::on_end`], [`durable::SessionEnded`], [`chat::Transcript::ending`]; [tracing](#tracing) for the cause |
//!
//! The examples use the crates `axum` 0.8, `bytes`, `futures-util`, `http`, `serde` (with `derive`),
//! `tokio` and `tower` 0.5 (with `util`) beside this one; those of `tools` also `schemars` 1 and
//! `serde_json`.
//!
//! # Tracing
//!
//! Failures and their causes are traced with `tracing`; clients receive a public message only. The
//! target of an entry is the path of its module: `unbroken=debug` as a filter shows all of this crate,
//! `unbroken_disk`, `unbroken_redis`, `unbroken_postgres` and `unbroken_hyper` name the others.
//!
//! | level | entries |
//! |---|---|
//! | error | a corrupt log or another call that the store refused, a panic of a source, a tool or a recovery handler, an answer or a request that can't be stored |
//! | warn | a provider or a tool that failed, with the cause; a provider that is not ready; a call that the store failed or did not answer, with the cause, once a second for each; a writer that lost its session to another server; a log that `on_end` couldn't read |
//! | info | an interrupted answer that is continued or ended; a store that answers again |
//! | debug | a refused request, a request body that was cut, a retried call of a model's server, the end of a session |
//!
//! A session runs in the span that was current at its start, such as that of tower-http's
//! `TraceLayer`: put there what identifies a request. A tool runs in a span `tool` of level
//! info.
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | item | |
//! |---|---|---|
#![cfg_attr(
    feature = "ag-ui",
    doc = "| `ag-ui` | [`dialect::AgUi`] | the dialect of AG-UI |"
)]
#![cfg_attr(
    not(feature = "ag-ui"),
    doc = "| `ag-ui` | `dialect::AgUi` | the dialect of AG-UI |"
)]
#![cfg_attr(
    feature = "ai-sdk",
    doc = "| `ai-sdk` | [`dialect::AiSdk`] | the dialect of the AI SDK |"
)]
#![cfg_attr(
    not(feature = "ai-sdk"),
    doc = "| `ai-sdk` | `dialect::AiSdk` | the dialect of the AI SDK |"
)]
#![cfg_attr(
    feature = "durable-streams",
    doc = "| `durable-streams` | [`dialect::DurableStreams`] | the read side of Durable Streams, as a dialect |"
)]
#![cfg_attr(
    not(feature = "durable-streams"),
    doc = "| `durable-streams` | `dialect::DurableStreams` | the read side of Durable Streams, as a dialect |"
)]
#![cfg_attr(
    feature = "metrics",
    doc = "| `metrics` | [`metrics`] | what a server does, as metrics |"
)]
#![cfg_attr(
    not(feature = "metrics"),
    doc = "| `metrics` | `metrics` | what a server does, as metrics |"
)]
#![cfg_attr(
    feature = "ollama",
    doc = "| `ollama` | [`provider::Ollama`] | Ollama's own protocol |"
)]
#![cfg_attr(
    not(feature = "ollama"),
    doc = "| `ollama` | `provider::Ollama` | Ollama's own protocol |"
)]
#![cfg_attr(
    feature = "openai",
    doc = "| `openai` | [`provider::OpenAi`] | servers of the Chat Completions protocol |"
)]
#![cfg_attr(
    not(feature = "openai"),
    doc = "| `openai` | `provider::OpenAi` | servers of the Chat Completions protocol |"
)]
#![cfg_attr(
    feature = "openai-responses",
    doc = "| `openai-responses` | [`dialect::OpenAiResponses`] | the dialect of OpenAI's Responses API |"
)]
#![cfg_attr(
    not(feature = "openai-responses"),
    doc = "| `openai-responses` | `dialect::OpenAiResponses` | the dialect of OpenAI's Responses API |"
)]
#![cfg_attr(
    feature = "openai-responses-upstream",
    doc = "| `openai-responses-upstream` | [`provider::ResponsesUpstream`] | servers of OpenAI's Responses API |"
)]
#![cfg_attr(
    not(feature = "openai-responses-upstream"),
    doc = "| `openai-responses-upstream` | `provider::ResponsesUpstream` | servers of OpenAI's Responses API |"
)]
#![cfg_attr(
    feature = "scripted",
    doc = "| `scripted` | [`provider::Scripted`] | a provider that plays a script, for tests and demos |"
)]
#![cfg_attr(
    not(feature = "scripted"),
    doc = "| `scripted` | `provider::Scripted` | a provider that plays a script, for tests and demos |"
)]
#![cfg_attr(
    feature = "tools",
    doc = "| `tools` | [`tools`] | the layer that runs tools |"
)]
#![cfg_attr(
    not(feature = "tools"),
    doc = "| `tools` | `tools` | the layer that runs tools |"
)]
#![cfg_attr(
    feature = "webhook",
    doc = "| `webhook` | [`durable::Webhook`] | a handler of endings that calls a URL, by Standard Webhooks |"
)]
#![cfg_attr(
    not(feature = "webhook"),
    doc = "| `webhook` | `durable::Webhook` | a handler of endings that calls a URL, by Standard Webhooks |"
)]
#![cfg_attr(
    feature = "unbroken-upstream",
    doc = "| `unbroken-upstream` | [`provider::UnbrokenUpstream`] | another server of this library |"
)]
#![cfg_attr(
    not(feature = "unbroken-upstream"),
    doc = "| `unbroken-upstream` | `provider::UnbrokenUpstream` | another server of this library |"
)]
//!
//! [`unbroken-axum`]: https://docs.rs/unbroken-axum
//! [`unbroken-warp`]: https://docs.rs/unbroken-warp
//! [`unbroken-hyper`]: https://docs.rs/unbroken-hyper
//! [`unbroken-conformance`]: https://docs.rs/unbroken-conformance
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod access;
pub mod chat;
pub mod dialect;
pub mod durable;
mod exchange;
pub mod headers;
pub mod log;
#[cfg(not(feature = "metrics"))]
mod metrics;
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub mod metrics;
pub mod provider;
pub mod record;
pub mod session;
pub mod store;

#[cfg(feature = "tools")]
#[cfg_attr(docsrs, doc(cfg(feature = "tools")))]
pub mod tools;

#[doc(no_inline)]
pub use self::{durable::DurableLayer, record::RecordLayer, session::Sessions};

/// A boxed error, as in tower.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A boxed future, the return type of the object-safe traits.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;

/// Compiles the examples of the README.
#[cfg(all(
    doctest,
    feature = "ai-sdk",
    feature = "openai",
    feature = "openai-responses",
    feature = "tools"
))]
#[doc = include_str!("../README.md")]
struct Readme;
