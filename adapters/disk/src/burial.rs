//! Burials: a session that is over is replaced by its tombstone.

use std::collections::VecDeque;

use unbroken::{
    log::SessionId,
    store::{StoreError, Tombstone},
};

use crate::{
    frame::{FrameBody, TombstoneFrame},
    pending::{Burial, PendingSession},
    write_batch::{WriteBatch, put_frame},
};

impl WriteBatch {
    /// Replaces expired sessions by their tombstones, and drops tombstones that are over.
    pub(crate) fn sweep(&mut self, limit: usize) -> usize {
        let (mut swept, mut after) = (0, None);
        while swept < limit {
            let next = self.table.index().due_after(after, self.now);
            let Some((key, entry)) = next else {
                break;
            };
            after = Some(key);
            if self.has_changed(&entry.id) {
                // The batch has a later state of it.
                continue;
            }
            let machine = entry.lock().machine.clone();
            if machine.buried_at().is_none_or(|at| at > self.now) {
                // A hold has moved the expiry, or the ending has.
                self.table.update(&entry);
                continue;
            }
            let (id, number) = (entry.id.clone(), entry.number);
            let at = self.add(PendingSession::new(&id, number, Some(entry), machine));
            self.bury(at);
            swept += 1;
        }
        swept + self.table.index().sweep_tombstones(limit - swept, self.now)
    }

    /// Writes the tombstone of a session that is over. No other frame of the session is needed any more.
    pub(crate) fn bury(&mut self, at: usize) {
        let now = self.now;
        if self.at(at).burial.is_some() || !self.is_over(at) {
            return;
        }
        let pending = self.at(at);
        let burial = match pending.machine.check_present(now) {
            Ok(()) => return,
            Err(StoreError::Gone(tombstone)) => {
                let left = TombstoneFrame {
                    id: pending.id.clone(),
                    tombstone,
                    until: pending.machine.tombstone_until().unwrap_or(now),
                };
                let (number, body) = (pending.number, FrameBody::Tombstone(&left));
                Burial::Tombstone(put_frame(&mut self.buffer, number, &body))
            }
            Err(_) => Burial::Nothing,
        };
        self.at_mut(at).burial = Some(burial);
    }

    /// Removes a session that was withdrawn. A tombstone that is over tells so when the log is read again, and is not
    /// needed any longer than the frames of the session, which lie before it.
    pub(crate) fn erase(&mut self, at: usize) {
        let pending = self.at(at);
        let meta = pending.machine.meta();
        let left = TombstoneFrame {
            id: pending.id.clone(),
            tombstone: Tombstone {
                owner: meta.owner.clone(),
                digest: meta.digest,
            },
            until: self.now,
        };
        let number = pending.number;
        put_frame(&mut self.buffer, number, &FrameBody::Tombstone(&left));
        self.at_mut(at).burial = Some(Burial::Nothing);
    }

    /// Returns true if the session was deleted or has expired.
    pub(crate) fn is_gone(&self, at: usize) -> bool {
        self.at(at).machine.check_present(self.now).is_err()
    }

    /// Returns true if only the tombstone of the session is needed: it is gone, and its ending does not wait
    /// for its delivery.
    pub(crate) fn is_over(&self, at: usize) -> bool {
        let over = self.at(at).machine.buried_at();
        over.is_some_and(|at| at <= self.now)
    }

    /// Returns the ids of the tombstones in this segment.
    pub(crate) fn tombstones_in(&self, segment: u32) -> VecDeque<SessionId> {
        let index = self.table.index();
        let all = index.tombstones();
        all.filter(|left| left.data.segment() == segment)
            .map(|left| left.id.clone())
            .collect()
    }

    /// Writes a tombstone again, if it lies in this segment and is not over.
    pub(crate) fn move_tombstone(&mut self, id: &SessionId, segment: u32) {
        let found = {
            let index = self.table.index();
            let left = index.tombstone(id);
            left.filter(|left| left.data.segment() == segment && left.until > self.now)
                .map(|left| {
                    let frame = TombstoneFrame {
                        id: left.id.clone(),
                        tombstone: left.tombstone.clone(),
                        until: left.until,
                    };
                    (left.number, frame)
                })
        };
        if let Some((number, frame)) = found {
            let body = FrameBody::Tombstone(&frame);
            let location = put_frame(&mut self.buffer, number, &body);
            self.moved.push((frame.id, number, location));
        }
    }
}
