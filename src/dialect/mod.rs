//! How a family of clients speaks: routes, request bodies, the encoding of events, the cursor.
//!
//! A [`Dialect`] turns a request into an [`Intent`], and what came of it into bytes. It does no I/O:
//! the durable layer reads bodies, asks the access policy, talks to the sessions, and drives the
//! [`Encoder`]. One dialect per layer; [`Native`] is the one that needs no option. Several layers can
//! share the same sessions, so what one dialect started another can watch.
//!
//! ```
//! use http::Request;
//! use unbroken::dialect::{Dialect, Intent, Native, Route};
//!
//! let (head, ()) = Request::get("/0123456789abcdefghjkmnpqrs?after=7").body(())?.into_parts();
//! let Ok(Route::Known(Intent::Read(read))) = Native::new().route(&head) else { panic!() };
//! assert_eq!(read.after.lsn.get(), 7);
//! # Ok::<_, http::Error>(())
//! ```
//!
//! # A dialect of one's own
//!
//! Implement [`Dialect`] and [`Encoder`], and hand the dialect to
//! [`DurableLayer::dialect`](crate::durable::DurableLayer::dialect). What a dialect decides:
//!
//! * **Routes.** A request becomes an [`Intent`]. Sessions are named by ids, by a [`SessionKey`] where
//!   clients make no ids but repeat their requests, or by the conversation of which one
//!   [runs](Target::Chat).
//! * **The cursor.** An LSN, or anything that the client counts: an encoder that reads from the start
//!   and leaves out the first so many of its frames turns any count into a position.
//! * **Frames.** An encoder folds over the log: what it writes for a record depends on that record and
//!   those before it, never on where this reader began, on the time, or on chance. So a resume gives
//!   the bytes that the cut took, and readers of a live session can share one encoding.
//! * **Restarts.** Clients that can't drop what they have are told so by
//!   [`can_restart`](Dialect::can_restart): their sessions are never restarted.
//!
//! One dialect per layer; several layers over the same sessions, each with a
//! [name](crate::durable::DurableLayer::service_name) of its own, let one kind of client watch what
//! another started.
//!
//! All of one, for people with a terminal:
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
mod text_record;

use std::fmt;

use bytes::Bytes;
use http::{Response, request::Parts};

#[cfg(feature = "ai-sdk")]
pub use self::ai_sdk::AiSdk;
pub use self::{
    cursor::{Cursor, InvalidCursor},
    encoder::{Encoder, Progress},
    fold::transcript,
    intent::{Abort, FullLog, Intent, List, Page, Read, RequestContext, Route},
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

/// How a family of clients speaks.
///
/// Paths are relative to the mount point: a framework that nests a service strips its prefix.
pub trait Dialect: fmt::Debug + Send + Sync + 'static {
    /// Goes into the digest of a request: two dialects never mean the same request. Constant, and
    /// not to be changed while sessions that it started are kept.
    fn name(&self) -> &'static str;

    /// What the request's head asks for: method, path, query and headers.
    ///
    /// # Errors
    ///
    /// A [`Refusal`], which comes back to [`refuse`](Self::refuse).
    fn route(&self, head: &Parts) -> Result<Route, Refusal>;

    /// What the request asks for, now that its body is here. Only called after
    /// [`Route::Body`].
    ///
    /// # Errors
    ///
    /// A [`Refusal`], which comes back to [`refuse`](Self::refuse).
    fn decode(&self, head: &Parts, body: &Bytes) -> Result<Intent, Refusal>;

    /// The response to a request that is refused.
    fn refuse(&self, refusal: &Refusal) -> Response<Bytes>;

    /// The response to a request that was granted. Where the answer is a stream, the body that is
    /// returned here is ignored: the encoder's follows.
    fn answer(&self, answer: &ResponseData<'_>) -> Response<Bytes>;

    /// Whether clients understand that everything before a `restarted` event is to be dropped.
    /// Sessions of a dialect that can't say so are never restarted.
    fn can_restart(&self) -> bool;
}
