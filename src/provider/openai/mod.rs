//! A provider for any server that speaks OpenAI's Chat Completions, streaming: OpenAI, OpenRouter,
//! vLLM, llama.cpp, LM Studio, Ollama under `/v1`, and many more.
//!
//! ```no_run
//! use unbroken::provider::OpenAi;
//!
//! # fn main() -> Result<(), unbroken::provider::openai::ConfigError> {
//! let from_the_environment = OpenAi::from_env()?;
//! let local = OpenAi::builder()
//!     .base_url("http://127.0.0.1:8080/v1")
//!     .model("qwen3")
//!     .field("temperature", 0.2)
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! # What comes out
//!
//! Text, reasoning (`reasoning_content` or `reasoning`) as thinking, the tool calls of the turn put
//! together into one `tool_calls` event, and `complete` with usage and finish reason. The request's
//! `systemPrompt` goes in as the first message, its `model` instead of the provider's own, its
//! `isomorphicTools` as functions.
//!
//! # When it fails
//!
//! Errors are [`ProviderError`](crate::chat::ProviderError)s whose public messages say what clients
//! can do, never what the server said: no response body, address or key. An answer that breaks off
//! without finish reason or `[DONE]` is [cut](crate::chat::ProviderError::cut). Silence, before the
//! response or between two events, ends in [`ErrorCode::Timeout`](crate::chat::ErrorCode::Timeout).
//! Comments that a proxy sends to keep a connection open don't break the silence.
//!
//! Nothing is retried here: put a layer around it that does. Redirects are not followed. Dropping
//! the future or the stream closes the connection, by which servers know to stop.

mod build;
mod capped;
mod failure;
mod future;
mod request;
mod service;
mod stream;
mod turn;
mod wire;

pub use self::{
    build::{ConfigError, OpenAiBuilder},
    future::ResponseFuture,
    service::OpenAi,
    stream::OpenAiStream,
};
