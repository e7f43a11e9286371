//! The vocabulary of a log: ids, positions, chunks of records, and how a session stands and ends.
//!
//! This module has no I/O and no clock, and knows no other module of the crate. [`store`] keeps
//! what it names, [`session`] moves it between a source and its readers.
//!
//! [`session`]: crate::session
//! [`store`]: crate::store

mod chunk;
mod ending;
mod epoch;
mod id;
mod lsn;
mod names;
mod status;

pub use self::{
    chunk::{Chunk, ChunkBuilder, Record},
    ending::Ending,
    epoch::{Epoch, EpochTag, InvalidEpochTag},
    id::{InvalidSessionId, SessionId},
    lsn::{Lsn, Position},
    names::{ChatId, Digest, Owner, ServiceName},
    status::{ErrorCode, Outcome, Status},
};
