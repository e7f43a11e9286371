use std::{sync::Arc, time::Duration};

use unbroken::{
    BoxFuture,
    log::{ChatId, Chunk, Epoch, Owner, Position, ServiceName, SessionId},
    store::{
        AbortRequest, AfterAppend, AnswerOutcome, Appended, Claimed, Created, DeleteMode,
        Durability, Filter, Holder, LeaseChange, Listed, Listing, NewSession, PendingEnding,
        RecordPage, Seen, SessionState, Store, StoreError, StoredAnswer, Token,
    },
};

use crate::handle::Disk;

impl Store for Disk {
    fn durability(&self) -> Durability {
        Durability::Host
    }

    fn create<'a>(
        &'a self,
        id: &'a SessionId,
        new: NewSession,
    ) -> BoxFuture<'a, Result<Created, StoreError>> {
        let id = id.clone();
        self.write(move |batch| batch.create(&id, &new))
    }

    fn claim<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Epoch,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claimed, StoreError>> {
        let id = id.clone();
        self.write(move |batch| batch.claim(&id, seen, token, lease))
    }

    fn renew<'a>(
        &'a self,
        owned: &'a [(SessionId, Epoch)],
        lease: LeaseChange,
    ) -> BoxFuture<'a, Vec<Result<SessionState, StoreError>>> {
        let sessions: Arc<[_]> = owned.into();
        let renewed = self.write(move |batch| {
            let renewed = sessions.iter();
            Ok(renewed
                .map(|(id, epoch)| batch.renew(id, *epoch, lease))
                .collect())
        });
        Box::pin(async move {
            renewed
                .await
                .unwrap_or_else(|error| vec![Err(error); owned.len()])
        })
    }

    fn append<'a>(
        &'a self,
        id: &'a SessionId,
        chunk: Chunk,
        after: AfterAppend,
    ) -> BoxFuture<'a, Result<Appended, StoreError>> {
        let id = id.clone();
        self.write(move |batch| batch.append(&id, &chunk, after))
    }

    fn read<'a>(
        &'a self,
        id: &'a SessionId,
        after: Position,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<RecordPage, StoreError>> {
        Box::pin(self.page(id, after, max_bytes))
    }

    fn changed<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Seen,
        within: Duration,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        Box::pin(self.table.changed(id, seen, within))
    }

    fn abort<'a>(
        &'a self,
        id: &'a SessionId,
        abort: AbortRequest,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        let id = id.clone();
        self.write(move |batch| batch.abort(&id, abort))
    }

    fn answer<'a>(
        &'a self,
        id: &'a SessionId,
        answer: StoredAnswer,
    ) -> BoxFuture<'a, Result<AnswerOutcome, StoreError>> {
        let id = id.clone();
        self.write(move |batch| batch.answer(&id, &answer))
    }

    fn answers<'a>(
        &'a self,
        id: &'a SessionId,
        after: usize,
    ) -> BoxFuture<'a, Result<Vec<StoredAnswer>, StoreError>> {
        Box::pin(async move {
            let entry = self.table.entry(id)?;
            let session = entry.lock();
            session.machine.answers_after(after, self.table.now())
        })
    }

    fn hold<'a>(
        &'a self,
        id: &'a SessionId,
        by: Holder,
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let id = id.clone();
        self.write(move |batch| batch.hold(&id, by, keep))
    }

    fn delete<'a>(
        &'a self,
        id: &'a SessionId,
        how: DeleteMode,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let id = id.clone();
        self.write(move |batch| batch.delete(&id, how))
    }

    fn of_chat<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        chat: &'a ChatId,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>> {
        Box::pin(async move { Ok(self.table.of_chat(owner, chat, limit)) })
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Listing, StoreError>> {
        Box::pin(async move { Ok(self.table.list(filter)) })
    }

    fn orphans(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Listed>, StoreError>> {
        Box::pin(async move { Ok(self.table.orphans(limit)) })
    }

    fn endings<'a>(
        &'a self,
        service: &'a ServiceName,
        limit: usize,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Vec<PendingEnding>, StoreError>> {
        Box::pin(self.take_endings(service, limit, lease))
    }

    fn postpone_ending<'a>(
        &'a self,
        id: &'a SessionId,
        delivery: u32,
        by: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let id = id.clone();
        self.write(move |batch| batch.postpone_ending(&id, delivery, by))
    }

    fn delivered<'a>(&'a self, id: &'a SessionId) -> BoxFuture<'a, Result<(), StoreError>> {
        let id = id.clone();
        self.write(move |batch| {
            batch.deliver_ending(&id);
            Ok(())
        })
    }

    fn sweep(&self, limit: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        self.write(move |batch| Ok(batch.sweep(limit)))
    }
}
