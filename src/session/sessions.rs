use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::{
    Busy, Limits, Permit, ReadError, RecoveryHandler, Session, SessionSpec, Source, StartError,
    Started,
    feed::{FeedRole, feed},
    recovery::{self, HandlerOrigin},
    registry::{EntryGuard, FeedGuard, Registry},
    start_task::StartTask,
    sweeper,
    writer::WriterCommand,
};
use crate::{
    log::{Owner, Position, ServiceName, SessionId},
    store::{
        AbortRequest, AnswerOutcome, DeleteMode, Filter, Listing, RecordPage, SessionMeta,
        SessionState, StoreError, StoreExt, StoredAnswer,
    },
};

/// The time that a delete waits for the session to be sealed, so that its readers get the terminal
/// record.
const DELETE_TIMEOUT: Duration = Duration::from_secs(2);
/// The shortest time between two waits, because the store may return from one without a change.
const MIN_WAIT: Duration = Duration::from_millis(5);
/// The most bytes that one read asks for.
const PAGE_BYTES: usize = 256 * 1024;
/// The time that a shutdown waits after its deadline until the writers have given back their leases.
const HAND_OVER: Duration = Duration::from_secs(2);

/// The registry of the sessions of one server. It starts sessions, attaches readers, and deletes
/// what has expired.
///
/// [`Sessions::builder`] builds a registry of chat sessions on a store, [`Sessions::in_memory`] one
/// without options, and [`SessionsBuilder::new`](super::SessionsBuilder::new) one of another
/// [`Format`](super::Format). Clones are cheap and share one registry. Several registries, on one
/// server or many, can share a store: each session has one writer among them, and readers on any.
///
/// ```
/// use unbroken::{session::Sessions, store::Memory};
///
/// let sessions = Sessions::builder(Memory::new()).build();
/// assert_eq!(sessions.running(), 0);
/// ```
#[derive(Debug, Clone)]
pub struct Sessions {
    shared: Arc<Registry>,
}

impl Sessions {
    pub(super) fn from_registry(registry: Registry) -> Self {
        Self {
            shared: Arc::new(registry),
        }
    }

    /// Returns the limits.
    pub fn limits(&self) -> &Limits {
        &self.shared.options.limits
    }

    /// Returns true once a shutdown has begun.
    pub(crate) fn is_closing(&self) -> bool {
        self.shared.is_closing()
    }

    /// Returns the number of sessions that this server runs.
    pub fn running(&self) -> usize {
        self.shared.running.count()
    }

    /// Returns the number of sessions that this server has in memory: those that it runs or
    /// follows, those with readers, and those that wait for their release.
    pub fn loaded(&self) -> usize {
        self.shared.entries().len()
    }

    /// Takes a permit to start one more session, for this owner.
    ///
    /// # Errors
    ///
    /// [`Busy`] if a limit is reached, or if the server shuts down.
    pub fn permit(&self, owner: Option<&Owner>) -> Result<Permit, Busy> {
        Permit::new(&self.shared, owner)
    }

    /// Returns true if this server runs the session, so that its end frees a permit here.
    pub(crate) fn runs(&self, id: &SessionId) -> bool {
        self.shared.entry(id).is_some_and(|entry| entry.is_owned())
    }

    /// Returns the state of a session as stored.
    ///
    /// # Errors
    ///
    /// * [`StoreError::NotFound`] if there is no session with this id.
    /// * [`StoreError::Gone`] if it was deleted or has expired.
    /// * [`StoreError::Unavailable`] if the store doesn't answer.
    pub async fn state(&self, id: &SessionId) -> Result<SessionState, StoreError> {
        self.shared.store.state(id).await
    }

    /// Returns a session's owner, chat and service, for an access check before an attach. The caller
    /// doesn't count as a client. Needs no call of the store while this server writes the session.
    pub(crate) async fn meta(&self, id: &SessionId) -> Result<Arc<SessionMeta>, StoreError> {
        if let Some(entry) = self.shared.entry(id) {
            entry.opened().await?;
            if let (true, Some(meta)) = (entry.is_owned(), entry.meta()) {
                return Ok(meta.clone());
            }
        }
        Ok(self.state(id).await?.meta)
    }

    /// Starts a session, or attaches to the existing one with this id, owner and digest. An attach
    /// drops the source unpolled.
    ///
    /// Returns as soon as the session exists, before anything is written to it. A task of its own,
    /// which no disconnect ends, polls the source once the first record is acknowledged.
    ///
    /// # Cancellation
    ///
    /// If the future is dropped, the start happens as a whole or not at all. A repeated start with
    /// the same id attaches or starts.
    ///
    /// # Errors
    ///
    /// [`StartError`]. The session was not started, except perhaps after
    /// [`StoreError::Unavailable`] with `maybe_applied`.
    pub async fn start(
        &self,
        permit: Permit,
        spec: SessionSpec,
        source: impl Source,
    ) -> Result<Started, StartError> {
        self.ensure_sweeper();
        if spec.first.len() > self.limits().event_bytes {
            return Err(StartError::TooLarge);
        }
        let meta = Arc::new(SessionMeta {
            owner: spec.owner.clone(),
            chat: spec.chat.clone(),
            service: spec.service.clone(),
            digest: spec.digest,
            format: self.shared.format.number(),
        });
        let (client, new) = self.shared.enter_or_insert(&spec.id);
        let created = if new {
            let (created, receiver) = oneshot::channel();
            let task = StartTask {
                feeding: FeedGuard {
                    shared: self.shared.clone(),
                    entry: client.entry.clone(),
                },
                meta: meta.clone(),
                permit,
                spec,
            };
            let run = task.run(Box::pin(source), created);
            tokio::spawn(tracing::Instrument::in_current_span(run));
            receiver.await.unwrap_or(Err(StoreError::NotFound))?
        } else {
            self.verify_exists(&client).await?;
            false
        };
        let found = client.entry.meta();
        if !created && found.is_none_or(|it| it.owner != meta.owner || it.digest != meta.digest) {
            return Err(StartError::InUse);
        }
        Ok(Started {
            session: Session::new(client),
            created,
        })
    }

    /// Attaches to a session, whichever server runs it.
    ///
    /// # Errors
    ///
    /// * [`StoreError::NotFound`] if there is no session with this id.
    /// * [`StoreError::Gone`] if it was deleted or has expired.
    /// * [`StoreError::Unavailable`] if the store doesn't answer.
    pub async fn attach(&self, id: &SessionId) -> Result<Session, StoreError> {
        self.ensure_sweeper();
        if let Some(client) = self.shared.enter(id) {
            self.verify_exists(&client).await?;
            return Ok(Session::new(client));
        }
        let state = self.shared.store.state(id).await?;
        let (client, new) = self.shared.enter_or_insert(id);
        if new {
            let feeding = FeedGuard {
                shared: self.shared.clone(),
                entry: client.entry.clone(),
            };
            feeding.open(state);
            if client.entry.log.outcome().is_none() {
                tokio::spawn(async move { feed(&feeding, FeedRole::Follow).await });
            }
        } else {
            self.verify_exists(&client).await?;
        }
        Ok(Session::new(client))
    }

    /// Registers a handler that decides how the sessions of a service continue after their server
    /// died. A second handler under the same name replaces the first one.
    ///
    /// A server seals the orphans of a service without a handler as soon as it may claim them, even
    /// if another server could continue them. So register all services of a store on all its servers
    /// before the first await, or give each set of servers a store of its own.
    ///
    /// Inside a tokio runtime, the search for orphans begins with this call; otherwise with the first
    /// start or attach.
    pub fn on_recovery(&self, service: ServiceName, handler: impl RecoveryHandler) {
        let handler = Arc::new(handler);
        self.shared.recovery_handlers.register(service, handler);
        if tokio::runtime::Handle::try_current().is_ok() {
            self.ensure_sweeper();
        }
    }

    /// Registers the recovery handler of a layer. Fails with a description of the former handler if
    /// another layer that is in use, or the application, has registered one under this name.
    pub(crate) fn register_layer(
        &self,
        service: ServiceName,
        handler: impl RecoveryHandler,
        origin: HandlerOrigin,
    ) -> Result<(), String> {
        let handlers = &self.shared.recovery_handlers;
        handlers.register_layer(service, Arc::new(handler), origin)?;
        if tokio::runtime::Handle::try_current().is_ok() {
            self.ensure_sweeper();
        }
        Ok(())
    }

    /// Spawns the sweeper unless it runs. Needs a runtime.
    fn ensure_sweeper(&self) {
        if self.shared.start_sweeper() {
            let shared = Arc::downgrade(&self.shared);
            tokio::spawn(sweeper::sweep(shared, self.shared.due.clone()));
        }
    }

    /// Waits until the session is open. Then asks the store whether it still exists, unless this
    /// server owns it: without ownership the entry is only a cache.
    async fn verify_exists(&self, client: &EntryGuard) -> Result<(), StoreError> {
        client.entry.opened().await?;
        if !client.entry.is_owned() {
            self.shared.store.state(&client.entry.id).await?;
        }
        Ok(())
    }

    /// Aborts a session, whichever server runs it: its source is dropped, and it is sealed as
    /// aborted.
    ///
    /// The request is stored when this returns. Repeating it is safe, and on a sealed session it has
    /// no effect; the returned state tells. Cancel safe.
    ///
    /// # Errors
    ///
    /// * [`StoreError::NotFound`] if there is no session with this id.
    /// * [`StoreError::Gone`] if it was deleted or has expired.
    /// * [`StoreError::Unavailable`] if the store doesn't answer.
    pub async fn abort(
        &self,
        id: &SessionId,
        abort: AbortRequest,
    ) -> Result<SessionState, StoreError> {
        let state = self.shared.store.abort(id, abort.clone()).await?;
        if state.status.outcome().is_none() {
            let owned = self
                .shared
                .entry(id)
                .filter(|entry| entry.owned().is_some());
            if let Some(entry) = owned {
                entry.command(WriterCommand::Abort(state.abort.clone().unwrap_or(abort)));
            } else if self.shared.may_claim(state.lease) {
                let (shared, id, state) = (self.shared.clone(), id.clone(), state.clone());
                tokio::spawn(async move { recovery::seal(&shared, &id, state).await });
            }
        }
        Ok(state)
    }

    /// Stores an answer for a session's source, whichever server runs it. The source receives it
    /// through its [`Inbox`](super::Inbox).
    ///
    /// The answer is stored when this returns, and survives the server that took it. The first
    /// answer under a name counts, so repeating it is safe. Cancel safe.
    ///
    /// This method doesn't check that the source has asked a question under this name.
    ///
    /// # Errors
    ///
    /// * [`StoreError::Sealed`] if the session has ended.
    /// * [`StoreError::Full`] if it holds as many answers as it may.
    /// * [`StoreError::NotFound`] if there is no session with this id.
    /// * [`StoreError::Gone`] if it was deleted or has expired.
    /// * [`StoreError::Unavailable`] if the store doesn't answer.
    pub async fn answer(
        &self,
        id: &SessionId,
        answer: StoredAnswer,
    ) -> Result<AnswerOutcome, StoreError> {
        let answered = self.shared.store.answer(id, answer).await?;
        if let AnswerOutcome::Stored(state) = &answered
            && let Some(entry) = self.shared.entry(id)
        {
            entry.command(WriterCommand::Answered(state.answers));
        }
        Ok(answered)
    }

    /// Returns the answers to a session that hasn't ended.
    pub(crate) async fn answers(&self, id: &SessionId) -> Result<Vec<StoredAnswer>, StoreError> {
        self.shared.store.answers(id, 0).await
    }

    /// Reads a page of the log from the store, without becoming a client of the session.
    pub(crate) async fn page(
        &self,
        id: &SessionId,
        after: Position,
    ) -> Result<RecordPage, StoreError> {
        self.shared.store.read(id, after, PAGE_BYTES).await
    }

    /// Aborts a session if it runs, then deletes it. Safe to repeat while its tombstone stands.
    ///
    /// Waits up to 2 seconds for the seal, so that readers get the terminal record.
    ///
    /// # Cancellation
    ///
    /// If the future is dropped during that wait, the session is aborted but may not be deleted.
    ///
    /// # Errors
    ///
    /// * [`StoreError::NotFound`] if there is no session with this id.
    /// * [`StoreError::Unavailable`] if the store doesn't answer.
    pub async fn delete(&self, id: &SessionId) -> Result<(), StoreError> {
        match self.abort(id, AbortRequest::default()).await {
            Ok(mut state) => {
                let deadline = Instant::now() + DELETE_TIMEOUT;
                while state.status.outcome().is_none() && Instant::now() < deadline {
                    let within = deadline.saturating_duration_since(Instant::now());
                    let began = Instant::now();
                    let changed = self
                        .shared
                        .store
                        .changed(id, state.version().into(), within);
                    state = match changed.await {
                        Ok(state) => state,
                        Err(StoreError::Gone(_)) => return Ok(()),
                        Err(error) => return Err(error),
                    };
                    if began.elapsed() < MIN_WAIT {
                        tokio::time::sleep(MIN_WAIT).await;
                    }
                }
            }
            Err(StoreError::Gone(_)) => return Ok(()),
            Err(error) => return Err(error),
        }
        self.shared.store.delete(id, DeleteMode::Now).await?;
        if let Some(entry) = self.shared.entry(id) {
            // The writer may not know yet that its seal was stored. Without ownership, the next
            // attach asks the store.
            entry.clear_owned();
        }
        Ok(())
    }

    /// Lists the sessions that match, newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the store doesn't answer.
    pub async fn list(&self, filter: &Filter) -> Result<Listing, StoreError> {
        self.shared.store.list(filter).await
    }

    /// Shuts down: starts no more sessions, and gives running ones until `deadline` to finish.
    ///
    /// After the deadline it drops the sources that still run, gives their leases back, and fails
    /// their readers with [`ReadError::ShutDown`], so that clients resume on another server.
    /// Finished sessions can still be read.
    ///
    /// # Cancellation
    ///
    /// If the future is dropped early, no more sessions start, and running ones go on.
    pub async fn shutdown(&self, deadline: Duration) {
        self.shared.close();
        let drained = tokio::time::timeout(deadline, self.shared.running.drained()).await;
        self.shared.release();
        for entry in self.shared.entries() {
            if entry.owned().is_some() {
                entry.command(WriterCommand::Release);
            } else if entry.log.outcome().is_none() {
                entry.log.fail(ReadError::ShutDown);
            }
        }
        if drained.is_err() {
            let _ = tokio::time::timeout(HAND_OVER, self.shared.running.drained()).await;
        }
        // A writer whose call of the store hangs must not keep its readers, and the server, waiting.
        for entry in self.shared.entries() {
            if entry.log.outcome().is_none() {
                entry.log.fail(ReadError::ShutDown);
            }
        }
    }
}
