//! A provider for any server that speaks OpenAI's Chat Completions, streaming: OpenAI, OpenRouter,
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
//! # What goes in
//!
//! The request's `systemPrompt` as the first message, its `model` instead of the provider's own, its
//! tools as functions, and its messages with the calls and results of tools. Arguments go back as
//! the JSON of an object, whatever the model once wrote: the templates of local models choke on
//! anything else.
//!
//! # What comes out
//!
//! Text, reasoning (`reasoning_content` or `reasoning`) as thinking, the tool calls of the turn put
//! together into one `tool_calls` event, and `complete` with usage and finish reason. Calls are told
//! apart by index and id, or by their arguments where the server gives every call the same or none;
//! a call without an id gets one.
//!
//! The answer is whole where there was a finish reason or `[DONE]`; the usage comes after the first,
//! so a connection that breaks between the two costs the usage, not the answer.
//!
//! How it fails, and when it is tried again, stands in [`http`](super::http).

mod builder;
mod calls;
mod config;
mod decoder;
mod request;
mod service;
mod turn;
mod wire;

pub use self::{builder::OpenAiBuilder, service::OpenAi};
