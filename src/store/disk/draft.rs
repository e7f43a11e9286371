use std::{sync::Arc, time::Duration};

use super::{
    kept::{Change, Kept},
    tidy::Tidy,
};
use crate::{
    session::{SessionId, life::Life},
    store::shelf::{Shelf, Slot},
};

/// A session as it will be.
pub(super) struct Draft {
    pub(super) id: SessionId,
    pub(super) number: u64,
    /// `None` if it is new.
    pub(super) slot: Option<Arc<Slot<Kept>>>,
    pub(super) life: Life,
    pub(super) changes: Vec<Change>,
    pub(super) wake: Wake,
    /// Whether it was sealed or deleted.
    pub(super) ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wake {
    Nobody,
    Readers,
    All,
}

/// Stands for the file that a batch will be written to.
pub(super) const PENDING: u32 = u32::MAX;

impl Draft {
    pub(super) fn new(
        id: &SessionId,
        number: u64,
        slot: Option<Arc<Slot<Kept>>>,
        life: Life,
    ) -> Self {
        Self {
            id: id.clone(),
            number,
            slot,
            life,
            changes: Vec::new(),
            wake: Wake::Nobody,
            ended: false,
        }
    }

    /// Lets everybody see it. What was written lies in this file, from this place on.
    pub(super) fn show(
        self,
        sessions: &Shelf<Kept>,
        now: Duration,
        tidy: &mut Tidy,
        (segment, start): (u32, u32),
    ) {
        let changes = self.changes.into_iter().map(|mut change| {
            change.settle(segment, start);
            change
        });
        let due = self.life.due(now).filter(|_| self.ended);
        let slot = if let Some(slot) = self.slot {
            let mut kept = slot.lock();
            let before = kept.live();
            kept.life = self.life;
            changes.for_each(|change| kept.apply(change));
            tidy.live.changed(before, kept.live());
            if !kept.queued && kept.is_untidy() {
                kept.queued = true;
                tidy.queue(slot.clone());
            }
            drop(kept);
            slot
        } else {
            let mut changes = changes;
            let Some(Change::Base(base)) = changes.next() else {
                return;
            };
            let mut kept = Kept::new(self.life, base);
            changes.for_each(|change| kept.apply(change));
            if let Ok(former) = sessions.slot(&self.id) {
                tidy.live.changed(former.lock().live(), 0);
            }
            tidy.live.changed(0, kept.live());
            sessions.index().insert_as(self.number, &self.id, kept)
        };
        if let Some(due) = due {
            sessions.index().ended(slot.number, due);
        }
        match self.wake {
            Wake::Nobody => {}
            Wake::Readers => slot.wake_readers(),
            Wake::All => slot.wake_all(),
        }
    }
}
