use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use super::{Busy, places::PlaceId, registry::Registry};
use crate::{log::Owner, metrics};

/// The right to start one session. It counts as a running session until it is dropped, and is given
/// back when the start fails or attaches.
///
/// While its session waits for a person or a client tool, it counts as a waiting session instead.
#[must_use = "the session counts as running until the permit is dropped"]
pub struct Permit {
    shared: Arc<Registry>,
    place: PlaceId,
    waiting: bool,
}

impl Permit {
    pub(super) fn new(shared: &Arc<Registry>, owner: Option<&Owner>) -> Result<Self, Busy> {
        if shared.is_closing() {
            return Err(Busy::ShuttingDown);
        }
        let place = shared.places.start(owner)?;
        metrics::SESSIONS_RUNNING.up();
        Ok(Self {
            shared: shared.clone(),
            place,
            waiting: false,
        })
    }

    /// Counts the session as waiting, or as running again. A session that begins to wait may make
    /// another one, or itself, give up its place.
    pub(super) fn set_waiting(&mut self, waiting: bool) {
        if waiting != self.waiting {
            let (from, to) = if waiting {
                (metrics::SESSIONS_RUNNING, metrics::SESSIONS_WAITING)
            } else {
                (metrics::SESSIONS_WAITING, metrics::SESSIONS_RUNNING)
            };
            from.down();
            to.up();
            self.waiting = waiting;
            self.shared.places.set_waiting(self.place, waiting);
        }
    }

    /// Waits until the session has to end, because it gave up its place. It never has to while it
    /// runs.
    pub(super) fn poll_given_up(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.waiting {
            return Poll::Pending;
        }
        self.shared.places.poll_given_up(self.place, cx)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.waiting {
            metrics::SESSIONS_WAITING.down();
        } else {
            metrics::SESSIONS_RUNNING.down();
        }
        self.shared.places.free(self.place);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}
