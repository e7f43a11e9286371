#![deny(clippy::missing_trait_methods)]

use std::{sync::Arc, time::Duration};

use super::{
    AbortRequest, AfterAppend, AnswerOutcome, Appended, Claimed, Created, DeleteMode, Durability,
    Filter, Holder, LeaseChange, Listed, Listing, NewSession, PendingEnding, RecordPage, Seen,
    SessionState, Store, StoreError, StoredAnswer, Token,
};
use crate::{
    BoxFuture,
    log::{ChatId, Chunk, Epoch, Owner, Position, ServiceName, SessionId},
};

impl<S: Store + ?Sized> Store for Arc<S> {
    fn durability(&self) -> Durability {
        (**self).durability()
    }

    fn outlives_handle(&self) -> bool {
        Self::strong_count(self) > 1 || (**self).outlives_handle()
    }

    fn create<'a>(
        &'a self,
        id: &'a SessionId,
        new: NewSession,
    ) -> BoxFuture<'a, Result<Created, StoreError>> {
        (**self).create(id, new)
    }

    fn claim<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Epoch,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claimed, StoreError>> {
        (**self).claim(id, seen, token, lease)
    }

    fn renew<'a>(
        &'a self,
        owned: &'a [(SessionId, Epoch)],
        lease: LeaseChange,
    ) -> BoxFuture<'a, Vec<Result<SessionState, StoreError>>> {
        (**self).renew(owned, lease)
    }

    fn append<'a>(
        &'a self,
        id: &'a SessionId,
        chunk: Chunk,
        after: AfterAppend,
    ) -> BoxFuture<'a, Result<Appended, StoreError>> {
        (**self).append(id, chunk, after)
    }

    fn append_now(
        &self,
        id: &SessionId,
        chunk: &Chunk,
        after: AfterAppend,
    ) -> Option<Result<Appended, StoreError>> {
        (**self).append_now(id, chunk, after)
    }

    fn read<'a>(
        &'a self,
        id: &'a SessionId,
        after: Position,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<RecordPage, StoreError>> {
        (**self).read(id, after, max_bytes)
    }

    fn changed<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Seen,
        within: Duration,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        (**self).changed(id, seen, within)
    }

    fn abort<'a>(
        &'a self,
        id: &'a SessionId,
        abort: AbortRequest,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        (**self).abort(id, abort)
    }

    fn answer<'a>(
        &'a self,
        id: &'a SessionId,
        answer: StoredAnswer,
    ) -> BoxFuture<'a, Result<AnswerOutcome, StoreError>> {
        (**self).answer(id, answer)
    }

    fn answers<'a>(
        &'a self,
        id: &'a SessionId,
        after: usize,
    ) -> BoxFuture<'a, Result<Vec<StoredAnswer>, StoreError>> {
        (**self).answers(id, after)
    }

    fn hold<'a>(
        &'a self,
        id: &'a SessionId,
        by: Holder,
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        (**self).hold(id, by, keep)
    }

    fn delete<'a>(
        &'a self,
        id: &'a SessionId,
        how: DeleteMode,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        (**self).delete(id, how)
    }

    fn of_chat<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        chat: &'a ChatId,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>> {
        (**self).of_chat(owner, chat, limit)
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Listing, StoreError>> {
        (**self).list(filter)
    }

    fn orphans(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Listed>, StoreError>> {
        (**self).orphans(limit)
    }

    fn endings<'a>(
        &'a self,
        service: &'a ServiceName,
        limit: usize,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Vec<PendingEnding>, StoreError>> {
        (**self).endings(service, limit, lease)
    }

    fn postpone_ending<'a>(
        &'a self,
        id: &'a SessionId,
        delivery: u32,
        by: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        (**self).postpone_ending(id, delivery, by)
    }

    fn delivered<'a>(
        &'a self,
        id: &'a SessionId,
        sealed_by: Epoch,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        (**self).delivered(id, sealed_by)
    }

    fn sweep(&self, limit: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        (**self).sweep(limit)
    }
}
