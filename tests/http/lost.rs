//! A store that can be unreachable, slow, or hold corrupt records.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use unbroken::{
    BoxFuture,
    log::{ChatId, Chunk, Epoch, Lsn, Owner, Position, ServiceName, SessionId},
    store::{
        AbortRequest, AfterAppend, AnswerOutcome, Appended, Claimed, Created, DeleteMode,
        Durability, Filter, Holder, LeaseChange, Listed, Listing, Memory, NewSession,
        PendingEnding, RecordPage, Seen, SessionState, Store, StoreError, StoredAnswer, Token,
    },
};

#[derive(Debug, Clone)]
pub(crate) struct Lost {
    store: Memory,
    out_of_reach: Arc<AtomicBool>,
    upgraded: Arc<AtomicBool>,
    corrupt: Arc<AtomicU64>,
    hesitates: Arc<AtomicBool>,
}

impl Lost {
    pub(crate) fn new() -> Self {
        Self {
            store: Memory::new(),
            out_of_reach: Arc::default(),
            upgraded: Arc::default(),
            corrupt: Arc::default(),
            hesitates: Arc::default(),
        }
    }

    pub(crate) fn lose(&self) {
        self.out_of_reach.store(true, SeqCst);
    }

    pub(crate) fn find(&self) {
        self.out_of_reach.store(false, SeqCst);
    }

    /// Delays every response from now on.
    pub(crate) fn hesitate(&self) {
        self.hesitates.store(true, SeqCst);
    }

    /// Makes the record at this LSN unreadable.
    pub(crate) fn corrupt(&self, lsn: u64) {
        self.corrupt.store(lsn, SeqCst);
    }

    /// Pretends that its sessions have a newer format than this version supports.
    pub(crate) fn upgrade(&self) {
        self.upgraded.store(true, SeqCst);
    }

    fn or<'a, T: Send + 'a>(
        &'a self,
        answer: BoxFuture<'a, Result<T, StoreError>>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        Box::pin(async move {
            if self.hesitates.load(SeqCst) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            if self.out_of_reach.load(SeqCst) {
                return Err(StoreError::unavailable(false, "lost"));
            }
            if self.upgraded.load(SeqCst) {
                return Err(StoreError::Unsupported { format: 9 });
            }
            answer.await
        })
    }
}

impl Store for Lost {
    fn durability(&self) -> Durability {
        self.store.durability()
    }

    fn create<'a>(
        &'a self,
        id: &'a SessionId,
        new: NewSession,
    ) -> BoxFuture<'a, Result<Created, StoreError>> {
        self.or(self.store.create(id, new))
    }

    fn claim<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Epoch,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claimed, StoreError>> {
        self.or(self.store.claim(id, seen, token, lease))
    }

    fn renew<'a>(
        &'a self,
        owned: &'a [(SessionId, Epoch)],
        lease: LeaseChange,
    ) -> BoxFuture<'a, Vec<Result<SessionState, StoreError>>> {
        self.store.renew(owned, lease)
    }

    fn append<'a>(
        &'a self,
        id: &'a SessionId,
        chunk: Chunk,
        then: AfterAppend,
    ) -> BoxFuture<'a, Result<Appended, StoreError>> {
        self.or(self.store.append(id, chunk, then))
    }

    fn read<'a>(
        &'a self,
        id: &'a SessionId,
        after: Position,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<RecordPage, StoreError>> {
        let corrupt = Lsn::new(self.corrupt.load(SeqCst));
        if corrupt > Lsn::ZERO && after.lsn.next() == corrupt {
            return Box::pin(async move { Err(StoreError::Corrupt { lsn: corrupt }) });
        }
        self.or(Box::pin(async move {
            let mut page = self.store.read(id, after, max_bytes).await?;
            if corrupt > after.lsn {
                let readable = |chunk: Chunk| chunk.up_to(corrupt.before());
                page.chunks = page.chunks.into_iter().filter_map(readable).collect();
            }
            Ok(page)
        }))
    }

    fn changed<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Seen,
        within: Duration,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        self.or(self.store.changed(id, seen, within))
    }

    fn abort<'a>(
        &'a self,
        id: &'a SessionId,
        abort: AbortRequest,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        self.or(self.store.abort(id, abort))
    }

    fn answer<'a>(
        &'a self,
        id: &'a SessionId,
        answer: StoredAnswer,
    ) -> BoxFuture<'a, Result<AnswerOutcome, StoreError>> {
        self.or(self.store.answer(id, answer))
    }

    fn answers<'a>(
        &'a self,
        id: &'a SessionId,
        after: usize,
    ) -> BoxFuture<'a, Result<Vec<StoredAnswer>, StoreError>> {
        self.or(self.store.answers(id, after))
    }

    fn hold<'a>(
        &'a self,
        id: &'a SessionId,
        by: Holder,
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.or(self.store.hold(id, by, keep))
    }

    fn delete<'a>(
        &'a self,
        id: &'a SessionId,
        how: DeleteMode,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.or(self.store.delete(id, how))
    }

    fn of_chat<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        chat: &'a ChatId,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>> {
        self.or(self.store.of_chat(owner, chat, limit))
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Listing, StoreError>> {
        self.or(self.store.list(filter))
    }

    fn orphans(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Listed>, StoreError>> {
        self.or(self.store.orphans(limit))
    }

    fn endings<'a>(
        &'a self,
        service: &'a ServiceName,
        limit: usize,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Vec<PendingEnding>, StoreError>> {
        self.or(self.store.endings(service, limit, lease))
    }

    fn postpone_ending<'a>(
        &'a self,
        id: &'a SessionId,
        delivery: u32,
        by: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.or(self.store.postpone_ending(id, delivery, by))
    }

    fn delivered<'a>(
        &'a self,
        id: &'a SessionId,
        sealed_by: Epoch,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.or(self.store.delivered(id, sealed_by))
    }

    fn sweep(&self, limit: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        self.or(self.store.sweep(limit))
    }
}
