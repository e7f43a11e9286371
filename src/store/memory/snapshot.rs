use std::{collections::HashMap, sync::Arc};

use super::{Memory, session::MemorySession};
use crate::store::table::TableEntry;

/// The sessions of a [`Memory`] store at one moment, taken with [`Memory::snapshot`].
#[derive(Debug, Clone)]
pub struct MemorySnapshot {
    sessions: Vec<(Arc<TableEntry<MemorySession>>, MemorySession)>,
}

impl Memory {
    /// Takes a snapshot of every session.
    pub fn snapshot(&self) -> MemorySnapshot {
        let entries = self.table.index().older_than(u64::MAX, usize::MAX);
        let sessions = entries.into_iter().map(|entry| {
            let session = entry.lock().clone();
            (entry, session)
        });
        MemorySnapshot {
            sessions: sessions.collect(),
        }
    }

    /// Sets every session back to a snapshot, as a failover to a replica that lags does. All writes
    /// since the snapshot are lost. The clock is not set back, and every wait for a change is woken.
    ///
    /// It serves tests of an application whose store loses acknowledged records.
    pub fn restore(&self, snapshot: &MemorySnapshot) {
        let now = self.table.now();
        let mut index = self.table.index();
        let mut touched: HashMap<u64, Arc<TableEntry<MemorySession>>> = HashMap::new();
        for entry in index.older_than(u64::MAX, usize::MAX) {
            index.remove(entry.number);
            touched.insert(entry.number, entry);
        }
        for (entry, session) in &snapshot.sessions {
            *entry.lock() = session.clone();
            index.reinsert(entry.clone());
            if let Some(due) = session.machine.due(now) {
                index.set_due(entry.number, due);
            }
            touched.insert(entry.number, entry.clone());
        }
        drop(index);
        for entry in touched.values() {
            entry.wake_all();
        }
    }
}
