//! A layer that runs the tools a model asks for, and returns their results to the model until it
//! answers.
//!
//! ```
//! use futures_util::{StreamExt, stream};
//! use serde::Deserialize;
//! use serde_json::json;
//! use tower::{ServiceBuilder, ServiceExt};
//! use unbroken::{
//!     chat::{ChatEvent, ChatRequest, ProviderError, Role, ToolCall, provider_fn},
//!     tools::{Call, ToolFailure, ToolLayer, Tools, tool_fn},
//! };
//!
//! #[derive(Deserialize, schemars::JsonSchema)]
//! struct City {
//!     /// The name in the local language.
//!     name: String,
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), unbroken::BoxError> {
//!     let weather = tool_fn("weather", "The weather in a city.", |city: City, _: Call| async move {
//!         match city.name.as_str() {
//!             "Oslo" => Ok("snow"),
//!             other => Err(ToolFailure::new(format!("{other} has no weather")).into()),
//!         }
//!     });
//!
//!     // A model that asks for the tool once, and then answers with its result.
//!     let model = provider_fn(|request: ChatRequest| {
//!         let event = match request.messages.last() {
//!             Some(last) if last.role == Role::Tool => {
//!                 ChatEvent::text(format!("There is {}.", last.text()))
//!             }
//!             _ => ChatEvent::tool_calls([ToolCall::new("1", "weather", json!({"name": "Oslo"}))]),
//!         };
//!         stream::iter([Ok::<_, ProviderError>(event)])
//!     });
//!     let provider = ServiceBuilder::new()
//!         // .layer(DurableLayer::new(sessions, access)) goes around it
//!         .layer(ToolLayer::new(Tools::new().with(weather.idempotent())))
//!         .service(model);
//!
//!     let request = ChatRequest::from_user("How is the weather in Oslo?");
//!     let answer: Vec<_> = provider.oneshot(request).await?.collect().await;
//!     let answer: Vec<_> = answer.into_iter().collect::<Result<_, _>>()?;
//!     // The calls, and the end of their turn, come first.
//!     assert_eq!(answer[2], ChatEvent::tool_result("1", "weather", "snow"));
//!     assert_eq!(answer[3], ChatEvent::text("There is snow."));
//!     Ok(())
//! }
//! ```
//!
//! [`tool_fn`] makes a tool of an async function, and [`Tool`] is the trait behind it. The example
//! needs the crates `serde` (with its feature `derive`), `schemars` 1, `serde_json`, `tower` (with
//! `util`), `futures-util` and `tokio` beside this one.
//!
//! # The life of a call
//!
//! The model may ask for the layer's tools that the request enables
//! ([`enabled_tools`](field@crate::chat::ChatRequest::enabled_tools); all if absent), and for
//! those that the client brought. The calls of a turn enter the answer, and start, when the model has
//! ended the turn and it is [whole](crate::chat::FinishReason::is_whole): the finish reason of its
//! `complete` event is `stop` or `tool_calls`, or the stream ends without an error and without such an
//! event. After any other reason, such as `length`, the last call may be half of one: the calls are
//! dropped, and the answer ends with that reason. They
//! run concurrently, each on a task of its own. Their results enter the answer in the order in
//! which they arrive; the model gets them in the order of the calls.
//!
//! A result is a text, or [`Content`](crate::chat::Content) with pictures, sounds and files if the layer
//! [opens](ToolLayer::media) them: not every model takes those in results.
//!
//! An unknown tool, arguments that don't fit the schema, a failure, a panic, a timeout, a result
//! that is too large or has closed media: each becomes a [`ToolError`](crate::chat::ToolError) that the model receives,
//! and the answer continues. Dropping the answer's stream aborts the running tools.
//!
//! The `complete` event has the summed usage of all turns, with those before a server died. Ids of calls are unique within a session: if a model uses one twice, the second
//! call is renamed.
//!
//! # Questions to the user
//!
//! A tool may need an approval before it runs ([`ToolFn::approved`]), and may ask a question while
//! it runs ([`Call::ask`]). Each is an `input_request` event. The session waits for the answer at
//! [`ChatRequest::inputs`](field@crate::chat::ChatRequest::inputs), up to a timeout, and then there
//! is an `input_resolved` event. If the user doesn't accept, the tool doesn't run, or its question
//! returns [`Unanswered`].
//!
//! # Tools of the client
//!
//! The client runs the tools that it brought with the request, and those that the application made
//! with [`client_tool`]. [`handoff_fn`] makes a tool of two halves with the client in between. Each
//! such call is an `isomorphic_handoff` event. When the turn's other tools are done, the answer
//! ends with a `conversation_state` event and a `complete` event with the finish reason
//! `tool_calls`. The client then sends a request with the results of its tools as
//! `isomorphicClientOutputs`. The second halves run with that request, and the model continues. If
//! the chat is too long for one record, the state has no messages, and the client sends its own.
//!
//! The durable layer confirms each output by the log of the session that handed the call over, once
//! ([`dialect::native`](crate::dialect::native#fields-of-a-request)). So a second half gets the
//! parameters and the output of the first half as the log has them, and only
//! [`client_output`](field@crate::chat::IsomorphicClientOutput::client_output) is the client's: it
//! isn't trusted, and the second half must check it. An output that no log confirms is refused, or, if
//! the application accepts it, [marked](field@crate::chat::ToolResult::claimed); it is never the
//! result of a tool that runs here. Without the durable layer all fields are the caller's own. The
//! schema of a tool that a client brought is passed to the model and never read here.
//!
//! Arguments that are nested deeper than 64 levels are refused with an error that the model gets.
//!
//! # After a server died
//!
//! No tool runs before its call is in the log, and none that needs an approval runs before the
//! approval is in the log. So a server that [takes the session over](crate::durable::Recovery)
//! knows which tools may have run. Under the policies `resume` and `restart`:
//!
//! * Results that are in the log are used again.
//! * A call without a result is repeated if the tool is idempotent.
//! * If the tool is not idempotent, the call is not repeated, and the model is told that its
//!   outcome is unknown.
//! * A call that waits for its approval still waits. Under `restart` the question is in the log again,
//!   under its id, and an answer that was given meanwhile counts.
//!
//! The tools of that server may be others than those of the server that died. The log tells what was so
//! then: [which calls may be repeated](field@crate::chat::ToolCalls::repeatable),
//! [which ones no tool of the server ran for](field@crate::chat::ToolCalls::not_run), and
//! [which ones waited for an approval](field@crate::chat::InputRequest::before_call). A call that may
//! have begun is repeated if its tool was idempotent then and is so now, and its outcome is unknown
//! otherwise, whatever the tools are now:
//!
//! | The log has of the call | Its tool then | Its tool now | The call |
//! | --- | --- | --- | --- |
//! | its outcome | any | any, or none | has that outcome |
//! | an open approval | any | any that it fits, with or without an approval | waits for that answer |
//! | a refused approval | any | any that it fits, with or without an approval | is refused |
//! | an open or refused approval | any | none, the client's, or one that it doesn't fit | fails |
//! | itself, or an accepted approval | not idempotent | any, or none | is unknown |
//! | itself, or an accepted approval | idempotent | idempotent, or the client's | is repeated |
//! | itself, or an accepted approval | idempotent | not idempotent, none, or one that it doesn't fit | is unknown |
//! | that no tool of the server ran for it | none, or the client's | any, or none | is a new one |
//!
//! A call that is repeated asks for an approval if its tool does so now, unless the log has it. Of a call
//! whose approval was accepted the log doesn't tell whether it began, so it counts as begun. The server's
//! half of a [`client_tool`] counts as idempotent.
//!
//! For the second half of a tool of two halves:
//!
//! | The log has of the second half | The tool then | The tool now | The second half |
//! | --- | --- | --- | --- |
//! | its outcome | any | any, or none | has that outcome |
//! | no begin | any | one with a second half that the parameters fit | runs |
//! | no begin | any | none, without a second half, or one that they don't fit | fails |
//! | its begin | not idempotent | any, or none | is unknown |
//! | its begin | idempotent | idempotent, with a second half that they fit | is repeated |
//! | its begin | idempotent | any other, or none | is unknown |
//!
//! After a restart the model answers again, and a call counts as one from before if tool and
//! arguments are equal ([`ToolRuns`](crate::chat::ToolRuns)). The model may word the arguments
//! differently. For a tool that must never run twice, recover by `resume`, or pass
//! [`Call::idempotency_key`] to a service that honours it.
//!
//! # Differences from a tower layer around the tool
//!
//! [`ToolLayer::timeout`] covers one call of one tool. tower's `Timeout` around the provider covers
//! the time until its stream begins, here of the first turn only. Between this layer and the
//! provider it covers that time of every turn.

mod call;
mod call_slots;
mod client_tool;
mod clock;
mod config;
mod conversation;
mod encoded;
mod events;
mod failure;
mod follow_up;
mod future;
mod had_messages;
mod handoff_fn;
mod job;
mod layer;
mod offer;
mod options;
mod output;
mod plan;
mod question;
mod release_choice;
mod result_media;
mod running_calls;
mod schema_of;
mod service;
mod source;
mod stream;
mod tool;
mod tool_fn;
#[expect(clippy::module_inception, reason = "the file of the type `Tools`")]
mod tools;
mod unique_ids;
mod usage_sum;

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
    source::ToolSource,
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
