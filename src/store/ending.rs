use std::time::Duration;

use bytes::Bytes;

use super::SessionState;
use crate::log::SessionId;

/// The ending of a session that waits in the outbox until it is delivered; see
/// [`Store::endings`](super::Store::endings).
#[derive(Debug, Clone)]
pub struct PendingEnding {
    /// The session's id.
    pub id: SessionId,
    /// The state of the session, which is sealed.
    pub state: SessionState,
    /// The request that the session was created with. Empty if the session was deleted.
    pub request: Bytes,
    /// True if the session was [deleted](super::Store::delete): its records and request are gone.
    pub deleted: bool,
    /// The [summary](field@super::Seal::summary) of the seal.
    pub summary: Bytes,
    /// The number of times that the ending was taken, this one included.
    pub delivery: u32,
    /// The time after which the store drops the ending.
    pub expires_in: Duration,
}
