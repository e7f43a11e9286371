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
    session::{
        EndingHandler, Retention, Session, SessionSpec, Sessions, SessionsBuilder, StoredEnding,
    },
    store::{AbortRequest, DeleteMode, Memory, Store, StoreError},
};
use unbroken_conformance::{Fault, FaultStore, Op, delegate_store};

use crate::{
    is_gone,
    support::{TextFormat, channel_source, id, read_all, seconds, start, until},
    take_over::{LEASE, orphan_with},
};

const KEEP: Duration = Duration::from_secs(60 * 60);

/// An ending as a handler took it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Taken {
    id: SessionId,
    delivery: u32,
    outcome: Outcome,
    records: Option<usize>,
    summary: String,
    request: String,
    after: Duration,
}

/// A handler that notes what it takes, and fails as told.
#[derive(Clone)]
struct Notes {
    began: Instant,
    taken: Arc<Mutex<Vec<Taken>>>,
    given_up: Arc<Mutex<Vec<SessionId>>>,
    fails: Arc<AtomicUsize>,
    panics: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
    running: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    gate: Arc<Notify>,
}

impl Notes {
    fn new() -> Self {
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

    fn failing(self, times: usize) -> Self {
        self.fails.store(times, SeqCst);
        self
    }

    fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    fn deliveries(&self) -> Vec<(u32, u64)> {
        let taken = self.taken();
        let each = taken.iter().map(|it| (it.delivery, it.after.as_secs()));
        each.collect()
    }

    async fn until_taken(&self, count: usize) {
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

/// Counts the deletions that it is asked for.
#[derive(Debug, Clone, Default)]
struct CountedDeletes {
    inner: Memory,
    deletes: Arc<AtomicUsize>,
}

impl Store for CountedDeletes {
    delegate_store!(
        inner: durability, outlives_handle, create, claim, renew, append, append_now, read, changed, abort, answer,
        answers, hold, of_chat, list, orphans, endings, postpone_ending, delivered, sweep
    );

    fn delete<'a>(
        &'a self,
        id: &'a SessionId,
        how: DeleteMode,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.deletes.fetch_add(1, SeqCst);
        self.inner.delete(id, how)
    }
}

fn service() -> ServiceName {
    ServiceName::new("test")
}

fn server(store: impl Store) -> Sessions {
    SessionsBuilder::new(store, TextFormat).lease(LEASE).build()
}

fn delivering(store: impl Store, notes: &Notes) -> Sessions {
    let sessions = server(store);
    sessions.on_ending(service(), notes.clone());
    sessions
}

fn spec(name: &str) -> SessionSpec {
    start(&id(name)).outbox(KEEP).request("asked".into())
}

async fn started(sessions: &Sessions, spec: SessionSpec) -> Session {
    let (handle, source) = channel_source();
    handle.send("one");
    drop(handle);
    let permit = sessions.permit(None).unwrap();
    sessions.start(permit, spec, source).await.unwrap().session
}

/// Runs a session to its end.
async fn ended(sessions: &Sessions, spec: SessionSpec) -> SessionId {
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

#[tokio::test(start_paused = true)]
async fn a_session_that_is_deleted_before_its_delivery_leaves_its_summary() {
    let notes = Notes::new().failing(1);
    let sessions = delivering(Memory::new(), &notes);
    let id = ended(&sessions, spec("one")).await;
    notes.until_taken(1).await;
    sessions.delete(&id).await.unwrap();
    assert!(is_gone(&sessions, &id).await);
    notes.until_taken(2).await;
    let taken = &notes.taken()[1];
    assert_eq!((taken.records, &*taken.request), (None, ""));
    assert_eq!(
        (taken.outcome, &*taken.summary),
        (Outcome::Complete, "complete")
    );
}

#[tokio::test(start_paused = true)]
async fn a_running_session_that_is_deleted_ends_first_and_has_an_ending() {
    let notes = Notes::new();
    let sessions = delivering(Memory::new(), &notes);
    let (handle, source) = channel_source();
    let permit = sessions.permit(None).unwrap();
    let session = sessions.start(permit, spec("one"), source).await.unwrap();
    until("it runs", async || handle.was_polled()).await;
    sessions.delete(session.session.id()).await.unwrap();
    notes.until_taken(1).await;
    assert_eq!(notes.taken()[0].outcome, Outcome::Aborted);
    assert!(is_gone(&sessions, &id("one")).await);
}

#[tokio::test(start_paused = true)]
async fn a_released_session_is_deleted_after_its_delivery() {
    let notes = Notes::new().failing(2);
    let retention = Retention::until_released().grace(Duration::ZERO);
    let sessions = SessionsBuilder::new(Memory::new(), TextFormat)
        .retention(retention)
        .build();
    sessions.on_ending(service(), notes.clone());
    let id = ended(&sessions, spec("one")).await;
    seconds(2).await;
    assert!(!is_gone(&sessions, &id).await, "its ending waits");
    notes.until_taken(3).await;
    assert!(notes.taken().iter().all(|it| it.records == Some(3)));
    seconds(5).await;
    assert!(is_gone(&sessions, &id).await);
}

#[tokio::test(start_paused = true)]
async fn the_store_is_not_asked_for_ever_whether_a_released_session_can_go() {
    let store = CountedDeletes::default();
    let retention = Retention::until_released()
        .grace(Duration::ZERO)
        .at_most(Duration::from_secs(600));
    let sessions = SessionsBuilder::new(store.clone(), TextFormat)
        .retention(retention)
        .build();
    let notes = Notes::new().failing(usize::MAX);
    sessions.on_ending(service(), notes.clone());
    let id = ended(&sessions, spec("one")).await;
    seconds(70).await;
    let asked = store.deletes.load(SeqCst);
    assert_eq!(asked, 7, "after 0, 1, 3, 7, 15, 31 and 63 seconds");
    seconds(600).await;
    assert_eq!(store.deletes.load(SeqCst), asked);
    assert!(!is_gone(&sessions, &id).await, "its ending waits");
    assert_eq!(sessions.loaded(), 0, "nothing is left in memory");
    notes.fails.store(0, SeqCst);
    seconds(700).await;
    assert!(is_gone(&sessions, &id).await, "it was delivered");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_delivers_what_ends_with_its_store_and_waits_for_what_it_began() {
    let notes = Notes::new();
    let sessions = delivering(Memory::new(), &notes);
    for n in 0..40 {
        let (handle, source) = channel_source();
        let permit = sessions.permit(None).unwrap();
        let spec = spec(&format!("session{n}"));
        sessions.start(permit, spec, source).await.unwrap();
        until("it runs", async || handle.was_polled()).await;
        std::mem::forget(handle);
    }
    sessions.shutdown(Duration::ZERO).await;
    assert_eq!(notes.taken().len(), 40);

    let (store, notes) = (Memory::new(), Notes::new());
    notes.hangs.store(true, SeqCst);
    let sessions = delivering(store.clone(), &notes);
    ended(&sessions, spec("one")).await;
    notes.until_taken(1).await;
    let shutdown = tokio::spawn(async move { sessions.shutdown(Duration::ZERO).await });
    seconds(5).await;
    assert!(!shutdown.is_finished());
    notes.gate.notify_waiters();
    shutdown.await.unwrap();
    seconds(60).await;
    let left = store.endings(&service(), 9, LEASE).await.unwrap();
    assert!(left.is_empty(), "it was delivered");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_longer_than_ten_seconds_for_a_handler() {
    let notes = Notes::new();
    notes.hangs.store(true, SeqCst);
    let sessions = delivering(Memory::new(), &notes);
    ended(&sessions, spec("one")).await;
    notes.until_taken(1).await;
    let began = Instant::now();
    sessions.shutdown(Duration::ZERO).await;
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_longer_than_its_lease_keeps_it() {
    struct Slow(Notes);
    impl EndingHandler for Slow {
        fn deliver(&self, ending: StoredEnding) -> BoxFuture<'_, Result<(), BoxError>> {
            Box::pin(async move {
                self.0.deliver(ending).await?;
                seconds(100).await;
                Ok(())
            })
        }
        fn timeout(&self) -> Duration {
            Duration::from_secs(200)
        }
    }
    let (store, notes) = (Memory::new(), Notes::new());
    let one = server(store.clone());
    one.on_ending(service(), Slow(notes.clone()));
    ended(&one, spec("one")).await;
    notes.until_taken(1).await;
    let other = Notes::new();
    let _two = delivering(store.clone(), &other);
    seconds(300).await;
    assert_eq!(notes.taken().len(), 1);
    assert_eq!(other.taken(), []);
    assert!(is_gone(&one, &id("one")).await, "it was delivered");
}
