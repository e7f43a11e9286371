use std::sync::Arc;

use super::{ReadError, Reader, registry::EntryGuard};
use crate::{
    log::{Lsn, Position, SessionId, Status},
    store::SessionMeta,
};

/// A handle on one session. The handle and each of its readers count as clients of the session
/// until they are dropped.
#[derive(Debug, Clone)]
pub struct Session {
    client: EntryGuard,
}

impl Session {
    pub(super) fn new(client: EntryGuard) -> Self {
        Self { client }
    }

    /// Returns the session's id.
    pub fn id(&self) -> &SessionId {
        &self.client.entry.id
    }

    /// Returns the session's owner, chat, service, digest and format.
    #[expect(
        clippy::missing_panics_doc,
        reason = "a handle exists only once this is known"
    )]
    pub fn meta(&self) -> &Arc<SessionMeta> {
        self.client
            .entry
            .meta()
            .expect("a handle is made after its session was opened")
    }

    /// Returns the status, as far as this server knows it.
    pub fn status(&self) -> Status {
        self.client.entry.log.status()
    }

    /// Returns the last LSN, as far as this server knows it.
    pub fn tail(&self) -> Lsn {
        self.client.entry.log.tail()
    }

    /// Returns the number of handles and readers of the session on this server, this one included.
    pub fn clients(&self) -> usize {
        self.client.entry.clients()
    }

    /// Opens a reader of the records that follow a position.
    ///
    /// The store checks the position, unless this server owns the session and has the record in
    /// memory. Cancel safe.
    ///
    /// # Errors
    ///
    /// * [`ReadError::Rewound`] if the log doesn't hold the record at the position.
    /// * [`ReadError::Corrupt`] if the record after it can't be read.
    /// * [`ReadError::Gone`] if the session was deleted or has expired.
    /// * [`ReadError::Unavailable`] if the store doesn't answer.
    pub async fn reader(&self, after: Position) -> Result<Reader, ReadError> {
        Reader::open(self.client.clone(), after).await
    }
}
