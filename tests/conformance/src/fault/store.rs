#![deny(clippy::missing_trait_methods)]

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::sleep;

use crate::fault::{ClockJump, Fault, Faults, Op, Rewind, delayed::DelayedRequest};
use unbroken::{
    BoxFuture,
    log::{ChatId, Chunk, Epoch, Owner, Position, ServiceName, SessionId},
    store::{
        AbortRequest, AfterAppend, AnswerOutcome, Appended, Claimed, Created, DeleteMode,
        Durability, Filter, Holder, LeaseChange, Listed, Listing, NewSession, PendingEnding,
        RecordPage, Seen, SessionState, Store, StoreError, StoredAnswer, Token,
    },
};

/// A wrapper around a store that loses, delays and repeats calls as its [`Faults`] say.
///
/// Clones share the faults.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use unbroken::store::{Memory, Store};
/// use unbroken_conformance::{Fault, FaultStore, Op};
///
/// let store = FaultStore::new(Memory::new());
/// store.faults().next(Op::Sweep, Fault::LoseAfter);
/// assert!(store.sweep(10).await.is_err());
/// assert!(store.sweep(10).await.is_ok());
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct FaultStore<S> {
    inner: S,
    faults: Faults,
    delayed: Arc<Mutex<Vec<(usize, DelayedRequest)>>>,
}

impl<S> FaultStore<S> {
    /// Wraps a store, without faults.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            faults: Faults::new(),
            delayed: Arc::default(),
        }
    }

    /// Returns the handle that controls the faults.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Returns the wrapped store, whose calls meet no faults.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Takes the copies of requests that are due at this call.
    fn take_delayed(&self) -> Vec<DelayedRequest> {
        let mut delayed = self.delayed.lock().unwrap_or_else(PoisonError::into_inner);
        delayed
            .iter_mut()
            .for_each(|(calls, _)| *calls = calls.saturating_sub(1));
        let here = delayed.extract_if(.., |(calls, _)| *calls == 0);
        here.map(|(_, request)| request).collect()
    }
}

/// The error of a call whose request or reply is lost.
fn unavailable(maybe_applied: bool) -> StoreError {
    StoreError::unavailable(maybe_applied, "a fault of the test")
}

impl<S: Store> FaultStore<S> {
    async fn call<'a, T>(
        &'a self,
        op: Op,
        copy: Option<DelayedRequest>,
        run: impl FnOnce(&'a S) -> BoxFuture<'a, T>,
        fail: impl Fn(StoreError) -> T,
    ) -> T {
        match self.begin(op).await {
            Ok(fault) => self.apply(fault, copy, run, fail).await,
            Err(outage) => fail(outage),
        }
    }

    /// Applies copies that are due and takes the fault of this call. Fails during an outage.
    async fn begin(&self, op: Op) -> Result<Option<Fault>, StoreError> {
        if self.faults.is_out() {
            return Err(unavailable(false));
        }
        for request in self.take_delayed() {
            request.arrive(&self.inner).await;
        }
        Ok(self.faults.draw(op))
    }

    async fn apply<'a, T>(
        &'a self,
        fault: Option<Fault>,
        copy: Option<DelayedRequest>,
        run: impl FnOnce(&'a S) -> BoxFuture<'a, T>,
        fail: impl Fn(StoreError) -> T,
    ) -> T {
        match fault {
            Some(Fault::LoseBefore) => fail(unavailable(true)),
            Some(Fault::LoseAfter) => {
                run(&self.inner).await;
                fail(unavailable(true))
            }
            Some(Fault::PauseBefore(pause)) => {
                sleep(pause).await;
                run(&self.inner).await
            }
            Some(Fault::PauseAfter(pause)) => {
                let answer = run(&self.inner).await;
                sleep(pause).await;
                answer
            }
            Some(Fault::Repeat(calls)) => {
                let answer = run(&self.inner).await;
                if let Some(copy) = copy {
                    let mut delayed = self.delayed.lock().unwrap_or_else(PoisonError::into_inner);
                    delayed.push((calls.max(1), copy));
                }
                answer
            }
            Some(Fault::MissWake) | None => run(&self.inner).await,
        }
    }

    /// Waits as `changed` does, but for the full time.
    async fn sleep_through(
        &self,
        id: &SessionId,
        seen: Seen,
        within: Duration,
    ) -> Result<SessionState, StoreError> {
        let state = self.inner.changed(id, seen, Duration::ZERO).await?;
        if seen.is_behind(&state.version()) {
            return Ok(state);
        }
        sleep(within.min(Duration::from_secs(2))).await;
        self.inner.changed(id, seen, Duration::ZERO).await
    }
}

impl<S: Store> Store for FaultStore<S> {
    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn outlives_handle(&self) -> bool {
        self.inner.outlives_handle()
    }

    fn create<'a>(
        &'a self,
        id: &'a SessionId,
        new: NewSession,
    ) -> BoxFuture<'a, Result<Created, StoreError>> {
        let copy = DelayedRequest::Create(id.clone(), new.clone());
        Box::pin(self.call(
            Op::Create,
            Some(copy),
            move |store| store.create(id, new),
            Err,
        ))
    }

    fn claim<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Epoch,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claimed, StoreError>> {
        let copy = DelayedRequest::Claim(id.clone(), seen, token, lease);
        let run = move |store: &'a S| store.claim(id, seen, token, lease);
        Box::pin(self.call(Op::Claim, Some(copy), run, Err))
    }

    fn renew<'a>(
        &'a self,
        owned: &'a [(SessionId, Epoch)],
        lease: LeaseChange,
    ) -> BoxFuture<'a, Vec<Result<SessionState, StoreError>>> {
        let copy = DelayedRequest::Renew(owned.to_vec(), lease);
        let run = move |store: &'a S| store.renew(owned, lease);
        let fail = |error: StoreError| owned.iter().map(|_| Err(error.clone())).collect();
        Box::pin(self.call(Op::Renew, Some(copy), run, fail))
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
        let copy = DelayedRequest::Append(id.clone(), chunk.clone(), then.clone());
        let run = move |store: &'a S| store.append(id, chunk, then);
        Box::pin(self.call(Op::Append, Some(copy), run, Err))
    }

    fn read<'a>(
        &'a self,
        id: &'a SessionId,
        after: Position,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<RecordPage, StoreError>> {
        let run = move |store: &'a S| store.read(id, after, max_bytes);
        Box::pin(self.call(Op::Read, None, run, Err))
    }

    fn changed<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Seen,
        within: Duration,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        let run = move |store: &'a S| store.changed(id, seen, within);
        Box::pin(async move {
            match self.begin(Op::Changed).await? {
                Some(Fault::MissWake) => self.sleep_through(id, seen, within).await,
                fault => self.apply(fault, None, run, Err).await,
            }
        })
    }

    fn abort<'a>(
        &'a self,
        id: &'a SessionId,
        abort: AbortRequest,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        let copy = DelayedRequest::Abort(id.clone(), abort.clone());
        Box::pin(self.call(
            Op::Abort,
            Some(copy),
            move |store| store.abort(id, abort),
            Err,
        ))
    }

    fn answer<'a>(
        &'a self,
        id: &'a SessionId,
        answer: StoredAnswer,
    ) -> BoxFuture<'a, Result<AnswerOutcome, StoreError>> {
        let copy = DelayedRequest::Answer(id.clone(), answer.clone());
        Box::pin(self.call(
            Op::Answer,
            Some(copy),
            move |store| store.answer(id, answer),
            Err,
        ))
    }

    fn answers<'a>(
        &'a self,
        id: &'a SessionId,
        after: usize,
    ) -> BoxFuture<'a, Result<Vec<StoredAnswer>, StoreError>> {
        let run = move |store: &'a S| store.answers(id, after);
        Box::pin(self.call(Op::Answers, None, run, Err))
    }

    fn hold<'a>(
        &'a self,
        id: &'a SessionId,
        by: Holder,
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let copy = DelayedRequest::Hold(id.clone(), by, keep);
        Box::pin(self.call(
            Op::Hold,
            Some(copy),
            move |store| store.hold(id, by, keep),
            Err,
        ))
    }

    fn delete<'a>(
        &'a self,
        id: &'a SessionId,
        how: DeleteMode,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let copy = DelayedRequest::Delete(id.clone(), how);
        Box::pin(self.call(
            Op::Delete,
            Some(copy),
            move |store| store.delete(id, how),
            Err,
        ))
    }

    fn of_chat<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        chat: &'a ChatId,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>> {
        let run = move |store: &'a S| store.of_chat(owner, chat, limit);
        Box::pin(self.call(Op::OfChat, None, run, Err))
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Listing, StoreError>> {
        Box::pin(self.call(Op::List, None, move |store| store.list(filter), Err))
    }

    fn orphans(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Listed>, StoreError>> {
        Box::pin(self.call(Op::Orphans, None, move |store| store.orphans(limit), Err))
    }

    fn endings<'a>(
        &'a self,
        service: &'a ServiceName,
        limit: usize,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Vec<PendingEnding>, StoreError>> {
        let run = move |store: &'a S| store.endings(service, limit, lease);
        Box::pin(self.call(Op::Endings, None, run, Err))
    }

    fn postpone_ending<'a>(
        &'a self,
        id: &'a SessionId,
        delivery: u32,
        by: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let copy = DelayedRequest::PostponeEnding(id.clone(), delivery, by);
        let run = move |store: &'a S| store.postpone_ending(id, delivery, by);
        Box::pin(self.call(Op::PostponeEnding, Some(copy), run, Err))
    }

    fn delivered<'a>(
        &'a self,
        id: &'a SessionId,
        sealed_by: Epoch,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let copy = DelayedRequest::Delivered(id.clone(), sealed_by);
        let run = move |store: &'a S| store.delivered(id, sealed_by);
        Box::pin(self.call(Op::Delivered, Some(copy), run, Err))
    }

    fn sweep(&self, limit: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(self.call(Op::Sweep, None, move |store| store.sweep(limit), Err))
    }
}

impl<S: Rewind> Rewind for FaultStore<S> {
    type Snapshot = S::Snapshot;

    fn snapshot(&self) -> S::Snapshot {
        self.inner.snapshot()
    }

    fn restore(&self, snapshot: &S::Snapshot) {
        self.inner.restore(snapshot);
    }
}

impl<S: ClockJump> ClockJump for FaultStore<S> {
    fn jump(&self, by: Duration) {
        self.inner.jump(by);
    }
}
