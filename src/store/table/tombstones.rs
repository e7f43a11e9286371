use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use crate::{log::SessionId, store::Tombstone};

/// The number of tombstones that a table keeps by default.
const MAX: usize = 100_000;

/// The tombstone of one session in a [`SessionTable`](super::SessionTable). `T` is the store's own data
/// of it.
#[derive(Debug, Clone)]
pub struct TombstoneEntry<T> {
    /// The id of the session.
    pub id: SessionId,
    /// The number that the session had.
    pub number: u64,
    /// The remains of the session.
    pub tombstone: Tombstone,
    /// The time by the table's clock at which the tombstone ends.
    pub until: Duration,
    /// The store's own data.
    pub data: T,
}

/// The tombstones of a table, by id and by their ends.
#[derive(Debug, Clone)]
pub(crate) struct Tombstones<T> {
    max: usize,
    ids: HashMap<SessionId, EndKey>,
    ends: BTreeMap<EndKey, TombstoneEntry<T>>,
}

/// The end of a tombstone and the number of its session.
type EndKey = (Duration, u64);

impl<T> Tombstones<T> {
    pub(super) fn new() -> Self {
        Self {
            max: MAX,
            ids: HashMap::new(),
            ends: BTreeMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Sets the largest number of tombstones, and removes those that are too many.
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max;
        self.evict();
    }

    pub(super) fn get(&self, id: &SessionId) -> Option<&TombstoneEntry<T>> {
        self.ends.get(self.ids.get(id)?)
    }

    pub(super) fn get_mut(&mut self, id: &SessionId) -> Option<&mut TombstoneEntry<T>> {
        self.ends.get_mut(self.ids.get(id)?)
    }

    /// Returns all tombstones; the first are those that end first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &TombstoneEntry<T>> {
        self.ends.values()
    }

    /// Adds a tombstone, and replaces the one that had its id. Beyond the largest number, the one that
    /// ends first is removed.
    pub(super) fn insert(&mut self, tombstone: TombstoneEntry<T>) {
        let key = (tombstone.until, tombstone.number);
        if let Some(former) = self.ids.insert(tombstone.id.clone(), key) {
            self.ends.remove(&former);
        }
        self.ends.insert(key, tombstone);
        self.evict();
    }

    pub(super) fn remove(&mut self, id: &SessionId) {
        if let Some(key) = self.ids.remove(id) {
            self.ends.remove(&key);
        }
    }

    /// Removes up to `limit` tombstones whose time is over, and returns their number.
    pub(super) fn sweep(&mut self, limit: usize, now: Duration) -> usize {
        let mut swept = 0;
        while swept < limit
            && self
                .ends
                .first_key_value()
                .is_some_and(|(key, _)| key.0 <= now)
        {
            self.remove_first();
            swept += 1;
        }
        swept
    }

    fn evict(&mut self) {
        while self.ends.len() > self.max {
            self.remove_first();
        }
    }

    fn remove_first(&mut self) {
        if let Some((_, first)) = self.ends.pop_first() {
            self.ids.remove(&first.id);
        }
    }
}
