//! What is said in a chat: requests, events, and what a provider is.
//!
//! # Providers
//!
//! A provider is any [`Service<ChatRequest>`](tower_service::Service) whose response is a
//! [`TryStream`](futures_core::TryStream) of [`ChatEvent`]s; the errors of both convert into
//! [`BoxError`](crate::BoxError), so that tower's own layers (timeouts, limits, retries) go around
//! one. [`provider_fn`] makes one of a closure:
//!
//! ```
//! use futures_util::{StreamExt, stream};
//! use tower::{ServiceBuilder, ServiceExt};
//! use unbroken::chat::{ChatEvent, ChatRequest, ProviderError, provider_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), unbroken::BoxError> {
//! let polite = provider_fn(|_: ChatRequest| {
//!     stream::iter(["Good ", "day!"]).map(|word| Ok::<_, ProviderError>(ChatEvent::text(word)))
//! });
//! let limited = ServiceBuilder::new().concurrency_limit(8).service(polite);
//!
//! let events: Vec<_> = limited.oneshot(ChatRequest::from_user("Hi")).await?.collect().await;
//! assert_eq!(events.len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! The contract:
//!
//! * **The end.** A stream that ends has said everything: where its last event wasn't terminal, the
//!   layer above adds `complete`. A provider that knows the usage or the finish reason says
//!   [`Complete`] itself. Nothing may follow a terminal event.
//! * **A cut is an error.** A stream whose source broke off ends with an `Err`
//!   ([`ProviderError::cut`]), never with an end that looks whole.
//! * **What clients hear of an error** is the public message of a [`ProviderError`], as the service's
//!   error, the stream's, or behind either as a [source](std::error::Error::source). Any other error
//!   becomes a fixed text, and goes to a trace.
//! * **Cancellation.** Dropping the future or the stream stops the work behind it.
//! * **Pace.** The stream is pulled; it makes nothing that nobody asked for.
//!
//! What a provider offers the model as tools is [`ChatRequest::tool_definitions`]; what the model asks
//! for is a [`ToolCalls`] event, each call whole, before [`Complete`]. The calls of earlier turns and
//! what came of them are among the messages.
//!
//! tower's timeout and concurrency limit cover the service's future, which is done when the stream
//! begins, not the stream behind it.

pub(crate) mod as_json;
mod definition;
mod error;
mod event;
mod input;
mod message;
mod mismatch;
mod provider_fn;
mod request;
#[cfg(feature = "tools")]
mod schema;
mod tool;
mod tool_runs;
mod transcript;
mod turns;
mod usage;
mod vocabulary;

#[cfg(feature = "tools")]
#[cfg_attr(docsrs, doc(cfg(feature = "tools")))]
pub use self::schema::{InvalidSchema, Schema};
pub use self::{
    definition::ToolDefinition,
    error::ProviderError,
    event::{
        Aborted, Capabilities, ChatEvent, Complete, ConversationState, ConversationStateEvent,
        Custom, ErrorEvent, InputRequest, InputResolved, IsomorphicHandoff, Restarted, SessionInfo,
        Text, Thinking, ToolCalls, ToolError, ToolProgress, ToolResult, Unknown,
    },
    input::{
        AlreadyAnswered, InputAction, InputAnswer, InputAnswers, InputId, InputSource, Inputs,
        InvalidInputId,
    },
    message::{Message, Role},
    mismatch::Mismatch,
    provider_fn::{ProviderFn, provider_fn},
    request::ChatRequest,
    tool::{EnabledTools, IsomorphicClientOutput, IsomorphicTool, ToolCall},
    tool_runs::{ToolOutcome, ToolRun, ToolRuns},
    transcript::{AnswerEnding, Input, Transcript},
    usage::Usage,
    vocabulary::{FinishReason, InputKind, InputOutcome, ToolAuthority},
};
