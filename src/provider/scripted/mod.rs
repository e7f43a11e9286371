//! A provider that says what it is told, at the pace that it is told, and fails where it is told.
//!
//! For tests, demos and suites that drive a server from outside. Without a script it gives a short
//! answer that mentions the question, a token every 40 ms.
//!
//! ```
//! use std::time::Duration;
//!
//! use futures_util::TryStreamExt;
//! use tower::ServiceExt;
//! use unbroken::{
//!     chat::{ChatRequest, Transcript},
//!     provider::scripted::{Fault, FaultKind, Script, Scripted},
//! };
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), unbroken::BoxError> {
//! let script = Script::say("All is well.").with_delay(Duration::from_millis(20));
//! let answer = Scripted::new(script).oneshot(ChatRequest::from_user("How are you?")).await?;
//! let events: Vec<_> = answer.try_collect().await?;
//! assert_eq!(events.iter().collect::<Transcript>().text(), "All is well.");
//!
//! let script = Script::count(100).with_fault(Fault::new(3, FaultKind::Cut));
//! let answer = Scripted::new(script).oneshot(ChatRequest::from_user("Count!")).await?;
//! assert!(answer.try_collect::<Vec<_>>().await.is_err());
//! # Ok(())
//! # }
//! ```
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
//! | `delayMs` | how long to wait before each token, in milliseconds, at most 600,000 | the provider's own pace |
//! | `thinking` | what to think before the text, token by token too | no thinking |
//! | `toolCalls` | the tools to ask for after the text; `id` may be left out | none |
//! | `fault` | what goes wrong, and after how many tokens (`at`, those of the thinking included) | nothing |
//!
//! Kinds of fault: `error` (the stream fails, with a message), `panic` (polling the stream panics),
//! `hang` (nothing comes any more), `cut` (the stream fails as a connection that broke off). With
//! `at: 0` it strikes before the first token, and with `at` the number of all tokens after the
//! last, before the answer is complete.
//!
//! A script that can't be followed (an unknown field, a wrong type, a fault past the end) fails the
//! request before the first event, with a message that says what is wrong with it.
//!
//! Tools are asked for once: not where the last message of the request is a tool's.

mod demo;
mod script;
mod service;
mod stream;
mod tokens;

pub use self::{
    script::{Fault, FaultKind, Say, Script},
    service::Scripted,
    stream::ScriptedStream,
};
