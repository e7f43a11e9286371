//! Runs the tools that a model asks for, and gives it what comes of them, until it answers.
//!
//! ```
//! use futures_util::{StreamExt, stream};
//! use serde::Deserialize;
//! use serde_json::json;
//! use tower::{ServiceBuilder, ServiceExt};
//! use unbroken::{
//!     chat::{ChatEvent, ChatRequest, EnabledTools, ProviderError, Role, ToolCall, provider_fn},
//!     tools::{Call, ToolFailure, ToolLayer, Tools, tool_fn},
//! };
//!
//! #[derive(Deserialize, schemars::JsonSchema)]
//! struct City {
//!     /// As people there call it.
//!     name: String,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), unbroken::BoxError> {
//! let weather = tool_fn("weather", "The weather in a city.", |city: City, _: Call| async move {
//!     match city.name.as_str() {
//!         "Oslo" => Ok("snow"),
//!         other => Err(ToolFailure::new(format!("{other} has no weather")).into()),
//!     }
//! });
//!
//! // A model that asks for the tool once, and then says what it gave.
//! let model = provider_fn(|request: ChatRequest| {
//!     let event = match request.messages.last() {
//!         Some(last) if last.role == Role::Tool => ChatEvent::text(format!("There is {}.", last.content)),
//!         _ => ChatEvent::tool_calls([ToolCall::new("1", "weather", json!({"name": "Oslo"}))]),
//!     };
//!     stream::iter([Ok::<_, ProviderError>(event)])
//! });
//! let provider = ServiceBuilder::new()
//!     // .layer(DurableLayer::new(sessions, access)) goes around it
//!     .layer(ToolLayer::new(Tools::new().with(weather.idempotent())))
//!     .service(model);
//!
//! let mut request = ChatRequest::from_user("How is the weather in Oslo?");
//! request.enabled_tools = Some(EnabledTools::All);
//! let answer: Vec<_> = provider.oneshot(request).await?.collect().await;
//! let answer: Vec<_> = answer.into_iter().collect::<Result<_, _>>()?;
//! assert_eq!(answer[1], ChatEvent::tool_result("1", "weather", "snow"));
//! assert_eq!(answer[2], ChatEvent::text("There is snow."));
//! # Ok(())
//! # }
//! ```
//!
//! # What happens to a call
//!
//! The model may ask for the layer's tools that the request enables
//! ([`enabled_tools`](field@crate::chat::ChatRequest::enabled_tools); none if absent), and for those
//! that the client brought. Calls of one turn run beside each other, each on a task of its own, once
//! the model has ended its turn. What they give enters the answer as it comes; the model gets it in
//! the order of the calls.
//!
//! An unknown tool, arguments that don't fit the schema, a failure, a panic, a timeout, a result that
//! is too large: each is a [`ToolError`](crate::chat::ToolError), of which the model is told, and the
//! answer goes on. Dropping the answer's stream aborts what runs.
//!
//! What several turns cost is summed up in the `complete` event; after a server died, only of the turns
//! since. Two calls never have one id within a
//! session: where a model gives the same twice, the second is renamed.
//!
//! # Asking people
//!
//! A tool may need an approval before it runs ([`ToolFn::approved`]), and may ask something in the
//! middle of its run ([`Call::ask`]). That is an `input_request` event, and the answer waits, for as
//! long as it may, for what comes through [`ChatRequest::inputs`](field@crate::chat::ChatRequest::inputs);
//! then there is an `input_resolved`. Unless somebody accepts, the tool doesn't run, or gets
//! [`Unanswered`].
//!
//! # Tools of the client
//!
//! The client runs those that it brought with the request, and those that the application made with
//! [`client_tool`]; [`handoff_fn`] makes one of two halves with the client between. Each such call is
//! an `isomorphic_handoff` event. When the turn's other tools are done, the answer ends: a
//! `conversation_state`, and a `complete` with the finish reason `tool_calls`. The client sends a
//! request whose messages are those of the state, then the assistant's message with its calls, then
//! the results of the server's tools, and what its own tools gave as `isomorphicClientOutputs`. There
//! the second halves run, and the model goes on. Where the chat is too long for one record, the state
//! has no messages, and the client sends its own instead.
//!
//! All that a client sends is the client's word. A second half checks what it gets; the schema of a
//! tool that a client brought is passed to the model and never read here.
//!
//! # When the server dies
//!
//! No tool runs before its call is in the log, and none after an approval before the approval is. So a
//! server that [takes the session over](crate::durable::Recovery) knows what may have run. Under the
//! policies `resume` and `restart`:
//!
//! * What the log has of results is used again.
//! * A call without a result is made again if the tool is idempotent.
//! * If it isn't, the model is told that the outcome is unknown. It is not made again.
//! * A call that waited for its approval still waits, under `resume`; under `restart` it is asked for
//!   anew.
//!
//! After a restart the model speaks anew, and a call is taken as one from before if tool and arguments
//! are equal ([`ToolRuns`](crate::chat::ToolRuns)). A model may word them in another way; where a tool
//! must not run twice at any cost, recover by `resume`, or give
//! [`Call::idempotency_key`] to a service that heeds it.
//!
//! # Differences from a tower layer around the tool
//!
//! [`ToolLayer::timeout`] covers one call of one tool. tower's `Timeout` around the provider covers
//! the time until its stream begins, here of the first turn only; put it inside, between this layer
//! and the provider, and it covers that of every turn.

mod call;
mod call_slots;
mod client_tool;
mod clock;
mod config;
mod conversation;
mod events;
mod failure;
mod follow_up;
mod future;
mod handoff_fn;
mod job;
mod layer;
mod offer;
mod options;
mod output;
mod plan;
mod question;
mod running_calls;
mod schema_of;
mod service;
mod stream;
mod tool;
mod tool_fn;
#[expect(clippy::module_inception, reason = "the file of the type `Tools`")]
mod tools;

use self::schema_of::schema_of;
pub use self::{
    call::Call,
    client_tool::{ClientTool, client_tool},
    failure::ToolFailure,
    future::ToolFuture,
    handoff_fn::{HandoffFn, handoff_fn},
    layer::ToolLayer,
    options::ToolOptions,
    output::Output,
    question::{Question, Unanswered},
    service::ToolService,
    stream::ToolStream,
    tool::Tool,
    tool_fn::{ToolFn, tool_fn},
    tools::{InvalidTool, Tools},
};

const _: () = {
    use crate::chat::ProviderFn;

    const fn shared<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
    shared::<Tools>();
    shared::<Call>();
    shared::<ToolLayer>();
    shared::<ToolService<ProviderFn<()>>>();
};
