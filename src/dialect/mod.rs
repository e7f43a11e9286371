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
//! [`DurableLayer::dialect`](crate::durable::DurableLayer::dialect). The layer calls the methods for a
//! request in this order:
//!
//! 1. [`route`](Dialect::route) decodes the head. If that is enough, the next step is the response.
//! 2. [`subject`](Dialect::subject) decodes from the body the names that the access policy decides by.
//!    Then the policy is asked.
//! 3. [`decode`](Dialect::decode) decodes the rest of the body, for a caller who may use it, within
//!    [`RequestLimits`].
//! 4. [`respond`](Dialect::respond) or [`refuse`](Dialect::refuse) writes the response.
//!
//! A dialect decides:
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
//!   [`can_restart`](Dialect::can_restart). Its sessions are never restarted. One whose clients can drop some
//!   answers only names the [obstacle](Dialect::restart_obstacle) of the others. A `restarted` record is encoded
//!   in any case: a session that another dialect started may have one.
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
#[cfg(any(feature = "ag-ui", feature = "openai-responses"))]
mod argument_rest;
mod body;
mod chat_body;
mod chat_message;
mod compact;
mod cursor;
#[cfg(feature = "durable-streams")]
#[cfg_attr(docsrs, doc(cfg(feature = "durable-streams")))]
pub mod durable_streams;
mod encoder;
mod fold;
#[cfg(any(feature = "ag-ui", feature = "openai-responses"))]
mod frames;
#[cfg(test)]
mod fuzz;
#[cfg(any(feature = "ag-ui", feature = "ai-sdk", feature = "openai-responses"))]
mod handed_over;
mod head;
mod inputs;
mod intent;
#[cfg(test)]
mod json_size;
mod key;
mod limits;
#[cfg(any(feature = "ag-ui", feature = "openai-responses"))]
mod media;
mod names;
pub mod native;
#[cfg(feature = "openai-responses")]
#[cfg_attr(docsrs, doc(cfg(feature = "openai-responses")))]
pub mod openai_responses;
#[cfg(any(feature = "ag-ui", feature = "openai-responses"))]
mod part_fields;
mod problem;
mod query;
mod recall;
mod refusal;
mod response;
#[cfg(any(feature = "ai-sdk", feature = "openai-responses"))]
mod result_parts;
#[cfg(any(feature = "ag-ui", feature = "ai-sdk", feature = "openai-responses"))]
mod sampling;
#[cfg(any(feature = "ag-ui", feature = "openai-responses"))]
mod sealed;
mod shape;
mod shown;
mod start;
mod subject;
mod target;
#[cfg(any(feature = "ag-ui", feature = "openai-responses"))]
mod unanswered_calls;
pub(crate) mod unread;

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use http::{Response, request::Parts};
use serde_json::{Map, Value};

use crate::{
    chat::Media,
    log::{Chunk, SessionId},
};

#[cfg(feature = "ai-sdk")]
pub use self::ai_sdk::AiSdk;
pub use self::{
    chat_message::ChatMessage,
    cursor::{Cursor, InvalidCursor},
    encoder::{Encoder, Progress},
    fold::transcript,
    intent::{
        Abort, FullLog, Intent, List, Page, QuestionWait, Read, ReadFrom, RequestContext, Route,
    },
    key::{KeyReuse, SessionKey},
    limits::{Element, RequestLimits},
    native::Native,
    recall::Recall,
    refusal::{Problem, Refusal},
    response::{ResponseData, SessionView},
    start::{Concurrency, GivenAnswers, ResponseMode, SessionNaming, Start},
    subject::Subject,
    target::Target,
};

#[cfg(feature = "ag-ui")]
pub use self::ag_ui::AgUi;
#[cfg(feature = "durable-streams")]
pub use self::durable_streams::DurableStreams;
#[cfg(feature = "openai-responses")]
pub use self::openai_responses::OpenAiResponses;

pub(crate) use self::{
    head::{describe, header_value, is_json, no_store},
    key::hash,
    names::check_names,
    problem::refuse,
    query::query_without,
    recall::HISTORY_NOTE,
};

/// The reason why the sessions of a dialect are never restarted.
const NO_RESTART: &str = "the session's clients can't be told to begin anew";

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

    /// Decodes from a body the names that the access policy decides by. Called after [`Route::Body`],
    /// before the policy is asked.
    ///
    /// The work is done for every caller, so it should take no more than a pass over the body that
    /// keeps nothing else. By default the request is a start in no conversation, under an id that the
    /// server makes.
    ///
    /// [`decode`](Self::decode) must return an intent with the same names. The layer refuses any other
    /// with 500 ([`Problem::Internal`]), and traces an error.
    ///
    /// # Errors
    ///
    /// A [`Refusal`], which [`refuse`](Self::refuse) then writes as a response.
    fn subject(&self, head: &Parts, body: &Bytes) -> Result<Subject, Refusal> {
        let _ = (head, body);
        Ok(Subject::Start {
            session: None,
            chat: None,
        })
    }

    /// Decodes the body of a request. Called after [`subject`](Self::subject), if the access policy
    /// allows what the request is about.
    ///
    /// The body has at most the bytes that the layer [allows](crate::durable::DurableLayer::max_body).
    /// Work and memory must grow no faster than its length, and the elements must be
    /// [checked](RequestLimits::check) before they are converted; for JSON there is
    /// [`RequestLimits::check_json`].
    ///
    /// # Errors
    ///
    /// A [`Refusal`], which [`refuse`](Self::refuse) then writes as a response.
    fn decode(&self, head: &Parts, body: &Bytes, limits: &RequestLimits)
    -> Result<Intent, Refusal>;

    /// Returns the response to a refused request.
    fn refuse(&self, refusal: &Refusal) -> Response<Bytes>;

    /// Returns the response to a granted request.
    ///
    /// For [`ResponseData::Stream`] the encoder writes the body; the one returned here is ignored.
    fn respond(&self, data: &ResponseData<'_>) -> Response<Bytes>;

    /// Returns the word that clients of this dialect know a field of the native protocol by. Refusals of
    /// [`ClientFields`](crate::durable::ClientFields) name fields by it.
    ///
    /// The fields are `model`, `systemPrompt`, `isomorphicTools`, `media` and `reasoning` (types of parts), and those of
    /// [`ChatOptions`](crate::chat::ChatOptions): `options.temperature`, `options.topP`,
    /// `options.maxOutputTokens`, `options.stop`, `options.seed`, `options.toolChoice`,
    /// `options.parallelToolCalls`, `options.reasoning`, `options.responseFormat` with `.name` and
    /// `.schema`, and `options.providerFields`, also with `.top_k`, `.presence_penalty` and
    /// `.frequency_penalty`. Default: the name as it is.
    fn field_name(&self, field: &'static str) -> &'static str {
        field
    }

    /// Returns the type of part that clients of this dialect send such a medium as, for refusals. Default:
    /// the [name](Self::field_name) of the field `media`.
    fn media_name(&self, media: &Media) -> &'static str {
        let _ = media;
        self.field_name("media")
    }

    /// Returns true if the dialect finds sessions by the ids of chats ([`Target::Chat`], [`Concurrency`]).
    /// Default false.
    ///
    /// A layer of such a dialect needs an access policy that names owners, or
    /// [secret chat ids](crate::durable::DurableLayer::secret_chat_ids).
    fn finds_by_chat(&self) -> bool {
        false
    }

    /// Returns true if clients drop everything before a `restarted` event.
    ///
    /// Sessions of a dialect that returns false are never restarted. The dialect of the layer that started a
    /// session decides, whatever dialect its readers have.
    fn can_restart(&self) -> bool;

    /// Returns the reason why clients that have read this log can't drop it, or `None` if they can. Clients get
    /// it in the error of the session if no other way is left.
    ///
    /// Asked before an interrupted answer is [restarted](crate::durable::RecoveryWay::Restart), with the whole log, for dialects whose clients can
    /// drop some answers only. By default the reason is that the dialect [can't](Self::can_restart).
    fn restart_obstacle(&self, log: &[Chunk]) -> Option<&'static str> {
        let _ = log;
        (!self.can_restart()).then_some(NO_RESTART)
    }

    /// Returns the metadata that a client gave with its request, where the protocol has such a thing. `notes` are
    /// the [notes](Start::note) of the start.
    ///
    /// Hooks get it in [`SessionEnded::metadata`](field@crate::durable::SessionEnded::metadata). Default: none.
    fn metadata(&self, notes: &Map<String, Value>) -> BTreeMap<String, String> {
        let _ = notes;
        BTreeMap::new()
    }

    /// Returns the name of the form in which clients of this dialect have messages, if a
    /// [`History`](crate::durable::History) can keep these: starts then name a chat and have a [`Recall`]. Dialects
    /// of the same form may share chats.
    ///
    /// It is stored with sessions, so don't change it. Default `None`: clients send the whole conversation.
    fn message_form(&self) -> Option<&'static str> {
        None
    }

    /// Adds an answer to the messages that it is for, so that they are those that a client of this session has.
    ///
    /// `asked` is what [`Recall::recall`] returned, `log` the log of the session as far as it is written. The answer
    /// is the last message of the result. Default: nothing is added.
    fn answered(
        &self,
        session: &SessionId,
        asked: Vec<ChatMessage>,
        log: &[Chunk],
    ) -> Vec<ChatMessage> {
        let _ = (session, log);
        asked
    }
}
