//! A provider for servers that speak OpenAI's Responses API with streaming: OpenAI, Azure, OpenRouter, vLLM,
//! Ollama under `/v1`, and others.
//!
//! ```no_run
//! use serde_json::json;
//! use unbroken::provider::ResponsesUpstream;
//!
//! # fn main() -> Result<(), unbroken::provider::http::ConfigError> {
//! let from_the_environment = ResponsesUpstream::from_env()?;
//! let searching = ResponsesUpstream::builder()
//!     .api_key("sk-…")
//!     .model("gpt-5-mini")
//!     .field("reasoning", json!({"summary": "auto"}))
//!     .field("tools", json!([{"type": "web_search"}]))
//!     .background(true)
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! The name is not that of the dialect of this protocol
//! ([`OpenAiResponses`](crate::dialect)), which is the other side of it: a dialect serves clients that speak
//! it, and this provider calls a server that does. The feature is `openai-responses-upstream`.
//!
//! # The request
//!
//! The request's `systemPrompt` becomes `instructions`, its `model` replaces the provider's own, its tools
//! become functions that aren't `strict`, and its messages become items. The server keeps nothing
//! (`store: false`) unless [`store`](ResponsesUpstreamBuilder::store) or
//! [`background`](ResponsesUpstreamBuilder::background) says otherwise, so that each request has the whole
//! conversation. The [module of providers](super#what-each-provider-carries) lists the media and options that
//! are sent.
//!
//! What the server must be handed back is kept as [`ProviderState`](crate::chat::ProviderState) of the provider
//! `openai-responses`, and goes back in the order in which it came: reasoning with its encrypted content, the
//! items of tools that the server runs, the phase of a message, and pictures with their items. Reasoning between
//! two calls goes back between them. Reasoning at the end of a turn, of which nothing came, is left out:
//! servers refuse it.
//!
//! # The answer
//!
//! | item or event of the server | event |
//! |---|---|
//! | `output_text`, `refusal` | text |
//! | summaries of reasoning, and reasoning as text | thinking; an empty line between two summaries |
//! | arguments of functions | `tool_input` as they come; `tool_calls` once the response is whole |
//! | annotations, sources of `web_search_call`, results of `file_search_call` | `source`; the place counts from the beginning of the turn's text |
//! | `image_generation_call` | `media`; partial pictures are left out |
//! | other tools that the server runs | `custom` with the name of the item's type, at its beginning and at its end: its id, status, action, queries, name and server label; no output |
//! | `computer_call`, `custom_tool_call`, `local_shell_call`, `apply_patch_call`, `mcp_approval_request`, `shell_call` outside of the server's containers, `tool_search_call` of the client, unknown calls with a `call_id` | an error that names it: they wait for an output that this library has no form for |
//! | `response.completed` | `turn` and `complete`, with usage and model |
//! | `response.incomplete` | the same, with its reason: `length`, `content_filter`, or as it says; without one `unknown` |
//! | `response.failed`, `error` | an error |
//! | others | signs of life |
//!
//! A response is over with its last event alone: an end of the stream without one is a
//! [cut](crate::chat::ProviderError::cut), `[DONE]` or not. The whole text of an item that follows its pieces
//! adds what they lack, and items without events are taken from the last event. There are calls only of a
//! completed response, each of whose calls the server told as a whole item: in `output_item.done` or in the last
//! event. Arguments of the whole item take precedence over those of the pieces. A `response.completed` without a
//! response, or with one whose status is another than `completed` or that has `incomplete_details`, is no success.
//! A reason of `response.incomplete` that is a [failure](crate::chat::FinishReason::is_failure) is an error, as are
//! `response.error` and `error`. Each type of event that isn't known is traced once, and says nothing.
//!
//! Items are told apart by their index, and by their id where several have one index.
//!
//! Fields of odd types are dropped if they are bookkeeping: usage, ids, indexes, sequence numbers. A response
//! in JSON, of a server that doesn't stream, is the answer, at once. [`http`](super::http) describes errors
//! and retries.
//!
//! # In the background
//!
//! With [`background`](ResponsesUpstreamBuilder::background) the model's server goes on whether it is read or
//! not, and keeps the response for a while (`store: true`; OpenAI: some 10 minutes after the answer). So an
//! answer survives what happens between here and there:
//!
//! * **A lost connection** is made good by reading on after the last event that came
//!   (`GET …/responses/{id}?stream=true&starting_after=N`), at once and without another request of an answer.
//!   A stream that brings nothing new is followed by a question for the response itself (`GET …/responses/{id}`): one
//!   that has ended is taken from there, and one that runs is read again after 2 s, for as long as the
//!   session's limits let it. If that fails too, there are 6 further tries in a row; the pauses between them grow up to
//!   8 s, or are as long as the server asks for by `Retry-After`, up to an hour. A server that answers 409, since
//!   the response is queued, is asked again for up to 10 minutes.
//! * **An error in the stream** (`error`) doesn't end the answer: `response.failed` does. If that doesn't follow within
//!   a second, the stream is read on as after a lost connection. The error is reported if nothing else comes.
//! * **A lost server of ours.** The log has the position in the stream, as `provider_state` of the stream: the id of
//!   the response, the number of the last event, and what is known of the open items. It is written at the beginning
//!   and then after each 64 events of the answer. Another server
//!   reads on from there by the way [`reattach`](crate::durable::Recovery::reattach), and leaves out what the log has
//!   after the position: no event comes twice,
//!   none is missing, and nothing is paid again. Arguments of calls are read again from their beginning. A response
//!   that is gone (404, or another refusal), or
//!   that its server has stopped, [is declined](crate::chat::ProviderError::cannot_continue).
//! * **Reasoning** that is read again is asked for in encrypted form, as the request asked for it. Reasoning without
//!   encrypted content is handed back by its id, which the server knows for as long as it keeps the response.
//! * **A stop** drops the stream, which tells the server to cancel the response: twice at most, for 5 s each,
//!   without waiting for it. So does an error that ends the answer, also one of a read that is refused (401, 403). Where a
//!   session may go on on another server, the response is not
//!   cancelled ([`Liveness::may_go_on`](crate::chat::Liveness::may_go_on)). A session that was stopped while it had no
//!   server, or that may not continue, is cancelled by the server that seals it, if its
//!   [`Recovery`](crate::durable::Recovery) has the way `reattach`.
//!
//! A request that is dropped before the server told the response's id is waited for in a task, for up to a minute, and
//! then cancelled. What can't be cancelled is traced as a warning: the id doesn't come, the runtime ends, or the server
//! refuses. Nothing cancels the response of a process that is killed before its log has the id.
//!
//! A request of an answer is repeated only if the server can't work on it: it couldn't be reached, or it refused the
//! request by another status than 408, 502 and 504. One whose connection breaks before the response's id is an
//! error instead, which clients may try again. OpenAI's API has no idempotency key for responses. A server that sends no
//! sequence numbers can't be read again: its answers are cut like those in the foreground.
//!
//! No model of this API goes on from a part of its answer: a request with an
//! [answer so far](field@crate::chat::ChatRequest::so_far) that isn't to be read on is declined.

mod builder;
mod calls;
mod cited;
mod config;
mod decoder;
mod future;
mod item;
mod lifecycle;
mod position;
mod progress;
mod protocol;
mod request;
mod run;
mod service;
mod stream;
mod texts;
mod turn;

pub use self::{
    builder::ResponsesUpstreamBuilder, future::ResponsesFuture, service::ResponsesUpstream,
    stream::ResponsesStream,
};
