//! Orphans that another server continues.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;
use unbroken::{
    BoxFuture,
    log::{Chunk, Digest, Epoch, Outcome, Position, ServiceName, SessionId, Status},
    session::{
        Continuation, Limits, Mark, Orphan, ReadError, RecoveryHandler, Sessions, SessionsBuilder,
    },
    store::{
        AbortRequest, AfterAppend, Created, LeaseChange, Memory, NewSession, SessionMeta, Store,
        StoreExt, Token,
    },
};

use crate::{
    begin, settle,
    support::{ChannelSource, TextFormat, channel_source, id, log, read, read_all, seconds, until},
};

pub(crate) const LEASE: Duration = Duration::from_secs(10);

/// The decision of a handler about an orphan.
type Decide = dyn Fn(&Orphan) -> Option<Continuation> + Send + Sync;

/// A handler that counts its calls and records the logs that it read.
#[derive(Clone)]
pub(crate) struct TestHandler {
    decide: Arc<Decide>,
    asked: Arc<AtomicUsize>,
    logs: Arc<Mutex<Vec<Vec<String>>>>,
}

impl TestHandler {
    pub(crate) fn by(
        decide: impl Fn(&Orphan) -> Option<Continuation> + Send + Sync + 'static,
    ) -> Self {
        Self {
            decide: Arc::new(decide),
            asked: Arc::default(),
            logs: Arc::default(),
        }
    }

    /// Continues with this source, the first time.
    pub(crate) fn with(source: ChannelSource) -> Self {
        let source = Mutex::new(Some(source));
        Self::by(move |_| source.lock().unwrap().take().map(Continuation::new))
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    /// Returns the logs of the orphans, in order.
    pub(crate) fn logs(&self) -> Vec<Vec<String>> {
        self.logs.lock().unwrap().clone()
    }
}

impl RecoveryHandler for TestHandler {
    fn recover(&self, orphan: Orphan) -> BoxFuture<'_, Result<Option<Continuation>, ReadError>> {
        Box::pin(async move {
            self.asked.fetch_add(1, SeqCst);
            let log = orphan.read().await?;
            let records = log.iter().flat_map(Chunk::records);
            let texts = records.map(|it| String::from_utf8(it.bytes.to_vec()).unwrap());
            self.logs.lock().unwrap().push(texts.collect());
            Ok((self.decide)(&orphan))
        })
    }
}

fn server(store: &Memory, handler: &TestHandler) -> Sessions {
    let sessions = SessionsBuilder::new(store.clone(), TextFormat)
        .lease(LEASE)
        .build();
    sessions.on_recovery(ServiceName::new("test"), handler.clone());
    sessions
}

/// Creates a session whose writer has died after these records.
pub(crate) async fn orphan(store: &Memory, name: &str, records: &[&str]) -> (SessionId, Epoch) {
    orphan_of("test", store, name, records).await
}

/// Creates an orphan of this service.
async fn orphan_of(
    service: &str,
    store: &Memory,
    name: &str,
    records: &[&str],
) -> (SessionId, Epoch) {
    orphan_with(service, store, name, records, None).await
}

/// Creates an orphan of this service, with an outbox if the time is given.
pub(crate) async fn orphan_with(
    service: &str,
    store: &Memory,
    name: &str,
    records: &[&str],
    outbox: Option<Duration>,
) -> (SessionId, Epoch) {
    let meta = SessionMeta {
        service: ServiceName::new(service),
        outbox,
        ..meta_in(1)
    };
    orphan_from(meta, store, name, records).await
}

/// Creates an orphan of this format.
pub(crate) async fn orphan_in(
    format: u16,
    store: &Memory,
    name: &str,
    records: &[&str],
) -> SessionId {
    orphan_from(meta_in(format), store, name, records).await.0
}

fn meta_in(format: u16) -> SessionMeta {
    SessionMeta {
        owner: None,
        chat: None,
        service: ServiceName::new("test"),
        digest: Digest([7; 32]),
        format,
        outbox: None,
    }
}

async fn orphan_from(
    meta: SessionMeta,
    store: &Memory,
    name: &str,
    records: &[&str],
) -> (SessionId, Epoch) {
    let id = id(name);
    let new = NewSession {
        meta: Arc::new(meta),
        request: Bytes::from_static(b"the request"),
        token: Token::random(),
        lease: LEASE,
        tombstone: LEASE,
    };
    let Created::Created(epoch) = store.create(&id, new).await.unwrap() else {
        panic!("it was there before");
    };
    if !records.is_empty() {
        let mut batch = unbroken::log::ChunkBuilder::new();
        batch.extend(records.iter().map(|record| record.as_bytes()));
        let chunk = batch.take(crate::support::lsn(1), epoch).unwrap();
        store
            .append(&id, chunk, AfterAppend::Streaming)
            .await
            .unwrap();
    }
    (id, epoch)
}

#[tokio::test(start_paused = true)]
async fn an_orphan_continues_in_the_same_log_and_so_do_its_readers() {
    let store = Memory::new();
    let (handle, source) = channel_source();
    let handler = TestHandler::with(source);
    let survivor = server(&store, &handler);
    let (id, _) = orphan(&store, "one", &["info", "half"]).await;
    let before = Instant::now();
    let session = survivor.attach(&id).await.unwrap();
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(read(&mut reader, 2).await, log(&["info", "half"]));
    handle.send("other half");
    assert_eq!(read(&mut reader, 1).await, [(3, "other half".to_owned())]);
    let took = before.elapsed();
    assert!(
        took >= LEASE && took < LEASE + Duration::from_secs(2),
        "{took:?}"
    );
    assert_eq!(survivor.running(), 1);
    drop(handle);
    assert_eq!(read_all(&mut reader).await, [(4, "complete".to_owned())]);
    assert_eq!(handler.logs(), [["info", "half"]]);
    let state = store.state(&id).await.unwrap();
    assert_eq!(
        (state.epoch.claims(), state.status),
        (1, Status::Ended(Outcome::Complete))
    );
    settle().await;
    assert_eq!(survivor.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_orphan_without_readers_is_found_and_continued() {
    let store = Memory::new();
    let handler = TestHandler::by(|orphan| {
        assert_eq!(orphan.request, "the request");
        assert_eq!((orphan.tail.get(), orphan.claims), (1, 1));
        let (handle, source) = channel_source();
        handle.send("an answer");
        Some(Continuation::new(source).first("again"))
    });
    let survivor = server(&store, &handler);
    let _ = survivor.attach(&id("wakes-the-sweeper")).await;
    let (id, _) = orphan(&store, "one", &["info"]).await;
    until("it is continued", async || {
        store.state(&id).await.unwrap().status == Status::Ended(Outcome::Complete)
    })
    .await;
    let session = survivor.attach(&id).await.unwrap();
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(
        read_all(&mut reader).await,
        log(&["info", "again", "an answer", "complete"])
    );
    drop((reader, session));
    seconds(10).await;
    assert_eq!(survivor.loaded(), 0);
    assert_eq!(handler.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_orphan_is_interrupted_if_its_handler_declines_or_panics() {
    for decide in [(|_| None) as fn(&Orphan) -> Option<Continuation>, |_| {
        panic!("as the test wanted")
    }] {
        let store = Memory::new();
        let handler = TestHandler::by(decide);
        let survivor = server(&store, &handler);
        let (id, _) = orphan(&store, "one", &["info"]).await;
        let session = survivor.attach(&id).await.unwrap();
        let mut reader = session.reader(Position::START).await.unwrap();
        assert_eq!(read_all(&mut reader).await, log(&["info", "interrupted"]));
        assert_eq!(handler.asked(), 1);
        assert_eq!(survivor.running(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_orphan_with_a_stored_abort_is_aborted_without_asking_the_handler() {
    let store = Memory::new();
    let handler = TestHandler::by(|_| None);
    let survivor = server(&store, &handler);
    let (id, _) = orphan(&store, "one", &["info"]).await;
    store.abort(&id, AbortRequest::default()).await.unwrap();
    let session = survivor.attach(&id).await.unwrap();
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(read_all(&mut reader).await, log(&["info", "aborted"]));
    assert_eq!(handler.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_abort_reaches_a_continued_orphan_whose_source_is_silent() {
    let store = Memory::new();
    let (handle, source) = channel_source();
    let survivor = server(&store, &TestHandler::with(source));
    let (id, _) = orphan(&store, "one", &["info"]).await;
    let session = survivor.attach(&id).await.unwrap();
    until("it is continued", async || handle.was_polled()).await;
    // By another server: the request is in the store.
    store.abort(&id, AbortRequest::default()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(handle.is_dropped());
    assert_eq!(session.status(), Status::Ended(Outcome::Aborted));
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_lost_its_session_follows_and_its_readers_continue() {
    let store = Memory::new();
    let (second, source) = channel_source();
    let handler = TestHandler::with(source);
    let there = server(&store, &handler);
    let here = SessionsBuilder::new(store.clone(), TextFormat)
        .lease(LEASE)
        .build();
    let _ = there.attach(&id("wakes-the-sweeper")).await;
    let (first, source) = channel_source();
    let id = id("one");
    let session = begin(&here, &id, source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    first.send("mine");
    assert_eq!(read(&mut reader, 2).await, log(&["info", "mine"]));
    // As if it had hung for longer than its lease.
    let epoch = store.state(&id).await.unwrap().epoch;
    let _ = store
        .renew(&[(id.clone(), epoch)], LeaseChange::GiveBack)
        .await;
    until("the other server has it", async || second.was_polled()).await;
    first.send("too late");
    second.send("theirs");
    assert_eq!(read(&mut reader, 1).await, [(3, "theirs".to_owned())]);
    assert!(first.is_dropped());
    drop(second);
    assert_eq!(read_all(&mut reader).await, [(4, "complete".to_owned())]);
    assert_eq!((here.running(), there.running()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_session_continues_elsewhere_after_each_of_two_shutdowns() {
    let store = Memory::new();
    let handles: Arc<Mutex<Vec<_>>> = Arc::default();
    let recovery = TestHandler::by({
        let handles = handles.clone();
        move |_| {
            let (handle, source) = channel_source();
            handles.lock().unwrap().push(handle);
            Some(Continuation::new(source))
        }
    });
    let first = server(&store, &recovery);
    let (handle, source) = channel_source();
    let id = id("one");
    let session = begin(&first, &id, source).await;
    handle.send("one");
    settle().await;
    let mut servers = vec![first];
    for (n, text) in [(1, "two"), (2, "three")] {
        let next = server(&store, &recovery);
        let _ = next.attach(&id).await.unwrap();
        // The lease is given back: the next server needn't wait for its end.
        let before = Instant::now();
        servers[n - 1].shutdown(Duration::ZERO).await;
        until("it is continued", async || recovery.asked() == n).await;
        assert!(before.elapsed() < Duration::from_secs(3));
        handles.lock().unwrap()[n - 1].send(text);
        settle().await;
        servers.push(next);
    }
    drop((handle, session));
    handles.lock().unwrap().clear();
    let session = servers[2].attach(&id).await.unwrap();
    let mut reader = session.reader(Position::START).await.unwrap();
    let whole = log(&["info", "one", "two", "three", "complete"]);
    assert_eq!(read_all(&mut reader).await, whole);
}

#[tokio::test(start_paused = true)]
async fn an_orphan_waits_for_room_on_a_full_server() {
    let store = Memory::new();
    let (carried, source) = channel_source();
    let handler = TestHandler::with(source);
    let full = SessionsBuilder::new(store.clone(), TextFormat)
        .limits(Limits::default().running(1))
        .lease(LEASE)
        .build();
    full.on_recovery(ServiceName::new("test"), handler.clone());
    let (handle, source) = channel_source();
    let _session = begin(&full, &id("running"), source).await;
    let (id, _) = orphan(&store, "one", &["info"]).await;
    seconds(30).await;
    assert_eq!(handler.asked(), 0);
    assert!(store.state(&id).await.unwrap().status.outcome().is_none());
    drop(handle);
    until("it is continued", async || carried.was_polled()).await;
}

#[tokio::test(start_paused = true)]
async fn orphans_that_wait_for_room_hide_no_others() {
    let store = Memory::new();
    let full = SessionsBuilder::new(store.clone(), TextFormat)
        .limits(Limits::default().running(1))
        .lease(LEASE)
        .build();
    full.on_recovery(ServiceName::new("test"), TestHandler::by(|_| None));
    let (_teller, source) = channel_source();
    let _session = begin(&full, &id("running"), source).await;
    for number in 0..200 {
        orphan(&store, &format!("waits-{number}"), &["info"]).await;
    }
    seconds(1).await;
    let (unclaimed, _) = orphan_of("unknown", &store, "ended", &["info"]).await;
    until("it is ended", async || {
        let state = store.state(&unclaimed).await.unwrap();
        state.status.outcome().is_some()
    })
    .await;
    let waits = store.state(&id("waits-0")).await.unwrap();
    assert!(waits.status.outcome().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_continued_session_keeps_its_age() {
    let store = Memory::new();
    let (handle, source) = channel_source();
    let aging = SessionsBuilder::new(store.clone(), TextFormat)
        .limits(Limits::default().age(Duration::from_secs(60)))
        .lease(LEASE)
        .build();
    aging.on_recovery(ServiceName::new("test"), TestHandler::with(source));
    let before = Instant::now();
    let (id, _) = orphan(&store, "one", &["info"]).await;
    let session = aging.attach(&id).await.unwrap();
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(read_all(&mut reader).await, log(&["info", "age"]));
    let took = before.elapsed();
    assert!((60..63).contains(&took.as_secs()), "{took:?}");
    assert!(handle.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn a_terminal_record_of_the_source_ends_a_continued_orphan() {
    let store = Memory::new();
    let (handle, source) = channel_source();
    let sealed = Arc::new(Mutex::new(None));
    let told_of = sealed.clone();
    let source = Mutex::new(Some(source));
    let handler = TestHandler::by(move |_| {
        let told_of = told_of.clone();
        let source = source.lock().unwrap().take()?;
        Some(Continuation::new(source).on_sealed(move |outcome| {
            *told_of.lock().unwrap() = Some(outcome);
            std::future::ready(())
        }))
    });
    let survivor = server(&store, &handler);
    let (id, _) = orphan(&store, "one", &["info"]).await;
    let session = survivor.attach(&id).await.unwrap();
    let mut reader = session.reader(Position::START).await.unwrap();
    handle.send_as("the end", Mark::Terminal(Outcome::Aborted));
    assert_eq!(read_all(&mut reader).await, log(&["info", "the end"]));
    settle().await;
    assert_eq!(*sealed.lock().unwrap(), Some(Outcome::Aborted));
}

#[tokio::test(start_paused = true)]
async fn orphans_that_a_server_can_not_read_hide_no_others() {
    let store = Memory::new();
    let mut last = None;
    for number in 0..200 {
        let id = id(&format!("foreign-{number}"));
        let new = NewSession {
            meta: Arc::new(meta_in(u16::MAX)),
            request: Bytes::new(),
            token: Token::random(),
            lease: LEASE,
            tombstone: LEASE,
        };
        store.create(&id, new).await.unwrap();
        last = Some(id);
    }
    seconds(1).await;
    let (ours, _) = orphan(&store, "ours", &["info"]).await;
    let survivor = SessionsBuilder::new(store.clone(), TextFormat)
        .lease(LEASE)
        .build();
    let _ = survivor.attach(&id("wakes-the-sweeper")).await;
    until("it is sealed", async || {
        let state = store.state(&ours).await.unwrap();
        state.status == Status::Ended(Outcome::Error(unbroken::log::ErrorCode::Interrupted))
    })
    .await;
    let foreign = store.state(&last.unwrap()).await;
    assert!(matches!(
        foreign,
        Err(unbroken::store::StoreError::Unsupported { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_follower_takes_over_as_soon_as_the_lease_is_over() {
    let store = Memory::new();
    let began = Instant::now();
    let (id, _) = orphan(&store, "one", &["info"]).await;
    // Not at a multiple of the follower's wait before the end of the lease.
    tokio::time::sleep(Duration::from_millis(3500)).await;
    let survivor = SessionsBuilder::new(store, TextFormat).lease(LEASE / 5);
    let survivor = survivor.build();
    let (teller, source) = channel_source();
    survivor.on_recovery(ServiceName::new("test"), TestHandler::with(source));
    let _session = survivor.attach(&id).await.unwrap();
    until("it is continued", async || teller.was_polled()).await;
    let took = began.elapsed();
    assert!(took < LEASE + Duration::from_millis(100), "{took:?}");
}
