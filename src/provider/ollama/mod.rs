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
//! its tools become functions, and its messages include calls and results of tools. The reasoning of the
//! model goes back as `thinking`; the model's template decides which of it the model sees again. The
//! [module of providers](super#what-each-provider-carries) lists the media and options that are sent.
//!
//! # The answer
//!
//! The answer has text, thinking (by option also text between `<think>` tags), the tool calls of the
//! turn as one `tool_calls` event, and `complete` with usage and finish reason. Calls without an id, as
//! older versions send them, get one. The server sends each call whole, so there is no `tool_input`.
//! Pictures of the model (`images`) are `media`. The answer is complete when the server sends `done`. Without a
//! `done_reason` its finish reason is `unknown`; `load` and `unload`, which answer nothing, are kept. One that is
//! a [failure](crate::chat::FinishReason::is_failure) is an error. The `response` of a line of `/api/generate` is
//! text.
//!
//! There is a `tool_calls` event only if the reason is `stop`. After `length` the last call may be half
//! of one, and calls are dropped.
//!
//! Lines are read as Ollama's own packages read them: a line with an `error` is an error, and an end
//! without `done` a cut. A line that isn't JSON is an error too, which Ollama's package for JavaScript
//! skips. Counts, reasons and ids of odd types are dropped, and each is traced once an answer.
//!
//! A server that doesn't stream is understood too: a whole answer in JSON is the answer, at once.
//! [`http`](super::http) describes errors and retries. A model that doesn't exist, or doesn't
//! support tools or thinking, is an error that says so.

mod builder;
mod config;
mod decoder;
mod protocol;
mod request;
mod service;
mod wire;

pub use self::{builder::OllamaBuilder, service::Ollama};
