use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::{
    Busy, EndingHandler, Limits, Permit, RecoveryHandler, Session, SessionSpec, Source, StartError,
    Started,
    feed::{FeedRole, feed},
    options::LONGEST,
    recovery::{self, HandlerOrigin},
    registry::{EntryGuard, FeedGuard, Registry},
    start_task::StartTask,
    stop, sweeper,
    waiting_start::{WaitingStart, has_not_begun, is_same_request},
    writer::{WriterCommand, within},
};
use crate::{
    log::{ChatId, Owner, ServiceName, SessionId, Status},
    metrics,
    store::{
        AbortRequest, AnswerOutcome, DeleteMode, SessionMeta, SessionState, StoreError, StoreExt,
        StoredAnswer,
    },
};

/// The time that a delete waits for the session to be sealed, so that its readers get the terminal
/// record.
const DELETE_TIMEOUT: Duration = Duration::from_secs(2);
/// The time after its own end for which an answer to a wait may come late.
const HUNG: Duration = Duration::from_secs(1);
/// The shortest time between two waits, because the store may return from one without a change.
const MIN_WAIT: Duration = Duration::from_millis(5);

/// The registry of the sessions of one server. It starts sessions, attaches readers, and deletes
/// what has expired.
///
/// [`Sessions::builder`] builds a registry of chat sessions and recordings on a store, [`Sessions::in_memory`] one
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
    pub(super) shared: Arc<Registry>,
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

    /// Waits for this time, or until a shutdown fails the readers. Cancel safe.
    pub(crate) async fn pause(&self, time: Duration) {
        let _ = tokio::time::timeout(time, self.shared.until_released()).await;
    }

    /// Returns the number of sessions that run on this server. Those that
    /// [wait](Self::waiting) aren't counted.
    pub fn running(&self) -> usize {
        self.shared.places.counts().busy()
    }

    /// Returns the number of sessions of this server that wait for a person or a client tool.
    pub fn waiting(&self) -> usize {
        self.shared.places.counts().waiting
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

    /// Returns true if this server runs the session and it doesn't wait, so that its end makes room
    /// for a start here.
    pub(crate) fn runs(&self, id: &SessionId) -> bool {
        let entry = self.shared.entry(id);
        entry.is_some_and(|entry| entry.is_owned() && entry.log.status() == Status::Streaming)
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

    /// Returns the owner, chat and service of a session that this server writes, without a call of the
    /// store. Its lease may have run out meanwhile.
    pub(crate) fn meta_here(&self, id: &SessionId) -> Option<Arc<SessionMeta>> {
        let entry = self.shared.entry(id).filter(|it| it.has_writer())?;
        entry.meta().cloned()
    }

    /// Returns a session's owner, chat and service, for an access check before an attach, and true if the
    /// store was asked for them. The caller doesn't count as a client. Needs no call of the store while
    /// this server writes the session.
    pub(crate) async fn meta(
        &self,
        id: &SessionId,
    ) -> Result<(Arc<SessionMeta>, bool), StoreError> {
        if let Some(entry) = self.shared.entry(id) {
            entry.opened().await?;
            if let (true, Some(meta)) = (entry.has_writer(), entry.meta()) {
                return Ok((meta.clone(), false));
            }
        }
        Ok((self.state(id).await?.meta, true))
    }

    /// Returns the running sessions of a chat that this server writes, newest first, without a call of the
    /// store. With `None` as the owner these are sessions without an owner.
    pub(crate) fn writing_in(&self, owner: Option<&Owner>, chat: &ChatId) -> Vec<SessionId> {
        let mut found: Vec<_> = self
            .shared
            .entries()
            .into_iter()
            .filter_map(|entry| {
                let (lease, meta) = (entry.owned()?, entry.meta()?);
                let is_in_chat = meta.owner.as_ref() == owner && meta.chat.as_ref() == Some(chat);
                let age = lease.began.age + lease.since.elapsed();
                (is_in_chat && entry.log.outcome().is_none()).then(|| (age, entry.id.clone()))
            })
            .collect();
        found.sort_by_key(|(age, _)| *age);
        found.into_iter().map(|(_, id)| id).collect()
    }

    /// Starts a session, or attaches to the existing one with this id, owner, digest and format. An
    /// attach drops the source unpolled.
    ///
    /// Returns as soon as the session exists, before anything is written to it. A task of its own,
    /// which no disconnect ends, polls the source once the first record is acknowledged.
    ///
    /// # Cancellation
    ///
    /// If the future is dropped, the start happens as a whole or not at all. A repeated start with
    /// the same id attaches or starts.
    ///
    /// # A start that is refused
    ///
    /// Its source is never polled, on no server and at no later time. If the store does not answer, it may
    /// have created the session all the same. Such a session is sealed as interrupted: by this server in
    /// the background, or by the first server that finds it with an empty log. Until then a repeated start
    /// with the same id, owner and digest begins it.
    ///
    /// # Errors
    ///
    /// [`StartError`]. The source was dropped.
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
        let format = match spec.format {
            None => self.shared.formats.first(),
            Some(format) => {
                let found = self.shared.formats.find(format);
                found.ok_or(StartError::UnknownFormat { format })?
            }
        };
        let meta = Arc::new(SessionMeta {
            owner: spec.owner.clone(),
            chat: spec.chat.clone(),
            service: spec.service.clone(),
            digest: spec.digest,
            format: format.number(),
            outbox: spec.outbox.map(|keep| keep.min(LONGEST)),
        });
        let (client, found) = loop {
            let (client, new) = self.shared.enter_or_insert(&spec.id);
            if new {
                break (client, None);
            }
            match self.verify_exists(&client).await {
                // Withdrawn by its owner, or its tombstone is over, and the entry doesn't know it yet.
                Err(StoreError::NotFound) => self.shared.forget(&client.entry),
                found => break (client, Some(found?)),
            }
        };
        let created = if let Some(state) = found {
            if let Some(state) = state.filter(|it| has_not_begun(it) && it.abort.is_none())
                && is_same_request(&state.meta, &meta)
            {
                client.entry.wait_to_begin(WaitingStart {
                    permit,
                    spec,
                    source: Box::pin(source),
                });
            }
            false
        } else {
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
        };
        let found = client.entry.meta();
        if !created && found.is_none_or(|it| !is_same_request(it, &meta)) {
            return Err(StartError::InUse);
        }
        if !created {
            metrics::SESSIONS_ATTACHED.count(1, &[]);
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
        Ok(self.attach_with_state(id).await?.0)
    }

    /// Attaches to a session, unless it waits to be begun by another start of its request.
    pub(crate) async fn attach_begun(&self, id: &SessionId) -> Result<Option<Session>, StoreError> {
        let (session, state) = self.attach_with_state(id).await?;
        let begins = state.is_some_and(|it| has_not_begun(&it) && it.abort.is_none());
        Ok((!begins).then_some(session))
    }

    /// Attaches to a session. Returns its state too, unless this server owns it.
    async fn attach_with_state(
        &self,
        id: &SessionId,
    ) -> Result<(Session, Option<SessionState>), StoreError> {
        self.ensure_sweeper();
        if let Some(client) = self.shared.enter(id) {
            let state = self.verify_exists(&client).await?;
            metrics::SESSIONS_ATTACHED.count(1, &[]);
            return Ok((Session::new(client), state));
        }
        let state = self.shared.store.state(id).await?;
        let seen = state.clone();
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
        metrics::SESSIONS_ATTACHED.count(1, &[]);
        Ok((Session::new(client), Some(seen)))
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

    /// Registers a handler to which the endings of a service are delivered, each at least once. A second
    /// handler under the same name replaces the first one.
    ///
    /// Inside a tokio runtime, the delivery begins with this call; otherwise with the first start or attach.
    pub fn on_ending(&self, service: ServiceName, handler: impl EndingHandler) {
        self.shared.outbox.register(service, Arc::new(handler));
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
    /// server owns it: without ownership the entry is only a cache. Returns what the store said.
    async fn verify_exists(&self, client: &EntryGuard) -> Result<Option<SessionState>, StoreError> {
        client.entry.opened().await?;
        if client.entry.is_owned() {
            return Ok(None);
        }
        self.shared.store.state(&client.entry.id).await.map(Some)
    }

    /// Aborts a session, whichever server runs it: its source is dropped, and it is sealed as
    /// aborted. Repeating it is safe, and on a sealed session it has no effect; the returned state
    /// tells.
    ///
    /// The request is stored when this returns, with one exception. The server that runs the session drops
    /// the source at once, and returns after 500 milliseconds if the store hasn't answered until then, or
    /// sooner if the store fails. The session is sealed as soon as the store takes the record. If another
    /// server takes the session over before, it receives the abort as soon as the store takes that. If this
    /// server ends before the store takes either, the abort is lost: the session is an orphan, and its
    /// [`RecoveryHandler`] decides.
    ///
    /// # Cancellation
    ///
    /// If the future is dropped, the server that runs the session aborts it all the same; the others may
    /// have stored the request or not.
    ///
    /// # Errors
    ///
    /// * [`StoreError::NotFound`] if there is no session with this id.
    /// * [`StoreError::Gone`] if it was deleted or has expired.
    /// * [`StoreError::Unavailable`] if another server runs the session and the store doesn't answer.
    pub async fn abort(
        &self,
        id: &SessionId,
        abort: AbortRequest,
    ) -> Result<SessionState, StoreError> {
        if let Some(entry) = self.shared.entry(id)
            && let Some(owned) = entry.owned()
        {
            return stop::stop(&self.shared, &entry, &owned, abort).await;
        }
        let state = self.shared.store.abort(id, abort.clone()).await?;
        if state.status.outcome().is_none() {
            // It may have become the owner meanwhile.
            let owned = self.shared.entry(id).filter(|entry| entry.has_writer());
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
    /// * [`StoreError::Unavailable`] if the store doesn't answer; or if a session whose
    ///   [ending is delivered](Self::on_ending) isn't sealed after 2 seconds. The abort counts nevertheless, so
    ///   repeat the delete.
    pub async fn delete(&self, id: &SessionId) -> Result<(), StoreError> {
        let state = match self.abort(id, AbortRequest::default()).await {
            Ok(mut state) => {
                let deadline = Instant::now() + DELETE_TIMEOUT;
                while state.status.outcome().is_none() && Instant::now() < deadline {
                    let left = deadline.saturating_duration_since(Instant::now());
                    let began = Instant::now();
                    let changed = self.shared.store.changed(id, state.version().into(), left);
                    // A store that hangs doesn't keep to its time.
                    state = match within(left + HUNG, changed).await {
                        Ok(state) => state,
                        Err(StoreError::Gone(_)) => return Ok(()),
                        Err(error) => return Err(error),
                    };
                    if began.elapsed() < MIN_WAIT {
                        tokio::time::sleep(MIN_WAIT).await;
                    }
                }
                state
            }
            Err(StoreError::Gone(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        // Without its seal it would have no ending to deliver. The abort is stored, so that comes.
        if state.status.outcome().is_none() && state.meta.outbox.is_some() {
            let text = "the session is aborted, but not ended yet; delete it again";
            return Err(StoreError::unavailable(false, text));
        }
        let deleted = self.shared.store.delete(id, DeleteMode::Now);
        within(self.shared.options.outage_timeout, deleted).await?;
        if let Some(entry) = self.shared.entry(id) {
            // The writer may not know yet that its seal was stored. Without ownership, the next
            // attach asks the store.
            entry.clear_owned();
        }
        Ok(())
    }
}
