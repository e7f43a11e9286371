use std::time::Duration;

use bytes::Bytes;

use super::SessionMachine;
use crate::{
    log::{Epoch, SessionId},
    store::{PendingEnding, SessionState, StoreError},
};

/// The entry of a sealed session in the outbox.
#[derive(Debug, Clone)]
pub(super) struct OutboxEntry {
    pub(super) summary: Bytes,
    // The time from which the ending may be taken.
    pub(super) due: Duration,
    // The number of times that it was taken.
    pub(super) deliveries: u32,
    // The time after which nobody takes it any more.
    pub(super) until: Duration,
}

impl SessionMachine {
    /// Takes the ending for a delivery, if it waits for one now, and leases it. The caller adds the
    /// request if it still has it.
    ///
    /// It is taken also of a session that was deleted. One whose time is over is dropped: the store goes on
    /// as after [`ending_delivered`](Self::ending_delivered).
    pub fn take_ending(&mut self, lease: Duration, now: Duration) -> Option<TakenEnding> {
        let until = self.outbox.as_ref()?.until;
        if until <= now {
            self.drop_ending(until);
            return None;
        }
        let entry = self.outbox.as_mut().filter(|entry| entry.due <= now)?;
        entry.due = now.saturating_add(lease);
        entry.deliveries = entry.deliveries.saturating_add(1);
        let (summary, delivery) = (entry.summary.clone(), entry.deliveries);
        Some(TakenEnding {
            state: self.state(now),
            deleted: self.is_deleted(),
            summary,
            delivery,
            expires_in: until.saturating_sub(now),
        })
    }

    /// Moves the time from which the ending may be taken again.
    ///
    /// # Errors
    ///
    /// Those of [`Store::postpone_ending`](crate::store::Store::postpone_ending).
    pub fn postpone_ending(
        &mut self,
        delivery: u32,
        by: Duration,
        now: Duration,
    ) -> Result<(), StoreError> {
        let entry = self.outbox.as_mut().filter(|entry| entry.until > now);
        let entry = entry.ok_or(StoreError::NotFound)?;
        if entry.deliveries != delivery {
            return Err(StoreError::Fenced);
        }
        entry.due = now.saturating_add(by);
        Ok(())
    }

    /// Removes the ending of the session that this epoch has sealed from the outbox. Returns false if it was
    /// not there. If the retention is over, the session is gone from now on.
    pub fn ending_delivered(&mut self, sealed_by: Epoch, now: Duration) -> bool {
        let was_there = self.outbox.is_some() && self.epoch == sealed_by;
        if was_there {
            self.drop_ending(now);
        }
        was_there
    }

    /// Removes the ending at this time. Its tombstone begins then, if the session was kept for the ending only.
    fn drop_ending(&mut self, at: Duration) {
        self.outbox = None;
        self.retention.keep(at);
    }

    /// Returns true while the ending waits for its delivery.
    pub fn has_ending(&self, now: Duration) -> bool {
        self.outbox.as_ref().is_some_and(|entry| entry.until > now)
    }

    /// Returns the time from which the ending may be taken; `None` if it is not in the outbox.
    pub fn ending_due(&self) -> Option<Duration> {
        Some(self.outbox.as_ref()?.due)
    }

    /// Returns the time after which nobody takes the ending any more.
    pub(super) fn ending_until(&self) -> Option<Duration> {
        Some(self.outbox.as_ref()?.until)
    }
}

/// An ending that was taken out of a [`SessionMachine`].
#[derive(Debug, Clone)]
pub struct TakenEnding {
    state: SessionState,
    deleted: bool,
    summary: Bytes,
    delivery: u32,
    expires_in: Duration,
}

impl TakenEnding {
    /// Makes the ending of the session with this id and request.
    pub fn of(self, id: SessionId, request: Bytes) -> PendingEnding {
        PendingEnding {
            id,
            state: self.state,
            request,
            deleted: self.deleted,
            summary: self.summary,
            delivery: self.delivery,
            expires_in: self.expires_in,
        }
    }
}
