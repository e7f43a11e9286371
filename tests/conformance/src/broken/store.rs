#![deny(clippy::missing_trait_methods)]

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use unbroken::{
    BoxFuture,
    log::{ChatId, Chunk, Epoch, Lsn, Owner, Position, ServiceName, SessionId},
    store::{
        AbortRequest, AfterAppend, AnswerOutcome, Appended, Claimed, Created, DeleteMode,
        Durability, Filter, Holder, LeaseChange, Listed, Listing, NewSession, PendingEnding,
        RecordPage, Seen, SessionState, Store, StoreError, StoredAnswer, Token,
    },
};

use super::{
    ContractRule,
    overlay::{Overlay, SessionOverlay},
};
use crate::fault::{ClockJump, Rewind};

/// A store that breaks one [`ContractRule`], or none. Clones share their state.
///
/// It is for tests in one process: one call makes several calls of the store inside, which are atomic
/// only if nothing else calls that store meanwhile.
#[derive(Debug, Clone)]
pub struct BrokenStore<S> {
    inner: S,
    broken: Option<ContractRule>,
    overlay: Arc<Mutex<Overlay>>,
}

impl<S> BrokenStore<S> {
    /// Wraps a store without breaking a rule.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            broken: None,
            overlay: Arc::default(),
        }
    }

    /// Sets the rule to break, in place of an earlier one.
    pub fn breaking(mut self, rule: ContractRule) -> Self {
        self.broken = Some(rule);
        self
    }

    /// Returns the store inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Returns the rule that is broken.
    pub fn broken(&self) -> Option<ContractRule> {
        self.broken
    }

    /// Makes a record unreadable, like a failure of a disk.
    ///
    /// A read returns the records before it. A read that begins with it fails with
    /// [`StoreError::Corrupt`]. A session has at most one such record: a second call replaces it.
    pub fn corrupt(&self, id: &SessionId, lsn: Lsn) {
        let id = self.resolve(id);
        self.overlay(&id, |overlay| overlay.corrupt = Some(lsn));
    }

    pub(super) fn breaks(&self, rule: ContractRule) -> bool {
        self.broken == Some(rule)
    }

    /// Accesses the state about a session, by its id in the store.
    pub(super) fn overlay<T>(
        &self,
        id: &SessionId,
        work: impl FnOnce(&mut SessionOverlay) -> T,
    ) -> T {
        self.all(|all| work(all.sessions.entry(id.clone()).or_default()))
    }

    pub(super) fn add_alias(&self, outer: &SessionId, inner: SessionId) {
        self.all(|all| all.aliases.insert(outer.clone(), inner));
    }

    /// Keeps the last state of a session that is about to be deleted.
    pub(super) fn add_deleted(&self, session: Listed) {
        self.all(|all| all.deleted.push(session));
    }

    pub(super) fn deleted_sessions(&self) -> Vec<Listed> {
        self.all(|all| all.deleted.clone())
    }

    /// Returns the ids, in the store, of the sessions with a state here.
    pub(super) fn session_ids(&self) -> Vec<SessionId> {
        self.all(|all| all.sessions.keys().cloned().collect())
    }

    fn resolve(&self, outer: &SessionId) -> SessionId {
        self.all(|all| all.aliases.get(outer).unwrap_or(outer).clone())
    }

    fn all<T>(&self, work: impl FnOnce(&mut Overlay) -> T) -> T {
        work(&mut self.overlay.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: Store> BrokenStore<S> {
    /// Returns the id in the store. Expires the session before if that is due under the broken rule.
    pub(super) async fn enter(&self, outer: &SessionId) -> SessionId {
        let id = self.resolve(outer);
        if matches!(
            self.broken,
            Some(ContractRule::HoldLengthens | ContractRule::HoldKeeps | ContractRule::EndingsKeep)
        ) {
            self.expire(&id).await;
        }
        id
    }

    /// Returns the sessions as the caller sees them.
    pub(super) fn shown_sessions(&self, sessions: Vec<Listed>) -> Vec<Listed> {
        let aliases = self.all(|all| all.aliases.clone());
        let outer = |id: &SessionId| {
            let alias = aliases.iter().find(|(_, inner)| *inner == id);
            alias.map_or_else(|| id.clone(), |(outer, _)| outer.clone())
        };
        sessions
            .into_iter()
            .filter(|session| !aliases.contains_key(&session.id))
            .map(|session| Listed {
                id: outer(&session.id),
                state: self.shown(&session.id, session.state),
            })
            .collect()
    }
}

impl<S: Store> Store for BrokenStore<S> {
    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn outlives_handle(&self) -> bool {
        self.inner.outlives_handle()
    }

    fn create<'a>(
        &'a self,
        outer: &'a SessionId,
        new: NewSession,
    ) -> BoxFuture<'a, Result<Created, StoreError>> {
        Box::pin(async move {
            let id = self.enter(outer).await;
            let created = self.create_broken(outer, &id, new).await;
            created.map_err(|error| self.shown_error(error))
        })
    }

    fn claim<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Epoch,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claimed, StoreError>> {
        Box::pin(async move {
            let id = self.enter(id).await;
            let claimed = self.claim_broken(&id, seen, token, lease).await;
            claimed.map_err(|error| self.shown_error(error))
        })
    }

    fn renew<'a>(
        &'a self,
        owned: &'a [(SessionId, Epoch)],
        lease: LeaseChange,
    ) -> BoxFuture<'a, Vec<Result<SessionState, StoreError>>> {
        Box::pin(self.renew_broken(owned, lease))
    }

    fn append_now(
        &self,
        _: &SessionId,
        _: &Chunk,
        _: AfterAppend,
    ) -> Option<Result<Appended, StoreError>> {
        None // so that `append` is called
    }

    fn append<'a>(
        &'a self,
        id: &'a SessionId,
        chunk: Chunk,
        then: AfterAppend,
    ) -> BoxFuture<'a, Result<Appended, StoreError>> {
        Box::pin(async move {
            let id = self.enter(id).await;
            let appended = self.append_broken(&id, chunk, then).await;
            appended.map_err(|error| self.shown_error(error))
        })
    }

    fn read<'a>(
        &'a self,
        id: &'a SessionId,
        after: Position,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<RecordPage, StoreError>> {
        Box::pin(async move {
            let id = self.enter(id).await;
            let page = self.read_broken(&id, after, max_bytes).await;
            page.map_err(|error| self.shown_error(error))
        })
    }

    fn changed<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Seen,
        within: Duration,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        Box::pin(async move {
            let id = self.enter(id).await;
            let changed = self.changed_broken(&id, seen, within).await;
            changed.map_err(|error| self.shown_error(error))
        })
    }

    fn abort<'a>(
        &'a self,
        id: &'a SessionId,
        abort: AbortRequest,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        Box::pin(async move {
            let id = self.enter(id).await;
            let state = self.abort_broken(&id, abort).await;
            state.map_err(|error| self.shown_error(error))
        })
    }

    fn answer<'a>(
        &'a self,
        id: &'a SessionId,
        answer: StoredAnswer,
    ) -> BoxFuture<'a, Result<AnswerOutcome, StoreError>> {
        Box::pin(async move {
            let id = self.enter(id).await;
            let outcome = self.answer_broken(&id, answer).await;
            outcome.map_err(|error| self.shown_error(error))
        })
    }

    fn answers<'a>(
        &'a self,
        id: &'a SessionId,
        after: usize,
    ) -> BoxFuture<'a, Result<Vec<StoredAnswer>, StoreError>> {
        Box::pin(async move {
            let id = self.enter(id).await;
            let answers = self.answers_broken(&id, after).await;
            answers.map_err(|error| self.shown_error(error))
        })
    }

    fn hold<'a>(
        &'a self,
        id: &'a SessionId,
        by: Holder,
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let id = self.enter(id).await;
            let held = self.hold_broken(&id, by, keep).await;
            held.map_err(|error| self.shown_error(error))
        })
    }

    fn delete<'a>(
        &'a self,
        id: &'a SessionId,
        how: DeleteMode,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let id = self.enter(id).await;
            let deleted = self.delete_broken(&id, how).await;
            deleted.map_err(|error| self.shown_error(error))
        })
    }

    fn of_chat<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        chat: &'a ChatId,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>> {
        Box::pin(self.of_chat_broken(owner, chat, limit))
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Listing, StoreError>> {
        Box::pin(self.list_broken(filter))
    }

    fn orphans(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Listed>, StoreError>> {
        Box::pin(self.orphans_broken(limit))
    }

    fn endings<'a>(
        &'a self,
        service: &'a ServiceName,
        limit: usize,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Vec<PendingEnding>, StoreError>> {
        Box::pin(self.endings_broken(service, limit, lease))
    }

    fn postpone_ending<'a>(
        &'a self,
        id: &'a SessionId,
        delivery: u32,
        by: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let id = self.enter(id).await;
            self.postpone_broken(&id, delivery, by).await
        })
    }

    fn delivered<'a>(
        &'a self,
        id: &'a SessionId,
        sealed_by: Epoch,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let id = self.enter(id).await;
            self.delivered_broken(&id, sealed_by).await
        })
    }

    fn sweep(&self, limit: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(self.sweep_broken(limit))
    }
}

/// A snapshot of a [`BrokenStore`].
#[derive(Debug, Clone)]
pub struct BrokenSnapshot<T> {
    inner: T,
    overlay: Overlay,
}

impl<S: Rewind> Rewind for BrokenStore<S> {
    type Snapshot = BrokenSnapshot<S::Snapshot>;

    fn snapshot(&self) -> Self::Snapshot {
        BrokenSnapshot {
            inner: self.inner.snapshot(),
            overlay: self.all(|all| all.clone()),
        }
    }

    fn restore(&self, snapshot: &Self::Snapshot) {
        self.inner.restore(&snapshot.inner);
        self.all(|all| *all = snapshot.overlay.clone());
    }
}

impl<S: ClockJump> ClockJump for BrokenStore<S> {
    fn jump(&self, by: Duration) {
        self.inner.jump(by);
    }
}
