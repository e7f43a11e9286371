//! The fault of a broken schedule, always from outside: a rule of the store, what one server hears
//! of it, or a client.

#![deny(clippy::missing_trait_methods)]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;
use unbroken::{
    BoxFuture,
    log::{Chunk, Position, SessionId},
    store::{AfterAppend, Appended, RecordPage, Seen, SessionState, Store, StoreError, StoreExt},
};
use unbroken_conformance::{ContractRule, delegate_store};

/// The fault that a schedule must notice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Broken {
    #[default]
    Nothing,
    /// The store breaks a rule of its contract.
    Rule(ContractRule),
    /// An append that the store did not answer counts as acknowledged.
    SilenceForYes,
    /// A server looks at the store only when it is woken.
    TrustedWakeups,
    /// A client stops the session when its last reader goes.
    LastReaderStops,
    /// A client takes the tail at the opening of its reader for the end.
    OldTailEnds,
}

impl From<ContractRule> for Broken {
    fn from(rule: ContractRule) -> Self {
        Self::Rule(rule)
    }
}

/// No wait of a store is longer.
const CAP: Duration = Duration::from_secs(2);

/// A wrapper between one server and its store, which answers as a careless server would read it.
#[derive(Debug, Clone)]
pub(crate) struct ServerStore<S> {
    inner: S,
    broken: Broken,
    // The states that a server believes in until it is woken.
    believed: Arc<Mutex<HashMap<SessionId, SessionState>>>,
}

impl<S: Store> ServerStore<S> {
    pub(crate) fn new(inner: S, broken: Broken) -> Self {
        Self {
            inner,
            broken,
            believed: Arc::default(),
        }
    }

    fn believed(&self, id: &SessionId) -> Option<SessionState> {
        self.believed.lock().unwrap().get(id).cloned()
    }

    /// Waits for a wake-up; a change that came without one is not seen.
    async fn woken(
        &self,
        id: &SessionId,
        seen: Seen,
        within: Duration,
    ) -> Result<SessionState, StoreError> {
        let believed = self.believed(id);
        let now = self.inner.state(id).await?;
        if believed.is_none() && seen.is_behind(&now.version()) {
            return Ok(now);
        }
        let before = believed.unwrap_or_else(|| now.clone());
        let began = Instant::now();
        let after = self.inner.changed(id, now.version().into(), within).await?;
        let mut believed = self.believed.lock().unwrap();
        if began.elapsed() < within.min(CAP) {
            believed.remove(id);
            return Ok(after);
        }
        if before.version() != after.version() {
            believed.insert(id.clone(), before.clone());
        }
        Ok(before)
    }
}

impl<S: Store> Store for ServerStore<S> {
    delegate_store!(
        inner: durability, create, claim, renew, abort, answer, answers, hold, delete, list, orphans,
        sweep
    );

    fn append<'a>(
        &'a self,
        id: &'a SessionId,
        chunk: Chunk,
        then: AfterAppend,
    ) -> BoxFuture<'a, Result<Appended, StoreError>> {
        Box::pin(async move {
            match self.inner.append(id, chunk, then).await {
                Err(error) if error.is_unavailable() && self.broken == Broken::SilenceForYes => {
                    Ok(Appended::default())
                }
                appended => appended,
            }
        })
    }

    fn read<'a>(
        &'a self,
        id: &'a SessionId,
        after: Position,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<RecordPage, StoreError>> {
        Box::pin(async move {
            match self.believed(id).filter(|state| state.tail == after.lsn) {
                Some(state) => Ok(RecordPage {
                    chunks: Vec::new(),
                    state,
                }),
                None => self.inner.read(id, after, max_bytes).await,
            }
        })
    }

    fn changed<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Seen,
        within: Duration,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        let looks = within.is_zero() || seen.is_owner();
        if self.broken == Broken::TrustedWakeups && !looks {
            return Box::pin(self.woken(id, seen, within));
        }
        self.inner.changed(id, seen, within)
    }
}
