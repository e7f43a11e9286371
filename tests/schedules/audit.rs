//! A check in front of the store that each session has one writer at a time.

#![deny(clippy::missing_trait_methods)]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use unbroken::{
    BoxFuture,
    log::{Chunk, Epoch, Position, SessionId},
    store::{AfterAppend, Appended, Claimed, Memory, Store, StoreError, Token},
};
use unbroken_conformance::{BrokenStore, delegate_store};

/// A store that checks the epoch of every append. The injected faults are outside of it.
#[derive(Debug, Clone)]
pub(crate) struct Audit {
    pub(crate) memory: BrokenStore<Memory>,
    epochs: Arc<Mutex<HashMap<SessionId, Epoch>>>,
    violations: Arc<Mutex<Vec<String>>>,
}

impl Audit {
    pub(crate) fn new(memory: BrokenStore<Memory>) -> Self {
        Self {
            memory,
            epochs: Arc::default(),
            violations: Arc::default(),
        }
    }

    pub(crate) fn violation(&self) -> Option<String> {
        self.violations.lock().unwrap().pop()
    }

    /// Drops the recorded epochs, as the store goes back to a snapshot.
    pub(crate) fn reset(&self) {
        self.epochs.lock().unwrap().clear();
    }
}

impl Store for Audit {
    delegate_store!(
        memory: durability, outlives_handle, create, renew, read, changed, abort, answer, answers, hold, delete,
        of_chat, list, orphans, endings, postpone_ending, delivered, sweep
    );

    fn claim<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Epoch,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claimed, StoreError>> {
        Box::pin(async move {
            let claimed = self.memory.claim(id, seen, token, lease).await;
            if let Ok(claimed) = &claimed {
                self.epochs
                    .lock()
                    .unwrap()
                    .insert(id.clone(), claimed.epoch);
            }
            claimed
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
        Box::pin(async move {
            let (epoch, last) = (chunk.epoch(), chunk.last());
            let before = self.memory.read(id, Position::START, 0).await;
            let appended = self.memory.append(id, chunk, then).await;
            let owner = self.epochs.lock().unwrap().get(id).copied();
            let fresh = before.is_ok_and(|page| page.state.tail < last);
            if appended.is_ok() && fresh && owner.is_some_and(|owner| owner != epoch) {
                let violation =
                    format!("epoch {epoch:?} wrote at LSN {last} after {owner:?} had claimed");
                self.violations.lock().unwrap().push(violation);
            }
            appended
        })
    }
}
