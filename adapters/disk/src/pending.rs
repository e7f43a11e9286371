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

/// A session with the changes of the batch.
pub(crate) struct PendingSession {
    pub(crate) id: SessionId,
    pub(crate) number: u64,
    /// `None` if it is new.
    pub(crate) entry: Option<Arc<TableEntry<DiskSession>>>,
    pub(crate) machine: SessionMachine,
    pub(crate) changes: Vec<FrameChange>,
    pub(crate) wake: WakeScope,
    /// True if the session was sealed or deleted.
    pub(crate) ended: bool,
}

/// The waiters to wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WakeScope {
    None,
    Readers,
    All,
}

/// The placeholder for the segment that a batch will be written to.
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
            wake: WakeScope::None,
            ended: false,
        }
    }

    /// Makes the changes visible, once the batch is stable at this segment and offset.
    pub(crate) fn publish(
        self,
        sessions: &SessionTable<DiskSession>,
        now: Duration,
        compactor: &mut Compactor,
        (segment, start): (u32, u32),
    ) {
        let changes = self.changes.into_iter().map(|mut change| {
            change.relocate(segment, start);
            change
        });
        let due = self.machine.due(now).filter(|_| self.ended);
        let entry = if let Some(entry) = self.entry {
            let mut session = entry.lock();
            let before = session.live_bytes();
            session.machine = self.machine;
            changes.for_each(|change| session.apply(change));
            compactor.live_bytes.changed(before, session.live_bytes());
            if !session.queued && session.needs_compaction() {
                session.queued = true;
                compactor.enqueue(entry.clone());
            }
            drop(session);
            entry
        } else {
            let mut changes = changes;
            let Some(FrameChange::Base(base)) = changes.next() else {
                return;
            };
            let mut session = DiskSession::new(self.machine, base);
            changes.for_each(|change| session.apply(change));
            if let Ok(former) = sessions.entry(&self.id) {
                compactor.live_bytes.changed(former.lock().live_bytes(), 0);
            }
            compactor.live_bytes.changed(0, session.live_bytes());
            sessions.index().insert_as(self.number, &self.id, session)
        };
        if let Some(due) = due {
            sessions.index().ended(entry.number, due);
        }
        match self.wake {
            WakeScope::None => {}
            WakeScope::Readers => entry.wake_readers(),
            WakeScope::All => entry.wake_all(),
        }
    }
}
