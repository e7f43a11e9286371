use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use crate::{
    log::{Chunk, Epoch, Outcome, SessionId},
    session::recovery::read_up_to,
    store::{PendingEnding, SessionMeta, Store, StoreError},
};

/// The ending of a session, for an [`EndingHandler`](super::EndingHandler).
#[derive(Clone)]
#[non_exhaustive]
pub struct StoredEnding {
    /// The session's id.
    pub id: SessionId,
    /// The session's owner, chat, service, digest and format.
    pub meta: Arc<SessionMeta>,
    /// The epoch that has sealed the session. With the session's id it tells this ending from any other, also of
    /// a later session under the same id.
    pub sealed_by: Epoch,
    /// The way in which the session ended.
    pub outcome: Outcome,
    /// The stored request of its start. Empty if the session was deleted.
    pub request: Bytes,
    /// True if the session was deleted after its end: its log and its request are gone.
    pub deleted: bool,
    /// What the [format](crate::session::Format::summary) tells of the terminal record. Remains if the session was
    /// deleted.
    pub summary: Bytes,
    /// The number of deliveries that have begun, this one included.
    pub delivery: u32,
    /// The time since the end of the session, by the store's clock, as it was when this delivery began.
    pub ended: Duration,
    taken_at: SystemTime,
    tail: crate::log::Lsn,
    store: Arc<dyn Store>,
}

impl StoredEnding {
    /// Returns `None` for a session that isn't sealed, which no store gives.
    pub(super) fn new(store: Arc<dyn Store>, ending: PendingEnding) -> Option<Self> {
        Some(Self {
            outcome: ending.state.status.outcome()?,
            sealed_by: ending.state.epoch,
            taken_at: SystemTime::now(),
            ended: ending.state.ended.unwrap_or_default(),
            id: ending.id,
            meta: ending.state.meta,
            request: ending.request,
            deleted: ending.deleted,
            summary: ending.summary,
            delivery: ending.delivery,
            tail: ending.state.tail,
            store,
        })
    }

    /// Returns the time of the end, as far as this server's clock is right.
    pub fn ended_at(&self) -> SystemTime {
        let ended = self.taken_at.checked_sub(self.ended);
        ended.unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Reads the log, with its terminal record, in order. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`StoreError::Gone`] if the session was deleted; other errors of [`Store::read`].
    pub async fn read(&self) -> Result<Vec<Chunk>, StoreError> {
        read_up_to(&*self.store, &self.id, self.tail).await
    }
}

impl fmt::Debug for StoredEnding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredEnding")
            .field("id", &self.id)
            .field("outcome", &self.outcome)
            .field("deleted", &self.deleted)
            .field("delivery", &self.delivery)
            .finish_non_exhaustive()
    }
}
