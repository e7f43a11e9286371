//! The dialect of the AI SDK, for `useChat`.
//!
//! ```
//! # use futures_util::stream;
//! # use unbroken::{chat::{ChatEvent, ProviderError, provider_fn}, session::Sessions};
//! use axum::Router;
//! use tower::Layer;
//! use unbroken::{access::OnlyTheOwner, dialect::AiSdk, durable::DurableLayer, log::Owner};
//!
//! # let sessions = Sessions::in_memory();
//! # let provider = provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]));
//! let access = OnlyTheOwner::new(|head: &mut http::request::Parts| {
//!     head.extensions.get::<Owner>().cloned() // set by the application's sign-in
//! });
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
//! A resume finds the running answer, and with [`AiSdk::resume_after_end`] one that ended just now. An
//! answer that ended while the client was away comes from the application, and the page passes the stored messages
//! to `useChat`: with [a history](#conversations-that-the-server-keeps) those of
//! [`DurableLayer::chat_messages`](crate::durable::DurableLayer::chat_messages), without one those that
//! [`UiMessage::from_transcript`] makes in [`DurableLayer::on_end`]. (The `WorkflowChatTransport` resumes by the
//! run, and reads one that has ended to its end.)
//!
//! [`DurableLayer::on_end`]: crate::durable::DurableLayer::on_end
//!
//! **Access policy.** Clients name chats, and a chat id leads to the answers of its owner. The policy must
//! name owners: use [`OnlyTheOwner`](crate::access::OnlyTheOwner), with a cookie where users don't sign
//! in. With another policy the layer panics when it is built, unless it has
//! [secret chat ids](crate::durable::DurableLayer::secret_chat_ids).
//!
//! # Routes
//!
//! | request | meaning | answers |
//! |---|---|---|
//! | `POST /` | start; the body is `{id, messages, trigger, messageId}`, as the transport sends it, or with a [history](#conversations-that-the-server-keeps) `{id, message, trigger, messageId}` | 200 and the stream; 409 while another answer of the chat runs |
//! | `GET /{chatId}/stream` | resume: the running answer of the chat from its start, the past part in few chunks | 200; 204 if nothing runs |
//! | `GET /{chatId}/stream?asks=A,B&wait=25` | the same for a page that shows these approvals as open: once there is [news of them](#tabs-that-listen), for at most 25 seconds | 200; 204 after the wait |
//! | `GET /{runId}/stream?startIndex=N` | resume after N chunks; `runId` came with `x-workflow-run-id` | 200 |
//! | `POST /{chatId}/stop` | abort the answer, for all its readers; safe to repeat | 202 once stored, or once the provider is stopped; 200 if it had ended, 204 if nothing runs |
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
//! # Conversations that the server keeps
//!
//! A layer with a [history](crate::durable::DurableLayer::history) takes the new message alone. Without one the
//! request is refused (422), and needs all `messages`. The ids of its messages are those of the pages, and answers
//! have the ids that their streams start with; so each message needs an `id`, and the chat too.
//!
//! ```js
//! new DefaultChatTransport({
//!   api: '/api/chat',
//!   prepareSendMessagesRequest: ({ id, messages, trigger, messageId, body }) =>
//!     ({ body: { ...body, id, message: messages.at(-1), trigger, messageId } }),
//! })
//! ```
//!
//! | request | conversation |
//! |---|---|
//! | a new message of the user | all messages of the chat, and this one |
//! | a message with the id of an earlier one | those before that, and this one: an edit, or a `regenerate` |
//! | `regenerate-message` without a message | those before the answer `messageId`, or up to the message of the user of this id; by default before the last answer |
//! | a message of the assistant | those before it, and the kept one with the outputs and the responses to approvals that this one adds |
//! | `messages` | as with the last of them alone: the others are not read |
//!
//! Send the `trigger`: without it a `regenerate` after the end is the request of before, and gets its answer again.
//! A message whose request was refused is not in the chat, also if the page shows it.
//!
//! # Chunks
//!
//! | event | chunks |
//! |---|---|
//! | `text`, `thinking` | a part for each run, with its `start`, `delta` and `end` chunks |
//! | `source` | `source-url`, or `source-document` without an address; it doesn't end the part of text that it stands in |
//! | `media` | `file` |
//! | `tool_input` | `tool-input-start`, `tool-input-delta`; `tool-input-error` for a call that hasn't come by the end of the turn |
//! | `tool_calls`, `isomorphic_handoff` | `tool-input-available`; a handoff with a server output is a `data-handoff` too |
//! | `tool_result`, `tool_error` | `tool-output-available`, with a `file` after it for each medium of the result; `tool-output-error`; the next output of the model begins a new step |
//! | `tool_progress` | `data-tool-progress`, transient |
//! | `input_request` | for the approval of a call `tool-approval-request`, and a `finish` once no other call of the turn runs; otherwise `data-input-request` with the id of the question |
//! | `input_resolved` | for an approval nothing, because the call has its outcome, or by [option](AiSdk::approval_responses) `tool-approval-response`; otherwise `data-input-resolved` with the same id |
//! | `turn` | `message-metadata` with the usage and the model, if it has one of them; the next output of the model begins a new step |
//! | `provider_state` | the `providerMetadata` of the reasoning before it, or of reasoning without text; of a call that was sent before it, a `data-provider-state` with the id of the call |
//! | `custom` | `data-{name}`, with its `id` and `transient` where it has them |
//! | `restarted` | `data-restarted`, and a new step; earlier chunks stay. By [option](AiSdk::restarts) `reset-step`, see [below](#restarts) |
//! | `complete`, `aborted`, `error` | `tool-output-error` for an approved call without an outcome; `finish`, with the usage, the model and the mismatch, or why it is unchecked; before it `abort` or `error` for these two |
//!
//! The metadata of a message is `{usage, model, unbroken}`, each as far as it is known: `usage` is that of the
//! answer so far, `{inputTokens, outputTokens, cachedInputTokens?, reasoningTokens?}`, `model` the one that
//! answered the last turn, and `unbroken` is `{mismatch}` or `{unchecked}`, where the whole text doesn't fit
//! [the format that was asked for](field@crate::chat::Complete::mismatch). A schema that a page sets for metadata has to
//! allow these.
//!
//! The object `unbroken` in `providerMetadata` of a part holds what its chunk has no field for: `providerState`
//! of reasoning and calls, `name` and `detail` of a file, `quote` and `at` of a source. A file in the result of
//! a tool has the `toolCallId`, and `at`, the number of characters of the result's text before it; without `at`
//! it stands at the end. A result with a file within its text is a string, also where that is JSON.
//!
//! # Restarts
//!
//! `ai` drops the parts of the last step at the chunk `reset-step`, from 7.0.70 on. `ai` 6 and earlier versions of
//! 7 fail at it, and no request tells which of them sends it. So answers are
//! [restarted](crate::durable::RecoveryWay::Restart) by [option](AiSdk::restarts) only, for applications whose
//! pages all use 7.0.70 or later. Without the option, and always
//! with `ai` 6, an answer whose server died ends as `interrupted`, unless another way of the list continues it.
//!
//! With the option, a restart is the chunks `finish-step` and `reset-step`, after the `end` of an open part. The
//! client then has the parts of the new answer alone, with either transport and with that of Durable Streams, and
//! they equal those of [`UiMessage::from_transcript`]. The restart is declined
//! ([`Dialect::restart_obstacle`]) for an answer
//!
//! * of several steps, such as one that goes on after the results of a tool, because the client keeps the
//!   earlier steps. It can still be [resumed](crate::durable::RecoveryWay::Resume);
//! * that has asked for an approval, because the page may send its response at any time;
//! * with a call that the client may have run: one that was handed to it, or one that no event tells the server to
//!   have begun.
//!
//! A part `data-*` with an id in a message that goes on from an earlier answer keeps what the former answer wrote to
//! it. Turn the option on in a deploy of its own: it counts for running answers too, and servers with and without it
//! write the same restart as different chunks.
//!
//! The metadata of the message is merged, so a field that only the former answer had stays. A session that
//! another dialect started may be restarted all the same: a page then also gets `data-restarted`, where parts
//! remain that it can't drop.
//!
//! # Messages
//!
//! | part | for the model |
//! |---|---|
//! | `text`, `file` | text and [`Media`](crate::chat::Media), in order; a `file` has a `data:` URL in base64, or a link; one in the result of a tool goes back into that result |
//! | `reasoning` | [`Reasoning`](crate::chat::Reasoning), with the provider state from its metadata |
//! | `tool-…`, `dynamic-tool` | the call with its provider state, and its output; without an output neither |
//! | `source-url`, `source-document`, `data-…` | nothing |
//! | any other type | the request is refused (422) with the place and the type of the part |
//!
//! # Settings
//!
//! `temperature`, `topP`, `maxOutputTokens`, `stopSequences`, `seed`, `toolChoice`, `reasoning` and
//! `responseFormat` in the body have the SDK's forms, and become
//! [`ChatOptions`](crate::chat::ChatOptions). The object `options` of the native protocol is read too. `topK`,
//! `presencePenalty` and `frequencyPenalty` are the fields `top_k`, `presence_penalty` and `frequency_penalty` of the
//! request to the model's server, and refused (422) unless the application opens these
//! ([`ClientFields::provider_field`](crate::durable::ClientFields::provider_field)). Other settings are
//! fields that the application opens by name
//! ([`ClientFields::field`](crate::durable::ClientFields::field)).
//!
//! ```js
//! sendMessage({ text: 'What is this?', files }, { body: { temperature: 0.2, reasoning: 'low' } })
//! ```
//!
//! # Tools
//!
//! The SDK's clients don't name the server's tools that a request may use: it may use all, unless
//! [`AiSdk::enabled_tools`] names some. Outputs of the client's own tools arrive with another POST, and
//! the answer continues in the message that called the tools. They count for calls that the log of the
//! chat has handed over, once, with the log's parameters.
//!
//! The SDK's clients send the whole conversation, which the application opens with
//! [`ClientFields::history`](crate::durable::ClientFields::history), or else accepts only the first message
//! of, unless it [keeps the conversation](#conversations-that-the-server-keeps). Responses to a `tool-approval-request`
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
//!
//! # Tabs that listen
//!
//! The stream of each tab ends where an approval is asked, because the SDK's clients send a response only
//! then. So no tab is connected when one of them responds. A tab that resumes with `asks` and `wait` hears of
//! it, and stays free to respond meanwhile. `ai` 6 has no chunk for a response: there the tab shows the outcome
//! of the call as soon as it comes, and `ai` 7 the response too, by [option](AiSdk::approval_responses).
//!
//! ```js
//! const transport = new DefaultChatTransport({
//!   api: '/api/chat',
//!   prepareReconnectToStreamRequest: ({ id, requestMetadata }) =>
//!     ({ api: `/api/chat/${id}/stream` + (requestMetadata?.asks ? `?asks=${requestMetadata.asks}&wait=25` : '') }),
//! })
//! const asks = (messages) =>
//!   messages.at(-1)?.parts.filter((it) => it.state === 'approval-requested').map((it) => it.approval.id).join()
//!
//! // While `asks(messages)` isn't empty and the chat is `ready`:
//! await resumeStream({ metadata: { asks: asks(messages) } })
//! ```
//!
//! `asks` has the id of each approval that the page shows as open. The response waits only while these are the
//! open approvals of the answer. A tab that slept meanwhile, or that shows another question, gets the stream
//! at once. After `wait` the response is 204, and so it is where nothing of the chat runs: the loop asks once
//! in 25 seconds. Each request holds a connection, as a long poll does. Over HTTP/1.1 a browser opens six to a
//! server for all its tabs: there only the visible tab should listen.
//!
//! The loop doesn't end where the page never gets the outcome: the answer has ended, and a resume
//! [doesn't get it](AiSdk::resume_after_end) any more, or it ended with the question open, as after a stop (a
//! resume that gets such an answer gets it after the wait). So a page that asks the same after a round loads
//! its messages from the application, and stops listening if they have the end of the answer.
//!
//! The stream of a run (`/{runId}/stream`) never waits.

mod approvals;
#[cfg(feature = "durable-streams")]
mod array;
mod chunk;
mod delta_run;
mod encoder;
mod fold;
mod message;
mod metadata;
mod notes;
mod options;
mod part_check;
mod parts;
mod pieces;
mod recall;
mod reduce;
mod replay;
mod request;
mod response;
mod route;

use std::time::Duration;

use bytes::Bytes;
use http::{Response, header, request::Parts};

#[cfg(feature = "durable-streams")]
pub(super) use self::array::MessageChunks;
use self::{encoder::NullSink, fold::UiMessageFold};
pub use self::{message::UiMessage, response::RUN_ID};
use super::{
    ChatMessage, Concurrency, Dialect, Intent, NO_RESTART, Native, Refusal, RequestLimits,
    ResponseData, Route, Subject,
    handed_over::{HANDED_OVER, may_have_run},
};
use crate::{
    chat::EnabledTools,
    log::{Chunk, SessionId},
};

/// The dialect of the AI SDK. The [module](self) lists its routes.
#[derive(Debug, Clone)]
pub struct AiSdk {
    concurrency: Concurrency,
    tools: EnabledTools,
    any_content_type: bool,
    approval_responses: bool,
    restarts: bool,
    resume_after_end: Duration,
}

impl AiSdk {
    /// Creates the dialect with its defaults.
    pub fn new() -> Self {
        Self {
            concurrency: Concurrency::CancelQuestions,
            tools: EnabledTools::All,
            any_content_type: false,
            approval_responses: false,
            restarts: false,
            resume_after_end: Duration::ZERO,
        }
    }

    /// Sets the rule for a new message while another answer of the chat runs. Default
    /// [`Concurrency::CancelQuestions`], which responds 409 unless that answer waits for an approval or
    /// another reply.
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Sets the server's tools that requests may use unless they name some; the SDK's clients name
    /// none. Default all.
    pub fn enabled_tools(mut self, tools: EnabledTools) -> Self {
        self.tools = tools;
        self
    }

    /// Sets whether bodies of any `Content-Type` are accepted. Default false.
    ///
    /// The `WorkflowChatTransport` sends `text/plain` unless its `prepareSendMessagesRequest` sets the
    /// header. A browser sends such a request for a page of another origin too, with the user's cookies
    /// and without a CORS preflight; the layer [refuses](crate::durable::CrossSite) it then.
    pub fn any_content_type(mut self, any: bool) -> Self {
        self.any_content_type = any;
        self
    }
}

impl AiSdk {
    /// Sets whether the decision about an approval is sent as the chunk `tool-approval-response`, for pages
    /// that all use `ai` 7. Default false, because `ai` 6 fails at it; it shows the outcome of the call, which
    /// follows.
    pub fn approval_responses(mut self, send: bool) -> Self {
        self.approval_responses = send;
        self
    }

    /// Sets whether interrupted answers may be [restarted](crate::durable::RecoveryWay::Restart), for pages that
    /// all use `ai` 7.0.70 or later. Default false, because earlier versions fail at the chunk `reset-step`, and no
    /// request tells which of them sends it. [Some answers](self#restarts) are not restarted then either.
    pub fn restarts(mut self, restart: bool) -> Self {
        self.restarts = restart;
        self
    }

    /// Sets how long after its end a resume by the chat still gets the newest answer, from its start. Default
    /// zero: a resume gets running answers only, and 204 otherwise.
    ///
    /// The answer must be retained: the [retention](crate::session::Retention) of the sessions bounds it too. A
    /// page that has a message with the id of the answer replaces it; a page that stored the answer under
    /// another id shows it twice. A call of a client's tool that was handed over reaches `onToolCall` again.
    pub fn resume_after_end(mut self, within: Duration) -> Self {
        self.resume_after_end = within;
        self
    }

    /// Returns a fold into what the pages of the application read.
    fn fold(&self) -> UiMessageFold {
        UiMessageFold::new()
            .approval_responses(self.approval_responses)
            .reset_steps(self.restarts)
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

    fn subject(&self, head: &Parts, body: &Bytes) -> Result<Subject, Refusal> {
        route::subject(head, body)
    }

    fn decode(
        &self,
        head: &Parts,
        body: &Bytes,
        limits: &RequestLimits,
    ) -> Result<Intent, Refusal> {
        route::decode(self, head, body, limits)
    }

    fn field_name(&self, field: &'static str) -> &'static str {
        match field {
            "media" => "file",
            "options.stop" => "stopSequences",
            "options.providerFields.top_k" => "topK",
            "options.providerFields.presence_penalty" => "presencePenalty",
            "options.providerFields.frequency_penalty" => "frequencyPenalty",
            other => other.strip_prefix("options.").unwrap_or(other),
        }
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
        self.restarts
    }

    fn restart_obstacle(&self, log: &[Chunk]) -> Option<&'static str> {
        if !self.restarts {
            return Some(NO_RESTART);
        }
        let mut fold = self.fold();
        for record in log.iter().flat_map(Chunk::records) {
            fold.push(&record, &mut NullSink);
        }
        let obstacle = fold.restart_obstacle();
        obstacle.or_else(|| may_have_run(log).then_some(HANDED_OVER))
    }

    fn finds_by_chat(&self) -> bool {
        true
    }

    fn message_form(&self) -> Option<&'static str> {
        Some("ui-message")
    }

    fn answered(
        &self,
        session: &SessionId,
        asked: Vec<ChatMessage>,
        log: &[Chunk],
    ) -> Vec<ChatMessage> {
        recall::answered(self, session, asked, log)
    }
}
