use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use crate::{
    log::SessionId,
    store::{
        StoreError,
        table::{
            clock::StoreClock,
            entry::{HasMachine, TableEntry, lock},
            index::TableIndex,
        },
    },
};

/// A table of sessions, and the clock that decides their expiry. Clones share one table.
///
/// `S` is the store's own data of a session.
pub struct SessionTable<S> {
    clock: StoreClock,
    index: Arc<Mutex<TableIndex<S>>>,
}

impl<S> SessionTable<S> {
    /// Creates an empty table with this clock.
    pub fn new(clock: StoreClock) -> Self {
        Self {
            clock,
            index: Arc::new(Mutex::new(TableIndex::new())),
        }
    }

    /// Locks the index.
    ///
    /// A thread must not call this while it holds the lock of an [entry](TableEntry::lock).
    pub fn index(&self) -> MutexGuard<'_, TableIndex<S>> {
        lock(&self.index)
    }

    /// Returns the clock.
    pub fn clock(&self) -> &StoreClock {
        &self.clock
    }

    /// Returns the time by the clock.
    pub fn now(&self) -> Duration {
        self.clock.now()
    }

    /// Returns the entry with this id, which may be a tombstone.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if there is none.
    pub fn entry(&self, id: &SessionId) -> Result<Arc<TableEntry<S>>, StoreError> {
        self.index().entry(id).cloned().ok_or(StoreError::NotFound)
    }
}

impl<S> Clone for SessionTable<S> {
    fn clone(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            index: self.index.clone(),
        }
    }
}

impl<S: HasMachine> fmt::Debug for SessionTable<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionTable")
            .field("sessions", &self.index().len())
            .finish_non_exhaustive()
    }
}
