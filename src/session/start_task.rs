use std::{pin::Pin, sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::{
    Permit, SessionSpec, Source,
    feed::{FeedRole, WriterRole, feed},
    registry::{FeedGuard, Registry},
    writer::{Retry, Writer, within},
};
use crate::{
    log::SessionId,
    store::{Created, NewSession, SessionMeta, StoreError, Token},
};

/// The longest time that a start retries to reach the store before it is refused.
const START_TIMEOUT: Duration = Duration::from_secs(2);

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
    pub(super) async fn run(
        self,
        source: Pin<Box<dyn Source>>,
        created: oneshot::Sender<Result<bool, StoreError>>,
    ) {
        let Self {
            feeding,
            meta,
            permit,
            spec,
        } = self;
        let (shared, entry) = (&feeding.shared, &feeding.entry);
        let before = Instant::now();
        let new = NewSession {
            meta: meta.clone(),
            request: spec.request.clone(),
            token: Token::random(),
            lease: shared.options.lease,
            tombstone: shared.options.tombstone,
        };
        match create(shared, &entry.id, new).await {
            Ok(Created::Created(epoch)) => {
                let commands = shared.take_ownership(entry, epoch, before);
                entry.open(Ok(meta));
                let _ = created.send(Ok(true));
                // The caller runs first, so that the response head doesn't wait for the first poll
                // of the source.
                tokio::task::yield_now().await;
                let writer = Writer::new(shared.clone(), entry.clone(), epoch, commands, source)
                    .with_inbox(spec.inbox);
                let writing = WriterRole {
                    writer,
                    epoch,
                    first: Some(spec.first),
                    permit,
                    on_sealed: spec.on_sealed,
                };
                feed(&feeding, FeedRole::Write(Box::new(writing))).await;
            }
            Ok(Created::Exists(state)) => {
                drop((permit, source));
                feeding.open(state);
                let _ = created.send(Ok(false));
                if entry.log.outcome().is_none() {
                    feed(&feeding, FeedRole::Follow).await;
                }
            }
            Err(error) => {
                entry.open(Err(error.clone()));
                entry.log.fail(error.clone().into());
                // The entry is removed before the caller returns: a repeated start must not find it.
                drop((permit, feeding));
                let _ = created.send(Err(error));
            }
        }
    }
}

async fn create(shared: &Registry, id: &SessionId, new: NewSession) -> Result<Created, StoreError> {
    let mut retry = Retry::default();
    loop {
        if shared.is_releasing() {
            return Err(StoreError::unavailable(
                false,
                "the server is shutting down",
            ));
        }
        let create = shared.store.create(id, new.clone());
        match within(START_TIMEOUT, create).await {
            Err(error) if error.is_unavailable() && retry.outage() < Some(START_TIMEOUT) => {
                retry.failed();
                retry.ready().await;
            }
            answer => return answer,
        }
    }
}
