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

/// Sessions, and the clock that they live by. A clone is a handle to the same ones.
pub struct SessionTable<K> {
    clock: StoreClock,
    index: Arc<Mutex<TableIndex<K>>>,
}

impl<K> SessionTable<K> {
    /// An empty one.
    pub fn new(clock: StoreClock) -> Self {
        Self {
            clock,
            index: Arc::new(Mutex::new(TableIndex::new())),
        }
    }

    pub fn index(&self) -> MutexGuard<'_, TableIndex<K>> {
        lock(&self.index)
    }

    /// The clock that the sessions live by.
    pub fn clock(&self) -> &StoreClock {
        &self.clock
    }

    pub fn now(&self) -> Duration {
        self.clock.now()
    }

    pub fn entry(&self, id: &SessionId) -> Result<Arc<TableEntry<K>>, StoreError> {
        self.index().entry(id).cloned().ok_or(StoreError::NotFound)
    }
}

impl<K> Clone for SessionTable<K> {
    fn clone(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            index: self.index.clone(),
        }
    }
}

impl<K: HasMachine> fmt::Debug for SessionTable<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionTable")
            .field("sessions", &self.index().len())
            .finish_non_exhaustive()
    }
}
