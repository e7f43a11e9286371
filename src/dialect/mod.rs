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

mod answer;
mod cursor;
mod encoder;
mod intent;
pub mod native;
mod query;
mod refusal;

use std::fmt;

use bytes::Bytes;
use http::{Response, request::Parts};

pub use self::{
    answer::{Answer, View},
    cursor::{Cursor, InvalidCursor},
    encoder::Encoder,
    intent::{Answering, Intent, List, Page, Read, Route, Start},
    native::Native,
    refusal::{Problem, Refusal},
};

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
    fn answer(&self, answer: &Answer<'_>) -> Response<Bytes>;

    /// Whether clients understand that everything before a `restarted` event is to be dropped.
    /// Sessions of a dialect that can't say so are never restarted.
    fn can_restart(&self) -> bool;
}
