use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::{log::SessionId, store::machine::SessionMachine};

/// The entry of one session in a [`SessionTable`](super::SessionTable). `S` is the store's own data of
/// the session.
///
/// An operation that has the entry may go on with it after the session was deleted. The session's machine
/// then says that it is gone.
#[derive(Debug)]
pub struct TableEntry<S> {
    /// The id of the session.
    pub id: SessionId,
    /// The number of the session: unique in the table, and higher than those of sessions that were
    /// created before.
    pub number: u64,
    session: Mutex<S>,
    // Notified of every change.
    changed: Notify,
    // Notified of the changes that an owner waits for.
    changed_for_owner: Notify,
}

/// A store's own data of a session, which contains the session's state.
pub trait HasMachine {
    /// Returns the state of the session.
    fn machine(&self) -> &SessionMachine;
}

impl<S> TableEntry<S> {
    pub(super) fn new(id: SessionId, number: u64, session: S) -> Self {
        Self {
            id,
            number,
            session: Mutex::new(session),
            changed: Notify::new(),
            changed_for_owner: Notify::new(),
        }
    }

    /// Locks the session.
    ///
    /// A thread that holds this lock must not lock the [index](super::SessionTable::index): the index
    /// comes first.
    pub fn lock(&self) -> MutexGuard<'_, S> {
        lock(&self.session)
    }

    /// Wakes the readers that wait for a change. Call it after an append that does not seal, and after a lease was
    /// given back.
    pub fn wake_readers(&self) {
        self.changed.notify_waiters();
    }

    /// Wakes the readers and the owner. Call it after a seal, a claim, an abort, an answer or a
    /// deletion.
    pub fn wake_all(&self) {
        self.changed.notify_waiters();
        self.changed_for_owner.notify_waiters();
    }

    pub(super) fn notify(&self, for_owner: bool) -> &Notify {
        if for_owner {
            &self.changed_for_owner
        } else {
            &self.changed
        }
    }
}

/// Locks a mutex even if it is poisoned, since no code under these locks leaves a value half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
