use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::oneshot, time::Instant};

use super::{
    Permit, SessionSpec, Source,
    feed::{FeedRole, WriterRole, feed},
    refused_starts,
    registry::{FeedGuard, Registry},
    waiting_start::{WaitingStart, has_not_begun, is_same_request},
    writer::{Retry, Writer, within},
};
use crate::{
    log::{Epoch, Lsn, SessionId, Status},
    metrics,
    store::{Created, Lease, NewSession, SessionMeta, SessionState, StoreError, Token},
};

/// The time for which a start tries to reach the store before it is refused, for a request of few bytes.
const START_TIMEOUT: Duration = Duration::from_secs(2);
/// The bytes of a request for which a call of `create` has a second more: a store behind a slow link must
/// be able to take what it would take in parts.
const BYTES_PER_SECOND: usize = 256 * 1024;

/// A start under way. It runs on a task of its own, so that it completes even if its caller is
/// dropped.
pub(super) struct StartTask {
    pub(super) feeding: FeedGuard,
    pub(super) meta: Arc<SessionMeta>,
    pub(super) permit: Permit,
    pub(super) spec: SessionSpec,
}

impl StartTask {
    /// Creates the session and feeds its entry to the end. Sends to `created` whether it is new.
    pub(super) fn run(
        self,
        source: Pin<Box<dyn Source>>,
        created: oneshot::Sender<Result<bool, StoreError>>,
    ) -> impl Future<Output = ()> + Send {
        // Boxed, so that the task of a running session doesn't keep room for its start.
        let start = Box::pin(self.begin(source, created));
        async move {
            // A statement of its own, after which the box is gone.
            let role = start.await;
            if let Some((feeding, role)) = role {
                feed(&feeding, role).await;
            }
        }
    }

    /// Creates the session. Returns how its entry is to be fed, if it has to be.
    async fn begin(
        self,
        source: Pin<Box<dyn Source>>,
        created: oneshot::Sender<Result<bool, StoreError>>,
    ) -> Option<(FeedGuard, FeedRole)> {
        let Self {
            feeding,
            meta,
            permit,
            mut spec,
        } = self;
        let (shared, entry) = (&feeding.shared, &feeding.entry);
        // An earlier start of the same request, which was refused: the store may have created the session
        // for it.
        let refused = shared.refused_starts.take(&entry.id, &meta);
        let mut sent = refused
            .as_ref()
            .map_or_else(CreateAttempts::none, |it| CreateAttempts {
                since: it.since(),
                maybe_applied: true,
            });
        let new = NewSession {
            meta: meta.clone(),
            request: spec.request.clone(),
            token: refused.as_ref().map_or_else(Token::random, |it| it.token()),
            lease: shared.options.lease,
            tombstone: if spec.has_reserved {
                shared.options.reserved_tombstone(meta.outbox)
            } else {
                shared.options.tombstone
            },
        };
        drop(refused);
        match create(shared, &entry.id, &new, &mut sent).await {
            Ok(Created::Created(epoch)) => {
                let state = new_state(&new, epoch);
                // The store has the request; a running session doesn't hold it.
                drop(new);
                spec.request = Bytes::new();
                let commands = shared.take_ownership(entry, state, sent.since);
                metrics::SESSIONS_STARTED.count(1, &[("service", meta.service.as_str())]);
                entry.open(Ok(meta));
                let _ = created.send(Ok(true));
                // The caller runs first, so that the response head doesn't wait for the first poll
                // of the source.
                tokio::task::yield_now().await;
                let writer = Writer::new(
                    shared.clone(),
                    entry.clone(),
                    epoch,
                    commands,
                    source,
                    permit,
                )
                .with_inbox(spec.inbox);
                let writing = WriterRole {
                    writer,
                    epoch,
                    first: Some(spec.first),
                    on_sealed: spec.on_sealed,
                };
                Some((feeding, FeedRole::Write(Box::new(writing))))
            }
            Ok(Created::Exists(state)) => {
                if has_not_begun(&state)
                    && state.abort.is_none()
                    && is_same_request(&state.meta, &meta)
                {
                    entry.wait_to_begin(WaitingStart {
                        permit,
                        spec,
                        source,
                    });
                } else {
                    drop((permit, source));
                }
                feeding.open(state);
                let _ = created.send(Ok(false));
                let is_over = entry.log.outcome().is_some();
                (!is_over).then_some((feeding, FeedRole::Follow))
            }
            Err(error) => {
                // Before the caller returns: a repeated start takes it over.
                if error.is_unavailable() && sent.maybe_applied {
                    refused_starts::withdraw(shared, &entry.id, new, sent.since);
                }
                entry.open(Err(error.clone()));
                entry.log.fail(error.clone().into());
                // The entry is removed before the caller returns: a repeated start must not find it.
                drop((permit, feeding));
                let _ = created.send(Err(error));
                None
            }
        }
    }
}

/// The calls of `create` for one token so far.
pub(super) struct CreateAttempts {
    /// When the first one was sent.
    since: Instant,
    /// True if the store may have applied one of them.
    maybe_applied: bool,
}

impl CreateAttempts {
    pub(super) fn none() -> Self {
        Self {
            since: Instant::now(),
            maybe_applied: false,
        }
    }
}

/// Returns the longest time of a call that sends so many bytes to the store, where one without any has
/// `limit`.
pub(super) fn time_for(limit: Duration, bytes: usize) -> Duration {
    let seconds = u64::try_from(bytes / BYTES_PER_SECOND).unwrap_or(u64::MAX);
    limit.saturating_add(Duration::from_secs(seconds))
}

/// Calls `create` until the store answers, for a limited time.
pub(super) async fn create(
    shared: &Registry,
    id: &SessionId,
    new: &NewSession,
    sent: &mut CreateAttempts,
) -> Result<Created, StoreError> {
    let mut retry = Retry::default();
    let began = Instant::now();
    let limit = time_for(START_TIMEOUT, new.request.len());
    loop {
        if shared.is_releasing() {
            return Err(StoreError::unavailable(
                false,
                "the server is shutting down",
            ));
        }
        let create = shared.store.create(id, new.clone());
        let answer = tokio::select! {
            answer = within(limit, create) => answer,
            () = shared.until_released() => {
                sent.maybe_applied = true;
                return Err(StoreError::unavailable(true, "the server is shutting down"));
            }
        };
        if let Err(StoreError::Unavailable { maybe_applied, .. }) = &answer {
            sent.maybe_applied |= maybe_applied;
        }
        match answer {
            Err(error) if error.is_unavailable() && began.elapsed() < limit => {
                retry.failed();
                retry.ready().await;
            }
            answer => return answer,
        }
    }
}

/// Returns the state of a session that was created just now.
fn new_state(new: &NewSession, epoch: Epoch) -> SessionState {
    SessionState {
        meta: new.meta.clone(),
        age: Duration::ZERO,
        ended: None,
        epoch,
        attempts: 0,
        tail: Lsn::ZERO,
        status: Status::Streaming,
        abort: None,
        lease: Lease::Held(new.lease),
        answers: 0,
    }
}
