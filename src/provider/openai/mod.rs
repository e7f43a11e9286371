//! A provider for servers that speak OpenAI's Chat Completions with streaming: OpenAI, OpenRouter,
//! vLLM, llama.cpp, LM Studio, Ollama under `/v1`, and many more.
//!
//! ```no_run
//! use unbroken::provider::OpenAi;
//!
//! # fn main() -> Result<(), unbroken::provider::http::ConfigError> {
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
//! # The request
//!
//! The request's `systemPrompt` becomes the first message, its `model` replaces the provider's own,
//! its tools become functions, and its messages include calls and results of tools. Arguments are
//! sent as the JSON of an object, whatever the model wrote: the templates of local models fail on
//! anything else.
//!
//! # The answer
//!
//! The answer has text, reasoning (`reasoning_content` or `reasoning`) as thinking, the tool calls
//! of the turn combined into one `tool_calls` event, and `complete` with usage and finish reason.
//! Calls are told apart by index and id, or by their arguments if the server sends the same index
//! and id for every call, or none. A call without an id gets one.
//!
//! The answer is complete with a finish reason or `[DONE]`. The usage comes after the finish
//! reason, so a connection that breaks between the two loses the usage, not the answer.
//!
//! [`http`](super::http) describes errors and retries.

mod builder;
mod calls;
mod config;
mod decoder;
mod request;
mod service;
mod turn;
mod wire;

pub use self::{builder::OpenAiBuilder, service::OpenAi};
