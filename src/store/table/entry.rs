use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::{log::SessionId, store::machine::SessionMachine};

/// One session, or its tombstone. `K` is what the store keeps of it.
#[derive(Debug)]
pub struct TableEntry<K> {
    pub id: SessionId,
    // Counts sessions in the order of their creation.
    pub number: u64,
    // The lock is never held while the index is waited for.
    kept: Mutex<K>,
    /// Told of every change.
    moved: Notify,
    /// Told of the changes that an owner waits for.
    turned: Notify,
}

/// Something that has the state of a session in it.
pub trait HasMachine {
    fn machine(&self) -> &SessionMachine;
}

impl<K> TableEntry<K> {
    pub(super) fn new(id: SessionId, number: u64, kept: K) -> Self {
        Self {
            id,
            number,
            kept: Mutex::new(kept),
            moved: Notify::new(),
            turned: Notify::new(),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, K> {
        lock(&self.kept)
    }

    /// Wakes who waits for records.
    pub fn wake_readers(&self) {
        self.moved.notify_waiters();
    }

    /// Wakes everybody.
    pub fn wake_all(&self) {
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
