use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use crate::{log::SessionId, store::table::entry::TableEntry};

/// The index of a [`SessionTable`](super::SessionTable): sessions by id, by number, and by the time at
/// which they expire.
#[derive(Debug)]
pub struct TableIndex<S> {
    ids: HashMap<SessionId, Arc<TableEntry<S>>>,
    numbers: BTreeMap<u64, IndexEntry<S>>,
    unsealed: BTreeSet<u64>,
    // A lower bound, since a hold moves the expiry of a session. At most one entry a session.
    due: BTreeSet<(Duration, u64)>,
    last: u64,
}

#[derive(Debug)]
struct IndexEntry<S> {
    entry: Arc<TableEntry<S>>,
    due: Option<Duration>,
}

impl<S> TableIndex<S> {
    pub(super) fn new() -> Self {
        Self {
            ids: HashMap::new(),
            numbers: BTreeMap::new(),
            unsealed: BTreeSet::new(),
            due: BTreeSet::new(),
            last: 0,
        }
    }

    /// Returns the entry with this id.
    pub fn entry(&self, id: &SessionId) -> Option<&Arc<TableEntry<S>>> {
        self.ids.get(id)
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns true if there is no entry.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Returns the highest number that a session has had, 0 if there was none.
    pub fn last_number(&self) -> u64 {
        self.last
    }

    /// Adds a session under the next number, and replaces the entry that had its id.
    pub fn insert(&mut self, id: &SessionId, session: S) {
        self.insert_numbered(self.last + 1, id, session);
    }

    /// Adds a session under this number, which no entry may have, and replaces the entry that had its
    /// id. For a store that reads sessions back, or numbers them itself.
    pub fn insert_numbered(
        &mut self,
        number: u64,
        id: &SessionId,
        session: S,
    ) -> Arc<TableEntry<S>> {
        if let Some(former) = self.ids.get(id) {
            self.remove(former.number);
        }
        let entry = Arc::new(TableEntry::new(id.clone(), number, session));
        self.reinsert(entry.clone());
        entry
    }

    /// Adds a removed entry again, under its own number.
    pub(crate) fn reinsert(&mut self, entry: Arc<TableEntry<S>>) {
        let number = entry.number;
        self.last = self.last.max(number);
        self.ids.insert(entry.id.clone(), entry.clone());
        self.numbers.insert(number, IndexEntry { entry, due: None });
        self.unsealed.insert(number);
    }

    /// Removes the entry with this number, if there is one.
    pub fn remove(&mut self, number: u64) {
        let Some(IndexEntry { entry, due }) = self.numbers.remove(&number) else {
            return;
        };
        self.unsealed.remove(&number);
        if let Some(due) = due {
            self.due.remove(&(due, number));
        }
        if self
            .ids
            .get(&entry.id)
            .is_some_and(|now| now.number == number)
        {
            self.ids.remove(&entry.id);
        }
    }

    /// Notes that a session has ended or was deleted, and the time `due` at which it or its
    /// tombstone expires; see [`SessionMachine::due`](crate::store::machine::SessionMachine::due).
    pub fn set_due(&mut self, number: u64, due: Duration) {
        let Some(entry) = self.numbers.get_mut(&number) else {
            return;
        };
        if let Some(former) = entry.due.replace(due) {
            self.due.remove(&(former, number));
        }
        self.due.insert((due, number));
        self.unsealed.remove(&number);
    }

    /// Returns the session whose noted time is the earliest, if it is not after `now`, and forgets that
    /// time until [`set_due`](Self::set_due) notes a new one.
    ///
    /// A hold may have moved the expiry since, so the caller asks the session's machine.
    pub fn pop_due(&mut self, now: Duration) -> Option<Arc<TableEntry<S>>> {
        let &(due, number) = self.due.first().filter(|(due, _)| *due <= now)?;
        self.due.remove(&(due, number));
        let entry = self.numbers.get_mut(&number)?;
        entry.due = None;
        Some(entry.entry.clone())
    }

    /// Returns up to `count` sessions with a lower number than this one, newest first.
    pub fn older_than(&self, number: u64, count: usize) -> Vec<Arc<TableEntry<S>>> {
        let older = self.numbers.range(..number).rev();
        older
            .take(count)
            .map(|(_, entry)| entry.entry.clone())
            .collect()
    }

    /// Returns up to `count` unsealed sessions with a higher number than this one, oldest first.
    pub(super) fn unsealed_after(&self, number: u64, count: usize) -> Vec<Arc<TableEntry<S>>> {
        self.unsealed
            .range(number.saturating_add(1)..)
            .filter_map(|number| self.numbers.get(number))
            .take(count)
            .map(|entry| entry.entry.clone())
            .collect()
    }
}
