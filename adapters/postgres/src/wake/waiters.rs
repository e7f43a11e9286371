use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;
use unbroken::log::SessionId;

/// The sessions with waiters.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    sessions: Mutex<HashMap<SessionId, Arc<SessionWaiters>>>,
}

/// The waiters that a change concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ChangeKind {
    /// The waiters for records.
    Changed,
    /// All waiters, owners too.
    ChangedForOwner,
}

/// The waiters of one session.
#[derive(Debug, Default)]
pub(crate) struct SessionWaiters {
    changed: Notify,
    changed_for_owner: Notify,
}

/// A subscription to the changes of a session, until it is dropped.
#[derive(Debug)]
pub(crate) struct Subscription {
    waiters: Arc<Waiters>,
    id: SessionId,
    session: Arc<SessionWaiters>,
}

impl Waiters {
    pub(crate) fn subscribe(self: &Arc<Self>, id: &SessionId) -> Subscription {
        let session = self.lock().entry(id.clone()).or_default().clone();
        Subscription {
            waiters: self.clone(),
            id: id.clone(),
            session,
        }
    }

    pub(crate) fn wake(&self, id: &str, change: ChangeKind) {
        let session = self.lock().get(id).cloned();
        if let Some(session) = session {
            session.changed.notify_waiters();
            if change == ChangeKind::ChangedForOwner {
                session.changed_for_owner.notify_waiters();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<SessionWaiters>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// Returns the notifier of the changes that an owner waits for, or of every change.
    pub(crate) fn changes(&self, owner: bool) -> &Notify {
        if owner {
            &self.session.changed_for_owner
        } else {
            &self.session.changed
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut sessions = self.waiters.lock();
        // The references of the map and of this; no other can be made while the map is locked.
        if Arc::strong_count(&self.session) <= 2 {
            sessions.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_without_waiters_is_removed() {
        let waiters = Arc::new(Waiters::default());
        let id = SessionId::random();
        let (one, two) = (waiters.subscribe(&id), waiters.subscribe(&id));
        drop(one);
        assert_eq!(waiters.lock().len(), 1);
        drop(two);
        assert_eq!(waiters.lock().len(), 0);
    }
}
