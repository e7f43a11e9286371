use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use super::{
    clock::Clock,
    index::Index,
    slot::{Lives, Slot, lock},
};
use crate::{
    session::{SessionId, rule::Rules},
    store::StoreError,
};

/// Sessions, and the time and rules that they live by. A clone is a handle to the same ones.
pub(in crate::store) struct Shelf<K> {
    pub(in crate::store) clock: Clock,
    pub(in crate::store) rules: Rules,
    index: Arc<Mutex<Index<K>>>,
}

impl<K> Shelf<K> {
    /// An empty one.
    pub(in crate::store) fn new(clock: Clock) -> Self {
        Self {
            clock,
            rules: Rules::default(),
            index: Arc::new(Mutex::new(Index::new())),
        }
    }

    pub(in crate::store) fn index(&self) -> MutexGuard<'_, Index<K>> {
        lock(&self.index)
    }

    pub(in crate::store) fn now(&self) -> Duration {
        self.clock.now()
    }

    pub(in crate::store) fn slot(&self, id: &SessionId) -> Result<Arc<Slot<K>>, StoreError> {
        self.index().slot(id).cloned().ok_or(StoreError::NotFound)
    }
}

impl<K> Clone for Shelf<K> {
    fn clone(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            rules: self.rules,
            index: self.index.clone(),
        }
    }
}

impl<K: Lives> fmt::Debug for Shelf<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf")
            .field("sessions", &self.index().len())
            .finish_non_exhaustive()
    }
}
