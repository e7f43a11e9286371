//! Orphans between their claim and their continuation.

use std::{
    fmt,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::Instant;
use unbroken::{
    BoxFuture,
    log::{ChunkBuilder, Epoch, Position, ServiceName, SessionId, Status},
    session::{
        Continuation, Limits, Orphan, ReadError, Reader, RecoveryHandler, Sessions, SessionsBuilder,
    },
    store::{
        AbortRequest, AfterAppend, Claimed, Lease, LeaseChange, Memory, RecordPage, Store,
        StoreError, StoreExt, Token,
    },
};
use unbroken_conformance::{Fault, FaultStore, Op, Rewind, delegate_store};

use crate::{
    begin, settle,
    support::{
        ChannelSource, TextFormat, channel_source, id, log, lsn, read, read_all, seconds, until,
    },
    take_over::{LEASE, TestHandler, orphan},
};

/// A handler that decides after a while, once, or never.
#[derive(Clone, Default)]
pub(crate) struct SlowHandler {
    takes: Option<Duration>,
    on: Arc<Mutex<Option<Continuation>>>,
    asked: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

impl SlowHandler {
    fn with(takes: Duration, source: ChannelSource) -> Self {
        Self {
            takes: Some(takes),
            on: Arc::new(Mutex::new(Some(Continuation::new(source)))),
            ..Self::default()
        }
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    pub(crate) fn dropped(&self) -> usize {
        self.dropped.load(SeqCst)
    }
}

struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl RecoveryHandler for SlowHandler {
    fn recover(&self, _orphan: Orphan) -> BoxFuture<'_, Result<Option<Continuation>, ReadError>> {
        self.asked.fetch_add(1, SeqCst);
        let counted = CountDrop(self.dropped.clone());
        Box::pin(async move {
            let _counted = counted;
            match self.takes {
                Some(takes) => tokio::time::sleep(takes).await,
                None => std::future::pending().await,
            }
            Ok(self.on.lock().unwrap().take())
        })
    }
}

/// Reads to the end, within ten minutes.
async fn whole(reader: &mut Reader) -> Vec<(u64, String)> {
    let whole = tokio::time::timeout(Duration::from_secs(600), read_all(reader)).await;
    whole.expect("the session ends")
}

fn builder_on(store: impl Store) -> SessionsBuilder {
    SessionsBuilder::new(store, TextFormat).lease(LEASE)
}

/// An orphan whose lease was given back, so that it is claimed at once.
async fn given_back(store: &Memory, name: &str) -> SessionId {
    let (id, epoch) = orphan(store, name, &["info"]).await;
    let _ = store
        .renew(&[(id.clone(), epoch)], LeaseChange::GiveBack)
        .await;
    id
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_claim_counts_from_its_first_attempt() {
    let store = FaultStore::new(Memory::new());
    let id = given_back(store.inner(), "one").await;
    // The first one is applied; only the last one is answered, at least four seconds later.
    store.faults().next(Op::Claim, Fault::LoseAfter);
    for _ in 0..12 {
        store.faults().next(Op::Claim, Fault::LoseBefore);
    }
    for _ in 0..200 {
        store.faults().next(Op::Renew, Fault::LoseBefore);
    }
    let (handle, source) = channel_source();
    let survivor = builder_on(store.clone()).build();
    let handler = SlowHandler::with(Duration::from_secs(6), source);
    survivor.on_recovery(ServiceName::new("test"), handler.clone());
    let _session = survivor.attach(&id).await.unwrap();
    seconds(15).await;
    assert_eq!(handler.asked(), 1);
    assert_eq!(store.state(&id).await.unwrap().lease, Lease::Expired);
    assert!(!handle.was_polled(), "another server may have claimed it");
    store.faults().heal();
    until("the lease is renewed", async || handle.was_polled()).await;
}

#[tokio::test(start_paused = true)]
async fn an_orphan_continues_after_what_its_owner_wrote_just_before_the_claim() {
    let store = FaultStore::new(Memory::new());
    let (id, epoch) = orphan(store.inner(), "one", &["info"]).await;
    let lease = [(id.clone(), epoch)];
    let _ = store.inner().renew(&lease, LeaseChange::GiveBack).await;
    let (handle, source) = channel_source();
    let handler = TestHandler::with(source);
    let survivor = builder_on(store.clone()).build();
    survivor.on_recovery(ServiceName::new("test"), handler.clone());
    store
        .faults()
        .next(Op::Claim, Fault::PauseBefore(Duration::from_secs(2)));
    let session = survivor.attach(&id).await.unwrap();
    settle().await;
    let mut question = ChunkBuilder::new();
    question.push(b"a question");
    let question = question.take(lsn(2), epoch).unwrap();
    let appended = store
        .inner()
        .append(&id, question, AfterAppend::Waiting)
        .await;
    appended.unwrap();
    let _ = store.inner().renew(&lease, LeaseChange::GiveBack).await;
    until("it is continued", async || handle.was_polled()).await;
    assert_eq!(handler.logs(), [["info", "a question"]]);
    assert_eq!(session.status(), Status::Waiting);
    handle.send("an answer");
    drop(handle);
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(
        whole(&mut reader).await,
        log(&["info", "a question", "an answer", "complete"])
    );
}

#[tokio::test(start_paused = true)]
async fn an_abort_ends_an_orphan_whose_handler_has_not_decided_yet() {
    for here in [true, false] {
        let store = Memory::new();
        let id = given_back(&store, "one").await;
        let (survivor, handler) = (builder_on(store.clone()).build(), SlowHandler::default());
        survivor.on_recovery(ServiceName::new("test"), handler.clone());
        let session = survivor.attach(&id).await.unwrap();
        let mut reader = session.reader(Position::START).await.unwrap();
        until("the handler is asked", async || handler.asked() == 1).await;
        if here {
            survivor.abort(&id, AbortRequest::default()).await.unwrap();
        } else {
            store.abort(&id, AbortRequest::default()).await.unwrap();
        }
        let before = Instant::now();
        assert_eq!(whole(&mut reader).await, log(&["info", "aborted"]));
        assert!(before.elapsed() < LEASE);
        settle().await;
        assert_eq!((handler.dropped(), survivor.running()), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_orphan_whose_handler_never_decides_is_interrupted() {
    let store = Memory::new();
    let id = given_back(&store, "one").await;
    let limits = Limits::default().idle(Duration::from_secs(60));
    let survivor = builder_on(store.clone()).limits(limits).build();
    survivor.on_recovery(ServiceName::new("test"), SlowHandler::default());
    let session = survivor.attach(&id).await.unwrap();
    let mut reader = session.reader(Position::START).await.unwrap();
    let before = Instant::now();
    assert_eq!(whole(&mut reader).await, log(&["info", "interrupted"]));
    assert!((60..65).contains(&before.elapsed().as_secs()));
    settle().await;
    assert_eq!(survivor.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_keeps_no_other_orphan_waiting() {
    let store = Memory::new();
    let survivor = builder_on(store.clone()).max_claims(1).build();
    let handler = SlowHandler::default();
    survivor.on_recovery(ServiceName::new("test"), handler.clone());
    for name in ["one", "two", "three"] {
        given_back(&store, name).await;
    }
    let _ = survivor.attach(&id("wakes-the-sweeper")).await;
    until("the handler is asked about all", async || {
        handler.asked() == 3
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_gives_back_an_orphan_whose_handler_has_not_decided_yet() {
    let store = Memory::new();
    let id = given_back(&store, "one").await;
    let (survivor, handler) = (builder_on(store.clone()).build(), SlowHandler::default());
    survivor.on_recovery(ServiceName::new("test"), handler.clone());
    let session = survivor.attach(&id).await.unwrap();
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(read(&mut reader, 1).await, log(&["info"]));
    until("the handler is asked", async || handler.asked() == 1).await;
    let before = Instant::now();
    survivor.shutdown(Duration::ZERO).await;
    assert!(before.elapsed() < Duration::from_secs(1));
    assert_eq!((handler.dropped(), survivor.running()), (1, 0));
    let state = store.state(&id).await.unwrap();
    assert_eq!(
        (state.lease, state.status),
        (Lease::Free, Status::Streaming)
    );
    assert!(matches!(
        reader.next().await,
        Some(Err(ReadError::ShutDown))
    ));
}

/// A store whose claims take a second, and which records the most that ran at once.
#[derive(Debug)]
struct SlowClaimStore {
    inner: Memory,
    under_way: AtomicUsize,
    most: Arc<AtomicUsize>,
}

impl Store for SlowClaimStore {
    delegate_store!(
        inner: durability, create, renew, append, read, changed, abort, answer, answers, hold,
        delete, of_chat, list, orphans, endings, postpone_ending, delivered, sweep
    );

    fn claim<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Epoch,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claimed, StoreError>> {
        Box::pin(async move {
            let under_way = self.under_way.fetch_add(1, SeqCst) + 1;
            self.most.fetch_max(under_way, SeqCst);
            seconds(1).await;
            self.under_way.fetch_sub(1, SeqCst);
            self.inner.claim(id, seen, token, lease).await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_crowd_of_orphans_is_claimed_a_few_at_a_time() {
    for restarts in [false, true] {
        let store = Memory::new();
        let most = Arc::new(AtomicUsize::new(0));
        let survivor = builder_on(SlowClaimStore {
            inner: store.clone(),
            under_way: AtomicUsize::new(0),
            most: most.clone(),
        })
        .max_claims(3)
        .build();
        if restarts {
            let (_teller, source) = channel_source();
            survivor.on_recovery(
                ServiceName::new("test"),
                SlowHandler::with(Duration::ZERO, source),
            );
        }
        let mut crowd = Vec::new();
        for at in 0..30 {
            crowd.push(given_back(&store, &format!("crowd-{at}")).await);
        }
        let _ = survivor.attach(&id("wakes-the-sweeper")).await;
        until("all have been claimed", async || {
            let mut claims = 0;
            for id in &crowd {
                claims += store.state(id).await.unwrap().epoch.claims();
            }
            claims == 30
        })
        .await;
        assert_eq!(most.load(SeqCst), 3, "where it restarts: {restarts}");
    }
}

/// A store with one corrupt record.
#[derive(Debug)]
struct CorruptStore {
    inner: Memory,
}

impl Store for CorruptStore {
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
            if after.lsn == lsn(0) {
                return Err(StoreError::Corrupt { lsn: lsn(1) });
            }
            self.inner.read(id, after, max_bytes).await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn an_orphan_with_a_corrupt_log_is_sealed_once_and_not_claimed_for_ever() {
    let store = Memory::new();
    let (id, _) = orphan(&store, "one", &["lost", "info"]).await;
    let (_teller, source) = channel_source();
    let survivor = builder_on(CorruptStore {
        inner: store.clone(),
    })
    .build();
    survivor.on_recovery(
        ServiceName::new("test"),
        SlowHandler::with(Duration::ZERO, source),
    );
    let _session = survivor.attach(&id).await.unwrap();
    seconds(60).await;
    let state = store.state(&id).await.unwrap();
    assert!(state.status.outcome().is_some(), "{state:?}");
    assert_eq!(state.epoch.claims(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_a_former_owner_waits_for_the_next_record() {
    let store = FaultStore::new(Memory::new());
    let here = builder_on(store.clone())
        .outage_timeout(Duration::from_secs(2))
        .build();
    let there = builder_on(store.inner().clone()).build();
    let (second, source) = channel_source();
    there.on_recovery(
        ServiceName::new("test"),
        SlowHandler::with(Duration::ZERO, source),
    );
    let (first, source) = channel_source();
    let id = id("one");
    let session = begin(&here, &id, source).await;
    settle().await;
    // This server loses the store for so long that its readers fail, and another server takes over.
    store.faults().outage(true);
    first.send("never stored");
    until("the other server has it", async || second.was_polled()).await;
    store.faults().heal();
    until("this server knows", async || first.is_dropped()).await;
    seconds(1).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(read(&mut reader, 1).await, log(&["info"]));
    let (next, ()) = tokio::join!(read(&mut reader, 1), async {
        settle().await;
        second.send("at last");
    });
    assert_eq!(next, [(2, "at last".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_drops_a_handler_that_holds_the_sessions() {
    struct HoldingHandler(
        Sessions,
        #[expect(dead_code, reason = "is seen to be dropped")] Arc<()>,
    );
    impl RecoveryHandler for HoldingHandler {
        fn recover(&self, _: Orphan) -> BoxFuture<'_, Result<Option<Continuation>, ReadError>> {
            let _ = self.0.running();
            Box::pin(async { Ok(None) })
        }
    }
    let sessions = builder_on(Memory::new()).build();
    let held = Arc::new(());
    let seen: Weak<()> = Arc::downgrade(&held);
    sessions.on_recovery(
        ServiceName::new("test"),
        HoldingHandler(sessions.clone(), held),
    );
    sessions.shutdown(Duration::ZERO).await;
    assert!(seen.upgrade().is_none());
}

/// A store that fails over to a lagging replica right before a claim.
struct FailoverStore {
    inner: Memory,
    replica: Mutex<Option<<Memory as Rewind>::Snapshot>>,
}

impl fmt::Debug for FailoverStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailoverStore").finish_non_exhaustive()
    }
}

impl Store for FailoverStore {
    delegate_store!(
        inner: durability, create, renew, append, read, changed, abort, answer, answers, hold,
        delete, of_chat, list, orphans, endings, postpone_ending, delivered, sweep
    );

    fn claim<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Epoch,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claimed, StoreError>> {
        if let Some(replica) = self.replica.lock().unwrap().take() {
            self.inner.restore(&replica);
        }
        self.inner.claim(id, seen, token, lease)
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_records_that_the_store_lost_before_a_claim() {
    let store = Memory::new();
    let (id, epoch) = orphan(&store, "one", &["info"]).await;
    let replica = Mutex::new(Some(store.snapshot()));
    let (handle, source) = channel_source();
    handle.send("two");
    handle.send("three");
    let survivor = builder_on(FailoverStore {
        inner: store.clone(),
        replica,
    })
    .build();
    survivor.on_recovery(
        ServiceName::new("test"),
        SlowHandler::with(Duration::ZERO, source),
    );
    let session = survivor.attach(&id).await.unwrap();
    let mut reader = session.reader(Position::START).await.unwrap();
    let mut lost = ChunkBuilder::new();
    lost.push(b"lost");
    let lost = lost.take(lsn(2), epoch).unwrap();
    store
        .append(&id, lost, AfterAppend::Streaming)
        .await
        .unwrap();
    assert_eq!(read(&mut reader, 2).await, log(&["info", "lost"]));
    let next = tokio::time::timeout(LEASE * 3, reader.next()).await;
    let next = next.expect("it is told");
    assert!(
        matches!(next, Some(Err(ReadError::Rewound { .. }))),
        "{next:?}"
    );
    until("it ends", async || {
        store.state(&id).await.unwrap().status.outcome().is_some()
    })
    .await;
}
