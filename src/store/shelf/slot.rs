use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::session::{SessionId, life::Life};

/// One session, or its tombstone. `K` is what the store keeps of it.
#[derive(Debug)]
pub(in crate::store) struct Slot<K> {
    pub(in crate::store) id: SessionId,
    // Counts sessions in the order of their creation.
    pub(in crate::store) number: u64,
    // The lock is never held while the index is waited for.
    kept: Mutex<K>,
    /// Told of every change.
    moved: Notify,
    /// Told of the changes that an owner waits for.
    turned: Notify,
}

/// Something that has the state of a session in it.
pub(in crate::store) trait Lives {
    fn life(&self) -> &Life;
}

impl<K> Slot<K> {
    pub(super) fn new(id: SessionId, number: u64, kept: K) -> Self {
        Self {
            id,
            number,
            kept: Mutex::new(kept),
            moved: Notify::new(),
            turned: Notify::new(),
        }
    }

    pub(in crate::store) fn lock(&self) -> MutexGuard<'_, K> {
        lock(&self.kept)
    }

    /// Wakes who waits for records.
    pub(in crate::store) fn wake_readers(&self) {
        self.moved.notify_waiters();
    }

    /// Wakes everybody.
    pub(in crate::store) fn wake_all(&self) {
        self.moved.notify_waiters();
        self.turned.notify_waiters();
    }

    pub(super) fn changes(&self, for_owner: bool) -> &Notify {
        if for_owner { &self.turned } else { &self.moved }
    }
}

/// Locks, whoever panicked: nothing here leaves a value half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
