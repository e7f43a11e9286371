//! The defects that schedules must detect. They are in wrappers and clients, not in the library.

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

/// A defect that some schedule must detect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Defect {
    #[default]
    None,
    /// The store breaks a rule of its contract.
    Rule(ContractRule),
    /// A server takes an append without a reply for a success.
    LostReplyIsSuccess,
    /// A server reads the state only when it is woken.
    OnlyWakeups,
    /// A client aborts the session when its last reader disconnects.
    LastReaderAborts,
    /// A server runs a start that it has refused.
    RefusedStartRuns,
    /// A client takes the tail from when its reader was opened for the end of the log.
    StaleTailIsEnd,
}

impl From<ContractRule> for Defect {
    fn from(rule: ContractRule) -> Self {
        Self::Rule(rule)
    }
}

/// The longest wait that the contract allows.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// A wrapper of a server's store with the defects of the server.
#[derive(Debug, Clone)]
pub(crate) struct DefectiveStore<S> {
    inner: S,
    defect: Defect,
    // The states that the server sees until it is woken.
    stale: Arc<Mutex<HashMap<SessionId, SessionState>>>,
}

impl<S: Store> DefectiveStore<S> {
    pub(crate) fn new(inner: S, defect: Defect) -> Self {
        Self {
            inner,
            defect,
            stale: Arc::default(),
        }
    }

    fn stale(&self, id: &SessionId) -> Option<SessionState> {
        self.stale.lock().unwrap().get(id).cloned()
    }

    /// Waits for a wake-up, and hides a change without one.
    async fn woken(
        &self,
        id: &SessionId,
        seen: Seen,
        within: Duration,
    ) -> Result<SessionState, StoreError> {
        let stale = self.stale(id);
        let now = self.inner.state(id).await?;
        if stale.is_none() && seen.is_behind(&now.version()) {
            return Ok(now);
        }
        let before = stale.unwrap_or_else(|| now.clone());
        let began = Instant::now();
        let after = self.inner.changed(id, now.version().into(), within).await?;
        let mut stale = self.stale.lock().unwrap();
        if began.elapsed() < within.min(MAX_WAIT) {
            stale.remove(id);
            return Ok(after);
        }
        if before.version() != after.version() {
            stale.insert(id.clone(), before.clone());
        }
        Ok(before)
    }
}

impl<S: Store> Store for DefectiveStore<S> {
    delegate_store!(
        inner: durability, outlives_handle, create, claim, renew, abort, answer, answers, hold, delete, of_chat, list, orphans, endings, postpone_ending, delivered,
        sweep
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
        Box::pin(async move {
            match self.inner.append(id, chunk, then).await {
                Err(error)
                    if error.is_unavailable() && self.defect == Defect::LostReplyIsSuccess =>
                {
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
            match self.stale(id).filter(|state| state.tail == after.lsn) {
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
        let reads_state = within.is_zero() || seen.is_owner();
        if self.defect == Defect::OnlyWakeups && !reads_state {
            return Box::pin(self.woken(id, seen, within));
        }
        self.inner.changed(id, seen, within)
    }
}
