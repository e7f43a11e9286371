//! The outbox: endings are taken, postponed and delivered.
//!
//! The ending of a session is a part of its state. A delivery that begins is written, so that its number is
//! given once, also by the next process. The time from which an ending may be taken again is kept in memory
//! only: the delivery that postponed it ended with the process.

use std::{fs::File, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::task::spawn_blocking;
use unbroken::{
    log::{ServiceName, SessionId},
    store::{PendingEnding, StoreError, machine::TakenEnding, table::TableEntry},
};

use crate::{
    frame, handle::Disk, location::FrameLocation, pending::WakeScope, segments,
    session::DiskSession, write_batch::WriteBatch,
};

/// An ending that was taken, without the request of its session.
pub(crate) struct LeasedEnding {
    id: SessionId,
    number: u64,
    taken: TakenEnding,
    // `None` if the session was deleted.
    base: Option<RequestFrame>,
}

/// The frame with the request of a session, and its open file, which stays readable if it is removed
/// meanwhile.
struct RequestFrame {
    location: FrameLocation,
    file: Option<Arc<File>>,
}

impl Disk {
    /// Takes endings, and reads the requests of their sessions off the runtime's workers.
    pub(crate) async fn take_endings(
        &self,
        service: &ServiceName,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<PendingEnding>, StoreError> {
        let service = service.clone();
        let taken = self.write(move |batch| Ok(batch.take_endings(&service, limit, lease)));
        let taken = taken.await?;
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        let read = move || taken.into_iter().filter_map(LeasedEnding::read).collect();
        let read = spawn_blocking(read).await;
        read.map_err(|panic| StoreError::unavailable(true, panic))
    }
}

impl LeasedEnding {
    /// Adds the request. An ending whose request can't be read stays in the outbox, until its lease is over.
    fn read(self) -> Option<PendingEnding> {
        let request = match &self.base {
            None => Bytes::new(),
            Some(base) => base.read(self.number).or_else(|| {
                tracing::error!(
                    segment = base.location.segment,
                    "the request of a session can't be read; its ending is not delivered yet"
                );
                None
            })?,
        };
        Some(self.taken.of(self.id, request))
    }
}

impl RequestFrame {
    fn read(&self, number: u64) -> Option<Bytes> {
        let bytes = segments::read(self.file.as_deref()?, self.location).ok()?;
        frame::read_request(&bytes, number)
    }
}

impl WriteBatch {
    /// Takes up to `limit` endings of a service.
    fn take_endings(
        &mut self,
        service: &ServiceName,
        limit: usize,
        lease: Duration,
    ) -> Vec<LeasedEnding> {
        let mut taken = Vec::new();
        let mut seen = 0;
        while taken.len() < limit {
            // Some are taken already in this batch, and the time of others is over.
            let more = seen.max(limit - taken.len());
            let asked = more.saturating_add(seen);
            let due = self.table.index().due_endings(service, asked, self.now);
            for entry in due.iter().skip(seen) {
                if taken.len() == limit {
                    return taken;
                }
                let at = self.pending_entry(entry);
                taken.extend(at.and_then(|at| self.take_ending(at, entry, lease)));
            }
            seen = due.len();
            if seen < asked {
                break;
            }
        }
        taken
    }

    fn take_ending(
        &mut self,
        at: usize,
        entry: &TableEntry<DiskSession>,
        lease: Duration,
    ) -> Option<LeasedEnding> {
        let now = self.now;
        let pending = self.at_mut(at);
        let Some(taken) = pending.machine.take_ending(lease, now) else {
            if !pending.machine.has_ending(now) && pending.machine.check_present(now).is_ok() {
                // Its time is over, also after a restart, and the session is kept for longer.
                pending.machine.ending_delivered();
                pending.index_changed = true;
            }
            return None;
        };
        pending.index_changed = true;
        let (id, number) = (pending.id.clone(), pending.number);
        let base = if pending.machine.is_deleted() {
            None
        } else {
            // The batch has no later base: it is written again by a deletion, or after the jobs.
            let location = entry.lock().base;
            let file = self.opened.file(location.segment);
            Some(RequestFrame { location, file })
        };
        self.write_state(at);
        Some(LeasedEnding {
            id,
            number,
            taken,
            base,
        })
    }

    /// Moves the time from which an ending may be taken again. It is not written, since it ends with the
    /// process.
    pub(crate) fn postpone_ending(
        &mut self,
        id: &SessionId,
        delivery: u32,
        by: Duration,
    ) -> Result<(), StoreError> {
        let (at, now) = (self.pending(id)?, self.now);
        let pending = self.at_mut(at);
        pending.machine.postpone_ending(delivery, by, now)?;
        pending.index_changed = true;
        Ok(())
    }

    /// Removes an ending from the outbox, and buries its session if that is gone.
    pub(crate) fn deliver_ending(&mut self, id: &SessionId) {
        let Ok(at) = self.pending(id) else {
            return;
        };
        let now = self.now;
        let pending = self.at_mut(at);
        if !pending.machine.has_ending(now) {
            return;
        }
        pending.machine.ending_delivered();
        pending.index_changed = true;
        // Written also if the tombstone is over, so that no ending comes back after a restart.
        self.write_state(at);
        if self.is_over(at) {
            self.at_mut(at).wake = WakeScope::All;
            self.bury(at);
        }
    }
}
