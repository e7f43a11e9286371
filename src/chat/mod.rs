//! Requests, events, and the contract of a provider.
//!
//! # Providers
//!
//! A provider is any [`Service<ChatRequest>`](tower_service::Service) whose response is a
//! [`TryStream`](futures_core::TryStream) of [`ChatEvent`]s. The errors of both convert into
//! [`BoxError`](crate::BoxError), so that tower's own layers (timeouts, limits, retries) fit around
//! it. [`provider_fn`] makes a provider of a closure:
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
//! [`provider`](crate::provider) has providers that are ready to use, and shows how to write one as
//! a closure, as a service of your own, and as a layer.
//!
//! The contract:
//!
//! * **The end.** A stream that ends has delivered the whole answer. If its last event isn't
//!   terminal, the durable layer adds `complete`. A provider that knows the usage or the finish
//!   reason sends [`Complete`] itself. Nothing may follow a terminal event.
//! * **A cut is an error.** A stream whose source broke off ends with an `Err`
//!   ([`ProviderError::cut`]), never with an end that looks whole.
//! * **Public errors.** Clients see the message of a [`ProviderError`], which may be the service's
//!   error, the stream's error, or a [source](std::error::Error::source) of either. Any other error
//!   becomes a fixed text for clients and a trace for the operator.
//! * **Cancellation.** Dropping the future or the stream stops the work behind it.
//! * **Pace.** The stream is pulled. It produces nothing that it isn't polled for.
//! * **Signs of life.** A silent stream ends with the session's
//!   [idle time](field@crate::session::Limits::idle). A provider that hears of its model without an
//!   event to show for it may say so: [`Liveness`].
//! * **Usage.** It is told at the end of a turn, by [`TurnEnd`] or [`Complete`], and by
//!   [`ProviderError::with_usage`] where the turn fails. A provider that learns it earlier reports it to
//!   [`TurnUsage`], for answers that are ended in the middle.
//!
//! [`ChatRequest::tool_definitions`] are the tools that a provider offers to the model. A
//! [`ToolCalls`] event carries the calls that the model asks for, each call whole, before
//! [`Complete`]. The calls of earlier turns and their results are among the messages.
//!
//! # Events
//!
//! * **The first.** The log begins with [`SessionInfo`]. The durable layer writes it; a provider
//!   doesn't.
//! * **In the middle.** [`Text`] and [`Thinking`] are pieces to append, [`Media`] are pictures, sounds
//!   and files, and [`Citation`]s are what the text rests on. [`ToolInput`], [`ToolCalls`],
//!   [`ToolProgress`], [`ToolResult`] and [`ToolError`] show tools, [`InputRequest`] and
//!   [`InputResolved`] questions to the user. [`TurnEnd`] ends a turn, and [`ProviderStateEvent`] keeps
//!   what the provider must be handed back. [`Restarted`] drops everything before it. [`Custom`] is the
//!   application's own.
//! * **The terminal one.** The log ends with [`Complete`], [`Aborted`] or [`ErrorEvent`]. The layer
//!   adds it if the provider doesn't.
//! * **Unknown fields and types.** Fields that this version doesn't know are kept in `extra`, events
//!   of unknown types in [`Unknown`]. Clients ignore both.
//! * **Depth.** Arguments of a call are nested at most [`ToolCall::MAX_DEPTH`] levels. Deeper ones are
//!   kept as text, and the tool layer refuses them with an error that the model gets. An event of any
//!   other kind that is nested deeper than [`ChatEvent::MAX_DEPTH`] ends the session with an error of
//!   the code `limit`: no record is written that its readers would refuse.
//!
//! An *isomorphic* tool has a server half and a client half under one name. The server half may be
//! absent. [`IsomorphicTool`] is a definition that the client sends, [`IsomorphicHandoff`] is a call of
//! the client half, and [`IsomorphicClientOutput`] is its result.
//!
//! # Requests
//!
//! A [`ChatRequest`] needs [`messages`](field@ChatRequest::messages) only. A client's request begins
//! with little in its power:
//!
//! * `model`, `systemPrompt` and messages of the role `system` are closed, and a request with one is
//!   refused. Unknown fields are dropped. [`ClientFields`](crate::durable::ClientFields) opens each.
//! * Messages of the roles `assistant` and `tool`, and tools of the client, are closed too, and open up
//!   to a size that the application sets.
//! * [`enabled_tools`](field@ChatRequest::enabled_tools) selects the server's tools: `true` for all,
//!   `false` for none, or a list of names. If it is absent, the application's default counts
//!   ([`DurableLayer::enabled_tools`](crate::durable::DurableLayer::enabled_tools)), which is all.
//! * Tools that the client brings are passed to the model, and the client runs them.
//!
//! # Limits of tower's layers
//!
//! tower's timeout and concurrency limit cover the service's future, which is done when the stream
//! begins. They don't cover the stream.

pub(crate) mod as_json;
mod bounded_schema;
mod definition;
mod error;
mod event;
mod finish_reason;
mod input;
mod json_bytes;
mod json_depth;
mod json_text;
mod liveness;
mod lone_surrogates;
mod message;
mod mismatch;
mod options;
mod provider;
mod provider_fn;
mod provider_state;
mod request;
mod reserved_names;
#[cfg(feature = "tools")]
mod schema;
mod seam;
mod tool;
mod tool_runs;
mod transcript;
mod turn_usage;
mod usage;
mod vocabulary;

#[cfg(test)]
pub(crate) use self::event::CallFollowers;
pub(crate) use self::event::{TEXT_END, TextKind, has_kind, text_content};
#[cfg(any(
    feature = "openai",
    feature = "ag-ui",
    feature = "openai-responses",
    feature = "openai-responses-upstream"
))]
pub(crate) use self::json_text::is_decodable;
#[cfg(feature = "tools")]
#[cfg_attr(docsrs, doc(cfg(feature = "tools")))]
pub use self::schema::{InvalidSchema, Schema};
pub(crate) use self::{
    bounded_schema::{SchemaVerdict, check_bounded},
    json_bytes::json_bytes,
    json_depth::{JsonDepth, is_deeper},
    json_text::{is_json, value_of_text, values_in_text},
    lone_surrogates::replace_lone_surrogates,
    message::is_media_range,
    reserved_names::{RESERVED, has_reserved_name},
    seam::{SeamCheck, poll_checked},
};
pub use self::{
    definition::ToolDefinition,
    error::ProviderError,
    event::{
        Aborted, Capabilities, ChatEvent, Citation, Complete, ConversationState,
        ConversationStateEvent, Custom, ErrorEvent, InputRequest, InputResolved, IsomorphicHandoff,
        ProviderStateEvent, Restarted, SessionInfo, StateOf, Text, TextSpan, Thinking, ToolCalls,
        ToolError, ToolInput, ToolProgress, ToolResult, TurnEnd, Unknown,
    },
    finish_reason::FinishReason,
    input::{
        AlreadyAnswered, InputAction, InputAnswer, InputAnswers, InputId, InputSource, Inputs,
        InvalidInputId,
    },
    liveness::Liveness,
    message::{Content, InvalidMedia, Media, MediaDetail, Message, Part, Reasoning, Role},
    mismatch::Mismatch,
    options::{
        ChatOptions, InvalidOption, ReasoningEffort, ReasoningOptions, ResponseFormat, ToolChoice,
    },
    provider::Provider,
    provider_fn::{ProviderFn, provider_fn},
    provider_state::ProviderState,
    request::ChatRequest,
    tool::{EnabledTools, IsomorphicClientOutput, IsomorphicTool, ToolCall},
    tool_runs::{ToolOutcome, ToolRun, ToolRuns},
    transcript::{Input, LoggedTail, Piece, Transcript, TranscriptEnd},
    turn_usage::TurnUsage,
    usage::Usage,
    vocabulary::{InputKind, InputOutcome, ToolAuthority},
};
