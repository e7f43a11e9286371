//! A provider that says what it is told, at the pace that it is told, and fails where it is told.
//!
//! For tests, demos and suites that drive a server from outside. Without a script it gives a short
//! answer that mentions the question, a token every 40 ms; or, if the question has all words of the
//! name of a tool that the request offers, it asks for that tool and says what it gave.
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
//! Asked to [go on](crate::chat::ChatRequest::so_far) with an answer, it says what is left of it. A
//! question that is open by then isn't asked again, its answer is waited for; one that was resolved is
//! done with.
//!
//! # A request's own script
//!
//! A request may bring a script in its field `script`, where the layer lets that field through:
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
//! | `text` | what to say; a token is a word and the space after it | the provider's own text |
//! | `tokens` | instead of `text`: how many tokens to say, at most 10,000,000; token *n* is the number *n* and a space (`1 2 3 `) | |
//! | `stamps` | instead of `text`: how many tokens to say, at most 10,000; each is the time at which it is said, in microseconds since 1970, and a space | |
//! | `tell` | instead of `text`: say, as JSON in one token, what was counted under this name | |
//! | `results` | instead of `text`, if `true`: say what the tools of the last round gave, with a space between | |
//! | `release` | instead of `text`: let one call that is counted under this name past one of its `holds`, now or when it gets there, and say `released` | |
//! | `tally` | count this call under this name | not counted |
//! | `delayMs` | how long to wait before each token, in milliseconds, at most 600,000 | the provider's own pace |
//! | `thinking` | what to think before the text, token by token too | no thinking |
//! | `toolCalls` | the tools to ask for after the text; `id` may be left out | none |
//! | `then` | a list of at most 100 scripts: what to do after one round of tools, after two, and so on; the last for all after that | tools are asked for once |
//! | `asks` | what to ask people after the text, one after the other: `{"id", "message", "schema", "timeoutMs"}`, of which all but `id` may be left out; what comes of it is said, the answer as JSON or `timeout` | nothing |
//! | `holds` | a list of at most 100 numbers: after how many tokens, those of the thinking included, to wait for a `release` of the name in `tally` | it waits nowhere |
//! | `fault` | what goes wrong, and after how many tokens (`at`, those of the thinking included) | nothing |
//!
//! Kinds of fault: `error` (the stream fails, with a message), `panic` (polling the stream panics),
//! `hang` (nothing comes any more), `cut` (the stream fails as a connection that broke off). With
//! `at: 0` it strikes before the first token, and with `at` the number of all tokens after the
//! last, before the answer is complete.
//!
//! What is counted under a name, for the last 4,096 names of a provider and its clones, is how often
//! it was called, how many of those streams are still there, and how many tokens they have said:
//! `{"calls":1,"running":0,"tokens":12}`. So a client can find out from outside that its retry did
//! not call the provider twice, and that what it aborted has stopped.
//!
//! A hold is for whoever must do something in the middle of an answer, and would otherwise have to be
//! faster than the answer: `{"text": "…", "holds": [5], "tally": "mine"}` stops after five tokens, and
//! stays there until a second request brings `{"release": "mine"}`; for good, if the name is forgotten by
//! then.
//!
//! A script that can't be followed (an unknown field, a wrong type, a fault past the end) fails the
//! request before the first event, with a message that says what is wrong with it.
//!
//! A round of tools is an assistant's message with tool calls since the user last spoke. Without
//! `then`, tools are asked for once: not where the last message of the request is a tool's. Pace and
//! tally of a script in `then` are those of the first unless it has its own.

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
