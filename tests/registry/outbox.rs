//! The outbox: endings are delivered at least once, whichever server is alive.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use unbroken::{
    BoxError, BoxFuture,
    log::{ErrorCode, Outcome, Position, ServiceName, SessionId},
    session::{EndingHandler, Session, SessionSpec, Sessions, SessionsBuilder, StoredEnding},
    store::{AbortRequest, Memory, Store},
};
use unbroken_conformance::{Fault, FaultStore, Op};

use crate::{
    support::{TextFormat, channel_source, id, read_all, seconds, start, until},
    take_over::{LEASE, orphan_with},
};

const KEEP: Duration = Duration::from_secs(60 * 60);

/// An ending as a handler took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) id: SessionId,
    pub(crate) delivery: u32,
    pub(crate) outcome: Outcome,
    pub(crate) records: Option<usize>,
    pub(crate) summary: String,
    pub(crate) request: String,
    pub(crate) after: Duration,
}

/// A handler that notes what it takes, and fails as told.
#[derive(Clone)]
pub(crate) struct Notes {
    began: Instant,
    pub(crate) taken: Arc<Mutex<Vec<Taken>>>,
    given_up: Arc<Mutex<Vec<SessionId>>>,
    pub(crate) fails: Arc<AtomicUsize>,
    panics: Arc<AtomicBool>,
    pub(crate) hangs: Arc<AtomicBool>,
    running: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    pub(crate) gate: Arc<Notify>,
}

impl Notes {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            taken: Arc::default(),
            given_up: Arc::default(),
            fails: Arc::default(),
            panics: Arc::default(),
            hangs: Arc::default(),
            running: Arc::default(),
            most: Arc::default(),
            gate: Arc::default(),
        }
    }

    pub(crate) fn failing(self, times: usize) -> Self {
        self.fails.store(times, SeqCst);
        self
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    fn deliveries(&self) -> Vec<(u32, u64)> {
        let taken = self.taken();
        let each = taken.iter().map(|it| (it.delivery, it.after.as_secs()));
        each.collect()
    }

    pub(crate) async fn until_taken(&self, count: usize) {
        until("endings are delivered", async || {
            self.taken().len() >= count
        })
        .await;
    }
}

struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl EndingHandler for Notes {
    fn deliver(&self, ending: StoredEnding) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(async move {
            let now = self.running.fetch_add(1, SeqCst) + 1;
            let _running = Running(&self.running);
            self.most.fetch_max(now, SeqCst);
            let records = ending.read().await;
            let records = records.map(|log| log.iter().map(unbroken::log::Chunk::len).sum());
            self.taken.lock().unwrap().push(Taken {
                id: ending.id.clone(),
                delivery: ending.delivery,
                outcome: ending.outcome,
                records: records.ok().filter(|_| !ending.deleted),
                summary: String::from_utf8(ending.summary.to_vec())?,
                request: String::from_utf8(ending.request.to_vec())?,
                after: self.began.elapsed(),
            });
            assert!(!self.panics.swap(false, SeqCst), "as the test wanted");
            if self.hangs.load(SeqCst) {
                self.gate.notified().await;
            }
            let failed = self
                .fails
                .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
            failed.map_or(Ok(()), |_| Err("as the test wanted".into()))
        })
    }

    fn give_up(&self, ending: StoredEnding) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.given_up.lock().unwrap().push(ending.id) })
    }
}

pub(crate) fn service() -> ServiceName {
    ServiceName::new("test")
}

pub(crate) fn server(store: impl Store) -> Sessions {
    SessionsBuilder::new(store, TextFormat).lease(LEASE).build()
}

pub(crate) fn delivering(store: impl Store, notes: &Notes) -> Sessions {
    let sessions = server(store);
    sessions.on_ending(service(), notes.clone());
    sessions
}

pub(crate) fn spec(name: &str) -> SessionSpec {
    start(&id(name)).outbox(KEEP).request("asked".into())
}

pub(crate) async fn started(sessions: &Sessions, spec: SessionSpec) -> Session {
    let (handle, source) = channel_source();
    handle.send("one");
    drop(handle);
    let permit = sessions.permit(None).unwrap();
    sessions.start(permit, spec, source).await.unwrap().session
}

/// Runs a session to its end.
pub(crate) async fn ended(sessions: &Sessions, spec: SessionSpec) -> SessionId {
    let session = started(sessions, spec).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(read_all(&mut reader).await.len(), 3);
    session.id().clone()
}

#[tokio::test(start_paused = true)]
async fn an_ending_is_delivered_once_and_soon() {
    let (store, notes) = (Memory::new(), Notes::new());
    let sessions = delivering(store.clone(), &notes);
    let one = ended(&sessions, spec("one")).await;
    notes.until_taken(1).await;
    seconds(120).await;
    let expected = Taken {
        id: one,
        delivery: 1,
        outcome: Outcome::Complete,
        records: Some(3),
        summary: "complete".into(),
        request: "asked".into(),
        after: notes.taken()[0].after,
    };
    assert_eq!(notes.taken(), [expected]);
    assert!(notes.taken()[0].after < Duration::from_millis(500));
    let left = store.endings(&service(), 9, LEASE).await.unwrap();
    assert!(left.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_started_without_it_has_none() {
    let notes = Notes::new();
    let sessions = delivering(Memory::new(), &notes);
    ended(&sessions, start(&id("one"))).await;
    seconds(5).await;
    assert_eq!(notes.taken(), []);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_gets_the_ending_again_after_growing_pauses() {
    let notes = Notes::new().failing(4);
    let sessions = delivering(Memory::new(), &notes);
    ended(&sessions, spec("one")).await;
    notes.until_taken(5).await;
    seconds(3600).await;
    // Each pause is up to an eighth longer, and to one second, since the outbox is looked into once a second.
    let deliveries = notes.deliveries();
    let pauses = deliveries.windows(2).map(|it| it[1].1 - it[0].1);
    let numbers: Vec<_> = deliveries.iter().map(|it| it.0).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    for (pause, least) in pauses.zip([1, 2, 4, 8]) {
        assert!((least..=least + 3).contains(&pause), "{deliveries:?}");
    }
    assert_eq!(*notes.given_up.lock().unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_down_for_a_minute_gets_every_ending_soon_after() {
    let notes = Notes::new().failing(usize::MAX);
    let sessions = delivering(Memory::new(), &notes);
    for n in 0..200 {
        started(&sessions, spec(&format!("session{n}"))).await;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    seconds(10).await;
    notes.fails.store(0, SeqCst);
    let failed = notes.taken().len();
    // The longest pause so far is one of 32 seconds and an eighth.
    seconds(40).await;
    let taken = &notes.taken()[failed..];
    let ids: std::collections::HashSet<_> = taken.iter().map(|it| it.id.clone()).collect();
    assert_eq!((ids.len(), taken.len()), (200, 200));
    assert_eq!(*notes.given_up.lock().unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_or_hangs_has_failed() {
    let notes = Notes::new();
    notes.panics.store(true, SeqCst);
    let sessions = delivering(Memory::new(), &notes);
    ended(&sessions, spec("one")).await;
    notes.until_taken(2).await;
    notes.hangs.store(true, SeqCst);
    ended(&sessions, spec("two")).await;
    notes.until_taken(3).await;
    seconds(29).await;
    assert_eq!(notes.taken().len(), 3, "it has half a minute");
    notes.hangs.store(false, SeqCst);
    notes.until_taken(4).await;
    let numbers: Vec<_> = notes.taken().iter().map(|it| it.delivery).collect();
    assert_eq!(numbers, [1, 2, 1, 2]);
    assert_eq!(notes.running.load(SeqCst), 0, "it was dropped");
}

#[tokio::test(start_paused = true)]
async fn an_ending_that_is_never_taken_is_given_up_within_its_time() {
    let notes = Notes::new().failing(usize::MAX);
    let sessions = delivering(Memory::new(), &notes);
    let spec = start(&id("one")).outbox(Duration::from_secs(20));
    ended(&sessions, spec).await;
    seconds(40).await;
    // After 0, 1, 3, 7 and 15 seconds, each up to an eighth and a second later; the next would be after 31.
    let deliveries = notes.deliveries();
    assert!((4..=5).contains(&deliveries.len()), "{deliveries:?}");
    assert_eq!(*notes.given_up.lock().unwrap(), [id("one")]);
}

#[tokio::test(start_paused = true)]
async fn another_server_delivers_what_a_server_without_a_handler_has_ended() {
    let (store, notes) = (Memory::new(), Notes::new());
    let without = server(store.clone());
    ended(&without, spec("one")).await;
    seconds(5).await;
    drop(without);
    let _with = delivering(store, &notes);
    notes.until_taken(1).await;
    assert_eq!(notes.taken()[0].request, "asked");
}

#[tokio::test(start_paused = true)]
async fn an_orphan_that_is_sealed_by_another_server_has_an_ending_too() {
    for aborted in [false, true] {
        let (store, notes) = (Memory::new(), Notes::new());
        let (id, _) = orphan_with("test", &store, "one", &["info", "so far"], Some(KEEP)).await;
        if aborted {
            store.abort(&id, AbortRequest::default()).await.unwrap();
        }
        let _with = delivering(store, &notes);
        notes.until_taken(1).await;
        let (text, outcome) = if aborted {
            ("aborted", Outcome::Aborted)
        } else {
            ("interrupted", Outcome::Error(ErrorCode::Interrupted))
        };
        let taken = &notes.taken()[0];
        assert_eq!((taken.outcome, taken.records), (outcome, Some(3)));
        assert_eq!((&*taken.summary, &*taken.request), (text, "the request"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_ending_of_a_server_that_died_in_its_delivery_comes_again() {
    let (store, notes) = (Memory::new(), Notes::new());
    let without = server(store.clone());
    ended(&without, spec("one")).await;
    let lease = Duration::from_secs(30);
    let dead = store.endings(&service(), 9, lease).await.unwrap();
    assert_eq!(dead.len(), 1);
    let _second = delivering(store, &notes);
    seconds(29).await;
    assert_eq!(notes.taken(), [], "it is leased");
    notes.until_taken(1).await;
    assert_eq!(notes.taken()[0].delivery, 2);
}

#[tokio::test(start_paused = true)]
async fn two_servers_deliver_each_ending_once() {
    let store = Memory::new();
    let (notes, other) = (Notes::new(), Notes::new());
    let (one, two) = (delivering(store.clone(), &notes), delivering(store, &other));
    for n in 0..100 {
        let sessions = if n % 2 == 0 { &one } else { &two };
        started(sessions, spec(&format!("session{n}"))).await;
    }
    until("all are delivered", async || {
        notes.taken().len() + other.taken().len() >= 100
    })
    .await;
    seconds(60).await;
    let mut ids: Vec<_> = [notes.taken(), other.taken()]
        .concat()
        .into_iter()
        .map(|it| it.id.as_str().to_owned())
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 100);
    assert_eq!(notes.taken().len() + other.taken().len(), 100, "none twice");
    assert!(notes.most.load(SeqCst) <= 16);
}

#[tokio::test(start_paused = true)]
async fn endings_that_fail_or_hang_do_not_keep_others_waiting() {
    let notes = Notes::new().failing(50);
    let sessions = delivering(Memory::new(), &notes);
    for n in 0..50 {
        started(&sessions, spec(&format!("fails{n}"))).await;
    }
    notes.until_taken(50).await;
    let before = Instant::now();
    ended(&sessions, spec("one")).await;
    until("it is delivered", async || {
        notes.taken().iter().any(|it| it.id == id("one"))
    })
    .await;
    assert!(before.elapsed() < Duration::from_secs(1));
    notes.until_taken(101).await;
    assert_eq!(notes.taken().len(), 101);
}

#[tokio::test(start_paused = true)]
async fn lost_calls_of_the_store_repeat_an_ending_and_lose_none() {
    for (op, fault) in [
        (Op::Endings, Fault::LoseBefore),
        (Op::Endings, Fault::LoseAfter),
        (Op::Delivered, Fault::LoseBefore),
        (Op::Delivered, Fault::LoseAfter),
        (Op::Append, Fault::LoseAfter),
    ] {
        let store = FaultStore::new(Memory::new());
        let notes = Notes::new();
        let sessions = delivering(store.clone(), &notes);
        let (handle, source) = channel_source();
        let permit = sessions.permit(None).unwrap();
        sessions.start(permit, spec("one"), source).await.unwrap();
        until("it runs", async || handle.was_polled()).await;
        store.faults().next(op, fault);
        drop(handle);
        notes.until_taken(1).await;
        seconds(120).await;
        assert_eq!(store.faults().happened(), 1, "{op:?} {fault:?}");
        // A lease that was lost with its reply counts as a delivery.
        let lost = (op, fault) == (Op::Endings, Fault::LoseAfter);
        assert_eq!(notes.taken().len(), 1, "{op:?} {fault:?}");
        assert_eq!(notes.taken()[0].delivery, 1 + u32::from(lost));
        let left = store.inner().endings(&service(), 9, LEASE).await.unwrap();
        assert!(left.is_empty(), "{op:?} {fault:?}");
    }
}
