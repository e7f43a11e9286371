use std::collections::{BTreeMap, HashMap};

use super::position::{ItemTexts, SaidPart, StreamPosition};

/// The kind of a text in an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ItemTextKind {
    /// Of a message, refusals included.
    Text,
    /// Of reasoning, in short.
    Summary,
    /// Of reasoning.
    Reasoning,
}

/// The items of a response, as far as they have come.
///
/// An item has a key: the index of its first event, unless another item has that. Some servers give each item the
/// index 0; their items are told apart by their ids, and by where they begin.
#[derive(Debug, Default)]
pub(super) struct ItemsProgress {
    /// The keys of the items that began last under these indexes, where they differ.
    keys: BTreeMap<u64, u64>,
    ids: HashMap<String, u64>,
    items: BTreeMap<u64, ItemProgress>,
    /// Items below it that aren't in `items` were done before this server read on.
    done_before: u64,
    done: u64,
}

#[derive(Debug, Default)]
struct ItemProgress {
    id: Option<String>,
    is_done: bool,
    texts: ItemTexts,
}

impl ItemsProgress {
    /// Creates the items of a response that is read on from a position.
    pub(super) fn at(position: &StreamPosition) -> Self {
        let open = position.open.iter();
        let mut items: BTreeMap<_, _> = open
            .map(|(key, texts)| {
                let texts = *texts;
                let item = ItemProgress {
                    texts,
                    ..ItemProgress::default()
                };
                (*key, item)
            })
            .collect();
        let after_open = items.last_key_value().map_or(0, |(key, _)| key + 1);
        let mut ids = HashMap::new();
        for (key, id) in &position.ids {
            if let Some(item) = items.get_mut(key) {
                item.id = Some(id.clone());
                ids.insert(id.clone(), *key);
            }
        }
        Self {
            keys: position.keys.iter().copied().collect(),
            ids,
            done_before: after_open.max(position.done + items.len() as u64),
            done: position.done,
            items,
        }
    }

    /// Returns the number of items that are known.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Begins an item. Returns its key.
    pub(super) fn begin(&mut self, index: u64, id: Option<String>) -> u64 {
        let key = self.by_index(index);
        let key = if self.is_done(key) || self.is_another(key, id.as_deref()) {
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
    pub(super) fn key(&self, index: u64, id: Option<&str>) -> u64 {
        let key = self.by_index(index);
        let named = || self.ids.get(id?).copied();
        if self.is_another(key, id) || self.is_done(key) {
            named().unwrap_or(key)
        } else {
            key
        }
    }

    /// Returns the key of an item that ends, which may not have begun.
    pub(super) fn ending(&mut self, index: u64, id: Option<&str>) -> u64 {
        let key = self.key(index, id);
        let is_new = id.is_some_and(|id| !self.ids.contains_key(id));
        if is_new && self.is_done(key) && self.is_another(key, id) {
            return self.add(index);
        }
        key
    }

    /// Ends an item. Returns false if it has ended before.
    pub(super) fn finish(&mut self, key: u64, id: Option<String>) -> bool {
        if self.is_done(key) {
            return false;
        }
        self.name(key, id);
        self.items.entry(key).or_default().is_done = true;
        self.done += 1;
        true
    }

    /// Returns the key of an item of the whole output by its place, unless it has ended before.
    pub(super) fn unfinished(&self, place: u64, id: Option<&str>) -> Option<u64> {
        if let Some(key) = id.and_then(|id| self.ids.get(id)) {
            return (!self.is_done(*key)).then_some(*key);
        }
        // Keys are given in the order of the items.
        let is_open = self.items.get(&place).is_some_and(|item| !item.is_done);
        let is_over = self.is_done(place) || place < self.done;
        (is_open || !is_over).then_some(place)
    }

    /// Returns the last text of a kind in an item.
    pub(super) fn part(&mut self, key: u64, kind: ItemTextKind) -> &mut Option<SaidPart> {
        let texts = &mut self.items.entry(key).or_default().texts;
        match kind {
            ItemTextKind::Text => &mut texts.text,
            ItemTextKind::Summary => &mut texts.summary,
            ItemTextKind::Reasoning => &mut texts.reasoning,
        }
    }

    /// Writes the items into a position.
    pub(super) fn write(&self, position: &mut StreamPosition) {
        position.done = self.done;
        position.keys = self.keys.iter().map(|(at, key)| (*at, *key)).collect();
        for (key, item) in self.items.iter().filter(|(_, item)| !item.is_done) {
            position.open.push((*key, item.texts));
            position.ids.extend(item.id.clone().map(|id| (*key, id)));
        }
    }

    fn by_index(&self, index: u64) -> u64 {
        self.keys.get(&index).copied().unwrap_or(index)
    }

    /// Gives the item that begins under an index a key of its own.
    fn add(&mut self, index: u64) -> u64 {
        let last = self.items.last_key_value().map_or(0, |(key, _)| key + 1);
        let new = last.max(self.done_before);
        self.keys.insert(index, new);
        new
    }

    fn name(&mut self, key: u64, id: Option<String>) {
        let item = self.items.entry(key).or_default();
        if let Some(id) = id {
            self.ids.insert(id.clone(), key);
            item.id.get_or_insert(id);
        }
    }

    /// Returns true if the item with this key is known by another id.
    fn is_another(&self, key: u64, id: Option<&str>) -> bool {
        let known = self.items.get(&key).and_then(|item| item.id.as_deref());
        matches!((known, id), (Some(known), Some(id)) if known != id)
    }

    fn is_done(&self, key: u64) -> bool {
        let item = self.items.get(&key);
        item.map_or(key < self.done_before, |item| item.is_done)
    }
}
