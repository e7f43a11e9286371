use std::{collections::VecDeque, sync::Arc, time::Duration};

use unbroken::{
    log::SessionId,
    store::{machine::SessionMachine, table::TableEntry},
};

use crate::{
    live_bytes::{LiveBytes, TombstoneLocation},
    location::{FrameChange, FrameLocation},
    session::{DiskSession, DiskTable},
};

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
    /// True if the session has another status than before, or its ending another place in the outbox.
    pub(crate) index_changed: bool,
    /// The end of a session that was deleted or has expired.
    pub(crate) burial: Option<Burial>,
}

/// The remains of a session that was deleted or has expired.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Burial {
    /// Its tombstone was written here.
    Tombstone(FrameLocation),
    /// Its tombstone is over as well.
    Nothing,
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
            index_changed: false,
            burial: None,
        }
    }

    /// Makes the session visible. Its batch was written at this segment and offset. A session that
    /// needs compaction is added to `queue`.
    pub(crate) fn publish(
        self,
        table: &DiskTable,
        now: Duration,
        live_bytes: &LiveBytes,
        queue: &mut CompactionQueue,
        (segment, start): (u32, u32),
    ) {
        let changes = self.changes.into_iter().map(|mut change| {
            change.relocate(segment, start);
            change
        });
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
            live_bytes.update(0, session.live_bytes());
            let mut index = table.index();
            if let Ok(former) = index.find(&self.id, now) {
                live_bytes.update(former.lock().live_bytes(), 0);
            }
            index.insert_numbered(self.number, &self.id, session)
        };
        match self.burial {
            None if self.index_changed => table.update(&entry),
            None => {}
            Some(burial) => {
                live_bytes.update(entry.lock().live_bytes(), 0);
                let mut index = table.index();
                match burial {
                    Burial::Tombstone(mut location) => {
                        location.relocate(segment, start);
                        let location = TombstoneLocation::new(location, live_bytes);
                        index.bury(&entry, now, location);
                    }
                    Burial::Nothing => index.remove(entry.number),
                }
            }
        }
        match self.wake {
            WakeScope::None => {}
            WakeScope::Readers => entry.wake_readers(),
            WakeScope::All => entry.wake_all(),
        }
    }
}
