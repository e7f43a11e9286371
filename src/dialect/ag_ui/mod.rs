//! The dialect of AG-UI, for TanStack AI, `@ag-ui/client` and other clients of the protocol.
//!
//! ```
//! use tower::Layer;
//! use unbroken::{access::OnlyTheOwner, dialect::AgUi, durable::DurableLayer, log::Owner, session::Sessions};
//! # use futures_util::stream;
//! # use unbroken::chat::{ChatEvent, ProviderError, provider_fn};
//! # let provider =
//! #     provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]));
//!
//! let access = OnlyTheOwner::new(|head: &mut http::request::Parts| {
//!     head.extensions.get::<Owner>().cloned() // set by the application's sign-in
//! });
//! let chat = DurableLayer::new(Sessions::in_memory(), access)
//!     .dialect(AgUi::new())
//!     .layer(provider);
//! ```
//!
//! # Clients
//!
//! A client made with `fetchServerSentEvents("/api/chat")` or `new HttpAgent({ url })` needs no other
//! setting. A session is a run, and its id is the run id.
//!
//! **Access policy.** Run ids can be guessed: those of TanStack are a clock and 31 random bits. Under a
//! policy that accepts any caller with the id, strangers can read runs. Use a policy that checks owners
//! ([`OnlyTheOwner`](crate::access::OnlyTheOwner)).
//!
//! A request with `X-Run-Id` or `offset` comes from TanStack's client. For it a message begins before
//! its thinking, because otherwise the client loses the text of a run that it joins. For other clients
//! thinking is a message of its own, before that of the answer.
//!
//! # Routes
//!
//! | request | meaning | answers |
//! |---|---|---|
//! | `POST /` | start; the body is a `RunAgentInput`; `X-Run-Id`, else `runId`, is the session id | 200 and the stream; 409 |
//! | `POST /` with `Last-Event-ID` | reconnect; no session is started | 200, 404 |
//! | `GET /?offset=-1&runId=` | join a run, after `Last-Event-ID` if present | 200, 404 |
//! | `GET /{runId}` | join a run | 200, 404 |
//! | `GET /?threadId=` | the running run of a conversation, for `persistence: true` | 200 and `{messages: [], activeRun, interrupts: null}` |
//! | `POST /{runId}/abort` | abort, for all readers; the client's own `stop()` only closes its connection | 202, 200 |
//! | `POST /{runId}/inputs/{inputId}` | answer the question of a `CUSTOM` event `input_request`, as in the [native dialect](super::native); the run goes on | 202 |
//! | `DELETE /{runId}` | abort if it runs, then delete | 204 |
//!
//! Of the input, the dialect reads messages, tools and the thread id. `system` and `developer`
//! messages are refused unless the application [opens](crate::durable::ClientFields::system_role) them;
//! `state`, `context`, `forwardedProps`, `resume` and other fields are dropped unless it opens
//! [fields](crate::durable::ClientFields::field) of these names. Parts of a message that aren't text
//! are refused. Outputs of a client's tools arrive as messages of the role `tool` in the next request.
//!
//! # Events
//!
//! | event of the log | event of AG-UI |
//! |---|---|
//! | `session_info` | `RUN_STARTED` |
//! | `text` | `TEXT_MESSAGE_START`, `…_CONTENT`, `…_END`, with a message for each run of text |
//! | `thinking` | `REASONING_START`, `REASONING_MESSAGE_START`, `…_CONTENT`, `…_END`, `REASONING_END` |
//! | `tool_calls` | `TOOL_CALL_START`, `…_ARGS`, `…_END` |
//! | `tool_result`, `tool_error` | `TOOL_CALL_RESULT` |
//! | `isomorphic_handoff`, and at the end `tool_calls` that no tool layer ran | `CUSTOM` `tool-input-available`, on which TanStack's client runs the tool; at the end the call is in `outcome.pendingToolCallIds` |
//! | `input_request`, `input_resolved`, `tool_progress` | `CUSTOM` of these names, because an interrupt of AG-UI would end the run |
//! | `custom` | `CUSTOM` |
//! | `complete` | `RUN_FINISHED` |
//! | `aborted` | `RUN_FINISHED` with the outcome `cancelled` |
//! | `error` | `RUN_ERROR` |
//!
//! # Deployment caveats
//!
//! **Answers are not restarted.** AG-UI has no event that tells a client to drop earlier ones, so
//! sessions that this dialect started are never [restarted](crate::durable::RecoveryPolicy::Restart); resuming
//! is possible. A reader of a session of another dialect gets a `CUSTOM` event `restarted`, and then
//! the new answer in messages of its own.
//!
//! **Pages of another origin** send `X-Run-Id`, which is among the headers of
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

/// The dialect of AG-UI. The [module](self) lists its routes.
#[derive(Debug, Clone)]
pub struct AgUi {
    enabled_tools: Option<EnabledTools>,
}

impl AgUi {
    /// Creates the dialect, without the server's tools.
    pub fn new() -> Self {
        Self {
            enabled_tools: None,
        }
    }

    /// Sets the server's tools that runs may use; AG-UI's clients don't name any. Default none.
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
            data => Native::new().respond(data),
        }
    }

    fn can_restart(&self) -> bool {
        false
    }
}
