use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use unbroken::{
    log::{Epoch, Lsn, SessionId},
    store::{AbortRequest, Listed, StoredAnswer},
};

/// The state of a broken store that is not in the store inside.
#[derive(Debug, Clone, Default)]
pub(super) struct Overlay {
    // The ids in the store of sessions that were created under an id that is taken.
    pub(super) aliases: HashMap<SessionId, SessionId>,
    /// The sessions that were deleted, as they were before.
    pub(super) deleted: Vec<Listed>,
    // By the id in the store.
    pub(super) sessions: HashMap<SessionId, SessionOverlay>,
}

/// The state of a broken store about one session.
#[derive(Debug, Clone, Default)]
pub(super) struct SessionOverlay {
    /// The epoch that the session was created with.
    pub(super) first: Option<Epoch>,
    /// The tail that is shown.
    pub(super) tail: Option<Lsn>,
    /// The abort that is shown.
    pub(super) abort: Option<AbortRequest>,
    /// Answers beyond those in the store.
    pub(super) answers: Vec<StoredAnswer>,
    /// The content that replaces the stored content, by name.
    pub(super) replaced: HashMap<Arc<str>, Option<Bytes>>,
    /// The age at which the retention is over.
    pub(super) keep_until: Option<Duration>,
    /// The record that can't be read.
    pub(super) corrupt: Option<Lsn>,
}

impl SessionOverlay {
    /// Drops the state of an earlier session under this id.
    pub(super) fn created(&mut self, epoch: Epoch) {
        if self.first != Some(epoch) {
            *self = Self {
                first: Some(epoch),
                ..Self::default()
            };
        }
    }

    /// Extends the retention to this age of the session.
    pub(super) fn keep(&mut self, until: Duration) {
        self.keep_until = self.keep_until.max(Some(until));
    }
}
