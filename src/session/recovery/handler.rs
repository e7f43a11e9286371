use std::{
    any::Any,
    collections::HashMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, Weak},
};

use bytes::Bytes;

use crate::{
    log::{Chunk, Outcome, Position, ServiceName, SessionId},
    session::{Inbox, ReadError, Session, Source},
    store::{BoxFuture, SessionMeta, SessionState},
};

/// Carries on the sessions of a service whose server died, or lets them end.
///
/// Registered with [`Sessions::carry_on`](crate::session::Sessions::carry_on) under the service's
/// name, on every server that is to do so; a durable layer registers one for its provider. It must
/// hold no [`Sessions`](crate::session::Sessions), or neither is freed before a
/// [shutdown](crate::session::Sessions::shutdown), which lets it go.
pub trait RecoveryHandler: Send + Sync + 'static {
    /// Whether an orphan that stands so, before it is claimed, may be carried on at all. One that
    /// may not is ended at once, also where as many sessions run as may. Default: it may.
    fn considers(&self, orphan: &SessionState) -> bool {
        let _ = orphan;
        true
    }

    /// Decides what becomes of an orphan that this server has just claimed; `None` ends it as
    /// interrupted. A panic does, too, and so does not to decide for as long as a source may be
    /// [silent](crate::session::Limits::idle). An abort or a shutdown meanwhile drops the future.
    ///
    /// An orphan whose [tail](Orphan::tail) is zero was never begun, so nothing was paid for it yet.
    ///
    /// # Errors
    ///
    /// Whatever [`Orphan::read`] answered: then it is nobody's again, and claimed anew a lease later.
    fn carry_on(&self, orphan: Orphan) -> BoxFuture<'_, Result<Option<Continuation>, ReadError>>;
}

/// A session whose writer died, in the hands of another server.
#[derive(Debug)]
#[non_exhaustive]
pub struct Orphan {
    /// The session, so far. Its log is read with [`read`](Self::read).
    pub session: Session,
    /// What it was started from, as stored.
    pub request: Bytes,
    /// The last LSN.
    pub tail: crate::log::Lsn,
    /// How many times it was claimed, this time included.
    pub attempt: u32,
}

/// How an orphan goes on.
#[non_exhaustive]
pub struct Continuation {
    /// A record that goes into the log first; the source isn't polled before it is acknowledged.
    pub first: Option<Bytes>,
    /// What gives the records after that.
    pub source: Pin<Box<dyn Source>>,
    /// Where the source finds what is answered to it, if it asks.
    pub inbox: Option<Inbox>,
    /// Called once the seal is acknowledged to this server; not at all if another one seals.
    pub on_sealed: Option<Box<dyn FnOnce(Outcome) + Send>>,
}

impl Orphan {
    pub(super) fn new(session: Session, request: Bytes, state: &SessionState) -> Self {
        Self {
            session,
            request,
            tail: state.tail,
            attempt: state.attempts,
        }
    }

    /// Its id.
    pub fn id(&self) -> &SessionId {
        self.session.id()
    }

    /// What it is.
    pub fn info(&self) -> &Arc<SessionMeta> {
        self.session.info()
    }

    /// The log so far, in order.
    ///
    /// # Errors
    ///
    /// [`ReadError`], if it can't be read.
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
    /// With what this source gives.
    pub fn with(source: impl Source) -> Self {
        Self {
            first: None,
            source: Box::pin(source),
            inbox: None,
            on_sealed: None,
        }
    }

    /// After this record.
    pub fn first(mut self, record: impl Into<Bytes>) -> Self {
        self.first = Some(record.into());
        self
    }

    /// Sets where the source finds what is answered to it.
    pub fn inbox(mut self, inbox: Inbox) -> Self {
        self.inbox = Some(inbox);
        self
    }

    /// Sets what is called once the seal is acknowledged. It is called on the writer's task: it
    /// must not block.
    pub fn on_sealed(mut self, hook: impl FnOnce(Outcome) + Send + 'static) -> Self {
        self.on_sealed = Some(Box::new(hook));
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

/// What can carry on whose sessions.
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
        // The former handler is dropped outside the lock: its drop is foreign code.
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

    /// Lets go of all of them.
    pub(in crate::session) fn clear(&self) {
        let mut recovery_handlers = self
            .by_service
            .lock()
            .expect("nothing panics under this lock");
        let former = std::mem::take(&mut *recovery_handlers);
        drop(recovery_handlers);
        drop(former);
    }

    /// What may carry on an orphan that stands so.
    pub(in crate::session) fn of(&self, orphan: &SessionState) -> Option<Arc<dyn RecoveryHandler>> {
        if orphan.abort.is_some() {
            return None;
        }
        let handler = {
            let recovery_handlers = self
                .by_service
                .lock()
                .expect("nothing panics under this lock");
            recovery_handlers.get(&orphan.info.service)?.handler.clone()
        };
        let considers = catch_unwind(AssertUnwindSafe(|| handler.considers(orphan)));
        considers.unwrap_or(false).then_some(handler)
    }
}

impl fmt::Debug for RecoveryHandlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoveryHandlers").finish_non_exhaustive()
    }
}
