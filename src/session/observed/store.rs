#![deny(clippy::missing_trait_methods)]

use std::{sync::Arc, time::Duration};

use super::{StoreFailures, watched_call::WatchedCall};
use crate::{
    BoxFuture,
    log::{ChatId, Chunk, Epoch, Owner, Position, ServiceName, SessionId},
    metrics,
    store::{
        AbortRequest, AfterAppend, AnswerOutcome, Appended, Claimed, Created, DeleteMode,
        Durability, Filter, Holder, LeaseChange, Listed, Listing, NewSession, PendingEnding,
        RecordPage, Seen, SessionState, Store, StoreError, StoredAnswer, Token,
    },
};

/// A store whose calls are watched.
#[derive(Debug)]
pub(in crate::session) struct ObservedStore<S> {
    store: S,
    watch: Arc<StoreFailures>,
}

impl<S: Store> ObservedStore<S> {
    pub(in crate::session) fn new(store: S, watch: Arc<StoreFailures>) -> Self {
        Self { store, watch }
    }

    fn pending(&self, call: &'static str) -> WatchedCall<'_> {
        WatchedCall::new(&self.watch, call)
    }

    fn observe<'a, T: Send + 'a>(
        &'a self,
        call: &'static str,
        answer: BoxFuture<'a, Result<T, StoreError>>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        Box::pin(async move {
            let pending = self.pending(call);
            let answer = answer.await;
            pending.answered(&answer);
            answer
        })
    }
}

impl<S: Store> Store for ObservedStore<S> {
    fn durability(&self) -> Durability {
        self.store.durability()
    }

    fn outlives_handle(&self) -> bool {
        self.store.outlives_handle()
    }

    fn create<'a>(
        &'a self,
        id: &'a SessionId,
        new: NewSession,
    ) -> BoxFuture<'a, Result<Created, StoreError>> {
        self.observe("create", self.store.create(id, new))
    }

    fn claim<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Epoch,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claimed, StoreError>> {
        self.observe("claim", self.store.claim(id, seen, token, lease))
    }

    fn renew<'a>(
        &'a self,
        owned: &'a [(SessionId, Epoch)],
        lease: LeaseChange,
    ) -> BoxFuture<'a, Vec<Result<SessionState, StoreError>>> {
        Box::pin(async move {
            let pending = self.pending("renew");
            let answers = self.store.renew(owned, lease).await;
            // One that has no answer tells of all.
            let failed = answers
                .iter()
                .find(|it| matches!(it, Err(error) if error.is_unavailable()));
            match failed.or(answers.first()) {
                Some(answer) => pending.answered(answer),
                None => pending.answered(&Ok(())),
            }
            answers
        })
    }

    fn append<'a>(
        &'a self,
        id: &'a SessionId,
        chunk: Chunk,
        after: AfterAppend,
    ) -> BoxFuture<'a, Result<Appended, StoreError>> {
        self.observe("append", self.store.append(id, chunk, after))
    }

    fn append_now(
        &self,
        id: &SessionId,
        chunk: &Chunk,
        after: AfterAppend,
    ) -> Option<Result<Appended, StoreError>> {
        let began = metrics::Stopwatch::start();
        let answer = self.store.append_now(id, chunk, after)?;
        metrics::STORE_CALL_DURATION.time(began, &[("call", "append")]);
        self.watch.answered("append", answer.as_ref().err());
        Some(answer)
    }

    fn read<'a>(
        &'a self,
        id: &'a SessionId,
        after: Position,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<RecordPage, StoreError>> {
        self.observe("read", self.store.read(id, after, max_bytes))
    }

    fn changed<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Seen,
        within: Duration,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        let answer = self.store.changed(id, seen, within);
        if within.is_zero() {
            self.observe("changed", answer)
        } else {
            // Each running session has such a wait. What it fails of, other calls fail of.
            answer
        }
    }

    fn abort<'a>(
        &'a self,
        id: &'a SessionId,
        abort: AbortRequest,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        self.observe("abort", self.store.abort(id, abort))
    }

    fn answer<'a>(
        &'a self,
        id: &'a SessionId,
        answer: StoredAnswer,
    ) -> BoxFuture<'a, Result<AnswerOutcome, StoreError>> {
        self.observe("answer", self.store.answer(id, answer))
    }

    fn answers<'a>(
        &'a self,
        id: &'a SessionId,
        after: usize,
    ) -> BoxFuture<'a, Result<Vec<StoredAnswer>, StoreError>> {
        self.observe("answers", self.store.answers(id, after))
    }

    fn hold<'a>(
        &'a self,
        id: &'a SessionId,
        by: Holder,
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.observe("hold", self.store.hold(id, by, keep))
    }

    fn delete<'a>(
        &'a self,
        id: &'a SessionId,
        how: DeleteMode,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.observe("delete", self.store.delete(id, how))
    }

    fn of_chat<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        chat: &'a ChatId,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>> {
        self.observe("of_chat", self.store.of_chat(owner, chat, limit))
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Listing, StoreError>> {
        self.observe("list", self.store.list(filter))
    }

    fn orphans(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Listed>, StoreError>> {
        self.observe("orphans", self.store.orphans(limit))
    }

    fn endings<'a>(
        &'a self,
        service: &'a ServiceName,
        limit: usize,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Vec<PendingEnding>, StoreError>> {
        self.observe("endings", self.store.endings(service, limit, lease))
    }

    fn postpone_ending<'a>(
        &'a self,
        id: &'a SessionId,
        delivery: u32,
        by: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.observe(
            "postpone_ending",
            self.store.postpone_ending(id, delivery, by),
        )
    }

    fn delivered<'a>(
        &'a self,
        id: &'a SessionId,
        sealed_by: Epoch,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.observe("delivered", self.store.delivered(id, sealed_by))
    }

    fn sweep(&self, limit: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        self.observe("sweep", self.store.sweep(limit))
    }
}
