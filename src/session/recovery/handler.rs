use std::{
    any::Any,
    collections::HashMap,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, Weak},
};

use bytes::Bytes;

use super::SealedOrphan;
use crate::{
    BoxFuture,
    log::{Chunk, Outcome, Position, ServiceName, SessionId},
    session::{Inbox, ReadError, SealedHook, Session, Source, waiting_start::has_not_begun},
    store::{SessionMeta, SessionState},
};

/// A handler that decides how the sessions of a service continue after their server died.
///
/// Register it with [`Sessions::on_recovery`] under the name of the service, on every server that
/// may recover its sessions. A durable layer registers one for its provider. The handler must not
/// hold a [`Sessions`], or neither is freed before a [shutdown], which drops the
/// handler.
///
/// [`Sessions`]: crate::session::Sessions
/// [`Sessions::on_recovery`]: crate::session::Sessions::on_recovery
/// [shutdown]: crate::session::Sessions::shutdown
pub trait RecoveryHandler: Send + Sync + 'static {
    /// Returns true if an orphan in this state may continue. Called before the orphan is claimed;
    /// one that may not continue is sealed at once, even if this server has no room for another
    /// session. Default: true.
    fn accepts(&self, orphan: &SessionState) -> bool {
        let _ = orphan;
        true
    }

    /// Decides how an orphan continues that this server has just claimed. `None` seals it as
    /// interrupted. So does a panic, and a future that takes longer than a source may be
    /// [silent](field@crate::session::Limits::idle). An abort or a shutdown drops the future.
    ///
    /// The log of the orphan has at least one record. A session without one was never begun: no handler is
    /// asked about it, and only a start of the same request begins it.
    ///
    /// # Errors
    ///
    /// An error of [`Orphan::read`]. The claim is dropped then, and the orphan can be claimed again
    /// one lease later.
    fn recover(&self, orphan: Orphan) -> BoxFuture<'_, Result<Option<Continuation>, ReadError>>;

    /// Ends what the writer of an orphan left behind elsewhere, such as an answer that goes on at a model's server.
    /// Called on the server that has sealed the orphan, once, after that: it was stopped while it had no owner, or
    /// it may not continue. Not called if this server stops meanwhile. A panic, and a future that takes longer than
    /// 5 s, end the call. Default: nothing.
    fn sealed(&self, orphan: SealedOrphan) -> BoxFuture<'_, ()> {
        drop(orphan);
        Box::pin(std::future::ready(()))
    }
}

/// A session whose writer died, claimed by this server.
#[derive(Debug)]
#[non_exhaustive]
pub struct Orphan {
    /// A handle on the session. [`read`](Self::read) reads its log.
    pub session: Session,
    /// The stored request of its start.
    pub request: Bytes,
    /// The last LSN, at least 1.
    pub tail: crate::log::Lsn,
    /// The number of [attempts without progress](field@SessionState::attempts) so far.
    pub attempts: u32,
    /// The number of claims so far, this one included.
    pub claims: u64,
}

/// The continuation of an orphan.
#[non_exhaustive]
pub struct Continuation {
    /// A record to append first. The source isn't polled before the store has acknowledged it.
    pub first: Option<Bytes>,
    /// The source of the following records.
    pub source: Pin<Box<dyn Source>>,
    /// The inbox from which the source receives answers, if it asks anything.
    pub inbox: Option<Inbox>,
    /// A hook that runs once the seal is acknowledged to this server. It doesn't run if another
    /// server seals.
    pub on_sealed: Option<SealedHook>,
}

impl Orphan {
    pub(super) fn new(session: Session, request: Bytes, state: &SessionState) -> Self {
        Self {
            session,
            request,
            tail: state.tail,
            attempts: state.attempts,
            claims: state.epoch.claims(),
        }
    }

    /// Returns the session's id.
    pub fn id(&self) -> &SessionId {
        self.session.id()
    }

    /// Returns the session's owner, chat, service, digest and format.
    pub fn meta(&self) -> &Arc<SessionMeta> {
        self.session.meta()
    }

    /// Reads the log so far, in order.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the log can't be read.
    pub async fn read(&self) -> Result<Vec<Chunk>, ReadError> {
        let mut reader = self.session.reader(Position::START).await?;
        let mut chunks = Vec::new();
        while reader.position().lsn < self.tail {
            match reader.next().await.transpose()? {
                Some(batch) => chunks.push(batch.chunk().clone()),
                None => break,
            }
        }
        Ok(chunks)
    }
}

impl Continuation {
    /// Creates a continuation with the records of this source.
    pub fn new(source: impl Source) -> Self {
        Self {
            first: None,
            source: Box::pin(source),
            inbox: None,
            on_sealed: None,
        }
    }

    /// Sets a record to append before those of the source.
    pub fn first(mut self, record: impl Into<Bytes>) -> Self {
        self.first = Some(record.into());
        self
    }

    /// Sets the inbox from which the source receives answers.
    pub fn inbox(mut self, inbox: Inbox) -> Self {
        self.inbox = Some(inbox);
        self
    }

    /// Sets a hook that runs on a task of its own once the seal is acknowledged. A
    /// [shutdown](crate::session::Sessions::shutdown) waits for it, for a few seconds.
    pub fn on_sealed<F>(mut self, hook: impl FnOnce(Outcome) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.on_sealed = Some(Box::new(|outcome| Box::pin(hook(outcome))));
        self
    }
}

impl fmt::Debug for Continuation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Continuation")
            .field("first", &self.first.as_ref().map(Bytes::len))
            .finish_non_exhaustive()
    }
}

/// The registered recovery handlers, by service.
#[derive(Default)]
pub(in crate::session) struct RecoveryHandlers {
    by_service: Mutex<HashMap<ServiceName, RegisteredHandler>>,
}

struct RegisteredHandler {
    handler: Arc<dyn RecoveryHandler>,
    // `None` of a handler that the application registered.
    origin: Option<HandlerOrigin>,
}

/// The layer that registers a recovery handler.
pub(crate) struct HandlerOrigin {
    description: String,
    layer: Weak<dyn Any + Send + Sync>,
}

impl HandlerOrigin {
    /// Identifies a layer by the address of its options, and as long as these are in use.
    pub(crate) fn new<T: Any + Send + Sync>(description: String, layer: &Arc<T>) -> Self {
        let layer: Weak<T> = Arc::downgrade(layer);
        Self { description, layer }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.layer.ptr_eq(&other.layer) && self.description == other.description
    }

    fn is_in_use(&self) -> bool {
        self.layer.strong_count() > 0
    }
}

impl RecoveryHandlers {
    pub(in crate::session) fn register(
        &self,
        service: ServiceName,
        handler: Arc<dyn RecoveryHandler>,
    ) {
        let mut recovery_handlers = self
            .by_service
            .lock()
            .expect("nothing panics under this lock");
        let registered = RegisteredHandler {
            handler,
            origin: None,
        };
        // The former one is dropped outside the lock, because its drop may run code of the
        // application.
        let former = recovery_handlers.insert(service, registered);
        drop(recovery_handlers);
        drop(former);
    }

    /// Registers the handler of a layer, unless another layer that is in use, or the application, has
    /// the name. Describes the former handler then.
    pub(in crate::session) fn register_layer(
        &self,
        service: ServiceName,
        handler: Arc<dyn RecoveryHandler>,
        origin: HandlerOrigin,
    ) -> Result<(), String> {
        let mut recovery_handlers = self
            .by_service
            .lock()
            .expect("nothing panics under this lock");
        match recovery_handlers.get(&service).map(|former| &former.origin) {
            Some(None) => return Err("a handler of the application's own".into()),
            Some(Some(former)) if former.is_in_use() && !former.is_same(&origin) => {
                return Err(former.description.clone());
            }
            _ => {}
        }
        let registered = RegisteredHandler {
            handler,
            origin: Some(origin),
        };
        let former = recovery_handlers.insert(service, registered);
        drop(recovery_handlers);
        drop(former);
        Ok(())
    }

    /// Drops all handlers.
    pub(in crate::session) fn clear(&self) {
        let mut recovery_handlers = self
            .by_service
            .lock()
            .expect("nothing panics under this lock");
        let former = std::mem::take(&mut *recovery_handlers);
        drop(recovery_handlers);
        drop(former);
    }

    /// Returns the handler of an orphan that has begun.
    pub(super) fn of_begun(&self, orphan: &SessionState) -> Option<Arc<dyn RecoveryHandler>> {
        if has_not_begun(orphan) {
            return None;
        }
        let recovery_handlers = self
            .by_service
            .lock()
            .expect("nothing panics under this lock");
        Some(recovery_handlers.get(&orphan.meta.service)?.handler.clone())
    }

    /// Returns the handler that may continue an orphan in this state.
    pub(in crate::session) fn of(&self, orphan: &SessionState) -> Option<Arc<dyn RecoveryHandler>> {
        if orphan.abort.is_some() {
            return None;
        }
        let handler = self.of_begun(orphan)?;
        let accepts = catch_unwind(AssertUnwindSafe(|| handler.accepts(orphan)));
        accepts.unwrap_or(false).then_some(handler)
    }
}

impl fmt::Debug for RecoveryHandlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoveryHandlers").finish_non_exhaustive()
    }
}
