use std::collections::{BTreeMap, HashMap};

/// The kind of a text in an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ItemText {
    /// Of a message, refusals included.
    Text,
    /// Of reasoning, in short.
    Summary,
    /// Of reasoning.
    Reasoning,
}

/// A part of an item's text, as far as it has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct PartSoFar {
    pub(super) index: u64,
    /// The bytes of it so far.
    pub(super) bytes: usize,
    /// The characters of the turn before it.
    pub(super) base: u64,
    /// The annotations of it so far.
    pub(super) cited: u64,
}

/// The items of a response, as far as they have come.
///
/// An item has a key: the index of its first event, unless another item has that. Some servers give each item the
/// index 0; their items are told apart by their ids, and by where they begin.
#[derive(Debug, Default)]
pub(super) struct ItemsSoFar {
    // The keys of the items that began last under these indexes, where they differ.
    keys: BTreeMap<u64, u64>,
    ids: HashMap<String, u64>,
    items: BTreeMap<u64, ItemSoFar>,
    done: u64,
}

#[derive(Debug, Default)]
struct ItemSoFar {
    id: Option<String>,
    is_done: bool,
    texts: BTreeMap<ItemText, PartSoFar>,
}

impl ItemsSoFar {
    /// Returns the number of items that are known.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Begins an item. Returns its key.
    pub(super) fn begin(&mut self, index: u64, id: &str) -> u64 {
        let key = self.by_index(index);
        let key = if self.is_done(key) || self.is_another(key, id) {
            self.add(index)
        } else {
            key
        };
        self.name(key, id);
        key
    }

    /// Returns the key of the item that an event is about, by its index and by the item's id.
    ///
    /// The id decides where it is known and the index leads to another item. Some servers send other ids at the end
    /// of an item than at its beginning.
    pub(super) fn key(&self, index: u64, id: &str) -> u64 {
        let key = self.by_index(index);
        if self.is_another(key, id) || self.is_done(key) {
            self.ids.get(id).copied().unwrap_or(key)
        } else {
            key
        }
    }

    /// Returns the key of an item that ends, which may not have begun.
    pub(super) fn ending(&mut self, index: u64, id: &str) -> u64 {
        let key = self.key(index, id);
        let is_new = !id.is_empty() && !self.ids.contains_key(id);
        if is_new && self.is_done(key) && self.is_another(key, id) {
            return self.add(index);
        }
        key
    }

    /// Ends an item. Returns false if it has ended before.
    pub(super) fn finish(&mut self, key: u64, id: &str) -> bool {
        if self.is_done(key) {
            return false;
        }
        self.name(key, id);
        self.items.entry(key).or_default().is_done = true;
        self.done += 1;
        true
    }

    /// Returns the key of an item of the whole output by its place, unless it has ended before.
    pub(super) fn unfinished(&self, place: u64, id: &str) -> Option<u64> {
        if let Some(key) = self.ids.get(id) {
            return (!self.is_done(*key)).then_some(*key);
        }
        // Keys are given in the order of the items.
        let is_open = self.items.get(&place).is_some_and(|item| !item.is_done);
        let is_over = self.is_done(place) || place < self.done;
        (is_open || !is_over).then_some(place)
    }

    /// Returns the last text of a kind in an item.
    pub(super) fn part(&mut self, key: u64, kind: ItemText) -> Option<&mut PartSoFar> {
        self.items.get_mut(&key)?.texts.get_mut(&kind)
    }

    /// Sets the last text of a kind in an item.
    pub(super) fn begin_part(&mut self, key: u64, kind: ItemText, part: PartSoFar) {
        let item = self.items.entry(key).or_default();
        item.texts.insert(kind, part);
    }

    fn by_index(&self, index: u64) -> u64 {
        self.keys.get(&index).copied().unwrap_or(index)
    }

    // Gives the item that begins under an index a key of its own.
    fn add(&mut self, index: u64) -> u64 {
        let new = self
            .items
            .last_key_value()
            .map_or(0, |(key, _)| key.saturating_add(1));
        self.keys.insert(index, new);
        new
    }

    fn name(&mut self, key: u64, id: &str) {
        let item = self.items.entry(key).or_default();
        if !id.is_empty() {
            self.ids.insert(id.to_owned(), key);
            item.id.get_or_insert_with(|| id.to_owned());
        }
    }

    // Returns true if the item with this key is known by another id.
    fn is_another(&self, key: u64, id: &str) -> bool {
        let known = self.items.get(&key).and_then(|item| item.id.as_deref());
        known.is_some_and(|known| !id.is_empty() && known != id)
    }

    fn is_done(&self, key: u64) -> bool {
        self.items.get(&key).is_some_and(|item| item.is_done)
    }
}
