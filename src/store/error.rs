use std::{error::Error, sync::Arc};

use super::Tombstone;
use crate::{BoxError, log::Lsn};

/// The error of a [`Store`](super::Store).
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No session has this id.
    #[error("there is no session with this id")]
    NotFound,
    /// The session was deleted or has expired; its tombstone remains.
    #[error("the session was deleted or has expired; start a new one under another id")]
    Gone(Tombstone),
    /// Another server has the session: the lease still runs, the session is at another epoch, or
    /// readers of another server hold it.
    #[error("another server holds the session; try again when its lease is over")]
    Held,
    /// The epoch is not that of the session: another server has claimed it.
    #[error("another server has taken over the session; stop writing to it")]
    Fenced,
    /// The session has ended, and nothing follows its terminal event.
    #[error("the session has ended; nothing can be added to it")]
    Sealed,
    /// The append begins before the end of the log.
    #[error("the log does not end where this append begins; its tail is at LSN {tail}")]
    Conflict {
        /// The last LSN of the log.
        tail: Lsn,
    },
    /// The store has lost a record that it had acknowledged.
    #[error("the log was rewound to LSN {tail}; what was read after that is not in it")]
    Rewound {
        /// The last LSN of the log now.
        tail: Lsn,
    },
    /// The engine can't take a chunk, or a request of a new session, of this size.
    #[error("the store takes {max} bytes at once; send less, or raise its limit")]
    TooLarge {
        /// The largest number of bytes that the chunk or the request may have.
        max: usize,
    },
    /// The session has no room for this answer; see the limits of
    /// [`StoredAnswer`](super::StoredAnswer).
    #[error("the session takes no more answers, or none of this size")]
    Full,
    /// A record can't be read, or the state of the session.
    #[error("the record at LSN {lsn} is corrupt")]
    Corrupt {
        /// The LSN of the record; 0 for the state.
        lsn: Lsn,
    },
    /// The session was written in a format that this version does not know.
    #[error(
        "the session has format {format}, which this version does not know; upgrade the server"
    )]
    Unsupported {
        /// The format of the session.
        format: u16,
    },
    /// The engine did not answer.
    #[error("the store is unavailable; try again later")]
    Unavailable {
        /// True if the write may have happened nevertheless.
        maybe_applied: bool,
        /// The error of the engine's client.
        source: Arc<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// Creates an [`Unavailable`](Self::Unavailable) error with this source.
    pub fn unavailable(maybe_applied: bool, source: impl Into<BoxError>) -> Self {
        Self::Unavailable {
            maybe_applied,
            source: source.into().into(),
        }
    }

    /// Returns true if the call may succeed when it is repeated later without a change.
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
