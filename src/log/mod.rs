//! The vocabulary of a log: ids, positions, chunks of records, and the status of a session.
//!
//! A session's log is a sequence of [`Record`]s, numbered by [`Lsn`]. Records travel in [`Chunk`]s, each
//! written by one [`Epoch`]. The last record of a finished log is its terminal event, and the
//! session's [`Outcome`] says in one word how it ended.
//!
//! # Glossary
//!
//! * **LSN**: log sequence number, the number of a record in its session: 1, 2, 3, …
//! * **Epoch**: one ownership of a session by a server. Each claim makes a new one.
//! * **Fence**: the store's refusal of appends by an epoch that is no longer the session's.
//! * **Lease**: the time during which no other server may claim a session. Appends extend it.
//! * **Seal**: the append that ends a session. Its last record is the terminal event.
//! * **Orphan**: an unsealed session whose lease is over, because its writer died or hangs.
//! * **Tombstone**: the remains of a deleted or expired session. Its id can't be used meanwhile.
//! * **Hold**: a server's request to keep a session for its readers, beyond the retention.
//! * **Hot log**: the latest records of a session in a server's memory, shared by its readers.
//! * **Barrier**: a record that must be stored before its effects begin, such as a tool call.
//! * **Turn**: one call of a model within an answer. An answer with tools has several.
//! * **Notes**: facts of the request that a dialect's encoders need, stored in the first record.
//! * **Run**: one execution of a tool. In a compact replay: successive events of text or thinking.
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
mod limits;
mod lsn;
mod names;
mod status;

pub use self::{
    chunk::{Chunk, ChunkBuilder, Record},
    ending::Ending,
    epoch::{Epoch, EpochTag, InvalidEpochTag},
    id::{InvalidSessionId, SessionId},
    limits::{DEFAULT_EVENT_BYTES, DEFAULT_SESSION_BYTES},
    lsn::{Lsn, Position},
    names::{ChatId, Digest, InvalidName, Owner, ServiceName},
    status::{ErrorCode, Outcome, Status},
};
