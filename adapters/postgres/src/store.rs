use std::time::Duration;

use unbroken::{
    BoxFuture,
    log::{ChatId, Chunk, Epoch, Owner, Position, ServiceName, SessionId},
    store::{
        AbortRequest, AfterAppend, AnswerOutcome, Appended, Claimed, Created, DeleteMode,
        Durability, Filter, Holder, LeaseChange, Listed, Listing, NewSession, PendingEnding,
        RecordPage, Seen, SessionState, Store, StoreError, StoredAnswer, Token,
    },
};

use crate::Postgres;

impl Store for Postgres {
    fn durability(&self) -> Durability {
        self.inner.durability
    }

    fn create<'a>(
        &'a self,
        id: &'a SessionId,
        new: NewSession,
    ) -> BoxFuture<'a, Result<Created, StoreError>> {
        let id = id.clone();
        Box::pin(self.on_task(|inner| async move { inner.create(&id, &new).await }))
    }

    fn claim<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Epoch,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claimed, StoreError>> {
        let id = id.clone();
        Box::pin(
            self.on_task(move |inner| async move { inner.claim(&id, seen, token, lease).await }),
        )
    }

    fn renew<'a>(
        &'a self,
        owned: &'a [(SessionId, Epoch)],
        lease: LeaseChange,
    ) -> BoxFuture<'a, Vec<Result<SessionState, StoreError>>> {
        Box::pin(async move {
            let entries = owned.to_vec();
            let renewing =
                self.on_task(move |inner| async move { Ok(inner.renew(&entries, lease).await) });
            let failed = |error: StoreError| owned.iter().map(|_| Err(error.clone())).collect();
            renewing.await.unwrap_or_else(failed)
        })
    }

    fn append<'a>(
        &'a self,
        id: &'a SessionId,
        chunk: Chunk,
        then: AfterAppend,
    ) -> BoxFuture<'a, Result<Appended, StoreError>> {
        let id = id.clone();
        Box::pin(self.on_task(move |inner| async move { inner.append(&id, &chunk, &then).await }))
    }

    fn read<'a>(
        &'a self,
        id: &'a SessionId,
        after: Position,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<RecordPage, StoreError>> {
        let id = id.clone();
        Box::pin(self.on_task(move |inner| async move { inner.page(&id, after, max_bytes).await }))
    }

    fn changed<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Seen,
        within: Duration,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        Box::pin(self.wait(id, seen, within))
    }

    fn abort<'a>(
        &'a self,
        id: &'a SessionId,
        abort: AbortRequest,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        let id = id.clone();
        Box::pin(self.on_task(|inner| async move { inner.abort(&id, &abort).await }))
    }

    fn answer<'a>(
        &'a self,
        id: &'a SessionId,
        answer: StoredAnswer,
    ) -> BoxFuture<'a, Result<AnswerOutcome, StoreError>> {
        let id = id.clone();
        Box::pin(self.on_task(|inner| async move { inner.answer(&id, &answer).await }))
    }

    fn answers<'a>(
        &'a self,
        id: &'a SessionId,
        after: usize,
    ) -> BoxFuture<'a, Result<Vec<StoredAnswer>, StoreError>> {
        let id = id.clone();
        Box::pin(self.on_task(move |inner| async move { inner.answers(&id, after).await }))
    }

    fn hold<'a>(
        &'a self,
        id: &'a SessionId,
        by: Holder,
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let id = id.clone();
        Box::pin(self.on_task(move |inner| async move { inner.hold(&id, by, keep).await }))
    }

    fn delete<'a>(
        &'a self,
        id: &'a SessionId,
        how: DeleteMode,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let id = id.clone();
        Box::pin(self.on_task(move |inner| async move { inner.delete(&id, how).await }))
    }

    fn of_chat<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        chat: &'a ChatId,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>> {
        let (owner, chat) = (owner.cloned(), chat.clone());
        Box::pin(
            self.on_task(
                move |inner| async move { inner.of_chat(owner.as_ref(), &chat, limit).await },
            ),
        )
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Listing, StoreError>> {
        let filter = filter.clone();
        Box::pin(self.on_task(|inner| async move { inner.list(&filter).await }))
    }

    fn orphans(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Listed>, StoreError>> {
        Box::pin(self.on_task(move |inner| async move { inner.orphans(limit).await }))
    }

    fn endings<'a>(
        &'a self,
        service: &'a ServiceName,
        limit: usize,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Vec<PendingEnding>, StoreError>> {
        let service = service.clone();
        Box::pin(
            self.on_task(move |inner| async move { inner.endings(&service, limit, lease).await }),
        )
    }

    fn postpone_ending<'a>(
        &'a self,
        id: &'a SessionId,
        delivery: u32,
        by: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let id = id.clone();
        Box::pin(
            self.on_task(
                move |inner| async move { inner.postpone_ending(&id, delivery, by).await },
            ),
        )
    }

    fn delivered<'a>(
        &'a self,
        id: &'a SessionId,
        sealed_by: Epoch,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let id = id.clone();
        Box::pin(self.on_task(move |inner| async move { inner.delivered(&id, sealed_by).await }))
    }

    fn sweep(&self, limit: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(self.on_task(move |inner| async move { inner.sweep(limit).await }))
    }
}
