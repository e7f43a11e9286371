//! Readers that stop reading: what they hold, and for how long they keep a session.

use std::{
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use unbroken::{
    BoxFuture,
    log::{Chunk, ChunkBuilder, Digest, Outcome, Position, ServiceName, SessionId},
    session::{ReadError, Reader, Retention, SessionsBuilder},
    store::{
        AfterAppend, Created, Memory, NewSession, RecordPage, Seal, SessionMeta, Store, StoreError,
        Token,
    },
};
use unbroken_conformance::delegate_store;

use crate::{
    begin, is_gone, settle,
    support::{TextFormat, channel_source, id, lsn, seconds},
};

const KIB: usize = 1024;
/// The most bytes of the pages of all readers.
const CACHE: usize = 16 * 1024 * KIB;

/// The bytes of a page, and what lives as long as it.
type CountedPage = (usize, Weak<SessionMeta>);

/// A store that copies every page, as one that reads from a disk or a network does, and counts them.
#[derive(Debug, Clone, Default)]
struct CountedPages {
    inner: Memory,
    bytes: Arc<AtomicUsize>,
    largest: Arc<AtomicUsize>,
    pages: Arc<Mutex<Vec<CountedPage>>>,
}

impl CountedPages {
    /// Returns the bytes of all pages that were read.
    fn read(&self) -> usize {
        self.bytes.load(SeqCst)
    }

    /// Returns the bytes of the pages that are still in memory.
    fn alive(&self) -> usize {
        let pages = self.pages.lock().unwrap();
        let alive = pages.iter().filter(|(_, page)| page.strong_count() > 0);
        alive.map(|(bytes, _)| bytes).sum()
    }
}

impl Store for CountedPages {
    delegate_store!(
        inner: durability, create, claim, renew, append, changed, abort, answer, answers, hold,
        delete, of_chat, list, orphans, endings, postpone_ending, delivered, sweep
    );

    fn read<'a>(
        &'a self,
        id: &'a SessionId,
        after: Position,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<RecordPage, StoreError>> {
        Box::pin(async move {
            let mut page = self.inner.read(id, after, max_bytes).await?;
            for chunk in &mut page.chunks {
                let mut copy = ChunkBuilder::new();
                copy.extend(chunk.records().map(|record| record.bytes));
                *chunk = copy.take(chunk.first(), chunk.epoch()).unwrap();
            }
            let bytes = page.chunks.iter().map(Chunk::bytes).sum();
            self.bytes.fetch_add(bytes, SeqCst);
            self.largest.fetch_max(bytes, SeqCst);
            // A page lives as long as its own copy of what never changes.
            page.state.meta = Arc::new((*page.state.meta).clone());
            let alive = Arc::downgrade(&page.state.meta);
            self.pages.lock().unwrap().push((bytes, alive));
            Ok(page)
        })
    }
}

/// Stores a session of so many records of 1 KiB that has ended.
async fn finished(store: &impl Store, name: &str, records: u64) -> SessionId {
    let id = id(name);
    let new = NewSession {
        meta: Arc::new(SessionMeta {
            owner: None,
            chat: None,
            service: ServiceName::new("test"),
            digest: Digest([7; 32]),
            format: 1,
            outbox: None,
        }),
        request: Bytes::new(),
        token: Token::random(),
        lease: Duration::from_secs(10),
        tombstone: Duration::from_secs(60),
    };
    let Created::Created(epoch) = store.create(&id, new).await.unwrap() else {
        panic!("it was there before");
    };
    let mut log = ChunkBuilder::new();
    (0..records).for_each(|_| log.push(&[b'x'; KIB]));
    let log = log.take(lsn(1), epoch).unwrap();
    let seal = AfterAppend::Seal(Seal::new(
        Outcome::Complete,
        Duration::from_secs(24 * 60 * 60),
    ));
    store.append(&id, log, seal).await.unwrap();
    id
}

async fn next(reader: &mut Reader) -> usize {
    let batch = reader.next().await.expect("there is more");
    batch.expect("the reader continues").chunk().bytes()
}

#[tokio::test(start_paused = true)]
async fn a_hundred_readers_that_never_read_cost_one_record_each() {
    let store = CountedPages::default();
    let id = finished(&store, "large", 4096).await;
    let sessions = SessionsBuilder::new(store.clone(), TextFormat).build();
    let session = sessions.attach(&id).await.unwrap();
    let mut readers = Vec::new();
    for _ in 0..100 {
        readers.push(session.reader(Position::START).await.unwrap());
    }
    assert_eq!(store.read(), 100 * KIB);
    assert_eq!(store.alive(), 0, "none is held");
    // Each takes one batch: all from one page.
    for reader in &mut readers {
        assert!(next(reader).await <= 32 * KIB);
    }
    assert_eq!(store.read() - 100 * KIB, 128 * KIB);
    assert_eq!(store.alive(), 128 * KIB);
    drop(readers);
    assert_eq!(store.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn readers_that_stop_anywhere_hold_no_more_than_the_cache_together() {
    let store = CountedPages::default();
    let sessions = SessionsBuilder::new(store.clone(), TextFormat).build();
    let mut readers = Vec::new();
    for n in 0..200 {
        let id = finished(&store, &format!("large-{n}"), 256).await;
        let session = sessions.attach(&id).await.unwrap();
        let mut reader = session.reader(Position::START).await.unwrap();
        next(&mut reader).await;
        readers.push(reader);
        let held = store.alive();
        assert!(held <= CACHE, "{held}");
        assert_eq!(held, CACHE.min((n + 1) * 128 * KIB));
    }
    assert_eq!(store.largest.load(SeqCst), 128 * KIB);
    // All continue, those too whose pages were dropped.
    for reader in &mut readers {
        let mut rest = 0;
        while let Some(batch) = reader.next().await {
            rest += batch.unwrap().chunk().bytes();
        }
        assert_eq!(rest, (256 - 32) * KIB);
    }
    assert_eq!(store.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stopped_does_not_keep_a_session_past_its_retention() {
    for reads_on in [false, true] {
        let store = Memory::new();
        let keep = Retention::for_duration(Duration::from_secs(30));
        let here = SessionsBuilder::new(store.clone(), TextFormat)
            .retention(keep)
            .build();
        let there = SessionsBuilder::new(store, TextFormat)
            .retention(keep)
            .hot_bytes(KIB)
            .build();
        let id = id("one");
        let (handle, source) = channel_source();
        drop(begin(&here, &id, source).await);
        for _ in 0..400 {
            handle.send(&"x".repeat(KIB));
        }
        drop(handle);
        settle().await;
        let session = there.attach(&id).await.unwrap();
        let mut reader = session.reader(Position::START).await.unwrap();
        drop(session);
        // Until two minutes after its last read it holds the session.
        for _ in 0..11 {
            seconds(10).await;
            if reads_on {
                next(&mut reader).await;
            }
        }
        assert!(!is_gone(&here, &id).await, "reads on: {reads_on}");
        // It was held last before they had passed, for thirty seconds.
        seconds(35).await;
        assert_eq!(is_gone(&here, &id).await, !reads_on);
        let end = loop {
            match reader.next().await {
                Some(Ok(_)) => {}
                end => break end,
            }
        };
        match end {
            None => assert!(reads_on),
            Some(Err(ReadError::Gone(_))) => assert!(!reads_on),
            other => panic!("{other:?}"),
        }
    }
}
