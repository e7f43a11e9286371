//! A store that breaks its contract on request: it leaves records out, or wakes without a change.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use unbroken::{
    BoxFuture,
    log::{Position, SessionId},
    store::{Memory, RecordPage, Seen, SessionState, Store, StoreError},
};

use unbroken_conformance::delegate_store;

#[derive(Debug, Clone, Default)]
pub(crate) struct BrokenStore {
    inner: Memory,
    pub(crate) gap: Arc<AtomicBool>,
    pub(crate) spurious: Arc<AtomicBool>,
    pub(crate) reads: Arc<AtomicUsize>,
}

impl Store for BrokenStore {
    delegate_store!(
        inner: durability, create, claim, renew, append, abort, answer, answers, hold, delete,
        of_chat, list, orphans, endings, postpone_ending, delivered, sweep
    );

    fn read<'a>(
        &'a self,
        id: &'a SessionId,
        after: Position,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<RecordPage, StoreError>> {
        Box::pin(async move {
            self.reads.fetch_add(1, SeqCst);
            let mut page = self.inner.read(id, after, max_bytes).await?;
            if self.gap.load(SeqCst) {
                page.chunks = page
                    .chunks
                    .iter()
                    .filter_map(|c| c.after(after.lsn.next()))
                    .collect();
            }
            Ok(page)
        })
    }

    fn changed<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Seen,
        within: Duration,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        let within = if self.spurious.load(SeqCst) {
            Duration::ZERO
        } else {
            within
        };
        Box::pin(async move {
            if within.is_zero() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            self.inner.changed(id, seen, within).await
        })
    }
}
