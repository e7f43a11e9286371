use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, Weak},
};

use tokio::sync::OnceCell;

use crate::{
    log::{Chunk, Lsn},
    store::RecordPage,
};

/// The most bytes that one read for a reader asks for.
pub(super) const PAGE_BYTES: usize = 128 * 1024;
/// The most bytes of all pages together.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// A page that is read once for all readers that need it.
pub(super) type SharedPage = OnceCell<RecordPage>;

/// The pages that readers have begun and not finished, of all sessions.
///
/// Readers hold none themselves, so that one that stops reading costs nothing. Beyond the bound the
/// oldest page is dropped, and its readers read it again when they continue.
#[derive(Debug)]
pub(super) struct PageCache {
    pages: Mutex<CachedPages>,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct CachedPages {
    oldest_first: VecDeque<(usize, Arc<SharedPage>)>,
    bytes: usize,
}

impl Default for PageCache {
    fn default() -> Self {
        Self::new(MAX_BYTES)
    }
}

impl PageCache {
    fn new(max_bytes: usize) -> Self {
        Self {
            pages: Mutex::default(),
            max_bytes,
        }
    }

    /// Keeps a page, and drops the oldest ones beyond the bound. The newest stays, however large it is.
    pub(super) fn keep(&self, page: &Arc<SharedPage>) {
        let mut pages = self.lock();
        let is_here = pages
            .oldest_first
            .iter()
            .rev()
            .any(|(_, kept)| Arc::ptr_eq(kept, page));
        if is_here {
            return;
        }
        let bytes = page.get().map_or(0, page_bytes);
        pages.bytes += bytes;
        pages.oldest_first.push_back((bytes, page.clone()));
        let mut dropped = Vec::new();
        while pages.bytes > self.max_bytes && pages.oldest_first.len() > 1 {
            let Some((bytes, oldest)) = pages.oldest_first.pop_front() else {
                break;
            };
            pages.bytes -= bytes;
            dropped.push(oldest);
        }
        drop(pages);
    }

    /// Releases a reader's page. Drops it if no other reader has begun it.
    pub(super) fn release(&self, held: &mut PageRef) {
        let Some(page) = held.take() else {
            return;
        };
        // One is that of the session's entry, through which readers find the page.
        if Arc::weak_count(&page) > 1 {
            return;
        }
        let mut pages = self.lock();
        let found = pages
            .oldest_first
            .iter()
            .rposition(|(_, kept)| Arc::ptr_eq(kept, &page));
        let finished = found.and_then(|at| pages.oldest_first.remove(at));
        pages.bytes -= finished.as_ref().map_or(0, |(bytes, _)| *bytes);
        drop(pages);
    }

    fn lock(&self) -> MutexGuard<'_, CachedPages> {
        self.pages.lock().expect("nothing panics under this lock")
    }
}

fn page_bytes(page: &RecordPage) -> usize {
    page.chunks.iter().map(Chunk::bytes).sum()
}

/// Returns the records after an LSN in the chunk of a page that holds them.
pub(super) fn following(page: &RecordPage, lsn: Lsn) -> Option<Chunk> {
    let at = page.chunks.partition_point(|chunk| chunk.last() <= lsn);
    page.chunks.get(at)?.after(lsn)
}

/// A reader's hold on its page, which doesn't keep it in memory.
#[derive(Debug, Default)]
pub(super) struct PageRef(Weak<SharedPage>);

impl PageRef {
    pub(super) fn to(page: &Arc<SharedPage>) -> Self {
        Self(Arc::downgrade(page))
    }

    pub(super) fn get(&self) -> Option<Arc<SharedPage>> {
        self.0.upgrade()
    }

    fn take(&mut self) -> Option<Arc<SharedPage>> {
        std::mem::take(&mut self.0).upgrade()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        log::{ChunkBuilder, Digest, Epoch, ServiceName, Status},
        store::{Lease, SessionMeta, SessionState},
    };

    fn page(bytes: usize) -> Arc<SharedPage> {
        let mut chunk = ChunkBuilder::new();
        chunk.push(&vec![b'x'; bytes]);
        let state = SessionState {
            meta: Arc::new(SessionMeta {
                owner: None,
                chat: None,
                service: ServiceName::new("test"),
                digest: Digest([0; 32]),
                format: 1,
                outbox: None,
            }),
            age: Duration::ZERO,
            ended: None,
            epoch: Epoch::first(),
            attempts: 0,
            tail: Lsn::new(1),
            status: Status::Streaming,
            abort: None,
            lease: Lease::Free,
            answers: 0,
        };
        Arc::new(OnceCell::new_with(Some(RecordPage {
            chunks: chunk
                .take(Lsn::new(1), Epoch::first())
                .into_iter()
                .collect(),
            state,
        })))
    }

    fn held(cache: &PageCache) -> (usize, usize) {
        let pages = cache.lock();
        (pages.oldest_first.len(), pages.bytes)
    }

    #[test]
    fn the_oldest_page_goes_first_and_the_bound_itself_fits() {
        let cache = PageCache::new(30);
        let pages: Vec<_> = (0..4).map(|_| page(10)).collect();
        let refs: Vec<_> = pages.iter().map(PageRef::to).collect();
        for page in &pages {
            cache.keep(page);
        }
        assert_eq!(held(&cache), (3, 30));
        drop(pages);
        let alive: Vec<_> = refs.iter().map(|page| page.get().is_some()).collect();
        assert_eq!(alive, [false, true, true, true]);
    }

    #[test]
    fn a_page_counts_once_for_all_its_readers_and_goes_with_the_last_one() {
        let cache = PageCache::new(30);
        let page = page(10);
        let _of_the_entry = Arc::downgrade(&page);
        let (mut one, mut two) = (PageRef::to(&page), PageRef::to(&page));
        cache.keep(&page);
        cache.keep(&page);
        assert_eq!(held(&cache), (1, 10));
        cache.release(&mut one);
        cache.release(&mut one);
        assert_eq!(held(&cache), (1, 10));
        cache.release(&mut two);
        assert_eq!(held(&cache), (0, 0));
    }

    #[test]
    fn a_page_larger_than_the_bound_is_kept_alone() {
        let cache = PageCache::new(30);
        cache.keep(&page(10));
        cache.keep(&page(50));
        assert_eq!(held(&cache), (1, 50));
    }
}
