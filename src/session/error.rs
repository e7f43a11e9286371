use std::time::Duration;

use crate::{
    log::Lsn,
    store::{StoreError, Tombstone},
};

/// An error that ends a reader, or prevents one from being opened.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no such session.
    #[error("there is no session with this id")]
    NotFound,
    /// The session was deleted or has expired.
    #[error("the session was deleted or has expired")]
    Gone(Tombstone),
    /// The log doesn't hold the record at the reader's position.
    #[error("the log ends at LSN {tail} and does not hold what was read; read from the start")]
    Rewound {
        /// The last LSN of the log.
        tail: Lsn,
    },
    /// The next record is damaged or missing.
    #[error("the record at LSN {lsn} is corrupt")]
    Corrupt {
        /// The LSN of the record.
        lsn: Lsn,
    },
    /// The session has a format that this version of the library doesn't know.
    #[error("the session has format {format}, which this version does not know")]
    Unsupported {
        /// The number of the format.
        format: u16,
    },
    /// The store hasn't answered for longer than [`SessionsBuilder::outage_timeout`].
    ///
    /// [`SessionsBuilder::outage_timeout`]: super::SessionsBuilder::outage_timeout
    #[error("the store is unavailable; read on from the last LSN later")]
    Unavailable,
    /// This server is shutting down; another one can serve the rest.
    #[error("the server is shutting down; read on from the last LSN")]
    ShutDown,
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NotFound,
            StoreError::Gone(tombstone) => Self::Gone(tombstone),
            StoreError::Rewound { tail } | StoreError::Conflict { tail } => Self::Rewound { tail },
            StoreError::Corrupt { lsn } => Self::Corrupt { lsn },
            StoreError::Unsupported { format } => Self::Unsupported { format },
            _ => Self::Unavailable,
        }
    }
}

/// An error that prevents a session from being started.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A session with this id exists for another owner, another request or another format.
    #[error("a session with this id exists for another request; use another id")]
    InUse,
    /// The session with this id was deleted or has expired, and its tombstone still stands.
    #[error("the session under this id was deleted or has expired; use another id")]
    Gone(Tombstone),
    /// The first record passes [`Limits::event_bytes`](field@super::Limits::event_bytes).
    #[error("the first record is larger than a record may be; shorten the request")]
    TooLarge,
    /// The registry doesn't know the format that the session names.
    #[error("the registry does not know format {format}; add it with `SessionsBuilder::format`")]
    UnknownFormat {
        /// The number of the format.
        format: u16,
    },
    /// The store refused the session or didn't answer.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Gone(tombstone) => Self::Gone(tombstone),
            error => Self::Store(error),
        }
    }
}

/// A limit that prevents a session from being started now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Busy {
    /// [`Limits::running`](field@super::Limits::running) sessions run on this server.
    #[error("this server runs as many sessions as it may; try again later")]
    Running,
    /// [`Limits::running_per_owner`](field@super::Limits::running_per_owner) sessions of this owner
    /// run on this server.
    #[error("as many of your sessions run as you may have; stop one, or wait until one is done")]
    RunningPerOwner,
    /// The server is shutting down.
    #[error("this server is shutting down; try another one")]
    ShuttingDown,
}

impl Busy {
    /// Returns the pause after which a client should try again.
    pub const fn retry_after(self) -> Duration {
        match self {
            Self::Running | Self::RunningPerOwner => Duration::from_secs(5),
            Self::ShuttingDown => Duration::from_secs(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_told_why_the_store_does_not_give_the_log() {
        let tail = Lsn::new(5);
        for (error, told) in [
            (StoreError::NotFound, "there is no session"),
            (StoreError::Rewound { tail }, "ends at LSN 5"),
            (StoreError::Conflict { tail }, "ends at LSN 5"),
            (StoreError::Corrupt { lsn: tail }, "LSN 5 is corrupt"),
            (StoreError::Unsupported { format: 9 }, "format 9"),
            (StoreError::unavailable(true, "no answer"), "unavailable"),
        ] {
            let text = ReadError::from(error).to_string();
            assert!(text.contains(told), "{text}");
        }
    }
}
