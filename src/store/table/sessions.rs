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

/// A table of sessions and tombstones, and the clock that decides their expiry. Clones share one table.
///
/// `S` is the store's own data of a session, and `T` that of a tombstone.
///
/// A table keeps at most 100,000 tombstones, or as many as
/// [`set_max_tombstones`](TableIndex::set_max_tombstones) says. Beyond that, the tombstones that end
/// first are removed; those are the oldest where all last equally long. A tombstone holds an id, an owner
/// and a digest: with names of at most 128 bytes, which dialects and policies keep to, it takes up less
/// than a kibibyte.
pub struct SessionTable<S, T = ()> {
    clock: StoreClock,
    index: Arc<Mutex<TableIndex<S, T>>>,
}

impl<S, T> SessionTable<S, T> {
    /// Creates an empty table with this clock.
    pub fn new(clock: StoreClock) -> Self {
        Self {
            clock,
            index: Arc::new(Mutex::new(TableIndex::new())),
        }
    }

    /// Returns true if another handle on this table exists.
    pub fn has_other_handles(&self) -> bool {
        Arc::strong_count(&self.index) > 1
    }

    /// Locks the index.
    ///
    /// A thread must not call this while it holds the lock of an [entry](TableEntry::lock).
    pub fn index(&self) -> MutexGuard<'_, TableIndex<S, T>> {
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

    /// Returns the entry of the session with this id, which may have expired.
    ///
    /// # Errors
    ///
    /// [`StoreError::Gone`] if there is only its tombstone, [`StoreError::NotFound`] if there is nothing.
    pub fn entry(&self, id: &SessionId) -> Result<Arc<TableEntry<S>>, StoreError> {
        let now = self.now();
        self.index().find(id, now).cloned()
    }
}

impl<S: HasMachine, T> SessionTable<S, T> {
    /// Lists a session under its present status, and notes the time at which it expires.
    ///
    /// Call it after every change of the status: after an append whose effect
    /// [says so](crate::store::machine::AppendEffect::status_changed); and after a change of its ending in
    /// the outbox. It locks the index and the entry,
    /// so the caller holds neither.
    pub fn update(&self, entry: &TableEntry<S>) {
        self.index().update(entry);
    }
}

impl<S: HasMachine, T: Default> SessionTable<S, T> {
    /// Replaces a session that was deleted or has expired by its tombstone. It has no effect on a session
    /// that is present, or whose ending waits for its delivery.
    ///
    /// Call it after a deletion. It locks the index and the entry, so the caller holds neither.
    pub fn bury(&self, entry: &TableEntry<S>) {
        let now = self.now();
        self.index().bury(entry, now, T::default());
    }

    /// Removes expired sessions and tombstones as [`Store::sweep`](crate::store::Store::sweep) does.
    pub fn sweep(&self, limit: usize) -> usize {
        let mut swept = 0;
        while swept < limit {
            let now = self.now();
            let mut index = self.index();
            let Some((_, entry)) = index.due_after(None, now) else {
                break;
            };
            if index.bury(&entry, now, T::default()) {
                swept += 1;
            } else {
                // A hold has moved the expiry.
                index.update(&entry);
            }
            // Its records, if this was the last reference, are freed outside of the lock.
            drop(index);
        }
        let now = self.now();
        swept + self.index().sweep_tombstones(limit - swept, now)
    }
}

impl<S, T> Clone for SessionTable<S, T> {
    fn clone(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            index: self.index.clone(),
        }
    }
}

impl<S, T> fmt::Debug for SessionTable<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = self.index();
        f.debug_struct("SessionTable")
            .field("sessions", &index.len())
            .field("tombstones", &index.tombstone_count())
            .finish_non_exhaustive()
    }
}
