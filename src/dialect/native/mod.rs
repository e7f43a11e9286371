//! The native dialect: a session as NDJSON, as server-sent events, or as JSON pages.
//!
//! ```
//! use tower::Layer;
//! use unbroken::{access::AnyoneWithTheId, durable::DurableLayer, session::Sessions};
//! # use futures_util::stream;
//! # use unbroken::chat::{ChatEvent, ProviderError, provider_fn};
//! # let provider =
//! #     provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]));
//!
//! // The default dialect of a layer.
//! let chat = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new()).layer(provider);
//! let app: axum::Router = axum::Router::new().nest_service("/chat", chat);
//! ```
//!
//! Any HTTP client can use it: `fetch` for NDJSON, `EventSource` for server-sent events, `curl` for
//! both. Generated ids have 128 random bits, so [`AnyoneWithTheId`](crate::access::AnyoneWithTheId) is
//! enough where knowing an id gives access; clients that make ids must make them random. Where users
//! sign in, use [`OnlyTheOwner`](crate::access::OnlyTheOwner).
//!
//! # Routes
//!
//! | request | meaning | answers |
//! |---|---|---|
//! | `POST /` | start; the body is a [chat request](crate::chat::ChatRequest) | 200 and the stream, or 201 and JSON |
//! | `POST /` with `X-Session-Id` | start under this id, or attach if it exists with the same request | as `POST /`; 409 |
//! | `POST /` with `X-Session-Id` and `X-Last-LSN` | reconnect; the body is not read | as `GET /{id}` |
//! | `GET /{id}` | read after `Last-Event-ID`, else `X-Last-LSN`, else `?after=`, else from the start | 200; 204 at the terminal event |
//! | `GET /{id}` as JSON | a page; `?limit=` (default 1,000; the maximum is 10,000) and `?wait=` (seconds, default 0, maximum 25) | 200 |
//! | `HEAD` | as `GET` | without a body |
//! | `POST /{id}/abort` | abort; safe to repeat | 202 once stored, or once the provider is stopped; 200 if it had ended |
//! | `POST /{id}/inputs/{inputId}` | answer an `input_request`: `{"action":"accept","content":{…}}`, or `decline`, or `cancel`; safe to repeat until the session ends | 202 once stored; 409 if it is no longer open; 422 if it doesn't fit |
//! | `DELETE /{id}` | abort if it runs, then delete; safe to repeat | 204 |
//! | `GET /` | the caller's sessions; `?chat=`, `?status=`, `?limit=`, `?after=` | 200 |
//! | `OPTIONS` | the methods of the path | 204 with `Allow` |
//!
//! A POST without a JSON body, such as an abort, is refused if it comes from a page of another origin,
//! unless the application [allows](crate::durable::CrossSite) it.
//!
//! On `POST /`, `?sessionId=` and `?lastLsn=` replace the two headers; the headers take precedence.
//!
//! # The stream
//!
//! NDJSON is `{"lsn":…,"event":…}` and a line break for each event. A short answer, as a whole:
//!
//! ```text
//! {"lsn":1,"event":{"type":"session_info","capabilities":{"thinking":true,"streaming":true,"tools":[]},"persona":null}}
//! {"lsn":2,"event":{"type":"text","content":"Hello"}}
//! {"lsn":3,"event":{"type":"complete","finishReason":"stop"}}
//! ```
//!
//! Server-sent events begin with `retry: 1000`. Their id is a cursor: the LSN and a tag of seven
//! characters, to be sent back whole. They have no `event:`, so `onmessage` gets all of them. The
//! second event of the answer:
//!
//! ```text
//! id: 2.4kq8z1m
//! data: {"type":"text","content":"Hello"}
//!
//! ```
//!
//! * **Order.** The first event is `session_info`, the last one is terminal: `complete`, `aborted` or
//!   `error`. LSNs begin at 1 and have no gaps, except in a [compact replay](#compact-replay).
//!   [`ChatEvent`](crate::chat::ChatEvent) lists the types; a client ignores those that it doesn't
//!   know. At `restarted` it drops all earlier events.
//! * **The id.** The session's id is in the header `X-Session-Id` of the response.
//!   [`headers`](crate::headers) lists the others.
//! * **Conversations.** Clients send the whole one; its messages have no ids by which a
//!   [`History`](crate::durable::History) could keep them.
//! * **Provider state.** A client that keeps the conversation hands the data of `provider_state` back: in the
//!   `providerState` of the `reasoning` part before it, or of the call that `of` names. State of the
//!   provider's stream (`of` is `stream`) is for servers only; its data is `null`.
//! * **A cut.** A body that ends without `complete`, `aborted` or `error` was cut. `GET /{id}` with the
//!   last LSN as `X-Last-LSN` goes on after it. An event `unavailable` without LSN or id means that the
//!   server can't reach its store; the body fails after it.
//! * **Heartbeats.** After 15 seconds of silence
//!   ([`heartbeat`](crate::durable::DurableLayer::heartbeat)) comes an empty line of NDJSON, or an SSE
//!   comment.
//!
//! The module `examples/shared/page/unbroken.js` in the repository is a client in JavaScript: it
//! starts, follows, resumes, aborts and answers. It has no dependencies.
//!
//! # Fields of a request
//!
//! Unknown fields of a chat request are dropped. Known fields that are closed to clients (`model`,
//! `systemPrompt`, messages of the roles `system`, `assistant` and `tool`, `isomorphicTools`) are refused
//! (422), unless the application [opens](crate::durable::ClientFields) them. No value may be nested deeper
//! than 64 levels.
//!
//! A request that answers calls of an `isomorphic_handoff` event:
//!
//! ```json
//! {"chatId": "…", "messages": [], "continues": "…",
//!  "isomorphicClientOutputs": [{"callId": "1", "toolName": "place", "clientOutput": {"city": "Oslo"}}]}
//! ```
//!
//! * An output counts only for a call that a session of this client has handed over, in the same chat, and
//!   once. `continues` is the id of that session. Without it the 16 newest sessions of the chat are
//!   searched; the chat's name must have at least 22 characters then, unless the policy names owners. A
//!   call that no log confirms is 422; a second output is 409 `output-given`. A follow-up that failed gives
//!   the outputs back, unless the second half of a tool may have run.
//! * The parameters and the server's output of the log count, whatever the client sends. So does the turn:
//!   the assistant's text, its calls and the results of the server's tools. `messages` are those before
//!   the turn; if they are empty, those of the log count.
//! * The first event of the new session has the field `continues`, and the field `claims` with the ids of
//!   calls that no log confirms, where the application
//!   [accepts](crate::durable::ClientFields::unverified_outputs) such outputs.
//! * Under an id of the client (`X-Session-Id`) the request needs a `chatId`.
//!
//! # Compact replay
//!
//! With `?replay=compact` on a stream or a page, runs of text and of thinking are folded into few
//! events until the reader has caught up, and `tool_input` is left out unless it has `cut`. Each folded event has the LSN of its last part. The
//! transcript is unchanged, and cursors are valid with and without the parameter.
//!
//! # Representations
//!
//! Without `Accept`, or with `*/*`, the representation is NDJSON. Otherwise the highest quality
//! decides; among equals NDJSON comes before SSE, and SSE before JSON. JSON is chosen only if no
//! streaming type is named.
//!
//! Refusals are `application/problem+json` (RFC 9457); [`Problem`](super::Problem) lists them.

mod accept;
mod ndjson;
mod parameters;
mod request;
mod response;
mod route;
mod splice;
mod sse;

pub(crate) use self::parameters::cursor;
use bytes::Bytes;
use http::{Response, request::Parts};

use self::{
    accept::{Representation, StreamFormat},
    ndjson::NativeNdjson,
    sse::NativeSse,
};
use super::{
    Dialect, Encoder, Intent, Refusal, RequestLimits, ResponseData, Route, Subject,
    compact::CompactingEncoder,
};
use crate::{
    headers::{LAST_EVENT_ID, LAST_LSN},
    log::{Position, SessionId},
};

/// The native dialect. The [module](self) lists its routes.
#[derive(Debug, Clone)]
pub struct Native {
    ndjson_heartbeat: bool,
}

impl Native {
    /// Creates the dialect with its defaults.
    pub fn new() -> Self {
        Self {
            ndjson_heartbeat: true,
        }
    }

    /// Sets whether a silent NDJSON stream gets empty lines as a heartbeat. Default true.
    ///
    /// Turn it off for clients that parse every line. Proxies may then close a silent connection as
    /// idle. Server-sent events keep their comments.
    pub fn ndjson_heartbeat(mut self, on: bool) -> Self {
        self.ndjson_heartbeat = on;
        self
    }

    /// Returns the encoder for the stream that the header `Accept` asks for, or `None` if it asks for
    /// JSON.
    ///
    /// # Errors
    ///
    /// [`Problem::NotAcceptable`](super::Problem::NotAcceptable), or
    /// [`Problem::MalformedParameter`](super::Problem::MalformedParameter) for `?replay=`.
    pub fn encoder(&self, head: &Parts) -> Result<Option<Box<dyn Encoder>>, Refusal> {
        Ok(match parameters::representation(head)? {
            Representation::Streaming(streaming) => Some(self.streaming(head, streaming)?),
            Representation::Json => None,
        })
    }

    /// Returns the client's cursor: `Last-Event-ID`, else `X-Last-LSN`, else `?after=`, else
    /// `?lastLsn=`.
    ///
    /// An empty value counts as absent. On a POST only an empty `Last-Event-ID` does.
    ///
    /// # Errors
    ///
    /// [`Problem::MalformedCursor`](super::Problem::MalformedCursor).
    pub fn cursor(&self, head: &Parts) -> Result<Option<Position>, Refusal> {
        let headers = [LAST_EVENT_ID, LAST_LSN];
        match parameters::cursor(head, &headers, "after")? {
            Some(cursor) => Ok(Some(cursor)),
            None => parameters::cursor(head, &[], "lastLsn"),
        }
    }

    /// Returns the session that the request names outside its path: `X-Session-Id`, else
    /// `?sessionId=`.
    ///
    /// # Errors
    ///
    /// [`Problem::MalformedId`](super::Problem::MalformedId).
    pub fn session_id(&self, head: &Parts) -> Result<Option<SessionId>, Refusal> {
        parameters::session_id(head)
    }

    fn streaming(
        &self,
        head: &Parts,
        streaming: StreamFormat,
    ) -> Result<Box<dyn Encoder>, Refusal> {
        let encoder: Box<dyn Encoder> = match streaming {
            StreamFormat::Ndjson => Box::new(NativeNdjson::new(self.ndjson_heartbeat)),
            StreamFormat::Sse => Box::new(NativeSse::new()),
        };
        Ok(if parameters::compact(head)? {
            Box::new(CompactingEncoder::new(encoder))
        } else {
            encoder
        })
    }
}

/// Returns true if the headers `Accept` ask for JSON, and name no streaming type.
pub(crate) fn prefers_json(head: &Parts) -> bool {
    accept::negotiate(&head.headers) == Some(Representation::Json)
}

impl Default for Native {
    fn default() -> Self {
        Self::new()
    }
}

impl Dialect for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn route(&self, head: &Parts) -> Result<Route, Refusal> {
        route::route(self, head)
    }

    fn subject(&self, head: &Parts, body: &Bytes) -> Result<Subject, Refusal> {
        request::subject(head, body)
    }

    fn decode(
        &self,
        head: &Parts,
        body: &Bytes,
        limits: &RequestLimits,
    ) -> Result<Intent, Refusal> {
        request::decode(self, head, body, limits)
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Bytes> {
        super::problem::refuse(refusal)
    }

    fn respond(&self, data: &ResponseData<'_>) -> Response<Bytes> {
        response::respond(data)
    }

    fn can_restart(&self) -> bool {
        true
    }
}
