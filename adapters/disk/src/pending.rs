use std::{collections::VecDeque, sync::Arc, time::Duration};

use unbroken::{
    log::SessionId,
    store::{
        machine::SessionMachine,
        table::{SessionTable, TableEntry},
    },
};

use crate::{live_bytes::LiveBytes, location::FrameChange, session::DiskSession};

/// The sessions with many small extents.
pub(crate) type CompactionQueue = VecDeque<Arc<TableEntry<DiskSession>>>;

/// A session as it will be once its batch is stable.
pub(crate) struct PendingSession {
    pub(crate) id: SessionId,
    pub(crate) number: u64,
    /// The entry of the session; `None` if the session is new.
    pub(crate) entry: Option<Arc<TableEntry<DiskSession>>>,
    pub(crate) machine: SessionMachine,
    pub(crate) changes: Vec<FrameChange>,
    pub(crate) wake: WakeScope,
    /// True if the session was sealed or deleted.
    pub(crate) ended: bool,
}

/// The tasks to wake once a change is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WakeScope {
    None,
    Readers,
    All,
}

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

    /// Makes the session visible. Its batch was written at this segment and offset. A session that
    /// needs compaction is added to `queue`.
    pub(crate) fn publish(
        self,
        table: &SessionTable<DiskSession>,
        now: Duration,
        live_bytes: &LiveBytes,
        queue: &mut CompactionQueue,
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
            live_bytes.update(before, session.live_bytes());
            if !session.queued && session.needs_compaction() {
                session.queued = true;
                queue.push_back(entry.clone());
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
            if let Ok(former) = table.entry(&self.id) {
                live_bytes.update(former.lock().live_bytes(), 0);
            }
            live_bytes.update(0, session.live_bytes());
            table
                .index()
                .insert_numbered(self.number, &self.id, session)
        };
        if let Some(due) = due {
            table.index().set_due(entry.number, due);
        }
        match self.wake {
            WakeScope::None => {}
            WakeScope::Readers => entry.wake_readers(),
            WakeScope::All => entry.wake_all(),
        }
    }
}
