//! The tower layer that makes an existing streaming route durable.
//!
//! [`RecordLayer`] wraps any HTTP service with streaming responses: a handler that answers server-sent events, a route
//! of NDJSON, a proxy. A background task reads the response to its end, whoever listens, and writes its frames to a log.
//! A client that was cut, a second device, or the same request sent again reads them from there. The wrapped service is
//! called once, and needs no change.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use axum::{Router, response::sse::{Event, Sse}, routing::post};
//! use futures_util::stream::{self, Stream};
//! use http::Request;
//! use tower::ServiceExt as _;
//! use unbroken::{Sessions, access::AnyoneWithTheId, record::RecordLayer};
//!
//! /// A handler of the application, as it is.
//! async fn ask(question: String) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
//!     let words = ["You", "asked:", &question].map(str::to_owned);
//!     Sse::new(stream::iter(words.map(|word| Ok(Event::default().data(word)))))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let app: Router = Router::new()
//!     .route("/ask", post(ask))
//!     .layer(RecordLayer::new(Sessions::in_memory(), AnyoneWithTheId::new()));
//!
//! let started = app.clone().oneshot(Request::post("/ask").body("Why?".to_owned())?).await?;
//! let id = started.headers()["x-session-id"].to_str()?.to_owned();
//! drop(started); // the connection is lost, and the handler goes on
//!
//! // `EventSource` sends the header by itself.
//! let resume = Request::get(format!("/ask?sessionId={id}")).header("last-event-id", "3");
//! let rest = app.oneshot(resume.body(String::new())?).await?;
//! let rest = axum::body::to_bytes(rest.into_body(), usize::MAX).await?;
//! let text = String::from_utf8(rest.to_vec())?;
//! assert!(!text.contains("data: You\n") && text.contains("data: asked:\n") && text.contains("data: Why?\n"));
//! # Ok(()) }
//! ```
//!
//! # Requests
//!
//! | request | meaning |
//! |---|---|
//! | `POST`, or another of [`start_methods`](RecordLayer::start_methods) | start: the response of the wrapped service, recorded |
//! | the same with `X-Session-Id` | start under this id; if it exists, attach from the beginning, or 409 for another request |
//! | the same with an id and a cursor | reconnect: read on, and start nothing |
//! | `GET` or `HEAD` with an id | read after the cursor, or from the beginning |
//! | `GET` with an id and `Accept: application/json` | the outcome: `{"id","status","code","message","tail"}` |
//! | `POST` with an id and `X-Session-Abort: 1`, or on the [`abort_path`](RecordLayer::abort_path) | stop: 202, or 200 if it has ended |
//! | `DELETE` with an id | stop, and forget: 204 |
//! | anything else | goes to the wrapped service, and isn't recorded |
//!
//! An id is in `X-Session-Id` or `?sessionId=`: 22 to 128 of `A-Z a-z 0-9 . _ ~ -`. With
//! [`idempotency_keys`](RecordLayer::idempotency_keys) the header `Idempotency-Key` names a session, too. A start without
//! an id gets a random one; every response has it in `X-Session-Id`. Two requests are the same if their owner, method,
//! path, query, content type and body are.
//!
//! The cursor is `Last-Event-ID`, else `X-Last-LSN`, else `?lastLsn=`; on a `GET` also `?after=`. Refusals are
//! `application/problem+json`, as in the [native dialect](crate::dialect::native).
//!
//! # Frames
//!
//! [`Framing`] lists them. Together they are the bytes of the response. Lines and bytes are sent as they came. A client
//! counts whole lines from the header `X-First-LSN` of the response. It can't see where the frames of bytes begin: it reads
//! from the beginning again, and skips as many bytes as it has.
//!
//! Server-sent events get an `id` of the layer's in place of their own, which an `EventSource` sends back when it
//! reconnects. Empty lines that end no event are left out. All else of them stays.
//!
//! The body of a recording ends cleanly if the wrapped service's did. Otherwise (its error, a stop, a crash, a limit) it
//! breaks off after its last frame, and the outcome tells why.
//!
//! An `EventSource` of a recording that ended without a single event, or whose body is no event stream, is told so with 204
//! in the first case, and reads it again and again in the second: it has no cursor then.
//!
//! # What isn't recorded
//!
//! A response that is no success, or of a type that the layer [doesn't record](RecordLayer::record_type), passes as it is.
//! Its session never existed: the id may be used again, and clients that waited for the same response ask for one of their own.
//!
//! A compressed response is refused with 502, and traced: put a compression layer outside of this one, with
//! [`may_compress`](crate::headers::may_compress). `Accept-Encoding` isn't passed on.
//!
//! # Differences from `DurableLayer`
//!
//! * The head of a response is the wrapped service's, so a start waits for it. A [`DurableLayer`](crate::durable::DurableLayer)
//!   responds at once.
//! * It knows frames, not events: no tools, questions, transcripts or dialects. Chats and recordings may share one
//!   [`Sessions`](crate::session::Sessions); a layer of the one doesn't find the other.
//! * A response whose server dies ends as `interrupted`. The request is not sent again.
//!
//! # Where to put it
//!
//! Around the routes that stream: a request that starts is read as a whole ([`max_body`](RecordLayer::max_body)) before the
//! wrapped service gets it, and each holds a place of [`Limits::running`](field@crate::session::Limits::running) until its
//! response has ended. In axum use `Router::layer`, `Router::route_layer` or `MethodRouter::layer`. The `route_layer` of a
//! `MethodRouter` is not enough: requests of other methods, such as the `GET` that resumes, don't pass it.
//!
//! Every request of a wrapped route with an id, such as a `GET` with `?sessionId=`, is one about a recording, also if the
//! application means something of its own by that name: wrap only routes that don't. Upgrades pass.
//!
//! The wait for the head of any response counts in [`Limits::idle`](field@crate::session::Limits::idle), 5 minutes by
//! default: raise it for a route whose handler works longer before it responds.
//!
//! Layers for CORS, and those that authenticate, go outside of this one, layers for the call of the service inside. A timeout outside cuts readers;
//! inside it covers the wait for the head. The service is called on the session's own task: it gets all extensions of the
//! request, but no task-local values of outer layers.

mod body;
mod config;
mod exchange;
mod format;
mod found_head;
mod frame_encoder;
mod framing;
mod header_pairs;
mod inner_body;
mod kept_headers;
mod layer;
mod recorded_head;
mod recording_end;
mod records;
mod reply;
mod route;
mod service;
mod source;
mod splitter;
mod start;

pub use self::{
    body::{RecordBody, RecordBodyError},
    format::RecordingFormat,
    framing::Framing,
    inner_body::InnerBody,
    layer::RecordLayer,
    service::{RecordFuture, RecordService},
};
