use std::sync::Arc;

use super::{ReadError, Reader, registry::EntryGuard};
use crate::{
    log::{Lsn, Position, SessionId, Status},
    store::SessionMeta,
};

/// A handle on a session. It counts as a user of the session until it is dropped, and so does each
/// of its readers.
#[derive(Debug, Clone)]
pub struct Session {
    client: EntryGuard,
}

impl Session {
    pub(super) fn new(client: EntryGuard) -> Self {
        Self { client }
    }

    /// Its id.
    pub fn id(&self) -> &SessionId {
        &self.client.entry.id
    }

    /// What it is.
    ///
    /// # Panics
    ///
    /// Never: a handle exists only once this is known.
    pub fn info(&self) -> &Arc<SessionMeta> {
        self.client
            .entry
            .info()
            .expect("a handle is made after its session was opened")
    }

    /// Where it stands, as this server knows.
    pub fn status(&self) -> Status {
        self.client.entry.log.status()
    }

    /// The last LSN, as this server knows.
    pub fn tail(&self) -> Lsn {
        self.client.entry.log.tail()
    }

    /// How many handles and readers the session has on this server, this one included.
    pub fn clients(&self) -> usize {
        self.client.entry.clients()
    }

    /// A reader of what follows a position. The store judges the position, unless this server owns
    /// the session and has the record at hand. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`ReadError::Rewound`] if the log doesn't hold the record at the position,
    /// [`ReadError::Corrupt`] if the record after it can't be read, [`ReadError::Gone`],
    /// [`ReadError::Unavailable`].
    pub async fn reader(&self, after: Position) -> Result<Reader, ReadError> {
        Reader::open(self.client.clone(), after).await
    }
}
