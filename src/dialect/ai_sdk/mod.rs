//! The dialect of the AI SDK, for `useChat`.
//!
//! ```
//! # use futures_util::stream;
//! # use unbroken::{access::AnyoneWithTheId, chat::{ChatEvent, ProviderError, provider_fn}, session::Sessions};
//! use axum::Router;
//! use tower::Layer;
//! use unbroken::{dialect::AiSdk, durable::DurableLayer};
//!
//! # let (sessions, access) = (Sessions::in_memory(), AnyoneWithTheId::new());
//! # let provider = provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]));
//! let chat = DurableLayer::new(sessions, access).dialect(AiSdk::new()).layer(provider);
//! let app: Router = Router::new().nest_service("/api/chat", chat);
//! ```
//!
//! # Clients
//!
//! `useChat` of `ai` 7 and 6, over its `DefaultChatTransport` and over the `WorkflowChatTransport`.
//!
//! In the page, `useChat({ id, resume: true })` is enough for a reload. The SDK's `stop()` only closes
//! its connection; to abort the answer, send `fetch('/api/chat/' + id + '/stop', { method: 'POST' })`.
//!
//! A resume finds the running answer. An answer that ended while the client was away comes from the
//! application: in [`DurableLayer::on_end`], [`UiMessage::from_transcript`] makes the message to store,
//! and the page passes the stored messages to `useChat`. (The `WorkflowChatTransport` resumes by the
//! run, and reads one that has ended to its end.)
//!
//! [`DurableLayer::on_end`]: crate::durable::DurableLayer::on_end
//!
//! **Access policy.** Clients name chats, and a chat id gives access to its answers unless the policy
//! names owners. Use [`OnlyTheOwner`](crate::access::OnlyTheOwner); under a policy without owners, make
//! chat ids long and random.
//!
//! # Routes
//!
//! | request | meaning | answers |
//! |---|---|---|
//! | `POST /` | start; the body is `{id, messages, trigger, messageId}`, as the transport sends it | 200 and the stream; 409 while another answer of the chat runs |
//! | `GET /{chatId}/stream` | resume: the running answer of the chat from its start, the past part in few chunks | 200; 204 if nothing runs |
//! | `GET /{runId}/stream?startIndex=N` | resume after N chunks; `runId` came with `x-workflow-run-id` | 200 |
//! | `POST /{chatId}/stop` | abort the answer, for all its readers; safe to repeat | 202 once stored, 200 if it had ended, 204 if nothing runs |
//! | `POST /{chatId}/inputs/{inputId}` | answer a `data-input-request` of the chat, with `{action, content}` as in the native dialect | 202; 409 if it is no longer open |
//!
//! The stream is a UI message stream of the SDK: server-sent events with a chunk each, and `[DONE]` at
//! the end.
//!
//! # Session ids
//!
//! The client names chats and messages, not sessions. The id of a session is a hash of its owner, the
//! chat, and the message that it answers. A repeated POST attaches to the running answer. A complete
//! answer is not paid for twice while it is retained. After a failure, an abort or a `regenerate`, the
//! POST starts another session.
//!
//! The `WorkflowChatTransport` sends no chat id. Configure it to send one. Without one a session has no
//! chat: a repeated POST starts another session, and no route finds or stops it by the chat. An
//! approval without a chat id still reaches the session that asked in its first message.
//!
//! ```js
//! new WorkflowChatTransport({
//!   api: '/api/chat',
//!   prepareSendMessagesRequest: ({ id, messages, trigger, messageId, body }) => ({
//!     body: { id, messages, trigger, messageId, ...body },
//!     headers: { 'content-type': 'application/json' },
//!   }),
//! })
//! ```
//!
//! # Chunks
//!
//! | event | chunks |
//! |---|---|
//! | `text`, `thinking` | a part for each run, with its `start`, `delta` and `end` chunks |
//! | `tool_calls`, `isomorphic_handoff` | `tool-input-available`; a handoff with a server output is a `data-handoff` too |
//! | `tool_result`, `tool_error` | `tool-output-available`, `tool-output-error`; the next output of the model begins a new step |
//! | `tool_progress` | `data-tool-progress`, transient |
//! | `input_request` | for the approval of a call `tool-approval-request`, and a `finish` once no other call of the turn runs; otherwise `data-input-request` with the id of the question |
//! | `input_resolved` | for an approval nothing, because the call has its outcome; otherwise `data-input-resolved` with the same id |
//! | `custom` | `data-{name}`, with its `id` and `transient` where it has them |
//! | `restarted` | `data-restarted`, and a new step; earlier chunks stay |
//! | `complete`, `aborted`, `error` | `finish`; before it `abort` or `error` for these two |
//!
//! A client can't drop chunks, so sessions of this dialect are never restarted
//! ([`RecoveryPolicy::Restart`](crate::durable::RecoveryPolicy::Restart)).
//!
//! # Tools
//!
//! The SDK's clients don't name the server's tools that a request may use;
//! [`AiSdk::enabled_tools`] sets them. Outputs of the client's own tools arrive with another POST, and
//! the answer continues in the message that called the tools. Responses to a `tool-approval-request`
//! arrive the same way: the session waits while the client's stream ends, and the POST with the
//! response reads on.
//!
//! A question of a running tool is a `data-input-request`. The stream goes on, and the tool continues
//! once the question is answered.
//!
//! In the following request `id` is that of the chat. A `WorkflowChatTransport` without a chat id uses
//! the run of `x-workflow-run-id` instead.
//!
//! ```js
//! fetch(`/api/chat/${id}/inputs/${part.id}`, {
//!   method: 'POST',
//!   headers: { 'content-type': 'application/json' },
//!   body: JSON.stringify({ action: 'accept', content: '12A' }), // or decline, or cancel
//! })
//! ```

mod approvals;
#[cfg(feature = "durable-streams")]
mod array;
mod chunk;
mod delta_run;
mod encoder;
mod fold;
mod message;
mod notes;
mod parts;
mod replay;
mod request;
mod response;
mod route;

use bytes::Bytes;
use http::{Response, header, request::Parts};

#[cfg(feature = "durable-streams")]
pub(super) use self::array::MessageChunks;
pub use self::{message::UiMessage, response::RUN_ID};
use super::{Concurrency, Dialect, Intent, Native, Refusal, ResponseData, Route};
use crate::chat::EnabledTools;

/// The dialect of the AI SDK. The [module](self) lists its routes.
#[derive(Debug, Clone)]
pub struct AiSdk {
    concurrency: Concurrency,
    tools: Option<EnabledTools>,
    any_content_type: bool,
}

impl AiSdk {
    /// Creates the dialect with its defaults.
    pub fn new() -> Self {
        Self {
            concurrency: Concurrency::Refuse,
            tools: None,
            any_content_type: false,
        }
    }

    /// Sets the rule for a new message while another answer of the chat runs. Default
    /// [`Concurrency::Refuse`], which responds 409.
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Sets the server's tools that requests may use unless they name some; the SDK's clients name
    /// none. Default none.
    pub fn enabled_tools(mut self, tools: EnabledTools) -> Self {
        self.tools = Some(tools);
        self
    }

    /// Decodes the body of `POST /`.
    #[cfg(feature = "durable-streams")]
    pub(super) fn start(&self, body: &Bytes) -> Result<super::Start, Refusal> {
        request::decode(self, body)
    }

    /// Sets whether bodies of any `Content-Type` are accepted. Default false.
    ///
    /// The `WorkflowChatTransport` sends `text/plain` unless its `prepareSendMessagesRequest` sets the
    /// header. A page of another origin can send such a request with the user's cookies and without a
    /// CORS preflight. If cookies identify users, set the header in the client instead, or make the
    /// cookies `SameSite`.
    pub fn any_content_type(mut self, any: bool) -> Self {
        self.any_content_type = any;
        self
    }
}

impl Default for AiSdk {
    fn default() -> Self {
        Self::new()
    }
}

impl Dialect for AiSdk {
    fn name(&self) -> &'static str {
        "ai-sdk"
    }

    fn route(&self, head: &Parts) -> Result<Route, Refusal> {
        route::route(self, head)
    }

    fn decode(&self, head: &Parts, body: &Bytes) -> Result<Intent, Refusal> {
        route::decode(self, head, body)
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Bytes> {
        super::problem::refuse(refusal)
    }

    fn respond(&self, data: &ResponseData<'_>) -> Response<Bytes> {
        match data {
            ResponseData::Answered { .. } => {
                let mut response = Native::new().respond(data);
                // This dialect has no document of a session.
                for name in [header::CONTENT_LOCATION, header::VARY] {
                    response.headers_mut().remove(name);
                }
                response
            }
            data => response::respond(data),
        }
    }

    fn can_restart(&self) -> bool {
        false
    }
}
