use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use crate::{log::SessionId, store::table::entry::TableEntry};

/// Finds sessions: by id, by age, by who is unsealed, and by when they are due.
#[derive(Debug)]
pub struct TableIndex<K> {
    ids: HashMap<SessionId, Arc<TableEntry<K>>>,
    numbers: BTreeMap<u64, IndexEntry<K>>,
    unsealed: BTreeSet<u64>,
    // Only a hint: a session that was held since then is due later. At most one entry each.
    due: BTreeSet<(Duration, u64)>,
    last: u64,
}

#[derive(Debug)]
struct IndexEntry<K> {
    entry: Arc<TableEntry<K>>,
    due: Option<Duration>,
}

impl<K> TableIndex<K> {
    pub(super) fn new() -> Self {
        Self {
            ids: HashMap::new(),
            numbers: BTreeMap::new(),
            unsealed: BTreeSet::new(),
            due: BTreeSet::new(),
            last: 0,
        }
    }

    pub fn entry(&self, id: &SessionId) -> Option<&Arc<TableEntry<K>>> {
        self.ids.get(id)
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// The highest number that a session has had.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Puts a new session in, instead of whatever had its id.
    pub fn insert(&mut self, id: &SessionId, kept: K) {
        self.insert_as(self.last + 1, id, kept);
    }

    /// Puts a session in under this number, instead of whatever had its id.
    pub fn insert_as(&mut self, number: u64, id: &SessionId, kept: K) -> Arc<TableEntry<K>> {
        if let Some(former) = self.ids.get(id) {
            self.remove(former.number);
        }
        let entry = Arc::new(TableEntry::new(id.clone(), number, kept));
        self.put_back(entry.clone());
        entry
    }

    /// Puts back a session that was removed, under its own number.
    pub fn put_back(&mut self, entry: Arc<TableEntry<K>>) {
        let number = entry.number;
        self.last = self.last.max(number);
        self.ids.insert(entry.id.clone(), entry.clone());
        self.numbers.insert(number, IndexEntry { entry, due: None });
        self.unsealed.insert(number);
    }

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

    /// Notes that a session has ended or is gone, and when it is due.
    pub fn ended(&mut self, number: u64, due: Duration) {
        let Some(entry) = self.numbers.get_mut(&number) else {
            return;
        };
        if let Some(former) = entry.due.replace(due) {
            self.due.remove(&(former, number));
        }
        self.due.insert((due, number));
        self.unsealed.remove(&number);
    }

    /// The session that has been due for the longest, if any is. It is due no more until
    /// [`ended`](Self::ended) says so again.
    pub fn pop_due(&mut self, now: Duration) -> Option<Arc<TableEntry<K>>> {
        let &(due, number) = self.due.first().filter(|(due, _)| *due <= now)?;
        self.due.remove(&(due, number));
        let entry = self.numbers.get_mut(&number)?;
        entry.due = None;
        Some(entry.entry.clone())
    }

    /// Up to `count` sessions that are older than the one with this number, newest first.
    pub fn older(&self, than: u64, count: usize) -> Vec<Arc<TableEntry<K>>> {
        let older = self.numbers.range(..than).rev();
        older
            .take(count)
            .map(|(_, entry)| entry.entry.clone())
            .collect()
    }

    /// Up to `count` unsealed sessions that are newer than the one with this number, oldest first.
    pub(super) fn unsealed(&self, from: u64, count: usize) -> Vec<Arc<TableEntry<K>>> {
        self.unsealed
            .range(from.saturating_add(1)..)
            .filter_map(|number| self.numbers.get(number))
            .take(count)
            .map(|entry| entry.entry.clone())
            .collect()
    }
}
