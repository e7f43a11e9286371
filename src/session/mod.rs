//! What a session is: one run of one provider call, one answer, one log.
//!
//! This module knows bytes. It has no HTTP, no chat events and no serde of events: what a record
//! holds is the business of whoever appends it.

mod chunk;
mod epoch;
mod id;
pub(crate) mod life;
mod lsn;
mod names;
pub(crate) mod rule;
mod status;

pub use self::{
    chunk::{Chunk, ChunkBuilder, Record},
    epoch::{Epoch, EpochTag, InvalidEpochTag},
    id::{InvalidSessionId, SessionId},
    lsn::{Lsn, Position},
    names::{ChatId, Digest, Owner, ServiceName},
    status::{ErrorCode, Outcome, Status},
};
