use std::{collections::HashMap, sync::Mutex};

use tokio::sync::Notify;

use super::{Busy, Limits};
use crate::log::Owner;

/// The numbers of running sessions, in all and by owner.
#[derive(Debug, Default)]
pub(super) struct RunningSessions {
    counts: Mutex<RunningCounts>,
    drained: Notify,
}

#[derive(Debug, Default)]
struct RunningCounts {
    all: usize,
    owners: HashMap<Owner, usize>,
}

impl RunningSessions {
    /// Counts one more session, if the limits allow it.
    pub(super) fn add(&self, owner: Option<&Owner>, limits: &Limits) -> Result<(), Busy> {
        let mut counts = self.counts.lock().expect("nothing panics under this lock");
        if counts.all >= limits.running {
            return Err(Busy::Running);
        }
        if let Some(owner) = owner {
            let running = counts.owners.get(owner).copied().unwrap_or(0);
            if running >= limits.running_per_owner {
                return Err(Busy::RunningPerOwner);
            }
            counts.owners.insert(owner.clone(), running + 1);
        }
        counts.all += 1;
        Ok(())
    }

    /// Counts one session less.
    pub(super) fn remove(&self, owner: Option<&Owner>) {
        let mut counts = self.counts.lock().expect("nothing panics under this lock");
        counts.all -= 1;
        if let Some(owner) = owner
            && let Some(owned) = counts.owners.get_mut(owner)
        {
            *owned -= 1;
            if *owned == 0 {
                counts.owners.remove(owner);
            }
        }
        if counts.all == 0 {
            self.drained.notify_waiters();
        }
    }

    /// Returns how many sessions run.
    pub(super) fn count(&self) -> usize {
        self.counts
            .lock()
            .expect("nothing panics under this lock")
            .all
    }

    /// Waits until no session runs. Cancel safe.
    pub(super) async fn drained(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            drained.await;
        }
    }
}
