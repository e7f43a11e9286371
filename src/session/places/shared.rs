use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use tokio::sync::Notify;

use super::state::{PlaceCounts, PlaceId, Places};
use crate::{
    log::Owner,
    session::{Busy, Limits},
};

/// The places of a server's sessions, shared by their permits.
#[derive(Debug)]
pub(in crate::session) struct SharedPlaces {
    state: Mutex<WokenPlaces>,
    changed: Notify,
}

#[derive(Debug)]
struct WokenPlaces {
    places: Places,
    // Of the sessions that wait.
    wakers: HashMap<PlaceId, Waker>,
}

impl SharedPlaces {
    pub(in crate::session) fn new(limits: &Limits) -> Self {
        Self {
            state: Mutex::new(WokenPlaces {
                places: Places::new(limits),
                wakers: HashMap::new(),
            }),
            changed: Notify::new(),
        }
    }

    /// Takes a place for one more running session.
    pub(in crate::session) fn start(&self, owner: Option<&Owner>) -> Result<PlaceId, Busy> {
        self.lock().places.start(owner)
    }

    /// Counts a session as waiting or as running. Wakes the one that gives up its place, if any.
    pub(in crate::session) fn set_waiting(&self, place: PlaceId, waiting: bool) {
        let mut state = self.lock();
        // Woken and dropped outside the lock: a waker may be the last reference to a task.
        let (woken, dropped) = if waiting {
            let given_up = state.places.wait(place);
            let waker = given_up.and_then(|given_up| state.wakers.remove(&given_up));
            (waker, None)
        } else {
            state.places.run(place);
            (None, state.wakers.remove(&place))
        };
        drop(state);
        drop(dropped);
        if let Some(waker) = woken {
            waker.wake();
        }
        self.changed.notify_waiters();
    }

    /// Waits until a place is given up.
    pub(in crate::session) fn poll_given_up(
        &self,
        place: PlaceId,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut state = self.lock();
        if state.places.is_given_up(place) {
            return Poll::Ready(());
        }
        let former = match state.wakers.get(&place) {
            Some(waker) if waker.will_wake(cx.waker()) => None,
            _ => state.wakers.insert(place, cx.waker().clone()),
        };
        drop(state);
        drop(former);
        Poll::Pending
    }

    /// Frees a place.
    pub(in crate::session) fn free(&self, place: PlaceId) {
        let mut state = self.lock();
        state.places.free(place);
        let waker = state.wakers.remove(&place);
        drop(state);
        drop(waker);
        self.changed.notify_waiters();
    }

    /// Returns the numbers of places in each status.
    pub(in crate::session) fn counts(&self) -> PlaceCounts {
        self.lock().places.counts()
    }

    /// Waits until the numbers of places are as `done` wants them. Cancel safe.
    pub(in crate::session) async fn until(&self, done: impl Fn(PlaceCounts) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if done(self.counts()) {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, WokenPlaces> {
        self.state.lock().expect("nothing panics under this lock")
    }
}
