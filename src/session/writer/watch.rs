use std::{
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    log::Epoch,
    session::{entry::SessionEntry, registry::Registry},
    store::{BoxFuture, Seen, SessionState, StoreError, Version},
};

/// How long a wait for another server's doings lasts; the store may end it sooner.
const WAIT: Duration = Duration::from_secs(2);
/// How long that wait pauses when the store doesn't answer it.
const AFTER_OUTAGE: Duration = Duration::from_millis(500);
/// The store may wake us for nothing, but not as often as it likes.
const PACE: Duration = Duration::from_millis(50);

/// Hears what other servers do to a session that is owned here: aborts, answers, takeovers.
pub(super) struct StoreWatch {
    epoch: Epoch,
    wait: Option<BoxFuture<'static, Result<SessionState, StoreError>>>,
    // When the wait began, or begins.
    since: Instant,
}

impl StoreWatch {
    /// Hears nothing yet.
    pub(super) fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            wait: None,
            since: Instant::now(),
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.wait.is_some()
    }

    /// Listens from now on. What was done to this epoch by now is heard at once.
    pub(super) fn start(&mut self, shared: &Registry, entry: &SessionEntry) {
        let nothing = Seen::by_owner(self.epoch);
        self.listen(shared, entry, nothing, Duration::ZERO);
    }

    pub(super) fn stop(&mut self) {
        self.wait = None;
    }

    /// The session as somebody else left it, or why it is there no longer; an outage of the store is
    /// sat out. Pending where it doesn't listen.
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
            let heard = std::task::ready!(wait.as_mut().poll(cx));
            self.wait = None;
            match heard {
                Ok(state) => {
                    let spurious = self.since.elapsed() < PACE;
                    let pause = if spurious { PACE } else { Duration::ZERO };
                    self.listen(shared, entry, Seen::Owner(state.version()), pause);
                    return Poll::Ready(Ok(state));
                }
                Err(error @ (StoreError::NotFound | StoreError::Gone(_))) => {
                    return Poll::Ready(Err(error));
                }
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
