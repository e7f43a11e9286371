//! The registry of running sessions: starts them, writes their logs, and serves their readers.
//!
//! A session is one run of one provider call: one answer, one log. [`Sessions`] is the registry of
//! one server. It gives each session one writer, which runs in the background and survives every
//! disconnect, and any number of readers, which resume from their last LSN. The
//! [glossary](crate::log#glossary) explains the words.
//!
//! This module knows bytes. It has no HTTP and no chat events; the source and the format decide
//! what a record holds.
//!
//! # Use the registry from a handler of your own
//!
//! [`DurableLayer`](crate::durable::DurableLayer) does this for HTTP. A handler without the layer
//! takes these steps:
//!
//! 1. Build the registry once: [`Sessions::builder`] for chat sessions, or [`SessionsBuilder::new`]
//!    for another [`Format`].
//! 2. Take a [`Permit`] from [`Sessions::permit`]; it counts the session against the [`Limits`].
//! 3. Describe the session in a [`SessionSpec`], and hand it to [`Sessions::start`] together with
//!    a [`Source`] of records. A start whose id, owner and digest exist already attaches instead.
//! 4. Open a [`Reader`] at a [`Position`](crate::log::Position) with [`Session::reader`], and pull
//!    [`Batch`]es from it. A client that comes back calls [`Sessions::attach`] first.
//!
//! [`Sessions::abort`], [`delete`](Sessions::delete), [`list`](Sessions::list) and
//! [`state`](Sessions::state) work for sessions of every server on the same store. Call
//! [`Sessions::shutdown`] before the process ends.
//!
//! ```
//! use unbroken::{
//!     chat::{Capabilities, ChatEvent, ChatRequest, ProviderError, provider_fn},
//!     durable::{ProviderSource, digest_of},
//!     log::{Position, ServiceName, SessionId},
//!     session::{SessionSpec, Sessions},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sessions = Sessions::in_memory();
//! let provider = provider_fn(|_request| {
//!     futures_util::stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))])
//! });
//!
//! let id = SessionId::random();
//! let first = ChatEvent::session_info(Capabilities::new()).to_json().freeze();
//! let question = "Why is the sky blue?";
//! let digest = digest_of(["chat", question]); // another question is another session
//! let spec = SessionSpec::new(id.clone(), ServiceName::new("chat"), digest, first);
//! let source = ProviderSource::new(provider, ChatRequest::from_user(question));
//! sessions.start(sessions.permit(None)?, spec, source).await?;
//!
//! // Later, and after any number of disconnects:
//! let session = sessions.attach(&id).await?;
//! let mut reader = session.reader(Position::START).await?;
//! let mut lsns = Vec::new();
//! while let Some(batch) = reader.next().await {
//!     lsns.extend(batch?.chunk().records().map(|record| record.lsn.get()));
//! }
//! assert_eq!(lsns, [1, 2, 3]); // the first record, the text, the terminal event
//! # Ok(())
//! # }
//! ```
//!
//! # Implement a source, a format or a recovery handler
//!
//! * [`Source`] gives the records of one session. The writer polls it once the first record is
//!   acknowledged, and drops it when the session ends. Its [`Mark`]s say which records are
//!   barriers, and which one is the terminal record. A source that asks a person or a client tool
//!   receives the answers from an [`Inbox`].
//! * [`Format`] encodes the terminal records that the registry writes itself, for example after an
//!   abort or a timeout. Its [`LogFold`] puts into that of an orphan what the log tells.
//! * [`RecoveryHandler`] decides how a session continues whose server died. It is registered with
//!   [`Sessions::on_recovery`] under the name of a service; without one, such a session is sealed
//!   as interrupted.
//!
//! ```
//! use std::{
//!     pin::Pin,
//!     task::{Context, Poll},
//! };
//!
//! use bytes::{Bytes, BytesMut};
//! use unbroken::{
//!     log::Ending,
//!     session::{Format, Mark, SessionsBuilder, Source},
//!     store::Memory,
//! };
//!
//! /// Writes each ending as its name.
//! #[derive(Debug)]
//! struct TextFormat;
//!
//! impl Format for TextFormat {
//!     fn number(&self) -> u16 {
//!         1000
//!     }
//!
//!     fn ending(&self, ending: &Ending) -> Bytes {
//!         format!("{ending:?}").into()
//!     }
//! }
//!
//! /// Gives the numbers down to 1.
//! struct Countdown(u32);
//!
//! impl Source for Countdown {
//!     fn poll_record(
//!         mut self: Pin<&mut Self>,
//!         _cx: &mut Context<'_>,
//!         out: &mut BytesMut,
//!     ) -> Poll<Option<Mark>> {
//!         if self.0 == 0 {
//!             return Poll::Ready(None);
//!         }
//!         out.extend_from_slice(self.0.to_string().as_bytes());
//!         self.0 -= 1;
//!         Poll::Ready(Some(Mark::Event))
//!     }
//! }
//!
//! let sessions = SessionsBuilder::new(Memory::new(), TextFormat).build();
//! # let _ = (sessions, Countdown(3));
//! ```

mod builder;
mod entry;
mod error;
mod feed;
mod follower;
mod format;
mod format_sessions;
mod formats;
mod handle;
mod hot;
mod inbox;
mod limits;
mod options;
mod outbox;
mod page_cache;
mod permit;
mod places;
mod queries;
mod reader;
mod recovery;
mod refused_starts;
mod registry;
mod reserve;
mod retention;
mod sealed_hook;
mod sessions;
mod shutdown;
mod source;
mod start;
mod start_task;
mod stop;
mod store_health;
mod sweeper;
mod waiting_start;
mod writer;

pub use self::{
    builder::SessionsBuilder,
    error::{Busy, ReadError, StartError},
    format::{Format, LogFold},
    handle::Session,
    hot::Batch,
    inbox::Inbox,
    limits::Limits,
    outbox::{EndingHandler, StoredEnding},
    permit::Permit,
    reader::Reader,
    recovery::{Continuation, Orphan, RecoveryHandler, SealedOrphan},
    retention::Retention,
    sealed_hook::SealedHook,
    sessions::Sessions,
    source::{Mark, Source},
    start::{SessionSpec, Started},
};
pub(crate) use self::{format_sessions::FormatSessions, hot::BatchLimits, recovery::HandlerOrigin};
