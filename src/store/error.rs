use std::{error::Error, sync::Arc};

use super::Tombstone;
use crate::{BoxError, log::Lsn};

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No session has this id.
    #[error("there is no session with this id")]
    NotFound,
    /// The session was deleted or has expired; this is what is left of it.
    #[error("the session was deleted or has expired; start a new one under another id")]
    Gone(Tombstone),
    /// Somebody else has the right to it: the lease still runs, the session is at another epoch, or
    /// another server's readers hold it.
    #[error("another server holds the session; try again when its lease is over")]
    Held,
    /// The epoch of the append is not the session's: another server has claimed it.
    #[error("another server has taken over the session; stop writing to it")]
    Fenced,
    /// The session has ended; nothing follows its terminal event.
    #[error("the session has ended; nothing can be added to it")]
    Sealed,
    /// The append does not begin where the log ends.
    #[error("the log does not end where this append begins; its tail is at LSN {tail}")]
    Conflict {
        /// Where it ends.
        tail: Lsn,
    },
    /// The store no longer has a record that it once acknowledged.
    #[error("the log was rewound to LSN {tail}; what was read after that is not in it")]
    Rewound {
        /// Where it ends now.
        tail: Lsn,
    },
    /// The engine can't take a chunk of this size.
    #[error("the store takes {max} bytes at once; append less")]
    TooLarge {
        /// The most bytes that one append may have.
        max: usize,
    },
    /// The answers that the session holds leave no room for another one; see
    /// [`Answer`](super::Answer) for how many it takes.
    #[error("the session takes no more answers, or none of this size")]
    Full,
    /// A record can't be read.
    #[error("the record at LSN {lsn} is corrupt")]
    Corrupt {
        /// Which one.
        lsn: Lsn,
    },
    /// The session was written in a format that this version doesn't know.
    #[error(
        "the session has format {format}, which this version does not know; upgrade the server"
    )]
    Unsupported {
        /// Its format.
        format: u16,
    },
    /// The engine did not answer.
    #[error("the store is unavailable; try again later")]
    Unavailable {
        /// Whether the write may have happened all the same.
        maybe_applied: bool,
        /// What the engine's client said.
        source: Arc<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// The engine did not answer, for this reason.
    pub fn unavailable(maybe_applied: bool, source: impl Into<BoxError>) -> Self {
        Self::Unavailable {
            maybe_applied,
            source: source.into().into(),
        }
    }

    /// Whether the same call may succeed later, unchanged.
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
