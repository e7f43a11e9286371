//! The vocabulary of a log: ids, positions, chunks of records, and the status of a session.
//!
//! A session's log is a sequence of [`Record`]s, numbered by [`Lsn`]. Records travel in [`Chunk`]s, each
//! written by one [`Epoch`]. The last record of a finished log is its terminal event, and the
//! session's [`Outcome`] says in one word how it ended.
//!
//! This module has no I/O and no clock, and depends on no other module of the crate. The module
//! [`store`] keeps logs, and [`session`] moves records from a source to readers.
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
