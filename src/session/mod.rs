//! What a session is: one run of one provider call, one answer, one log.
//!
//! This module knows bytes. It has no HTTP, no chat events and no serde of events: what a record
//! holds is the business of whoever appends it.

mod builder;
mod chunk;
mod ending;
mod entry;
mod epoch;
mod error;
mod feed;
mod flaw;
mod follower;
mod handle;
mod hot;
mod id;
mod inbox;
pub(crate) mod life;
mod limits;
mod lsn;
mod names;
mod options;
mod permit;
mod reach;
mod reader;
mod recovery;
mod registry;
mod retention;
pub(crate) mod rule;
mod running;
mod sessions;
mod source;
mod start;
mod status;
mod sweeper;
mod writer;

#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub use self::flaw::Flaw;
pub use self::{
    builder::SessionsBuilder,
    chunk::{Chunk, ChunkBuilder, Record},
    ending::{Ending, Format},
    epoch::{Epoch, EpochTag, InvalidEpochTag},
    error::{Busy, ReadError, StartError},
    handle::Session,
    hot::Batch,
    id::{InvalidSessionId, SessionId},
    inbox::Inbox,
    limits::Limits,
    lsn::{Lsn, Position},
    names::{ChatId, Digest, Owner, ServiceName},
    permit::Permit,
    reader::Reader,
    recovery::{CarryOn, Orphan, Restarter},
    retention::Retention,
    sessions::Sessions,
    source::{Mark, Source},
    start::{Start, Started},
    status::{ErrorCode, Outcome, Status},
};
