use std::{pin::Pin, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    Busy, Format, Limits, Permit, ReadError, RecoveryHandler, Session, SessionSpec,
    SessionsBuilder, Source, StartError, Started,
    entry::Ownership,
    feed::{FeedRole, WriterRole, feed},
    recovery,
    registry::{EntryGuard, FeedGuard, Registry},
    sweeper,
    writer::{Retry, Writer, WriterCommand, within},
};
use crate::{
    log::{Owner, Position, ServiceName, SessionId},
    store::{
        AbortRequest, AnswerOutcome, Created, DeleteMode, Filter, Listing, NewSession, RecordPage,
        SessionMeta, SessionState, Store, StoreError, StoreExt, StoredAnswer, Token,
    },
};

/// How long a start tries to reach the store before it is refused.
const START_PATIENCE: Duration = Duration::from_secs(2);
/// How long a delete waits for the session that it stops to be sealed, so that its readers get
/// their ending.
const DELETE_PATIENCE: Duration = Duration::from_secs(2);
/// The store may wake us for nothing, but not as often as it likes.
const PACE: Duration = Duration::from_millis(5);
/// The most bytes that one read asks for.
const PAGE_BYTES: usize = 256 * 1024;
/// How long a shutdown waits for writers to hand over, past its deadline.
const HAND_OVER: Duration = Duration::from_secs(2);

/// The sessions of one server: starts them, lets readers attach, and cleans up after them.
///
/// Cheap to clone; all clones are the same registry. Several registries, on one server or many, can
/// share a store: each session has one writer among them, and readers anywhere.
#[derive(Debug, Clone)]
pub struct Sessions {
    shared: Arc<Registry>,
}

impl Sessions {
    /// A builder of sessions that live in `store` and whose records have this format.
    pub fn with_format(store: impl Store, format: impl Format) -> SessionsBuilder {
        SessionsBuilder::new(Arc::new(store), Arc::new(format))
    }

    pub(super) fn from_shared(shared: Registry) -> Self {
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The limits that hold here.
    pub fn limits(&self) -> &Limits {
        &self.shared.options.limits
    }

    /// Whether a shutdown has begun.
    pub(crate) fn is_closing(&self) -> bool {
        self.shared.is_closing()
    }

    /// How many sessions this server runs.
    pub fn running(&self) -> usize {
        self.shared.running.count()
    }

    /// How many sessions this server has in memory: those that it runs or follows, that are being
    /// read, or that wait for their release.
    pub fn in_memory_count(&self) -> usize {
        self.shared.entries().len()
    }

    /// The right to start one more session, for this owner.
    ///
    /// # Errors
    ///
    /// [`Busy`], if as many run as may.
    pub fn permit(&self, owner: Option<&Owner>) -> Result<Permit, Busy> {
        Permit::new(&self.shared, owner)
    }

    /// Whether this server runs a session: its end makes room here.
    pub(crate) fn runs(&self, id: &SessionId) -> bool {
        self.shared.entry(id).is_some_and(|entry| entry.is_owned())
    }

    /// Where a session stands, by the store's word.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::Gone`], [`StoreError::Unavailable`].
    pub async fn state(&self, id: &SessionId) -> Result<SessionState, StoreError> {
        self.shared.store.state(id).await
    }

    /// What a session is, to judge by before anybody attaches: the asker doesn't become a client of
    /// it. Known here without the store while this server writes the session.
    pub(crate) async fn info(&self, id: &SessionId) -> Result<Arc<SessionMeta>, StoreError> {
        if let Some(entry) = self.shared.entry(id) {
            entry.opened().await?;
            if let (true, Some(info)) = (entry.is_owned(), entry.info()) {
                return Ok(info.clone());
            }
        }
        Ok(self.state(id).await?.info)
    }

    /// Starts a session, or attaches to the one that has this id, owner and digest already; then
    /// the source is dropped unused.
    ///
    /// Returns as soon as the session exists, before anything is written to it. The source is
    /// polled once the first record is acknowledged, on a task of its own that no disconnect ends.
    ///
    /// Cancel safe in this sense: dropped, the start happens or doesn't, as a whole; a repetition
    /// with the same id attaches or starts.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing was started then, but for [`StoreError::Unavailable`] with
    /// `maybe_applied`.
    pub async fn start(
        &self,
        permit: Permit,
        start: SessionSpec,
        source: impl Source,
    ) -> Result<Started, StartError> {
        self.keep_swept();
        if start.first.len() > self.limits().event_bytes {
            return Err(StartError::TooLarge);
        }
        let info = Arc::new(SessionMeta {
            owner: start.owner.clone(),
            chat: start.chat.clone(),
            service: start.service.clone(),
            digest: start.digest,
            format: self.shared.format.number(),
        });
        let (client, new) = self.shared.enter_or_insert(&start.id);
        let created = if new {
            let (tell, told) = oneshot::channel();
            let opening = StartTask {
                feeding: FeedGuard {
                    shared: self.shared.clone(),
                    entry: client.entry.clone(),
                },
                info: info.clone(),
                permit,
                start,
            };
            let run = opening.run(Box::pin(source), tell);
            tokio::spawn(tracing::Instrument::in_current_span(run));
            told.await.unwrap_or(Err(StoreError::NotFound))?
        } else {
            self.verified(&client).await?;
            false
        };
        let theirs = client.entry.info();
        if !created && theirs.is_none_or(|it| it.owner != info.owner || it.digest != info.digest) {
            return Err(StartError::InUse);
        }
        Ok(Started {
            session: Session::new(client),
            created,
        })
    }

    /// A handle on a session, wherever it runs.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if there is nothing to attach to, [`StoreError::Gone`],
    /// [`StoreError::Unavailable`].
    pub async fn attach(&self, id: &SessionId) -> Result<Session, StoreError> {
        self.keep_swept();
        if let Some(client) = self.shared.enter(id) {
            self.verified(&client).await?;
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
            self.verified(&client).await?;
        }
        Ok(Session::new(client))
    }

    /// Has this server carry on the sessions of a service whose writer died, or end them, as the
    /// restarter decides for each. The last one registered under a name is the one that counts.
    ///
    /// A server ends the sessions of a service without one as soon as it may claim them, even if
    /// another server could carry them on. So register all services of a store on all its servers,
    /// and before anything is awaited, or give each set of servers a store of its own.
    ///
    /// Looks for orphans from now on, if called inside a tokio runtime; else from the first start or
    /// attach on.
    pub fn carry_on(&self, service: ServiceName, restarter: impl RecoveryHandler) {
        let restarter = Arc::new(restarter);
        self.shared.recovery_handlers.register(service, restarter);
        if tokio::runtime::Handle::try_current().is_ok() {
            self.keep_swept();
        }
    }

    /// Sees that the sweeper runs. Needs a runtime, which building a registry does not.
    fn keep_swept(&self) {
        if self.shared.begins() {
            let shared = Arc::downgrade(&self.shared);
            tokio::spawn(sweeper::sweep(shared, self.shared.due.clone()));
        }
    }

    /// An entry of ours is only a cache, unless we own the session: the store says whether it is
    /// still there.
    async fn verified(&self, client: &EntryGuard) -> Result<(), StoreError> {
        client.entry.opened().await?;
        if !client.entry.is_owned() {
            self.shared.store.state(&client.entry.id).await?;
        }
        Ok(())
    }

    /// Stops a session, wherever it runs: its provider is dropped and it is sealed as aborted. The
    /// wish is stored when this returns. Safe to repeat; changes nothing on a sealed session, which
    /// the state tells. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::Gone`], [`StoreError::Unavailable`].
    pub async fn abort(
        &self,
        id: &SessionId,
        abort: AbortRequest,
    ) -> Result<SessionState, StoreError> {
        let state = self.shared.store.abort(id, abort.clone()).await?;
        if state.status.outcome().is_none() {
            let here = self
                .shared
                .entry(id)
                .filter(|entry| entry.owned().is_some());
            if let Some(entry) = here {
                entry.command(WriterCommand::Abort(state.abort.clone().unwrap_or(abort)));
            } else if self.shared.may_claim(state.lease) {
                let (shared, id, state) = (self.shared.clone(), id.clone(), state.clone());
                tokio::spawn(async move { recovery::seal(&shared, &id, state).await });
            }
        }
        Ok(state)
    }

    /// Leaves an answer for a session's source, wherever it runs: it finds it in its
    /// [`Inbox`](super::Inbox). The answer is stored when this returns, and survives its server. The
    /// first one under a name counts; repeating it is safe. Cancel safe.
    ///
    /// Whether anybody has asked is for the caller to know.
    ///
    /// # Errors
    ///
    /// [`StoreError::Sealed`] once the session has ended, [`StoreError::Full`],
    /// [`StoreError::NotFound`], [`StoreError::Gone`], [`StoreError::Unavailable`].
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

    /// What was answered to a session that hasn't ended.
    pub(crate) async fn answers(&self, id: &SessionId) -> Result<Vec<StoredAnswer>, StoreError> {
        self.shared.store.answers(id, 0).await
    }

    /// A page of the log by the store's word, for who is no reader of the session.
    pub(crate) async fn page(
        &self,
        id: &SessionId,
        after: Position,
    ) -> Result<RecordPage, StoreError> {
        self.shared.store.read(id, after, PAGE_BYTES).await
    }

    /// Stops a session if it runs, then forgets it. Safe to repeat while its tombstone stands.
    ///
    /// Waits up to 2 seconds for the session to be sealed, so that its readers get their ending.
    /// Dropped before that, it has stopped the session but may not have deleted it.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::Unavailable`].
    pub async fn delete(&self, id: &SessionId) -> Result<(), StoreError> {
        match self.abort(id, AbortRequest::default()).await {
            Ok(mut state) => {
                let deadline = Instant::now() + DELETE_PATIENCE;
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
                    if began.elapsed() < PACE {
                        tokio::time::sleep(PACE).await;
                    }
                }
            }
            Err(StoreError::Gone(_)) => return Ok(()),
            Err(error) => return Err(error),
        }
        self.shared.store.delete(id, DeleteMode::Now).await?;
        if let Some(entry) = self.shared.entry(id) {
            // Its writer may not have been told yet that it has sealed, and this is no session of
            // ours any more: who attaches asks the store.
            entry.disown();
        }
        Ok(())
    }

    /// Sessions that match, newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn list(&self, filter: &Filter) -> Result<Listing, StoreError> {
        self.shared.store.list(filter).await
    }

    /// Starts no more sessions, and lets those that run finish until `deadline` is over. Then stops
    /// their providers, gives their leases back, and fails the bodies that wait for more, so that
    /// clients resume elsewhere. What is finished can still be read.
    ///
    /// Dropped before it is done, it has only closed the door.
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
        // Whoever hangs in the store by now must not keep its readers, and the server, from ending.
        for entry in self.shared.entries() {
            if entry.log.outcome().is_none() {
                entry.log.fail(ReadError::ShutDown);
            }
        }
    }
}

/// A start under way, on a task of its own.
struct StartTask {
    feeding: FeedGuard,
    info: Arc<SessionMeta>,
    permit: Permit,
    start: SessionSpec,
}

impl StartTask {
    async fn run(
        self,
        source: Pin<Box<dyn Source>>,
        tell: oneshot::Sender<Result<bool, StoreError>>,
    ) {
        let Self {
            feeding,
            info,
            permit,
            start,
        } = self;
        let (shared, entry) = (&feeding.shared, &feeding.entry);
        let before = Instant::now();
        let new = NewSession {
            info: info.clone(),
            request: start.request.clone(),
            token: Token::random(),
            lease: shared.options.lease,
            tombstone: shared.options.tombstone,
        };
        match create(shared, &entry.id, new).await {
            Ok(Created::Created(epoch)) => {
                let (commands, received) = mpsc::unbounded_channel();
                entry.own(Ownership {
                    epoch,
                    lease_until: before + shared.options.lease,
                    commands,
                });
                if shared.is_releasing() {
                    entry.command(WriterCommand::Release);
                }
                entry.open(Ok(info));
                let _ = tell.send(Ok(true));
                // The head goes first: what the source does in its first poll is not ours to know.
                tokio::task::yield_now().await;
                let writer = Writer::new(shared.clone(), entry.clone(), epoch, received, source)
                    .answering(start.inbox);
                let writing = WriterRole {
                    writer,
                    epoch,
                    first: Some(start.first),
                    permit,
                    on_sealed: start.on_sealed,
                };
                feed(&feeding, FeedRole::Write(Box::new(writing))).await;
            }
            Ok(Created::Exists(state)) => {
                drop((permit, source));
                feeding.open(state);
                let _ = tell.send(Ok(false));
                if entry.log.outcome().is_none() {
                    feed(&feeding, FeedRole::Follow).await;
                }
            }
            Err(error) => {
                entry.open(Err(error.clone()));
                entry.log.fail(error.clone().into());
                // The entry goes before the answer does: a repeated start must not find it.
                drop((permit, feeding));
                let _ = tell.send(Err(error));
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
        match within(START_PATIENCE, create).await {
            Err(error) if error.is_unavailable() && retry.outage() < Some(START_PATIENCE) => {
                retry.failed();
                retry.ready().await;
            }
            answer => return answer,
        }
    }
}
