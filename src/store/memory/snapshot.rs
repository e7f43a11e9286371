use std::{collections::HashMap, sync::Arc};

use super::{Memory, session::MemorySession};
use crate::store::table::{TableEntry, Tombstones};

/// The sessions and tombstones of a [`Memory`] store at one moment, taken with [`Memory::snapshot`].
#[derive(Debug, Clone)]
pub struct MemorySnapshot {
    sessions: Vec<(Arc<TableEntry<MemorySession>>, MemorySession)>,
    tombstones: Tombstones<()>,
}

impl Memory {
    /// Takes a snapshot of every session and tombstone.
    pub fn snapshot(&self) -> MemorySnapshot {
        let (entries, tombstones) = {
            let index = self.table.index();
            let entries = index.older_than(u64::MAX, usize::MAX);
            (entries, index.all_tombstones().clone())
        };
        let sessions = entries.into_iter().map(|entry| {
            let session = entry.lock().clone();
            (entry, session)
        });
        MemorySnapshot {
            sessions: sessions.collect(),
            tombstones,
        }
    }

    /// Sets every session back to a snapshot, as a failover to a replica that lags does. All writes
    /// since the snapshot are lost. The clock is not set back, and every wait for a change is woken.
    ///
    /// It serves tests of an application whose store loses acknowledged records.
    pub fn restore(&self, snapshot: &MemorySnapshot) {
        let mut index = self.table.index();
        let mut touched: HashMap<u64, Arc<TableEntry<MemorySession>>> = HashMap::new();
        for entry in index.older_than(u64::MAX, usize::MAX) {
            index.remove(entry.number);
            touched.insert(entry.number, entry);
        }
        index.replace_tombstones(snapshot.tombstones.clone());
        for (entry, session) in &snapshot.sessions {
            *entry.lock() = session.clone();
            index.reinsert(entry);
            touched.insert(entry.number, entry.clone());
        }
        drop(index);
        for entry in touched.values() {
            entry.wake_all();
        }
    }
}
