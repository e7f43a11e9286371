//! Dialects: the routes, request bodies, event encodings and cursors of families of clients.
//!
//! ```
//! use http::Request;
//! use unbroken::dialect::{Cursor, Dialect, Intent, Native, ReadFrom, Route};
//!
//! let (head, ()) = Request::get("/0123456789abcdefghjkmnpqrs?after=7").body(())?.into_parts();
//! let Ok(Route::Known(Intent::Read(read))) = Native::new().route(&head) else { panic!() };
//! let Cursor(after) = "7".parse()?;
//! assert_eq!(read.from, ReadFrom::After(after));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Dialect`] turns a request into an [`Intent`], and the result into a response. It does no I/O:
//! the durable layer reads bodies, asks the access policy, calls the sessions, and drives the
//! [`Encoder`].
//!
//! A layer has one dialect; the default is [`Native`]. Several layers over the same sessions, each with
//! a [name](crate::durable::DurableLayer::service_name) of its own, let one kind of client read the
//! sessions that another kind started.
//!
//! | dialect | clients | feature |
//! |---|---|---|
//! | [`Native`] | `fetch`, `EventSource`, `curl` | |
#![cfg_attr(
    feature = "ai-sdk",
    doc = "| [`AiSdk`] | `useChat` of the AI SDK | `ai-sdk` |"
)]
#![cfg_attr(
    feature = "ag-ui",
    doc = "| [`AgUi`] | TanStack AI, `@ag-ui/client` | `ag-ui` |"
)]
#![cfg_attr(
    feature = "openai-responses",
    doc = "| [`OpenAiResponses`] | OpenAI's SDKs | `openai-responses` |"
)]
#![cfg_attr(
    feature = "durable-streams",
    doc = "| [`DurableStreams`] | `@durable-streams/client` | `durable-streams` |"
)]
//!
//! # Writing a dialect
//!
//! Implement [`Dialect`] and [`Encoder`], and pass the dialect to
//! [`DurableLayer::dialect`](crate::durable::DurableLayer::dialect). A dialect decides:
//!
//! * **Routes.** A request becomes an [`Intent`]. The target is a session id, a [`SessionKey`] where
//!   clients make no ids but repeat their requests, or a conversation whose session
//!   [runs](Target::Chat).
//! * **The cursor.** A cursor is an LSN, or a count of frames. For a count, the encoder reads the log
//!   from its start and omits the first frames.
//! * **Frames.** An encoder folds over the log. The bytes for a record depend on that record and those
//!   before it, and never on where the reader began, on the time, or on chance. So a resumed stream
//!   has the bytes that the client missed, and readers of a live session share one encoding.
//! * **Restarts.** A dialect whose clients can't drop events returns false from
//!   [`can_restart`](Dialect::can_restart). Its sessions are never restarted.
//!
//! A complete dialect, `tests/dialects/plain_text.rs` in the repository, for clients in a terminal:
//!
//! ```
#![doc = include_str!("../../tests/dialects/plain_text.rs")]
//! ```

#[cfg(feature = "ag-ui")]
#[cfg_attr(docsrs, doc(cfg(feature = "ag-ui")))]
pub mod ag_ui;
#[cfg(feature = "ai-sdk")]
#[cfg_attr(docsrs, doc(cfg(feature = "ai-sdk")))]
pub mod ai_sdk;
mod body;
mod compact;
mod cursor;
#[cfg(feature = "durable-streams")]
#[cfg_attr(docsrs, doc(cfg(feature = "durable-streams")))]
pub mod durable_streams;
mod encoder;
mod fold;
#[cfg(any(feature = "ag-ui", feature = "openai-responses"))]
mod frames;
mod head;
mod inputs;
mod intent;
mod key;
pub mod native;
#[cfg(feature = "openai-responses")]
#[cfg_attr(docsrs, doc(cfg(feature = "openai-responses")))]
pub mod openai_responses;
mod problem;
mod query;
mod refusal;
mod response;
mod start;
mod target;

use std::fmt;

use bytes::Bytes;
use http::{Response, request::Parts};

#[cfg(feature = "ai-sdk")]
pub use self::ai_sdk::AiSdk;
pub use self::{
    cursor::{Cursor, InvalidCursor},
    encoder::{Encoder, Progress},
    fold::transcript,
    intent::{Abort, FullLog, Intent, List, Page, Read, ReadFrom, RequestContext, Route},
    key::{KeyReuse, SessionKey},
    native::Native,
    refusal::{Problem, Refusal},
    response::{ResponseData, SessionView},
    start::{Concurrency, GivenAnswers, ResponseMode, SessionNaming, Start},
    target::Target,
};

#[cfg(feature = "ag-ui")]
pub use self::ag_ui::AgUi;
#[cfg(feature = "durable-streams")]
pub use self::durable_streams::DurableStreams;
#[cfg(feature = "openai-responses")]
pub use self::openai_responses::OpenAiResponses;

pub(crate) use self::key::hash;

/// The protocol of a family of clients.
///
/// Paths are relative to the mount point: a framework that nests a service strips its prefix. The
/// [module](self) tells how to write one.
pub trait Dialect: fmt::Debug + Send + Sync + 'static {
    /// Returns the name of the dialect, a constant.
    ///
    /// The digest of a request covers it, so two dialects never mean the same request. Don't change it
    /// while sessions that the dialect started are retained.
    fn name(&self) -> &'static str;

    /// Decodes the head of a request: method, path, query and headers.
    ///
    /// # Errors
    ///
    /// A [`Refusal`], which [`refuse`](Self::refuse) then writes as a response.
    fn route(&self, head: &Parts) -> Result<Route, Refusal>;

    /// Decodes the body of a request. Called after [`Route::Body`] only.
    ///
    /// # Errors
    ///
    /// A [`Refusal`], which [`refuse`](Self::refuse) then writes as a response.
    fn decode(&self, head: &Parts, body: &Bytes) -> Result<Intent, Refusal>;

    /// Returns the response to a refused request.
    fn refuse(&self, refusal: &Refusal) -> Response<Bytes>;

    /// Returns the response to a granted request.
    ///
    /// For [`ResponseData::Stream`] the encoder writes the body; the one returned here is ignored.
    fn respond(&self, data: &ResponseData<'_>) -> Response<Bytes>;

    /// Returns true if clients drop everything before a `restarted` event.
    ///
    /// Sessions of a dialect that returns false are never restarted.
    fn can_restart(&self) -> bool;
}
