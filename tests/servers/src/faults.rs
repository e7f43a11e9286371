//! Stores that break one rule each: the faults `lies`, `unfenced`, `deaf` and `polls`.
//!
//! The others are `silent` (a PostgreSQL store that sends no notifications), `starts-twice` and
//! `confirms-early` (a [`BrokenStore`](unbroken_conformance::BrokenStore)), and `ends-early` (a response
//! body that ends early).

#![deny(clippy::missing_trait_methods)]

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    time::{Instant, sleep, sleep_until},
};
use unbroken::{
    BoxFuture,
    log::{Chunk, ChunkBuilder, Epoch, SessionId},
    store::{AfterAppend, Appended, LeaseChange, Seen, SessionState, Store, StoreError, StoreExt},
};
use unbroken_conformance::delegate_store;

/// The delay of the writes of an [`EarlyAckStore`].
const WRITE_DELAY: Duration = Duration::from_millis(150);
/// The interval at which a [`PollingStore`] reads the state.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// The longest wait that the contract allows.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// A store that acknowledges records before it writes them: a kill loses them.
#[derive(Debug)]
pub(crate) struct EarlyAckStore {
    inner: Arc<dyn Store>,
    later: UnboundedSender<(Instant, SessionId, Chunk, AfterAppend)>,
}

impl EarlyAckStore {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        let (later, mut due) = unbounded_channel();
        let store = inner.clone();
        tokio::spawn(async move {
            while let Some((at, id, chunk, then)) = due.recv().await {
                sleep_until(at).await;
                let _ = Store::append(&*store, &id, chunk, then).await;
            }
        });
        Self { inner, later }
    }
}

impl Store for EarlyAckStore {
    delegate_store!(
        inner: durability, outlives_handle, create, claim, renew, read, changed, abort, answer, answers, hold, delete,
        of_chat, list, orphans, endings, postpone_ending, delivered, sweep
    );

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
        let write = (Instant::now() + WRITE_DELAY, id.clone(), chunk, then);
        let _ = self.later.send(write);
        Box::pin(async { Ok(Appended::default()) })
    }
}

/// A store that takes a former owner for the current one: it appends its records, and renews its lease.
#[derive(Debug)]
pub(crate) struct UnfencedStore {
    inner: Arc<dyn Store>,
}

impl UnfencedStore {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner }
    }
}

impl Store for UnfencedStore {
    delegate_store!(
        inner: durability, outlives_handle, create, claim, read, changed, abort, answer, answers, hold, delete,
        of_chat, list, orphans, endings, postpone_ending, delivered, sweep
    );

    // Or else a former owner would mostly learn from its renewal that it writes no more.
    fn renew<'a>(
        &'a self,
        leases: &'a [(SessionId, Epoch)],
        change: LeaseChange,
    ) -> BoxFuture<'a, Vec<Result<SessionState, StoreError>>> {
        Box::pin(async move {
            let mut forged = leases.to_vec();
            for (id, epoch) in &mut forged {
                if let Ok(state) = self.inner.state(id).await {
                    *epoch = state.epoch;
                }
            }
            self.inner.renew(&forged, change).await
        })
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
        let (store, id) = (self.inner.clone(), id.clone());
        // On a task of its own, like a request on the network: dropping the future does not stop it.
        let append = tokio::spawn(async move {
            let epoch = store.state(&id).await?.epoch;
            let mut records = ChunkBuilder::new();
            for record in chunk.records() {
                records.push(record.bytes);
            }
            let forged = records.take(chunk.first(), epoch);
            Store::append(&*store, &id, forged.unwrap_or(chunk), then).await
        });
        Box::pin(async move {
            let appended = append.await;
            appended.map_err(|error| StoreError::unavailable(true, error))?
        })
    }
}

/// A store without wake-ups: a wait ends at its limit, or after the longest wait of the contract.
#[derive(Debug)]
pub(crate) struct NoWakeupStore {
    inner: Arc<dyn Store>,
}

impl NoWakeupStore {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner }
    }
}

impl Store for NoWakeupStore {
    delegate_store!(
        inner: durability, outlives_handle, create, claim, renew, append, append_now, read, abort, answer, answers, hold,
        delete, of_chat, list, orphans, endings, postpone_ending, delivered, sweep
    );

    fn changed<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Seen,
        within: Duration,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        Box::pin(async move {
            let state = self.inner.state(id).await?;
            if seen.is_behind(&state.version()) {
                return Ok(state);
            }
            sleep(within.min(MAX_WAIT)).await;
            self.inner.state(id).await
        })
    }
}

/// A store that polls the state instead of waiting for wake-ups.
#[derive(Debug)]
pub(crate) struct PollingStore {
    inner: Arc<dyn Store>,
}

impl PollingStore {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner }
    }
}

impl Store for PollingStore {
    delegate_store!(
        inner: durability, outlives_handle, create, claim, renew, append, append_now, read, abort, answer, answers, hold,
        delete, of_chat, list, orphans, endings, postpone_ending, delivered, sweep
    );

    fn changed<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Seen,
        within: Duration,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        Box::pin(async move {
            let deadline = Instant::now() + within.min(MAX_WAIT);
            loop {
                let state = self.inner.state(id).await?;
                if seen.is_behind(&state.version()) || Instant::now() >= deadline {
                    return Ok(state);
                }
                sleep(POLL_INTERVAL).await;
            }
        })
    }
}
