//! A provider for [Ollama](https://ollama.com)'s own protocol, `/api/chat`.
//!
//! ```no_run
//! use unbroken::provider::Ollama;
//!
//! # fn main() -> Result<(), unbroken::provider::http::ConfigError> {
//! let from_the_environment = Ollama::from_env()?;
//! let thinker = Ollama::builder()
//!     .model("qwen3")
//!     .option("num_ctx", 16_384)
//!     .field("think", true)
//!     .field("keep_alive", "30m")
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! Against `/v1` of the same server, which [`OpenAi`](super::OpenAi) speaks, it has Ollama's options
//! (`num_ctx` above all: a conversation that is longer than the context is silently cut at its
//! front), `think` and `keep_alive`.
//!
//! # What goes in
//!
//! The request's `systemPrompt` as the first message, its `model` instead of the provider's own, its
//! tools as functions, and its messages with the calls and results of tools.
//!
//! # What comes out
//!
//! Text, thinking, the tool calls of the turn as one `tool_calls` event, and `complete` with usage
//! and finish reason. Calls without an id, which older versions make, get one. The answer is whole
//! where the server said `done`.
//!
//! How it fails, and when it is tried again, stands in [`http`](super::http). A model that isn't
//! there, or that can't do what is asked of it (tools, thinking), is said so.

mod builder;
mod config;
mod decoder;
mod request;
mod service;
mod wire;

pub use self::{builder::OllamaBuilder, service::Ollama};
