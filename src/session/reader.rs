use std::{
    fmt,
    sync::{Arc, atomic::Ordering::SeqCst},
    task::{Context, Poll},
};

use super::{
    Batch, ReadError,
    entry::SessionEntry,
    hot::{BatchLimits, NextBatch},
    page_cache::{PAGE_BYTES, PageRef, SharedPage, following},
    registry::{EntryGuard, Registry},
    writer::{Retry, within},
};
use crate::{
    BoxFuture,
    log::{Chunk, Lsn, Position, SessionId, Status},
    metrics,
    store::StoreError,
};

/// A reader of one session's records.
///
/// Readers pull, each at its own pace. A reader that stops pulling slows neither the writer nor other
/// readers. It holds no records: those that it has begun to read from the store are in a cache that
/// all readers share, of at most 16 MiB. A session whose readers have pulled nothing for 2 minutes,
/// although there is more, is no longer kept past its retention for them.
pub struct Reader {
    client: EntryGuard,
    slot: usize,
    at: Position,
    // Read from the store, not finished yet.
    page: PageRef,
    fetch: Option<BoxFuture<'static, Result<Arc<SharedPage>, StoreError>>>,
    // From the store, when it checked the position; a follower's log may lag behind it.
    tail: Lsn,
    status: Status,
    done: bool,
}

impl Reader {
    pub(super) async fn open(client: EntryGuard, after: Position) -> Result<Self, ReadError> {
        let (shared, entry) = (&client.shared, &client.entry);
        let in_memory = after.lsn == Lsn::ZERO || entry.log.holds(after);
        let (mut tail, mut status) = (entry.log.tail(), entry.log.status());
        entry.set_active();
        if !(entry.is_owned() && in_memory) {
            // One record shows whether the next one can be read. The records are read when they are asked
            // for, together with other readers.
            let _permit = shared.reads.acquire().await;
            let read = shared.store.read(&entry.id, after, 1);
            let page = within(shared.options.outage_timeout, read).await?;
            (tail, status) = (page.state.tail, page.state.status);
        }
        metrics::READERS_OPEN.up();
        Ok(Self {
            slot: client.entry.log.open_slot(),
            client,
            at: after,
            page: PageRef::default(),
            fetch: None,
            tail,
            status,
            done: false,
        })
    }

    /// Returns the session's id.
    pub fn id(&self) -> &SessionId {
        &self.client.entry.id
    }

    /// Returns the position of the last record that was read.
    pub fn position(&self) -> Position {
        self.at
    }

    /// Returns the last LSN of the log, as far as this server knows it.
    pub fn tail(&self) -> Lsn {
        self.tail.max(self.client.entry.log.tail())
    }

    /// Returns the session's status, as far as this server knows it.
    pub fn status(&self) -> Status {
        match self.status.outcome() {
            Some(_) => self.status,
            None => self.client.entry.log.status(),
        }
    }

    /// Returns true once the terminal record has been read.
    pub fn at_end(&self) -> bool {
        self.status().outcome().is_some() && self.at.lsn == self.tail()
    }

    /// Returns true if all published records have been read; more may follow.
    pub fn is_caught_up(&self) -> bool {
        self.at.lsn == self.tail()
    }

    /// Polls for the next records.
    ///
    /// `None` follows only the terminal record; with it, the session counts as read to its end.
    /// After an error the reader gives nothing more.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the reader can't continue; the terminal record was not read then.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Batch, ReadError>>> {
        self.poll_within(cx, BatchLimits::default())
    }

    /// Polls for the next records within these limits. Behaves as [`poll_next`](Self::poll_next).
    pub(crate) fn poll_within(
        &mut self,
        cx: &mut Context<'_>,
        limits: BatchLimits,
    ) -> Poll<Option<Result<Batch, ReadError>>> {
        self.client.entry.set_active();
        loop {
            if self.done {
                return Poll::Ready(None);
            }
            if let Some(fetch) = &mut self.fetch {
                let fetched = std::task::ready!(fetch.as_mut().poll(cx));
                self.fetch = None;
                match fetched {
                    Ok(page) => {
                        self.client.shared.pages.keep(&page);
                        self.page = PageRef::to(&page);
                    }
                    Err(error) => return self.fail(error.into()),
                }
            }
            if let Some(batch) = self.next_of_page(limits) {
                return self.deliver(batch);
            }
            if self.status.outcome().is_some() && self.at_end() {
                // The store said so, even if the follower here is still behind.
                self.done = true;
                self.client.entry.delivered.store(true, SeqCst);
                continue;
            }
            if self.at.lsn < self.tail && self.client.entry.log.tail() <= self.at.lsn {
                // The follower is still behind what the store said.
                self.fetch();
                continue;
            }
            match self.client.entry.log.next(self.at, self.slot, cx) {
                // Where the epoch changes, the store checks that the position precedes the change.
                NextBatch::Batch(batch) if self.is_inconsistent(&batch) => self.fetch(),
                NextBatch::Batch(batch) => return self.deliver(batch.limit(limits)),
                NextBatch::Evicted => self.fetch(),
                NextBatch::Wait => return Poll::Pending,
                NextBatch::End => {
                    self.done = true;
                    self.client.entry.delivered.store(true, SeqCst);
                }
                NextBatch::Failed(error) => return self.fail(error),
            }
        }
    }

    /// Takes the next records of the page that was read from the store, if it has any and is still in
    /// memory.
    fn next_of_page(&mut self, limits: BatchLimits) -> Option<Batch> {
        let cell = self.page.get()?;
        let page = cell.get()?;
        let next = following(page, self.at.lsn);
        let batch = next.map(|chunk| Batch::new(chunk, None).limit(limits));
        let end = page.chunks.last().map(Chunk::last);
        let last = batch.as_ref().map(|batch| batch.chunk().last());
        if last.is_none() || last >= end {
            self.client.shared.pages.release(&mut self.page);
        }
        batch
    }

    /// Waits for the next records. Behaves as [`poll_next`](Self::poll_next). Cancel safe.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the reader can't continue; the terminal record was not read then.
    pub async fn next(&mut self) -> Option<Result<Batch, ReadError>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn deliver(&mut self, batch: Batch) -> Poll<Option<Result<Batch, ReadError>>> {
        let chunk = batch.chunk();
        if chunk.first() != self.at.lsn.next() {
            // The store left records out. A reader never skips a gap.
            return self.fail(ReadError::Corrupt {
                lsn: self.at.lsn.next(),
            });
        }
        metrics::EVENTS_READ.count(chunk.len(), &[]);
        self.at = Position::tagged(chunk.last(), chunk.epoch().tag());
        Poll::Ready(Some(Ok(batch)))
    }

    /// Returns true if the batch has another epoch than the position, and the hot log doesn't hold
    /// the record at the position.
    fn is_inconsistent(&self, batch: &Batch) -> bool {
        let epoch = batch.chunk().epoch().tag();
        self.at.lsn > Lsn::ZERO
            && self.at.tag.is_some_and(|tag| tag != epoch)
            && !self.client.entry.log.holds(self.at)
    }

    fn fail(&mut self, error: ReadError) -> Poll<Option<Result<Batch, ReadError>>> {
        self.done = true;
        Poll::Ready(Some(Err(error)))
    }

    fn fetch(&mut self) {
        let client = self.client.clone();
        let at = self.at;
        self.fetch = Some(Box::pin(async move {
            fetch(&client.shared, &client.entry, at).await
        }));
    }
}

/// Reads the records after a position from the store, once for all readers that need them now.
async fn fetch(
    shared: &Registry,
    entry: &SessionEntry,
    at: Position,
) -> Result<Arc<SharedPage>, StoreError> {
    let cell = entry.shared_read(at);
    let mut retry = Retry::default();
    loop {
        let read = || async {
            let _permit = shared.reads.acquire().await;
            let read = shared.store.read(&entry.id, at, PAGE_BYTES);
            within(shared.options.outage_timeout, read).await
        };
        match cell.get_or_try_init(read).await {
            Ok(page) if page.chunks.is_empty() => {
                return Err(StoreError::Rewound {
                    tail: page.state.tail,
                });
            }
            Ok(_) => return Ok(cell),
            Err(error)
                if error.is_unavailable()
                    && retry.outage() < Some(shared.options.outage_timeout) =>
            {
                retry.failed();
                retry.ready().await;
            }
            Err(error) => return Err(error),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        metrics::READERS_OPEN.down();
        self.client.shared.pages.release(&mut self.page);
        self.client.entry.log.close_slot(self.slot);
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("id", self.id())
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
