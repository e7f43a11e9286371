use std::{
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    BoxFuture,
    log::Epoch,
    session::{entry::SessionEntry, registry::Registry},
    store::{Seen, SessionState, StoreError},
};

/// The longest wait for a change by another server; the store may end it sooner.
const WAIT: Duration = Duration::from_secs(2);
/// The pause after a wait that the store did not answer.
const AFTER_OUTAGE: Duration = Duration::from_millis(500);
/// The shortest time between two waits, because the store may return from one without a change.
const MIN_WAIT: Duration = Duration::from_millis(50);

/// Watches the store for changes that other servers make to a session that this server owns:
/// aborts, answers, takeovers.
pub(super) struct StoreWatch {
    epoch: Epoch,
    wait: Option<BoxFuture<'static, Result<SessionState, StoreError>>>,
    // When the wait began, or begins.
    since: Instant,
}

impl StoreWatch {
    /// Creates a watch that isn't active yet.
    pub(super) fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            wait: None,
            since: Instant::now(),
        }
    }

    pub(super) fn is_active(&self) -> bool {
        self.wait.is_some()
    }

    /// Starts watching. The first poll also reports the changes so far.
    pub(super) fn start(&mut self, shared: &Registry, entry: &SessionEntry) {
        let nothing = Seen::by_owner(self.epoch);
        self.listen(shared, entry, nothing, Duration::ZERO);
    }

    pub(super) fn stop(&mut self) {
        self.wait = None;
    }

    /// Polls for the state of the session after a change, or for the error that tells that it is
    /// gone or can't be read. Retries during an outage of the store. Pending while not active.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Registry,
        entry: &SessionEntry,
    ) -> Poll<Result<SessionState, StoreError>> {
        loop {
            let Some(wait) = &mut self.wait else {
                return Poll::Pending;
            };
            let changed = std::task::ready!(wait.as_mut().poll(cx));
            self.wait = None;
            match changed {
                Ok(state) => {
                    let spurious = self.since.elapsed() < MIN_WAIT;
                    let pause = if spurious { MIN_WAIT } else { Duration::ZERO };
                    self.listen(shared, entry, Seen::Owner(state.version()), pause);
                    return Poll::Ready(Ok(state));
                }
                // It would be the same the next time.
                Err(error) if !error.is_unavailable() => return Poll::Ready(Err(error)),
                Err(_) => {
                    let nothing = Seen::by_owner(self.epoch);
                    self.listen(shared, entry, nothing, AFTER_OUTAGE);
                }
            }
        }
    }

    fn listen(&mut self, shared: &Registry, entry: &SessionEntry, seen: Seen, pause: Duration) {
        let (store, id) = (shared.store.clone(), entry.id.clone());
        self.since = Instant::now() + pause;
        self.wait = Some(Box::pin(async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            store.changed(&id, seen, WAIT).await
        }));
    }
}
