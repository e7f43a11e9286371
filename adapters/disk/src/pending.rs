use std::{sync::Arc, time::Duration};

use super::{
    compactor::Compactor,
    session::{DiskSession, FrameChange},
};
use unbroken::{
    log::SessionId,
    store::{
        machine::SessionMachine,
        table::{SessionTable, TableEntry},
    },
};

/// A session as it will be.
pub(crate) struct PendingSession {
    pub(crate) id: SessionId,
    pub(crate) number: u64,
    /// `None` if it is new.
    pub(crate) entry: Option<Arc<TableEntry<DiskSession>>>,
    pub(crate) machine: SessionMachine,
    pub(crate) changes: Vec<FrameChange>,
    pub(crate) wake: WakeScope,
    /// Whether it was sealed or deleted.
    pub(crate) ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WakeScope {
    Nobody,
    Readers,
    All,
}

/// Stands for the file that a batch will be written to.
pub(crate) const PENDING: u32 = u32::MAX;

impl PendingSession {
    pub(crate) fn new(
        id: &SessionId,
        number: u64,
        entry: Option<Arc<TableEntry<DiskSession>>>,
        machine: SessionMachine,
    ) -> Self {
        Self {
            id: id.clone(),
            number,
            entry,
            machine,
            changes: Vec::new(),
            wake: WakeScope::Nobody,
            ended: false,
        }
    }

    /// Lets everybody see it. What was written lies in this file, from this place on.
    pub(crate) fn show(
        self,
        sessions: &SessionTable<DiskSession>,
        now: Duration,
        tidy: &mut Compactor,
        (segment, start): (u32, u32),
    ) {
        let changes = self.changes.into_iter().map(|mut change| {
            change.settle(segment, start);
            change
        });
        let due = self.machine.due(now).filter(|_| self.ended);
        let entry = if let Some(entry) = self.entry {
            let mut kept = entry.lock();
            let before = kept.live();
            kept.machine = self.machine;
            changes.for_each(|change| kept.apply(change));
            tidy.live.changed(before, kept.live());
            if !kept.queued && kept.is_untidy() {
                kept.queued = true;
                tidy.queue(entry.clone());
            }
            drop(kept);
            entry
        } else {
            let mut changes = changes;
            let Some(FrameChange::Base(base)) = changes.next() else {
                return;
            };
            let mut kept = DiskSession::new(self.machine, base);
            changes.for_each(|change| kept.apply(change));
            if let Ok(former) = sessions.entry(&self.id) {
                tidy.live.changed(former.lock().live(), 0);
            }
            tidy.live.changed(0, kept.live());
            sessions.index().insert_as(self.number, &self.id, kept)
        };
        if let Some(due) = due {
            sessions.index().ended(entry.number, due);
        }
        match self.wake {
            WakeScope::Nobody => {}
            WakeScope::Readers => entry.wake_readers(),
            WakeScope::All => entry.wake_all(),
        }
    }
}
