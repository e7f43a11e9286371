use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use unbroken::{
    log::{Epoch, Lsn, SessionId},
    store::{AbortRequest, StoredAnswer},
};

/// The data that a broken store keeps beside the store that it wraps.
#[derive(Debug, Clone, Default)]
pub(super) struct Overlay {
    // Where a session stands in the store that was created under an id that is taken.
    pub(super) aliases: HashMap<SessionId, SessionId>,
    // By the id in the store.
    pub(super) sessions: HashMap<SessionId, SessionOverlay>,
}

/// The data that a broken store keeps of one session.
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
    /// Contents that are shown instead of the stored ones, by name.
    pub(super) replaced: HashMap<Arc<str>, Option<Bytes>>,
    /// The age at which the retention is over.
    pub(super) keep_until: Option<Duration>,
    /// The record that can't be read.
    pub(super) corrupt: Option<Lsn>,
}

impl SessionOverlay {
    /// Resets the data if the session is another one than before.
    pub(super) fn created(&mut self, epoch: Epoch) {
        if self.first != Some(epoch) {
            *self = Self {
                first: Some(epoch),
                ..Self::default()
            };
        }
    }

    pub(super) fn keep(&mut self, until: Duration) {
        self.keep_until = self.keep_until.max(Some(until));
    }
}
