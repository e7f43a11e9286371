//! A provider that follows a script: its text, its pace and its faults.
//!
//! It is for tests, demos, and suites that drive a server from outside. Without a script it gives a
//! short answer that mentions the question, a token every 40 ms. If the question contains all words
//! of the name of a tool that the request offers, it calls that tool and answers with the result. It
//! names the media that the question brings.
//!
//! ```
//! use std::time::Duration;
//!
//! use futures_util::TryStreamExt;
//! use tower::ServiceExt;
//! use unbroken::{
//!     chat::{ChatRequest, Transcript},
//!     provider::scripted::{ScriptFault, FaultKind, Script, Scripted},
//! };
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), unbroken::BoxError> {
//! let script = Script::say("All is well.").delay(Duration::from_millis(20));
//! let answer = Scripted::new(script).oneshot(ChatRequest::from_user("How are you?")).await?;
//! let events: Vec<_> = answer.try_collect().await?;
//! assert_eq!(events.iter().collect::<Transcript>().text(), "All is well.");
//!
//! let script = Script::count(100).fault(ScriptFault::new(3, FaultKind::Cut));
//! let answer = Scripted::new(script).oneshot(ChatRequest::from_user("Count!")).await?;
//! assert!(answer.try_collect::<Vec<_>>().await.is_err());
//! # Ok(())
//! # }
//! ```
//!
//! If the request has an [answer to continue](field@crate::chat::ChatRequest::so_far), the provider
//! sends the rest of it. A question that is still open isn't asked again, and the provider waits
//! for its answer. A resolved question is skipped.
//!
//! # A script in the request
//!
//! A request may bring a script in its field `script`, if the layer lets that field through:
//!
//! ```json
//! {
//!   "messages": [{"role": "user", "content": "Hi"}],
//!   "script": {
//!     "text": "Hello there.",
//!     "delayMs": 5,
//!     "thinking": "A greeting.",
//!     "toolCalls": [{"id": "call_1", "name": "now", "arguments": {}}],
//!     "fault": {"at": 3, "kind": "cut"}
//!   }
//! }
//! ```
//!
//! | field | meaning | if absent |
//! |---|---|---|
//! | `text` | the text; a token is a word and the space after it | the provider's own text |
//! | `tokens` | instead of `text`: the number of tokens, at most 10,000,000; token *n* is the number *n* and a space (`1 2 3 `) | |
//! | `stamps` | instead of `text`: the number of tokens, at most 10,000; each is the time at which it is sent, in microseconds since 1970, and a space | |
//! | `tell` | instead of `text`: the counts under this name, as JSON in one token | |
//! | `results` | instead of `text`, if `true`: the results of the last round of tools, with a space between them | |
//! | `release` | instead of `text`: the token `released`; it lets one call that is counted under this name pass one of its `holds`, now or when the call gets there | |
//! | `tally` | the name under which this call is counted | not counted |
//! | `delayMs` | the time before each token, in milliseconds, at most 600,000 | the provider's own pace |
//! | `thinking` | the thinking before the text, token by token too | no thinking |
//! | `media` | a list of at most 100 [media](crate::chat::Media) that the model makes, after the text | none |
//! | `sources` | a list of at most 100 [sources](crate::chat::Citation) of the text, after the media | none |
//! | `toolCalls` | the tools to ask for after the text; `id` may be left out | none |
//! | `toolInput` | if `true`: the arguments of these tools come before the calls, in pieces of at most 8 characters; a piece is a token | calls come whole |
//! | `model` | the name of the model, in a `turn` event with the usage before the end | no such event |
//! | `usageSoFar` | if `true`: the usage is reported from the start on and with each token, so that an answer that is stopped in the middle has it | usage at the end of the turn only |
//! | `then` | a list of at most 100 scripts: for the turn after one round of tools, after two, and so on; the last for all turns after that | tools are asked for once |
//! | `asks` | the questions to the user after the text, one after the other: `{"id", "message", "schema", "timeoutMs"}`, of which all but `id` may be left out; the text of the outcome follows, the answer as JSON or `timeout` | none |
//! | `holds` | a list of at most 100 numbers of tokens, those of thinking and arguments included; after each the call waits for a `release` of the name in `tally` | none |
//! | `fault` | a fault, and the number of tokens before it (`at`, those of thinking and arguments included) | none |
//!
//! Kinds of fault: `error` (the stream fails, with a message), `panic` (polling the stream panics),
//! `hang` (no further event), `cut` (the stream fails like a connection that broke off). With `at:
//! 0` the fault comes before the first token. With `at` equal to the number of all tokens it comes
//! after the last token and before the end of the answer.
//!
//! The counts under a name are the calls, the streams that still exist, and the tokens sent:
//! `{"calls":1,"running":0,"tokens":12}`. A provider and its clones keep the last 4,096 names. So a
//! client can check from outside that its retry did not call the provider twice, and that an
//! aborted stream has stopped.
//!
//! A hold is for a client that has to act in the middle of an answer, and would otherwise have to
//! be faster than the answer. `{"text": "…", "holds": [5], "tally": "mine"}` stops after five
//! tokens, and waits until a second request brings `{"release": "mine"}`. It waits forever if the
//! name is forgotten by then.
//!
//! An invalid script (an unknown field, a wrong type, a fault past the end) fails the request
//! before the first event, with a message that names the problem.
//!
//! A round of tools is an assistant's message with tool calls after the last message of the user.
//! Without `then`, tools are asked for once: not if the last message of the request is a tool's. A
//! script in `then` has the delay, tally and model of the first script unless it has its own, and reports its
//! usage as the first one does.

mod argument_pieces;
mod call_counter;
mod demo;
mod questions;
mod requested_calls;
mod script;
mod service;
mod stream;
mod tokens;

pub use self::{
    script::{Ask, FaultKind, Say, Script, ScriptFault},
    service::Scripted,
    stream::ScriptedStream,
};
