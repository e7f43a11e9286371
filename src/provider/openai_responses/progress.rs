use std::collections::{BTreeMap, HashMap, HashSet};

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
/// An item has a key: the index of its first event, unless that is taken. Some servers give each item the
/// index 0.
#[derive(Debug, Default)]
pub(super) struct ItemsProgress {
    keys: HashMap<u64, u64>,
    items: BTreeMap<u64, ItemProgress>,
    /// Items below it that aren't in `items` were done before this server read on.
    done_before: u64,
    done: u64,
    done_ids: HashSet<String>,
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
        let items: BTreeMap<_, _> = open
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
        Self {
            done_before: after_open.max(position.done + items.len() as u64),
            done: position.done,
            items,
            ..Self::default()
        }
    }

    /// Returns the number of items that are known.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Begins an item. Returns its key.
    pub(super) fn begin(&mut self, index: u64, id: Option<String>) -> u64 {
        let key = self.key(index);
        let key = if self.is_done(key) {
            let last = self.items.last_key_value().map_or(0, |(key, _)| key + 1);
            let new = last.max(self.done_before);
            self.keys.insert(index, new);
            new
        } else {
            key
        };
        let item = self.items.entry(key).or_default();
        if item.id.is_none() {
            item.id = id;
        }
        key
    }

    /// Returns the key of an item by its index.
    pub(super) fn key(&self, index: u64) -> u64 {
        self.keys.get(&index).copied().unwrap_or(index)
    }

    /// Ends an item. Returns false if it has ended before.
    pub(super) fn finish(&mut self, key: u64, id: Option<String>) -> bool {
        if self.is_done(key) {
            return false;
        }
        let item = self.items.entry(key).or_default();
        item.is_done = true;
        self.done += 1;
        self.done_ids.extend(id.or_else(|| item.id.take()));
        true
    }

    /// Returns the key of an item of the whole output by its place, unless it has ended before.
    pub(super) fn unfinished(&self, place: u64, id: Option<&str>) -> Option<u64> {
        if let Some(id) = id {
            if self.done_ids.contains(id) {
                return None;
            }
            let named = |(_, item): &(&u64, &ItemProgress)| item.id.as_deref() == Some(id);
            if let Some((key, item)) = self.items.iter().find(named) {
                return (!item.is_done).then_some(*key);
            }
        }
        let key = self.key(place);
        let is_open = self.items.get(&key).is_some_and(|item| !item.is_done);
        let is_over = self.is_done(key) || place < self.done;
        (is_open || !is_over).then_some(key)
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
        let open = self.items.iter().filter(|(_, item)| !item.is_done);
        position.open = open.map(|(key, item)| (*key, item.texts)).collect();
    }

    fn is_done(&self, key: u64) -> bool {
        let item = self.items.get(&key);
        item.map_or(key < self.done_before, |item| item.is_done)
    }
}
