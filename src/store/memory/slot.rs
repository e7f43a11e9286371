use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::log::Log;
use crate::session::{SessionId, life::Life};

/// One session, or its tombstone.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: SessionId,
    // Counts sessions in the order of their creation.
    pub(super) number: u64,
    kept: Mutex<Kept>,
    /// Told of every change.
    pub(super) moved: Notify,
    /// Told of the changes that an owner waits for.
    pub(super) turned: Notify,
}

/// What is kept of it. The lock is never held while the index is waited for.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) life: Life,
    // Empty once the session is sealed: nobody will claim it.
    pub(super) request: Bytes,
    pub(super) log: Log,
    // Whether the log and request were dropped because the session is gone.
    pub(super) cleared: bool,
}

impl Slot {
    pub(super) fn new(id: SessionId, number: u64, kept: Kept) -> Self {
        Self {
            id,
            number,
            kept: Mutex::new(kept),
            moved: Notify::new(),
            turned: Notify::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }

    /// Wakes who waits for records.
    pub(super) fn wake_readers(&self) {
        self.moved.notify_waiters();
    }

    /// Wakes everybody.
    pub(super) fn wake_all(&self) {
        self.moved.notify_waiters();
        self.turned.notify_waiters();
    }
}

impl Kept {
    /// Drops what a tombstone doesn't need.
    pub(super) fn clear(&mut self) {
        self.log = Log::default();
        self.request = Bytes::new();
        self.cleared = true;
    }
}

/// Locks, whoever panicked: nothing here leaves a value half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
