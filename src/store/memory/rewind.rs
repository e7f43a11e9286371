use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{Memory, kept::Kept};
use crate::{
    store::shelf::Slot,
    testing::{Jump, Rewind},
};

/// The sessions of a [`Memory`] as they once were.
#[derive(Debug, Clone)]
pub struct Snapshot {
    kept: Vec<(Arc<Slot<Kept>>, Kept)>,
}

impl Rewind for Memory {
    type Snapshot = Snapshot;

    fn snapshot(&self) -> Snapshot {
        let slots = self.shelf.index().older(u64::MAX, usize::MAX);
        let kept = slots.into_iter().map(|slot| {
            let kept = slot.lock().clone();
            (slot, kept)
        });
        Snapshot {
            kept: kept.collect(),
        }
    }

    fn restore(&self, snapshot: &Snapshot) {
        let now = self.shelf.now();
        let mut index = self.shelf.index();
        let mut before: HashMap<u64, Arc<Slot<Kept>>> = HashMap::new();
        for slot in index.older(u64::MAX, usize::MAX) {
            index.remove(slot.number);
            before.insert(slot.number, slot);
        }
        for (slot, kept) in &snapshot.kept {
            *slot.lock() = kept.clone();
            index.put_back(slot.clone());
            if let Some(due) = kept.life.due(now) {
                index.ended(slot.number, due);
            }
            before.insert(slot.number, slot.clone());
        }
        drop(index);
        for slot in before.values() {
            slot.wake_all();
        }
    }
}

impl Jump for Memory {
    fn jump(&self, by: Duration) {
        self.shelf.clock.jump(by);
    }
}
