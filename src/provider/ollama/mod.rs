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
//! Compared with `/v1` of the same server, which [`OpenAi`](super::OpenAi) speaks, it has Ollama's
//! options, `think` and `keep_alive`. The most important option is `num_ctx`: Ollama cuts a
//! conversation that is longer than the context at its front, without an error.
//!
//! # The request
//!
//! The request's `systemPrompt` becomes the first message, its `model` replaces the provider's own,
//! its tools become functions, and its messages include calls and results of tools.
//!
//! # The answer
//!
//! The answer has text, thinking, the tool calls of the turn as one `tool_calls` event, and
//! `complete` with usage and finish reason. Calls without an id, as older versions send them, get
//! one. The answer is complete when the server sends `done`.
//!
//! [`http`](super::http) describes errors and retries. A model that doesn't exist, or doesn't
//! support tools or thinking, is an error that says so.

mod builder;
mod config;
mod decoder;
mod request;
mod service;
mod wire;

pub use self::{builder::OllamaBuilder, service::Ollama};
