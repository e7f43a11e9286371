use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{
    recovery,
    registry::Registry,
    start_task::time_for,
    waiting_start::is_same_request,
    writer::{Retry, within},
};
use crate::{
    log::SessionId,
    store::{Created, NewSession, SessionMeta, Token},
};

/// The most bytes that the requests of all refused starts have together.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// The bytes that a refused start counts at least, so that there are at most 256.
const MIN_BYTES: usize = 64 * 1024;
/// The longest wait for the store's answer to one call, which is longer for a large request.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// The starts that were refused because the store did not answer in time, and whose sessions it may
/// have created, or may still create.
///
/// Each is withdrawn in the background: its `create` is repeated by its token until the store answers
/// definitely, and a session that it created is sealed as interrupted. A start of the same request
/// takes the refused one over instead, with its token. A start beyond the bounds is not kept, and one
/// that is left at a shutdown is given up; a server that finds such a session seals it, since its
/// log is empty.
#[derive(Debug)]
pub(super) struct RefusedStarts {
    by_id: Mutex<HashMap<SessionId, Arc<RefusedStart>>>,
    bytes: Arc<Semaphore>,
}

/// One refused start.
#[derive(Debug)]
pub(super) struct RefusedStart {
    new: NewSession,
    /// When its `create` was sent for the first time.
    since: Instant,
    _bytes: OwnedSemaphorePermit,
}

impl RefusedStart {
    pub(super) fn token(&self) -> Token {
        self.new.token
    }

    pub(super) fn since(&self) -> Instant {
        self.since
    }
}

impl Default for RefusedStarts {
    fn default() -> Self {
        Self {
            by_id: Mutex::default(),
            bytes: Arc::new(Semaphore::new(MAX_BYTES)),
        }
    }
}

impl RefusedStarts {
    /// Takes over the refused start under this id, if it is of the same request. It is not withdrawn
    /// any more then.
    pub(super) fn take(&self, id: &SessionId, meta: &SessionMeta) -> Option<Arc<RefusedStart>> {
        let mut by_id = self.by_id.lock().expect("nothing panics under this lock");
        let is_same = is_same_request(&by_id.get(id)?.new.meta, meta);
        is_same.then(|| by_id.remove(id)).flatten()
    }

    /// Adds a refused start. Returns `None` if there is no room for it.
    fn add(&self, id: &SessionId, new: NewSession, since: Instant) -> Option<Arc<RefusedStart>> {
        let bytes = u32::try_from(new.request.len().max(MIN_BYTES)).ok()?;
        let bytes = self.bytes.clone().try_acquire_many_owned(bytes).ok()?;
        let refused = Arc::new(RefusedStart {
            new,
            since,
            _bytes: bytes,
        });
        let mut by_id = self.by_id.lock().expect("nothing panics under this lock");
        by_id.insert(id.clone(), refused.clone());
        Some(refused)
    }

    fn is_current(&self, id: &SessionId, refused: &Arc<RefusedStart>) -> bool {
        let by_id = self.by_id.lock().expect("nothing panics under this lock");
        by_id.get(id).is_some_and(|it| Arc::ptr_eq(it, refused))
    }

    /// Removes a refused start. Returns false if another start has taken it over.
    fn remove(&self, id: &SessionId, refused: &Arc<RefusedStart>) -> bool {
        let mut by_id = self.by_id.lock().expect("nothing panics under this lock");
        let is_current = by_id.get(id).is_some_and(|it| Arc::ptr_eq(it, refused));
        is_current && by_id.remove(id).is_some()
    }
}

/// Withdraws a start on a task of its own, which doesn't count as a running session. `since` is when
/// its `create` was sent for the first time.
pub(super) fn withdraw(shared: &Arc<Registry>, id: &SessionId, new: NewSession, since: Instant) {
    let Some(refused) = shared.refused_starts.add(id, new, since) else {
        tracing::debug!("too many refused starts are withdrawn; the sweeper finds this one");
        return;
    };
    let (shared, id) = (shared.clone(), id.clone());
    let run = async move {
        seal_if_created(&shared, &id, &refused).await;
        shared.refused_starts.remove(&id, &refused);
    };
    tokio::spawn(tracing::Instrument::in_current_span(run));
}

/// Asks the store until it answers definitely whether it has created the session, and seals it then.
async fn seal_if_created(shared: &Arc<Registry>, id: &SessionId, refused: &Arc<RefusedStart>) {
    let mut retry = Retry::default();
    let age = shared.options.limits.age;
    loop {
        retry.failed();
        retry.ready().await;
        let given_up = shared.is_releasing() || refused.since.elapsed() > age;
        if given_up || !shared.refused_starts.is_current(id, refused) {
            return;
        }
        let create = shared.store.create(id, refused.new.clone());
        let limit = time_for(ANSWERED_WITHIN, refused.new.request.len());
        match within(limit, create).await {
            Err(error) if error.is_unavailable() => {}
            // From here on no start can take the token, and with it the epoch, over.
            Ok(Created::Created(epoch)) if shared.refused_starts.remove(id, refused) => {
                match recovery::seal_empty(shared, id, &refused.new.meta, epoch).await {
                    Ok(()) => tracing::info!("a refused start was withdrawn"),
                    Err(error) => tracing::debug!(%error, "a refused start was not withdrawn"),
                }
                return;
            }
            // It was never created, or another start or server has the session.
            Ok(_) | Err(_) => return,
        }
    }
}
