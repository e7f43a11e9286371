use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use crate::{
    log::{ServiceName, SessionId},
    store::{
        StatusFilter, StoreError,
        table::{
            ending_queue::EndingQueue,
            entry::{HasMachine, TableEntry},
            scope::{Scope, ScopeIndex, ScopeKeys},
            tombstones::{TombstoneEntry, Tombstones},
        },
    },
};

/// The index of a [`SessionTable`](super::SessionTable): sessions by id, by number, by owner and chat
/// and status, and by the time at which they expire; and tombstones by id.
#[derive(Debug)]
pub struct TableIndex<S, T = ()> {
    ids: HashMap<SessionId, Arc<TableEntry<S>>>,
    numbers: BTreeMap<u64, IndexEntry<S>>,
    scopes: ScopeIndex,
    // A lower bound, since a hold moves the expiry of a session. At most one entry a session.
    due: BTreeSet<DueKey>,
    endings: EndingQueue,
    tombstones: Tombstones<T>,
    last: u64,
}

#[derive(Debug)]
struct IndexEntry<S> {
    entry: Arc<TableEntry<S>>,
    scopes: ScopeKeys,
    // The status under which the session is listed; `None` if it is not.
    listed: Option<StatusFilter>,
    due: Option<Duration>,
}

/// The place of a session among those that expire; see [`TableIndex::due_after`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DueKey {
    at: Duration,
    number: u64,
}

impl<S, T> TableIndex<S, T> {
    pub(super) fn new() -> Self {
        Self {
            ids: HashMap::new(),
            numbers: BTreeMap::new(),
            scopes: ScopeIndex::default(),
            due: BTreeSet::new(),
            endings: EndingQueue::default(),
            tombstones: Tombstones::new(),
            last: 0,
        }
    }

    /// Returns the entry of the session with this id, which may have expired.
    ///
    /// # Errors
    ///
    /// [`StoreError::Gone`] if there is only its tombstone at the time `now`, [`StoreError::NotFound`]
    /// if there is nothing.
    pub fn find(&self, id: &SessionId, now: Duration) -> Result<&Arc<TableEntry<S>>, StoreError> {
        if let Some(entry) = self.ids.get(id) {
            return Ok(entry);
        }
        let left = self.tombstones.get(id).filter(|left| left.until > now);
        Err(left.map_or(StoreError::NotFound, |left| {
            StoreError::Gone(left.tombstone.clone())
        }))
    }

    /// Returns the number of sessions, without tombstones.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns true if there is no session.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Returns the highest number that a session has had, 0 if there was none.
    pub fn last_number(&self) -> u64 {
        self.last
    }

    /// Raises [`last_number`](Self::last_number) to at least this number.
    pub fn raise_last_number(&mut self, number: u64) {
        self.last = self.last.max(number);
    }

    /// Removes the session with this number, if there is one. It leaves no tombstone.
    pub fn remove(&mut self, number: u64) {
        let Some(removed) = self.numbers.remove(&number) else {
            return;
        };
        if let Some(status) = removed.listed {
            self.scopes.remove(&removed.scopes, status, number);
        }
        if let Some(at) = removed.due {
            self.due.remove(&DueKey { at, number });
        }
        self.endings.set(number, None);
        let id = &removed.entry.id;
        if self.ids.get(id).is_some_and(|now| now.number == number) {
            self.ids.remove(id);
        }
    }

    /// Returns the session that expires next after the place `after`, if its time is not after `now`.
    /// `None` as the place begins with the first.
    ///
    /// A hold may have moved the expiry since, so the caller asks the session's machine. If the session
    /// is still present, [`update`](Self::update) notes its new time.
    pub fn due_after(
        &self,
        after: Option<DueKey>,
        now: Duration,
    ) -> Option<(DueKey, Arc<TableEntry<S>>)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let key = self.due.range((from, Bound::Unbounded)).next()?;
        let entry = self.numbers.get(&key.number)?;
        (key.at <= now).then(|| (*key, entry.entry.clone()))
    }

    /// Returns up to `count` sessions with a lower number than this one, newest first.
    pub fn older_than(&self, number: u64, count: usize) -> Vec<Arc<TableEntry<S>>> {
        let older = self.numbers.range(..number).rev();
        older
            .take(count)
            .map(|(_, entry)| entry.entry.clone())
            .collect()
    }

    /// Returns up to `count` sessions of a scope below this number with one of these statuses, newest
    /// first.
    pub(super) fn newest_below(
        &self,
        scope: Scope<'_>,
        statuses: &[StatusFilter],
        below: u64,
        count: usize,
    ) -> Vec<Arc<TableEntry<S>>> {
        let numbers = self.scopes.newest_below(scope, statuses, below);
        self.entries(numbers.take(count))
    }

    /// Returns up to `count` sessions above this number with one of these statuses, oldest first.
    pub(super) fn oldest_above(
        &self,
        statuses: &[StatusFilter],
        above: u64,
        count: usize,
    ) -> Vec<Arc<TableEntry<S>>> {
        let numbers = self.scopes.oldest_above(Scope::All, statuses, above);
        self.entries(numbers.take(count))
    }

    fn entries(&self, numbers: impl Iterator<Item = u64>) -> Vec<Arc<TableEntry<S>>> {
        let entries = numbers.filter_map(|number| self.numbers.get(&number));
        entries.map(|entry| entry.entry.clone()).collect()
    }

    fn list_as(&mut self, number: u64, status: Option<StatusFilter>) {
        let Some(entry) = self.numbers.get_mut(&number) else {
            return;
        };
        if entry.listed == status {
            return;
        }
        if let Some(former) = entry.listed {
            self.scopes.remove(&entry.scopes, former, number);
        }
        if let Some(status) = status {
            self.scopes.insert(&entry.scopes, status, number);
        }
        entry.listed = status;
    }

    fn set_due(&mut self, number: u64, due: Option<Duration>) {
        let Some(entry) = self.numbers.get_mut(&number) else {
            return;
        };
        if let Some(at) = entry.due {
            self.due.remove(&DueKey { at, number });
        }
        if let Some(at) = due {
            self.due.insert(DueKey { at, number });
        }
        entry.due = due;
    }

    /// Sets the largest number of tombstones, and removes those that are too many.
    pub fn set_max_tombstones(&mut self, max: usize) {
        self.tombstones.set_max(max);
    }

    /// Returns the number of tombstones.
    pub fn tombstone_count(&self) -> usize {
        self.tombstones.len()
    }

    /// Returns the tombstone under this id, which may be over.
    pub fn tombstone(&self, id: &SessionId) -> Option<&TombstoneEntry<T>> {
        self.tombstones.get(id)
    }

    /// Returns the store's own data of the tombstone under this id.
    pub fn tombstone_data(&mut self, id: &SessionId) -> Option<&mut T> {
        self.tombstones.get_mut(id).map(|left| &mut left.data)
    }

    /// Returns all tombstones; the first are those that end first.
    pub fn tombstones(&self) -> impl Iterator<Item = &TombstoneEntry<T>> {
        self.tombstones.iter()
    }

    /// Adds a tombstone, for a store that reads tombstones back. Beyond the largest number, the one
    /// that ends first is removed.
    pub fn insert_tombstone(&mut self, tombstone: TombstoneEntry<T>) {
        self.raise_last_number(tombstone.number);
        self.tombstones.insert(tombstone);
    }

    /// Removes up to `limit` tombstones that are over at the time `now`, and returns their number.
    pub fn sweep_tombstones(&mut self, limit: usize, now: Duration) -> usize {
        self.tombstones.sweep(limit, now)
    }

    pub(crate) fn all_tombstones(&self) -> &Tombstones<T> {
        &self.tombstones
    }

    pub(crate) fn replace_tombstones(&mut self, tombstones: Tombstones<T>) {
        self.tombstones = tombstones;
    }
}

impl<S: HasMachine, T> TableIndex<S, T> {
    /// Adds a session under the next number, and replaces the session or tombstone that had its id.
    pub fn insert(&mut self, id: &SessionId, session: S) -> Arc<TableEntry<S>> {
        self.insert_numbered(self.last + 1, id, session)
    }

    /// Adds a session under this number, which no entry may have, and replaces the session or tombstone
    /// that had its id. For a store that reads sessions back, or numbers them itself.
    pub fn insert_numbered(
        &mut self,
        number: u64,
        id: &SessionId,
        session: S,
    ) -> Arc<TableEntry<S>> {
        if let Some(former) = self.ids.get(id) {
            self.remove(former.number);
        }
        self.tombstones.remove(id);
        let entry = Arc::new(TableEntry::new(id.clone(), number, session));
        self.reinsert(&entry);
        entry
    }

    /// Adds a removed entry again, under its own number.
    pub(crate) fn reinsert(&mut self, entry: &Arc<TableEntry<S>>) {
        let number = entry.number;
        self.raise_last_number(number);
        self.ids.insert(entry.id.clone(), entry.clone());
        let scopes = self.scopes.keys(entry.lock().machine().meta());
        let indexed = IndexEntry {
            entry: entry.clone(),
            scopes,
            listed: None,
            due: None,
        };
        self.numbers.insert(number, indexed);
        self.update(entry);
    }

    /// Lists a session under its present status, and notes the time at which it expires.
    ///
    /// Call it after every change of the status: between streaming and waiting, and at the seal; and after a
    /// change of its ending in the outbox. It locks the entry. It has no effect once the session was removed or buried.
    pub fn update(&mut self, entry: &TableEntry<S>) {
        let (status, due, ending) = {
            let session = entry.lock();
            let machine = session.machine();
            let service = machine.meta().service.clone();
            let ending = machine.ending_due().map(|at| (service, at));
            let status = (!machine.is_deleted()).then(|| StatusFilter::of(machine.status()));
            (status, machine.buried_at(), ending)
        };
        if !self.numbers.contains_key(&entry.number) {
            return;
        }
        self.list_as(entry.number, status);
        self.set_due(entry.number, due);
        self.endings.set(entry.number, ending);
    }

    /// Returns up to `limit` sessions of a service whose endings may be taken at the time `now`; those that
    /// were due first come first.
    ///
    /// The store [takes](crate::store::machine::SessionMachine::take_ending) each, and calls
    /// [`update`](Self::update).
    pub fn due_endings(
        &self,
        service: &ServiceName,
        limit: usize,
        now: Duration,
    ) -> Vec<Arc<TableEntry<S>>> {
        self.entries(self.endings.due(service, now).take(limit))
    }

    /// Removes a session that was deleted or has expired, and adds its tombstone with the store's own
    /// `data`. Beyond the largest number of tombstones, the one that ends first is removed.
    ///
    /// Returns false if the session is present, if its ending waits for its delivery, or if it was removed
    /// before. Then it changes nothing but the lists, in which a deleted session isn't. It locks the entry.
    pub fn bury(&mut self, entry: &TableEntry<S>, now: Duration, data: T) -> bool {
        if !self.numbers.contains_key(&entry.number) {
            return false;
        }
        let (presence, until, waits) = {
            let session = entry.lock();
            let machine = session.machine();
            let waits = machine.buried_at().is_none_or(|at| at > now);
            (machine.check_present(now), machine.tombstone_until(), waits)
        };
        if waits {
            self.update(entry);
            return false;
        }
        match presence {
            Ok(()) => return false,
            Err(StoreError::Gone(tombstone)) => {
                self.remove(entry.number);
                self.tombstones.insert(TombstoneEntry {
                    id: entry.id.clone(),
                    number: entry.number,
                    tombstone,
                    until: until.unwrap_or(now),
                    data,
                });
            }
            Err(_) => self.remove(entry.number),
        }
        true
    }

    /// Takes sessions that are gone out of the lists, until they are buried.
    pub(super) fn unlist_gone(&mut self, entries: &[Arc<TableEntry<S>>], now: Duration) {
        for entry in entries {
            let gone = entry.lock().machine().check_present(now).is_err();
            if gone {
                self.list_as(entry.number, None);
            }
        }
    }
}
