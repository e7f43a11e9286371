use std::time::Duration;

use crate::{
    log::Lsn,
    store::{StoreError, Tombstone},
};

/// Why a reader can't go on, or can't begin.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no such session.
    #[error("there is no session with this id")]
    NotFound,
    /// It was deleted or has expired.
    #[error("the session was deleted or has expired")]
    Gone(Tombstone),
    /// The log doesn't hold the record that the reader stands at.
    #[error("the log ends at LSN {tail} and does not hold what was read; read from the start")]
    Rewound {
        /// Where it ends.
        tail: Lsn,
    },
    /// The next record can't be read.
    #[error("the record at LSN {lsn} is corrupt")]
    Corrupt {
        /// Which one.
        lsn: Lsn,
    },
    /// The session has a format that this version doesn't know.
    #[error("the session has format {format}, which this version does not know")]
    Unsupported {
        /// Its format.
        format: u16,
    },
    /// The store has not answered for longer than [`SessionsBuilder::patience`].
    ///
    /// [`SessionsBuilder::patience`]: super::SessionsBuilder::patience
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

/// Why a session was not started.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The id is taken, by another owner's session or for another request.
    #[error("a session with this id exists for another request; use another id")]
    InUse,
    /// What was under the id is gone, and not coming back.
    #[error("the session under this id was deleted or has expired; use another id")]
    Gone(Tombstone),
    /// The first record passes [`Limits::event_bytes`](field@super::Limits::event_bytes).
    #[error("the first record has more bytes than one may have")]
    TooLarge,
    /// The store did not take it.
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

/// Why a session may not be started now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Busy {
    /// As many run as this server takes.
    #[error("this server runs as many sessions as it takes; try again later")]
    Running,
    /// As many run as one owner may have.
    #[error("as many of your sessions run as you may have; stop one, or wait until one is done")]
    RunningPerOwner,
    /// The server is shutting down.
    #[error("this server is shutting down; try another one")]
    ShuttingDown,
}

impl Busy {
    /// When it is worth trying again.
    pub const fn retry_after(self) -> Duration {
        match self {
            Self::Running | Self::RunningPerOwner => Duration::from_secs(5),
            Self::ShuttingDown => Duration::from_secs(1),
        }
    }
}
