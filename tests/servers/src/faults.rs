//! Stores that break one rule each. Beside them there are the faults `silent` (a PostgreSQL store
//! that sends no notifications), `starts-twice` and `confirms-early` (a
//! [`BrokenStore`](unbroken_conformance::BrokenStore)), and `ends-early` (a response body that ends).

#![deny(clippy::missing_trait_methods)]

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    time::{Instant, sleep, sleep_until},
};
use unbroken::{
    BoxFuture,
    log::{Chunk, ChunkBuilder, SessionId},
    store::{AfterAppend, Appended, Seen, SessionState, Store, StoreError, StoreExt},
};
use unbroken_conformance::delegate_store;

/// How much later than it says a [`Lying`] store writes.
const LATER: Duration = Duration::from_millis(150);
/// How often a [`Polling`] store looks.
const POLL: Duration = Duration::from_millis(20);
/// The longest wait that the contract allows.
const CAP: Duration = Duration::from_secs(2);

/// Acknowledges records that it writes only later: a kill takes them.
#[derive(Debug)]
pub(crate) struct Lying {
    inner: Arc<dyn Store>,
    later: UnboundedSender<(Instant, SessionId, Chunk, AfterAppend)>,
}

impl Lying {
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

impl Store for Lying {
    delegate_store!(
        inner: durability, create, claim, renew, read, changed, abort, answer, answers, hold, delete,
        list, orphans, sweep
    );

    fn append<'a>(
        &'a self,
        id: &'a SessionId,
        chunk: Chunk,
        then: AfterAppend,
    ) -> BoxFuture<'a, Result<Appended, StoreError>> {
        let write = (Instant::now() + LATER, id.clone(), chunk, then);
        let _ = self.later.send(write);
        Box::pin(async { Ok(Appended::default()) })
    }
}

/// Takes what a former owner writes as if the present one wrote it.
#[derive(Debug)]
pub(crate) struct Unfenced {
    inner: Arc<dyn Store>,
}

impl Unfenced {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner }
    }
}

impl Store for Unfenced {
    delegate_store!(
        inner: durability, create, claim, renew, read, changed, abort, answer, answers, hold, delete,
        list, orphans, sweep
    );

    fn append<'a>(
        &'a self,
        id: &'a SessionId,
        chunk: Chunk,
        then: AfterAppend,
    ) -> BoxFuture<'a, Result<Appended, StoreError>> {
        let (store, id) = (self.inner.clone(), id.clone());
        // On a task of its own, as a request that is on its way: who is fenced doesn't wait for it.
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

/// Is never woken: a wait ends when the contract says that it must.
#[derive(Debug)]
pub(crate) struct Deaf {
    inner: Arc<dyn Store>,
}

impl Deaf {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner }
    }
}

impl Store for Deaf {
    delegate_store!(
        inner: durability, create, claim, renew, append, read, abort, answer, answers, hold, delete,
        list, orphans, sweep
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
            sleep(within.min(CAP)).await;
            self.inner.state(id).await
        })
    }
}

/// Looks again and again instead of waiting to be told.
#[derive(Debug)]
pub(crate) struct Polling {
    inner: Arc<dyn Store>,
}

impl Polling {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner }
    }
}

impl Store for Polling {
    delegate_store!(
        inner: durability, create, claim, renew, append, read, abort, answer, answers, hold, delete,
        list, orphans, sweep
    );

    fn changed<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Seen,
        within: Duration,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        Box::pin(async move {
            let deadline = Instant::now() + within.min(CAP);
            loop {
                let state = self.inner.state(id).await?;
                if seen.is_behind(&state.version()) || Instant::now() >= deadline {
                    return Ok(state);
                }
                sleep(POLL).await;
            }
        })
    }
}
