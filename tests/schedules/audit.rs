//! Stands right before the store, where nothing is lost, and sees that each session has one writer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use unbroken::{
    session::{Chunk, Epoch, Position, SessionId},
    store::{
        Abort, Appended, BoxFuture, Claimed, Created, Delete, Durability, Filter, Holder, Listed,
        Listing, Memory, New, Page, State, Store, StoreError, Then, Token, Version,
    },
};

#[derive(Debug, Clone)]
pub(crate) struct Audit {
    pub(crate) memory: Memory,
    epochs: Arc<Mutex<HashMap<SessionId, Epoch>>>,
    violations: Arc<Mutex<Vec<String>>>,
}

impl Audit {
    pub(crate) fn new(memory: Memory) -> Self {
        Self {
            memory,
            epochs: Arc::default(),
            violations: Arc::default(),
        }
    }

    pub(crate) fn violation(&self) -> Option<String> {
        self.violations.lock().unwrap().pop()
    }

    /// The store goes back, and the epochs with it.
    pub(crate) fn forget(&self) {
        self.epochs.lock().unwrap().clear();
    }
}

impl Store for Audit {
    fn durability(&self) -> Durability {
        self.memory.durability()
    }

    fn create<'a>(
        &'a self,
        id: &'a SessionId,
        new: New,
    ) -> BoxFuture<'a, Result<Created, StoreError>> {
        self.memory.create(id, new)
    }

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

    fn append<'a>(
        &'a self,
        id: &'a SessionId,
        chunk: Chunk,
        then: Then,
    ) -> BoxFuture<'a, Result<Appended, StoreError>> {
        Box::pin(async move {
            let (epoch, last) = (chunk.epoch(), chunk.last());
            let before = self.memory.read(id, Position::START, 0).await;
            let appended = self.memory.append(id, chunk, then).await;
            let owner = self.epochs.lock().unwrap().get(id).copied();
            let fresh = before.is_ok_and(|page| page.state.tail < last);
            if appended.is_ok() && fresh && owner.is_some_and(|owner| owner != epoch) {
                let what =
                    format!("epoch {epoch:?} wrote at LSN {last} after {owner:?} had claimed");
                self.violations.lock().unwrap().push(what);
            }
            appended
        })
    }

    fn renew<'a>(
        &'a self,
        owned: &'a [(SessionId, Epoch)],
        lease: Duration,
    ) -> BoxFuture<'a, Vec<Result<State, StoreError>>> {
        self.memory.renew(owned, lease)
    }

    fn read<'a>(
        &'a self,
        id: &'a SessionId,
        after: Position,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        self.memory.read(id, after, max_bytes)
    }

    fn changed<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Version,
        within: Duration,
    ) -> BoxFuture<'a, Result<State, StoreError>> {
        self.memory.changed(id, seen, within)
    }

    fn abort<'a>(
        &'a self,
        id: &'a SessionId,
        abort: Abort,
    ) -> BoxFuture<'a, Result<State, StoreError>> {
        self.memory.abort(id, abort)
    }

    fn hold<'a>(
        &'a self,
        id: &'a SessionId,
        by: Holder,
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.memory.hold(id, by, keep)
    }

    fn delete<'a>(
        &'a self,
        id: &'a SessionId,
        how: Delete,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.memory.delete(id, how)
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Listing, StoreError>> {
        self.memory.list(filter)
    }

    fn orphans(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Listed>, StoreError>> {
        self.memory.orphans(limit)
    }

    fn sweep(&self, limit: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        self.memory.sweep(limit)
    }
}
