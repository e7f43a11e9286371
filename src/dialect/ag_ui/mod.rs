//! AG-UI: TanStack AI, `@ag-ui/client`, CopilotKit and others that speak it.
//!
//! ```
//! use tower_layer::Layer;
//! use unbroken::{access::OnlyTheOwner, dialect::AgUi, durable::DurableLayer, log::Owner, session::Sessions};
//! # use futures_util::stream;
//! # use unbroken::chat::{ChatEvent, ProviderError, provider_fn};
//! # let provider =
//! #     provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]));
//!
//! let access = OnlyTheOwner::new(|head: &mut http::request::Parts| {
//!     head.extensions.get::<Owner>().cloned() // where the application's sign-in left it
//! });
//! let chat = DurableLayer::new(Sessions::in_memory(), access)
//!     .dialect(AgUi::new())
//!     .layer(provider);
//! ```
//!
//! A client that was built with `fetchServerSentEvents("/api/chat")` or `new HttpAgent({ url })`
//! needs nothing else. A session is a run, and its id is the run's.
//!
//! | request | meaning | answers |
//! |---|---|---|
//! | `POST /` | start; the body is a `RunAgentInput`; `X-Run-Id`, else `runId`, names the session | 200 and the stream; 409 |
//! | `POST /` with `Last-Event-ID` | reconnect; the body starts nothing | 200, 404 |
//! | `GET /?offset=-1&runId=` | join a run, after `Last-Event-ID` if that is there | 200, 404 |
//! | `GET /{runId}` | the same | 200, 404 |
//! | `GET /?threadId=` | which run of a conversation is under way, for `persistence: true` | 200 and `{messages: [], activeRun, interrupts: null}` |
//! | `POST /{runId}/abort` | stop, for everyone: a client's own `stop()` only closes its connection | 202, 200 |
//! | `POST /{runId}/inputs/{inputId}` | answer what a `CUSTOM` event `input_request` asked, as in the [native dialect](super::native); the run goes on | 202 |
//! | `DELETE /{runId}` | stop if it runs, then forget | 204 |
//!
//! Of the input, messages, tools and the thread's id are understood. `system` and `developer`
//! messages are refused unless the application [opens](crate::durable::ClientFields::system_role) them;
//! `state`, `context`, `forwardedProps`, `resume` and what else there may be are dropped unless it
//! opens [fields](crate::durable::ClientFields::field) of these names. Parts of a message that aren't text
//! are refused.
//!
//! | event of the log | event of AG-UI |
//! |---|---|
//! | `session_info` | `RUN_STARTED` |
//! | `text` | `TEXT_MESSAGE_START`, `…_CONTENT`, `…_END`, with a message for each run of text |
//! | `thinking` | `REASONING_START`, `REASONING_MESSAGE_START`, `…_CONTENT`, `…_END`, `REASONING_END` |
//! | `tool_calls` | `TOOL_CALL_START`, `…_ARGS`, `…_END` |
//! | `tool_result`, `tool_error` | `TOOL_CALL_RESULT` |
//! | `isomorphic_handoff`, and at the end `tool_calls` that nobody ran here | `CUSTOM` `tool-input-available`, on which TanStack's client runs the tool; at the end its call is among `outcome.pendingToolCallIds` |
//! | `input_request`, `input_resolved`, `tool_progress` | `CUSTOM` of these names: an interrupt of AG-UI's would end the run |
//! | `custom` | `CUSTOM` |
//! | `complete` | `RUN_FINISHED` |
//! | `aborted` | `RUN_FINISHED` with the outcome `cancelled` |
//! | `error` | `RUN_ERROR` |
//!
//! Who sends `X-Run-Id`, or joins with an `offset`, is TanStack's client. For it a message begins
//! before the thinking that leads to it: it loses the text of a run that it joins otherwise. Other
//! clients see thinking as a message of its own, before the answer's.
//!
//! What a client's tools gave comes as messages of the role `tool`, in the request that goes on.
//!
//! # Deployment caveats
//!
//! **Run ids can be guessed.** TanStack's are a clock and 31 random bits, so whoever may read any
//! session whose id they know, may read strangers'. Let the access policy go by owners
//! ([`OnlyTheOwner`](crate::access::OnlyTheOwner)), not by who knows the id.
//!
//! **Answers are not restarted.** AG-UI can't say that everything before is to be dropped, so
//! sessions that were started here are never [restarted](crate::durable::Policy::Restart); resuming
//! is fine. A client that watches a session of another dialect hears a `CUSTOM` event `restarted`,
//! and then the answer from its beginning in messages of their own.
//!
//! **Pages of another origin** send `X-Run-Id`; it is among the headers of
//! [`headers::ALLOW`](crate::headers::ALLOW).

mod cursor;
mod encoder;
mod end;
mod event;
mod fold;
mod hydrate;
mod request;
mod route;
mod tools;

use bytes::Bytes;
use http::{Response, request::Parts};

use super::{Dialect, Intent, Native, Refusal, ResponseData, Route};
use crate::chat::EnabledTools;

/// The dialect of AG-UI. The [module](self) has its routes.
#[derive(Debug, Clone)]
pub struct AgUi {
    enabled_tools: Option<EnabledTools>,
}

impl AgUi {
    /// The dialect, without the server's tools.
    pub fn new() -> Self {
        Self {
            enabled_tools: None,
        }
    }

    /// Which of the server's tools runs may use: AG-UI's clients don't say. Default none.
    pub fn enabled_tools(mut self, tools: EnabledTools) -> Self {
        self.enabled_tools = Some(tools);
        self
    }
}

impl Default for AgUi {
    fn default() -> Self {
        Self::new()
    }
}

impl Dialect for AgUi {
    fn name(&self) -> &'static str {
        "ag-ui"
    }

    fn route(&self, head: &Parts) -> Result<Route, Refusal> {
        route::route(head)
    }

    fn decode(&self, head: &Parts, body: &Bytes) -> Result<Intent, Refusal> {
        route::decode(self, head, body)
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Bytes> {
        super::problem::refuse(refusal)
    }

    fn respond(&self, data: &ResponseData<'_>) -> Response<Bytes> {
        match data {
            ResponseData::FullLog { session, .. } => hydrate::hydrate(Some(session)),
            ResponseData::Idle => hydrate::hydrate(None),
            // Heads and small documents are the same in every dialect of ours.
            data => Native::new().respond(data),
        }
    }

    fn can_restart(&self) -> bool {
        false
    }
}
