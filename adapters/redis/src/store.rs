use std::time::Duration;

use futures_util::future::join_all;
use unbroken::{
    BoxFuture,
    log::{ChatId, Chunk, Epoch, Owner, Position, ServiceName, SessionId},
    store::{
        AbortRequest, AfterAppend, AnswerOutcome, Appended, Claimed, Created, DeleteMode,
        Durability, Filter, Holder, LeaseChange, Listed, Listing, NewSession, PendingEnding,
        RecordPage, Seen, SessionState, Store, StoreError, StoredAnswer, Token,
    },
};

use crate::Redis;

impl Store for Redis {
    fn durability(&self) -> Durability {
        self.inner.durability
    }

    fn create<'a>(
        &'a self,
        id: &'a SessionId,
        new: NewSession,
    ) -> BoxFuture<'a, Result<Created, StoreError>> {
        Box::pin(self.create_now(id, new))
    }

    fn claim<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Epoch,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claimed, StoreError>> {
        Box::pin(self.claim_now(id, seen, token, lease))
    }

    fn renew<'a>(
        &'a self,
        owned: &'a [(SessionId, Epoch)],
        lease: LeaseChange,
    ) -> BoxFuture<'a, Vec<Result<SessionState, StoreError>>> {
        Box::pin(async move {
            let renewals = owned
                .iter()
                .map(|(id, epoch)| self.renew_one(id, *epoch, lease));
            let answers = join_all(renewals).await;
            let renewed = owned.iter().zip(&answers);
            let renewed: Vec<_> = renewed
                .filter_map(|((id, _), answer)| Some((id, answer.as_ref().ok()?)))
                .collect();
            self.index_leases(&renewed, lease.length()).await;
            answers
        })
    }

    fn append<'a>(
        &'a self,
        id: &'a SessionId,
        chunk: Chunk,
        then: AfterAppend,
    ) -> BoxFuture<'a, Result<Appended, StoreError>> {
        Box::pin(self.append_now(id, chunk, then))
    }

    fn read<'a>(
        &'a self,
        id: &'a SessionId,
        after: Position,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<RecordPage, StoreError>> {
        Box::pin(self.read_now(id, after, max_bytes))
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
        Box::pin(self.abort_now(id, abort))
    }

    fn answer<'a>(
        &'a self,
        id: &'a SessionId,
        answer: StoredAnswer,
    ) -> BoxFuture<'a, Result<AnswerOutcome, StoreError>> {
        Box::pin(self.answer_now(id, answer))
    }

    fn answers<'a>(
        &'a self,
        id: &'a SessionId,
        after: usize,
    ) -> BoxFuture<'a, Result<Vec<StoredAnswer>, StoreError>> {
        Box::pin(self.answers_now(id, after))
    }

    fn hold<'a>(
        &'a self,
        id: &'a SessionId,
        by: Holder,
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.hold_now(id, by, keep))
    }

    fn delete<'a>(
        &'a self,
        id: &'a SessionId,
        how: DeleteMode,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.delete_now(id, how))
    }

    fn of_chat<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        chat: &'a ChatId,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>> {
        Box::pin(self.of_chat_now(owner, chat, limit))
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Listing, StoreError>> {
        Box::pin(self.list_now(filter))
    }

    fn orphans(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Listed>, StoreError>> {
        Box::pin(self.orphans_now(limit))
    }

    fn endings<'a>(
        &'a self,
        service: &'a ServiceName,
        limit: usize,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Vec<PendingEnding>, StoreError>> {
        Box::pin(self.endings_now(service, limit, lease))
    }

    fn postpone_ending<'a>(
        &'a self,
        id: &'a SessionId,
        delivery: u32,
        by: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.postpone_now(id, delivery, by))
    }

    fn delivered<'a>(
        &'a self,
        id: &'a SessionId,
        sealed_by: Epoch,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.delivered_now(id, sealed_by))
    }

    fn sweep(&self, limit: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(self.sweep_now(limit))
    }
}
