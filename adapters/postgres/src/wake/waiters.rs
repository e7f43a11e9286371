use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;
use unbroken::log::SessionId;

/// The sessions that somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    cells: Mutex<HashMap<SessionId, Arc<SessionWaiters>>>,
}

/// Whom a change concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ChangeKind {
    /// Who waits for records.
    Moved,
    /// Owners too.
    Turned,
}

/// Who waits for one session.
#[derive(Debug, Default)]
pub(crate) struct SessionWaiters {
    moved: Notify,
    turned: Notify,
}

/// As long as it lives, its session's changes are told.
#[derive(Debug)]
pub(crate) struct Subscription {
    waiters: Arc<Waiters>,
    id: SessionId,
    cell: Arc<SessionWaiters>,
}

impl Waiters {
    pub(crate) fn subscribe(self: &Arc<Self>, id: &SessionId) -> Subscription {
        let cell = self.lock().entry(id.clone()).or_default().clone();
        Subscription {
            waiters: self.clone(),
            id: id.clone(),
            cell,
        }
    }

    pub(crate) fn wake(&self, id: &str, change: ChangeKind) {
        let cell = self.lock().get(id).cloned();
        if let Some(cell) = cell {
            cell.moved.notify_waiters();
            if change == ChangeKind::Turned {
                cell.turned.notify_waiters();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<SessionWaiters>>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// Told of what an owner waits for, or of every change.
    pub(crate) fn changes(&self, owner: bool) -> &Notify {
        if owner {
            &self.cell.turned
        } else {
            &self.cell.moved
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut cells = self.waiters.lock();
        // The map's and this one: nobody else can come by while it is locked.
        if Arc::strong_count(&self.cell) <= 2 {
            cells.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_for_sessions_that_nobody_waits_for() {
        let waiters = Arc::new(Waiters::default());
        let id = SessionId::random();
        let (one, two) = (waiters.subscribe(&id), waiters.subscribe(&id));
        drop(one);
        assert_eq!(waiters.lock().len(), 1);
        drop(two);
        assert_eq!(waiters.lock().len(), 0);
    }
}
