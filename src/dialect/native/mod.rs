//! The native dialect: a session as NDJSON, as server-sent events, or as JSON pages.
//!
//! | request | meaning | answers |
//! |---|---|---|
//! | `POST /` | start; the body is a [chat request](crate::chat::ChatRequest) | 200 and the stream, or 201 and JSON |
//! | `POST /` with `X-Session-Id` | start under this id, or attach if it exists with the same request | the same; 409 |
//! | `POST /` with `X-Session-Id` and `X-Last-LSN` | reconnect; the body is not read | as `GET /{id}` |
//! | `GET /{id}` | read after `Last-Event-ID`, else `X-Last-LSN`, else `?after=`, else from the start | 200; 204 at the terminal event |
//! | `GET /{id}` as JSON | a page; `?limit=` (1,000 unless told; more than 10,000 is taken as 10,000) and `?wait=` (seconds, at most 25) | 200 |
//! | `HEAD` | as `GET` | without a body |
//! | `POST /{id}/abort` | stop; safe to repeat | 202 once stored, 200 if it had ended |
//! | `POST /{id}/inputs/{inputId}` | answer an `input_request`: `{"action":"accept","content":{…}}`, or `decline`, or `cancel`; safe to repeat until the session ends | 202 once stored; 409 if it is no longer open; 422 if it doesn't fit |
//! | `DELETE /{id}` | stop if it runs, then forget; safe to repeat | 204 |
//! | `GET /` | the caller's sessions; `?chat=`, `?status=`, `?limit=`, `?after=` | 200 |
//! | `OPTIONS` | what may be asked | 204 with `Allow` |
//!
//! Of a chat request, fields that the library doesn't know are dropped silently, and known ones that
//! aren't open (`model`, `systemPrompt`, messages of the role `system`) are refused, unless the
//! application [opens](crate::durable::ClientFields) them.
//!
//! `?sessionId=` and `?lastLsn=` stand in for the two headers on `POST /`; the headers win.
//!
//! With `?replay=compact` on a stream or a page, runs of text and of thinking come folded into few
//! events, each with the LSN of its last part, until the reader has caught up: less to send and to
//! parse, and the same transcript. A cursor is a cursor with and without it.
//!
//! Which representation: without `Accept`, or with `*/*`, NDJSON; else the one with the highest
//! quality, NDJSON before SSE before JSON among equals, and JSON only where no streaming type is
//! named.
//!
//! Refusals are `application/problem+json` (RFC 9457); [`Problem`](super::Problem) has the list.

mod accept;
mod ndjson;
mod parameters;
mod request;
mod response;
mod route;
mod splice;
mod sse;

use bytes::Bytes;
use http::{Response, request::Parts};

use self::{
    accept::{Representation, StreamFormat},
    ndjson::NativeNdjson,
    sse::NativeSse,
};
use super::{Dialect, Encoder, Intent, Refusal, ResponseData, Route, compact::CompactingEncoder};
use crate::{
    headers::{LAST_EVENT_ID, LAST_LSN},
    log::{Position, SessionId},
};

/// The native dialect. The [module](self) has its routes.
#[derive(Debug, Clone)]
pub struct Native {
    ndjson_heartbeat: bool,
}

impl Native {
    /// The dialect as the protocol has it.
    pub fn new() -> Self {
        Self {
            ndjson_heartbeat: true,
        }
    }

    /// Whether a silent NDJSON stream gets empty lines. Turn it off for clients that parse every
    /// line; what lies between may then take the connection for idle. SSE keeps its comments.
    pub fn ndjson_heartbeat(mut self, on: bool) -> Self {
        self.ndjson_heartbeat = on;
        self
    }

    /// What writes the stream that the header `Accept` asks for; `None` if it asks for JSON.
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

    /// The client's cursor: `Last-Event-ID`, else `X-Last-LSN`, else `?after=`, else `?lastLsn=`.
    ///
    /// An empty one counts as absent, but on a POST, where only `Last-Event-ID` may be empty.
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

    /// The session that the client means, where the path doesn't say: `X-Session-Id`, else
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

    fn decode(&self, head: &Parts, body: &Bytes) -> Result<Intent, Refusal> {
        request::decode(self, head, body)
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
