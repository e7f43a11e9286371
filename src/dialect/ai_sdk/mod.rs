//! The dialect of the AI SDK: what `useChat` of `ai` 7 and 6 speaks, over its `DefaultChatTransport`
//! and over the `WorkflowChatTransport`.
//!
//! | request | meaning | answers |
//! |---|---|---|
//! | `POST /` | start; the body is what the transport sends: `{id, messages, trigger, messageId}` | 200 and the stream; 409 while another answer of the chat runs |
//! | `GET /{chatId}/stream` | resume: the running answer of the chat, from its start; what was said so far in few chunks | 200; 204 if nothing runs |
//! | `GET /{runId}/stream?startIndex=N` | go on after so many chunks; `runId` came with `x-workflow-run-id` | 200 |
//! | `POST /{chatId}/stop` | stop, for everybody who watches; safe to repeat | 202 once stored, 200 if it had ended, 204 if nothing runs |
//! | `POST /{chatId}/inputs/{inputId}` | answer a `data-input-request` of the chat's, `{action, content}` as in the native protocol | 202; 409 if it is no longer open |
//!
//! The stream is the SDK's own: server-sent events with a chunk each, and `[DONE]` at the end.
//!
//! ```
//! # use futures_util::stream;
//! # use unbroken::{access::AnyoneWithTheId, chat::{ChatEvent, ProviderError, provider_fn}, session::Sessions};
//! use axum::Router;
//! use tower_layer::Layer;
//! use unbroken::{dialect::AiSdk, durable::DurableLayer};
//!
//! # let (sessions, access) = (Sessions::in_memory(), AnyoneWithTheId::new());
//! # let provider = provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]));
//! let chat = DurableLayer::new(sessions, access).dialect(AiSdk::new()).layer(provider);
//! let app: Router = Router::new().nest_service("/api/chat", chat);
//! ```
//!
//! In the page, `useChat({ id, resume: true })` is all that a reload needs. The SDK's `stop()` only
//! closes its connection; what stops the answer is `fetch('/api/chat/' + id + '/stop', { method:
//! 'POST' })`.
//!
//! A resume finds what runs. An answer that ended while the client was away is the application's to
//! show: [`UiMessage::from_transcript`], in [`DurableLayer::on_end`], makes the message to store, and
//! `useChat` is given the stored messages when the page is opened. (The `WorkflowChatTransport` goes by
//! the run, and reads one that has ended to its end.)
//!
//! [`DurableLayer::on_end`]: crate::durable::DurableLayer::on_end
//!
//! # Names
//!
//! The client names chats and messages, not sessions. A session's id is a hash of its owner, the
//! chat, and the message that it answers: the same POST again attaches to the answer that runs, and
//! is not paid for twice once that is whole, for as long as the answer is kept. After a failure, and by
//! `regenerate`, it starts anew.
//! Where the access policy has no owners, whoever knows a chat's id has its answers: make chat ids
//! long and random then, or better, let the policy name owners.
//!
//! The `WorkflowChatTransport` sends no id of a chat. Have it send one, or its sessions have no chat:
//! the same POST again is then another session, and there is nothing to find or to stop by the chat.
//! An approval that comes without one still reaches the session that asked in its first message.
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
//! # What is said how
//!
//! | event | chunks |
//! |---|---|
//! | `text`, `thinking` | parts of their own, opened and closed where they begin and end |
//! | `tool_calls`, `isomorphic_handoff` | `tool-input-available`; a handoff with something to hand over is a `data-handoff` too |
//! | `tool_result`, `tool_error` | `tool-output-available`, `tool-output-error`; what the model says next is a step of its own |
//! | `tool_progress` | `data-tool-progress`, transient |
//! | `input_request` | the approval of a call: `tool-approval-request`, and a `finish` once no other call of the turn runs; anything else: `data-input-request`, with the question's id |
//! | `input_resolved` | of an approval nothing: the call says it; of anything else `data-input-resolved` with the same id |
//! | `custom` | `data-{name}`, with its `id` and `transient` where it has them |
//! | `restarted` | `data-restarted`, and a step of its own: what was said before it stays |
//! | `complete`, `aborted`, `error` | `finish`, after `abort` or `error` where it is one of these |
//!
//! Chunks can't be taken back, so what this dialect starts is never restarted
//! ([`Policy::Restart`](crate::durable::Policy::Restart)).
//!
//! # Tools
//!
//! Which of the server's tools may be called is for the server to say here:
//! [`AiSdk::enabled_tools`]. What the client's own tools gave comes back as another POST; its answer
//! goes on in the message that asked. So does what a person says to a `tool-approval-request`: the
//! session waits for it, while the client's stream ends; the POST that brings it reads on.
//!
//! A question that a tool asks in the middle of its run is a `data-input-request`: the stream goes on,
//! and so does the tool once somebody has answered.
//!
//! Here `id` is the chat's; a `WorkflowChatTransport` that sends none names the run instead, by what
//! came with `x-workflow-run-id`.
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

/// The dialect of the AI SDK. The [module](self) has its routes.
#[derive(Debug, Clone)]
pub struct AiSdk {
    concurrency: Concurrency,
    tools: Option<EnabledTools>,
    any_content_type: bool,
}

impl AiSdk {
    /// The dialect as the SDK's own servers speak it.
    pub fn new() -> Self {
        Self {
            concurrency: Concurrency::Refuse,
            tools: None,
            any_content_type: false,
        }
    }

    /// What a new message does about an answer of the same chat that still runs. Default
    /// [`Concurrency::Refuse`]: 409.
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Which of the server's tools may be called where a request doesn't say: the SDK's clients
    /// don't. Default none.
    pub fn enabled_tools(mut self, tools: EnabledTools) -> Self {
        self.tools = Some(tools);
        self
    }

    /// What the body of `POST /` asks for.
    #[cfg(feature = "durable-streams")]
    pub(super) fn start(&self, body: &Bytes) -> Result<super::Start, Refusal> {
        request::decode(self, body)
    }

    /// Whether bodies are read whatever their `Content-Type` says. The `WorkflowChatTransport` says
    /// `text/plain` unless its `prepareSendMessagesRequest` sets the header.
    ///
    /// Default no: a page of another origin may send such a request with the user's cookies and
    /// without asking first. Where cookies say who is there, set the header in the client instead,
    /// or have the cookie be `SameSite`.
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
                // There is no document of the session here, in whatever representation.
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
