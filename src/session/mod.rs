//! What a session is: one run of one provider call, one answer, one log.
//!
//! This module knows bytes. It has no HTTP, no chat events and no serde of events: what a record
//! holds is the business of whoever appends it.

mod builder;
mod entry;
mod error;
mod feed;
mod follower;
mod format;
mod handle;
mod hot;
mod inbox;
mod limits;
mod options;
mod permit;
mod reader;
mod recovery;
mod registry;
mod retention;
mod running;
mod sessions;
mod source;
mod start;
mod store_health;
mod sweeper;
mod writer;

pub(crate) use self::recovery::HandlerOrigin;
pub use self::{
    builder::SessionsBuilder,
    error::{Busy, ReadError, StartError},
    format::Format,
    handle::Session,
    hot::Batch,
    inbox::Inbox,
    limits::Limits,
    permit::Permit,
    reader::Reader,
    recovery::{Continuation, Orphan, RecoveryHandler},
    retention::Retention,
    sessions::Sessions,
    source::{Mark, Source},
    start::{SessionSpec, Started},
};
