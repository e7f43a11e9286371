use std::{fmt, sync::Arc};

use bytes::Bytes;

use super::log_pages::read_up_to;
use crate::{
    log::{Chunk, Lsn, SessionId},
    store::{Claimed, SessionMeta, Store, StoreError},
};

/// A session whose writer died, and that this server has sealed without a continuation.
#[non_exhaustive]
pub struct SealedOrphan {
    /// The session's id.
    pub id: SessionId,
    /// The session's owner, chat, service, digest and format.
    pub meta: Arc<SessionMeta>,
    /// The stored request of its start.
    pub request: Bytes,
    /// The last LSN before the terminal record, at least 1.
    pub tail: Lsn,
    store: Arc<dyn Store>,
}

impl SealedOrphan {
    pub(super) fn new(store: Arc<dyn Store>, id: SessionId, claimed: &Claimed) -> Self {
        Self {
            id,
            meta: Arc::clone(&claimed.state.meta),
            request: claimed.request.clone(),
            tail: claimed.state.tail,
            store,
        }
    }

    /// Reads the log up to the terminal record, in order. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the log can't be read, such as after its deletion.
    pub async fn read(&self) -> Result<Vec<Chunk>, StoreError> {
        read_up_to(&*self.store, &self.id, self.tail).await
    }
}

impl fmt::Debug for SealedOrphan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedOrphan")
            .field("id", &self.id)
            .field("tail", &self.tail)
            .finish_non_exhaustive()
    }
}
