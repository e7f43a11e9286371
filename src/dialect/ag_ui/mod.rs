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
//! **Access policy.** A thread id leads to the running run of its owner. The policy must name owners: use
//! [`OnlyTheOwner`](crate::access::OnlyTheOwner), with a cookie where users don't sign in. With another
//! policy the layer panics when it is built, unless it has
//! [secret chat ids](crate::durable::DurableLayer::secret_chat_ids). Those aren't enough for TanStack's
//! clients: their run ids are a clock and 31 random bits, and can be guessed.
//!
//! A request with `X-Run-Id` or `offset` comes from TanStack's client. For it a message begins before
//! its thinking, because otherwise the client loses the text of a run that it joins. For other clients
//! thinking is a message of its own, before that of the answer. A client that keeps messages in the order of
//! the stream, as `@ag-ui/client` does, joins by `GET /{runId}`: by `offset` its thinking would come after
//! the message that it belongs to, and go back to the model with the next turn.
//!
//! # Routes
//!
//! | request | meaning | answers |
//! |---|---|---|
//! | `POST /` | start; the body is a `RunAgentInput`; `X-Run-Id`, else `runId`, is the session id | 200 and the stream; 409 |
//! | `POST /` with `Last-Event-ID` | reconnect; no session is started | 200, 404 |
//! | `GET /?offset=-1&runId=` | join a run, as TanStack's client does, after `Last-Event-ID` if present | 200, 404 |
//! | `GET /{runId}` | join a run | 200, 404 |
//! | `GET /?threadId=` | the running run of a conversation, for `persistence: true` | 200 and `{messages: [], activeRun, interrupts: null}` |
//! | `POST /{runId}/abort` | abort, for all readers; the client's own `stop()` only closes its connection | 202, 200 |
//! | `POST /{runId}/inputs/{inputId}` | answer the question of a `CUSTOM` event `input_request`, as in the [native dialect](super::native); the run goes on | 202 |
//! | `DELETE /{runId}` | abort if it runs, then delete | 204 |
//!
//! Of the input, the dialect reads messages, tools, the thread id, and the options in `forwardedProps`
//! (`temperature`, `topP`, `maxTokens`, `stop`, `seed`, `toolChoice`, `parallelToolCalls`, `reasoning`,
//! `responseFormat`, `model`, and these in `modelOptions`; `topK`, `presencePenalty` and `frequencyPenalty` as
//! [fields of the model's server](crate::durable::ClientFields::provider_field)). `system` and `developer`
//! messages are refused unless the application [opens](crate::durable::ClientFields::system_role) them;
//! `context`, `resume`, and settings among `forwardedProps` that the dialect doesn't read are refused, unless they ask for
//! nothing or the application opens [fields](crate::durable::ClientFields::field) of these names; it may open members of
//! `modelOptions` and settings as [fields of the model's server](crate::durable::ClientFields::provider_field). `state`, other
//! `forwardedProps` and other fields are dropped unless it opens them. Messages of the role `activity` are the page's own and
//! left out; reasoning is text. Parts
//! of a message may be `image`, `audio`, `video` and `document` with a source of the type `data` or `url`, and
//! `binary` as in earlier versions; a source of the type `file` is refused. Reasoning and `encryptedValue`
//! go back to the provider. The application opens the conversation, which these clients send with each request, with
//! [`history`](crate::durable::ClientFields::history), and tools of the client with
//! [`client_tools`](crate::durable::ClientFields::client_tools). A
//! [`History`](crate::durable::History) can't keep the conversation in this dialect.
//!
//! Outputs of a client's tools arrive as messages of the role `tool` at the end of the next request. They
//! count for calls that a run of the thread has handed over, or the run `parentRunId`, once, with the log's
//! parameters; others are refused. A `parentRunId` that is no id of a run is refused with 400.
//!
//! # Events
//!
//! | event of the log | event of AG-UI |
//! |---|---|
//! | `session_info` | `RUN_STARTED` |
//! | `text` | `TEXT_MESSAGE_START`, `…_CONTENT`, `…_END`, with a message for each run of text |
//! | `thinking` | `REASONING_START`, `REASONING_MESSAGE_START`, `…_CONTENT`, `…_END`, `REASONING_END` |
//! | `tool_input` | `TOOL_CALL_START`, and `…_ARGS` for each piece; for a call that hasn't come by the end of the turn `…_END`, and a `…_RESULT` with `metadata.unbroken.incomplete`, which the dialect leaves out of later requests |
//! | `tool_calls` | `TOOL_CALL_START`, `…_ARGS`, `…_END`; only the rest of the arguments and `…_END` if they were streamed. If those were others, the right ones are `metadata.tanstack.input` of `…_END`, and in a `CUSTOM` `tool_calls` |
//! | `provider_state` | `REASONING_ENCRYPTED_VALUE` of the reasoning before it, of the message of its turn, or of its call; of a stream, nothing |
//! | `source`, `media` | `CUSTOM` of these names, with the fields of the event |
//! | `turn` | the usage and the model in the event of the end |
//! | `tool_result`, `tool_error` | `TOOL_CALL_RESULT`; the content of a result with media is a list of parts, which the client sends back, TanStack's as the JSON of the list |
//! | `isomorphic_handoff`, and at the end `tool_calls` that no tool layer ran | `CUSTOM` `tool-input-available`, on which TanStack's client runs the tool; at the end the call is in `outcome.pendingToolCallIds` |
//! | `input_request`, `input_resolved`, `tool_progress` | `CUSTOM` of these names, because an interrupt of AG-UI would end the run |
//! | `custom` | `CUSTOM` |
//! | `restarted` | `CUSTOM` of this name, after a `MESSAGES_SNAPSHOT` by [option](#restarts) |
//! | `complete` | `RUN_FINISHED`, with `usage`; `metadata.unbroken.mismatch` tells where the text doesn't fit [the format that was asked for](field@crate::chat::Complete::mismatch), and `unchecked` why it wasn't checked |
//! | `aborted` | `RUN_FINISHED` with the outcome `cancelled` |
//! | `error` | `RUN_ERROR` |
//!
//! # Restarts
//!
//! A client drops messages only for a `MESSAGES_SNAPSHOT`, which holds the whole conversation. So answers are
//! [restarted](crate::durable::RecoveryWay::Restart) by [option](AgUi::restarts) only: then the first record
//! keeps the messages that the client sent. A restart is a snapshot with these messages, as they came, and a
//! `CUSTOM` event `restarted`; the new answer follows in messages with ids of their own. If the former answer has
//! reasoning, an earlier snapshot makes its messages empty ones of the role `assistant`, because
//! `@ag-ui/client` keeps reasoning over a snapshot that has none.
//!
//! The restart is declined ([`Dialect::restart_obstacle`]) for an answer that
//! has handed a call to the client, which may have run it, and where the messages didn't fit into a record
//! ([`event_bytes`](field@crate::session::Limits::event_bytes)) or were not kept. Such an answer ends as
//! `interrupted`, unless another way of the list continues it.
//!
//! A page keeps nothing but the messages of the snapshot, which are those of its request: one that sends a part of
//! the conversation that it shows loses the rest at a restart, so leave the option off there. TanStack's client sends
//! an earlier answer with tools as its reasoning, its text and its calls, and shows it in that order afterwards. A
//! question that the former answer asked isn't closed by an event of its own: pages that show questions drop them at
//! `restarted`. Each reader of a session with the option holds the kept messages in memory.
//!
//! A session without these messages, such as one that another dialect started, may be restarted all the same. Its
//! readers get the `CUSTOM` event alone, and the new answer after the former one.
//!
//! # Deployment caveats
//!
//! **Pages of another origin** send `X-Run-Id`, which is among the headers of
//! [`headers::ALLOW`](crate::headers::ALLOW).

mod content;
mod cursor;
mod encoder;
mod end;
mod event;
mod fold;
mod hydrate;
mod options;
mod request;
mod restart;
mod route;
mod tools;

use bytes::Bytes;
use http::{Response, request::Parts};

use super::{
    Dialect, Intent, NO_RESTART, Native, Refusal, RequestLimits, ResponseData, Route, Subject,
};
use crate::{
    chat::{EnabledTools, Media},
    log::Chunk,
};

/// The dialect of AG-UI. The [module](self) lists its routes.
#[derive(Debug, Clone)]
pub struct AgUi {
    enabled_tools: EnabledTools,
    restarts: bool,
}

impl AgUi {
    /// Creates the dialect, with all tools of the server.
    pub fn new() -> Self {
        Self {
            enabled_tools: EnabledTools::All,
            restarts: false,
        }
    }

    /// Sets whether interrupted answers may be [restarted](crate::durable::RecoveryWay::Restart). Default false.
    ///
    /// A client drops the former messages of an answer for a `MESSAGES_SNAPSHOT`, which holds the whole
    /// conversation. So the first record of each session then holds the messages that the client sent, as far as
    /// [`event_bytes`](field@crate::session::Limits::event_bytes) allows, and whoever may read the session can read
    /// them. [Some answers](self#restarts) are not restarted then either.
    pub fn restarts(mut self, restart: bool) -> Self {
        self.restarts = restart;
        self
    }

    /// Sets the server's tools that runs may use; AG-UI's clients don't name any. Default all.
    pub fn enabled_tools(mut self, tools: EnabledTools) -> Self {
        self.enabled_tools = tools;
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
            "isomorphicTools" => "tools",
            "model" => "forwardedProps.model",
            "systemPrompt" => "messages",
            "options.temperature" => "forwardedProps.temperature",
            "options.topP" => "forwardedProps.topP",
            "options.maxOutputTokens" => "forwardedProps.maxTokens",
            "options.stop" => "forwardedProps.stop",
            "options.seed" => "forwardedProps.seed",
            "options.providerFields.top_k" => "forwardedProps.topK",
            "options.providerFields.presence_penalty" => "forwardedProps.presencePenalty",
            "options.providerFields.frequency_penalty" => "forwardedProps.frequencyPenalty",
            "options.toolChoice" => "forwardedProps.toolChoice",
            "options.parallelToolCalls" => "forwardedProps.parallelToolCalls",
            "options.reasoning" => "forwardedProps.reasoning",
            "options.responseFormat" => "forwardedProps.responseFormat",
            "options.responseFormat.name" => "forwardedProps.responseFormat.name",
            "options.responseFormat.schema" => "forwardedProps.responseFormat.schema",
            other => other,
        }
    }

    fn media_name(&self, media: &Media) -> &'static str {
        let kinds = [
            ("image/*", "image"),
            ("audio/*", "audio"),
            ("video/*", "video"),
        ];
        let of = kinds.iter().find(|(types, _)| media.is_of(types));
        of.map_or("document", |(_, kind)| kind)
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
        self.restarts
    }

    fn restart_obstacle(&self, log: &[Chunk]) -> Option<&'static str> {
        if !self.restarts {
            return Some(NO_RESTART);
        }
        restart::obstacle(log)
    }

    fn finds_by_chat(&self) -> bool {
        true
    }
}
