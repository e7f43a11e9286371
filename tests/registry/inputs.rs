//! Answers to a session's source, from any server.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::{Instant, timeout};
use unbroken::{
    BoxFuture,
    log::{ChunkBuilder, Position, ServiceName, SessionId, Status},
    session::{
        Continuation, Inbox, Limits, Mark, Orphan, ReadError, RecoveryHandler, Sessions,
        SessionsBuilder,
    },
    store::{AfterAppend, AnswerOutcome, Lease, Memory, Store, StoreError, StoreExt, StoredAnswer},
};
use unbroken_conformance::{Fault, FaultStore, Op, delegate_store};

use crate::{
    settle,
    support::{
        ChannelSource, TextFormat, channel_source, id, log, lsn, read, read_all, seconds, start,
        until,
    },
    take_over::{LEASE, orphan},
};

fn builder(store: &Memory) -> SessionsBuilder {
    SessionsBuilder::new(store.clone(), TextFormat).lease(LEASE)
}

/// Starts a session whose source receives its answers from this inbox.
async fn begin(sessions: &Sessions, id: &SessionId, source: ChannelSource, inbox: &Inbox) {
    let permit = sessions.permit(None).unwrap();
    let start = start(id).inbox(inbox.clone());
    let started = sessions.start(permit, start, source).await.unwrap();
    assert!(started.created);
}

async fn give(sessions: &Sessions, id: &SessionId, name: &str) {
    let answered = sessions.answer(id, StoredAnswer::new(name, "yes")).await;
    assert!(matches!(answered.unwrap(), AnswerOutcome::Stored(_)));
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_any_server_reaches_the_source_at_once() {
    let store = Memory::new();
    let (here, there) = (builder(&store).build(), builder(&store).build());
    let (id, inbox) = (id("one"), Inbox::new());
    let (handle, source) = channel_source();
    begin(&here, &id, source, &inbox).await;
    handle.send_as("may I?", Mark::Waiting);
    settle().await;
    for (server, name) in [(&there, "a"), (&here, "b"), (&there, "c")] {
        let began = Instant::now();
        let (answer, ()) = tokio::join!(inbox.recv(name), give(server, &id, name));
        assert_eq!(answer.unwrap(), "yes");
        // The store notifies the owner; polling would take longer.
        let took = began.elapsed();
        assert!(took < Duration::from_millis(100), "{name} after {took:?}");
    }
    drop(handle);
    until("it is sealed", async || {
        store.state(&id).await.unwrap().status.outcome().is_some()
    })
    .await;
    let late = there.answer(&id, StoredAnswer::new("d", "yes")).await;
    assert!(matches!(late, Err(StoreError::Sealed)));
}

#[tokio::test(start_paused = true)]
async fn time_spent_waiting_for_people_is_not_idle_but_counts_for_the_age() {
    let store = Memory::new();
    let limits = Limits::default()
        .idle(Duration::from_secs(60))
        .age(Duration::from_secs(1000));
    let sessions = builder(&store).limits(limits).build();
    let (id, inbox) = (id("one"), Inbox::new());
    let (handle, source) = channel_source();
    begin(&sessions, &id, source, &inbox).await;
    handle.send_as("may I?", Mark::Waiting);
    seconds(900).await;
    let state = store.state(&id).await.unwrap();
    assert_eq!(state.status, Status::Waiting);
    assert!(matches!(state.lease, Lease::Held(_)), "{:?}", state.lease);
    give(&sessions, &id, "a").await;
    handle.send("on");
    settle().await;
    assert_eq!(store.state(&id).await.unwrap().status, Status::Streaming);
    handle.send_as("and now?", Mark::Waiting);
    settle().await;
    let session = sessions.attach(&id).await.unwrap();
    let mut reader = session.reader(Position::after(lsn(4))).await.unwrap();
    assert_eq!(read_all(&mut reader).await, [(5, "age".to_owned())]);
    assert!(handle.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn the_idle_clock_runs_again_after_an_answer() {
    let store = Memory::new();
    let limits = Limits::default().idle(Duration::from_secs(60));
    let sessions = builder(&store).limits(limits).build();
    let (id, inbox) = (id("one"), Inbox::new());
    let (handle, source) = channel_source();
    begin(&sessions, &id, source, &inbox).await;
    handle.send_as("may I?", Mark::Waiting);
    seconds(600).await;
    handle.send("on");
    seconds(59).await;
    assert!(!handle.is_dropped());
    seconds(2).await;
    assert!(handle.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn a_closed_name_takes_no_answer_and_an_answer_taken_before_counts() {
    let store = Memory::new();
    let (here, there) = (builder(&store).build(), builder(&store).build());
    let (id, inbox) = (id("one"), Inbox::new());
    let early = inbox.clone();
    let early = tokio::spawn(async move { early.close("early").await });
    settle().await;
    assert!(!early.is_finished(), "the session hasn't started");
    let (handle, source) = channel_source();
    begin(&here, &id, source, &inbox).await;
    handle.send_as("may I?", Mark::Waiting);
    assert_eq!(early.await.unwrap(), None);
    // The second one is under way when the name is closed.
    let (closed, ()) = tokio::join!(inbox.close("b"), give(&there, &id, "b"));
    assert_eq!(closed.unwrap(), "yes");
    for name in ["early", "a"] {
        assert_eq!(inbox.close(name).await, None);
        let late = there.answer(&id, StoredAnswer::new(name, "yes")).await;
        assert!(matches!(late.unwrap(), AnswerOutcome::Taken));
        assert_eq!(inbox.recv(name).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_ends_the_wait_for_an_answer() {
    let sessions = builder(&Memory::new()).build();
    let (id, inbox) = (id("one"), Inbox::new());
    let (handle, source) = channel_source();
    begin(&sessions, &id, source, &inbox).await;
    handle.send_as("may I?", Mark::Waiting);
    let waits = inbox.clone();
    let waits = tokio::spawn(async move { waits.recv("a").await });
    settle().await;
    assert!(!waits.is_finished());
    drop(handle);
    assert_eq!(waits.await.unwrap(), None);
    assert_eq!(inbox.close("b").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_a_full_session_can_not_close_takes_no_answer_either() {
    let store = Memory::new();
    let sessions = builder(&store).build();
    let (id, inbox) = (id("one"), Inbox::new());
    let (handle, source) = channel_source();
    begin(&sessions, &id, source, &inbox).await;
    handle.send_as("may I?", Mark::Waiting);
    for name in 0..StoredAnswer::MAX_COUNT {
        give(&sessions, &id, &name.to_string()).await;
    }
    assert_eq!(inbox.close("one more").await, None);
    let late = sessions
        .answer(&id, StoredAnswer::new("one more", "yes"))
        .await;
    assert!(matches!(late, Err(StoreError::Full)));
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_lease_ran_out_closes_no_name() {
    let store = FaultStore::new(Memory::new());
    let sessions = SessionsBuilder::new(store.clone(), TextFormat).lease(LEASE);
    let here = sessions.build();
    let (id, inbox) = (id("one"), Inbox::new());
    let (handle, source) = channel_source();
    begin(&here, &id, source, &inbox).await;
    handle.send_as("may I?", Mark::Waiting);
    settle().await;
    for _ in 0..1000 {
        store.faults().next(Op::Renew, Fault::LoseBefore);
    }
    tokio::time::sleep(LEASE * 2).await;
    let closed = timeout(LEASE, inbox.close("a")).await;
    assert!(closed.is_err(), "{closed:?}");
    // A new owner, if there were one, would still wait for it.
    let answered = store.answer(&id, StoredAnswer::new("a", "yes")).await;
    assert!(matches!(answered.unwrap(), AnswerOutcome::Stored(_)));
    store.faults().heal();
    assert_eq!(inbox.close("a").await.unwrap(), "yes");
}

/// A store that shows a lost answer in the place of a later one.
#[derive(Debug)]
struct ForgetfulStore {
    inner: Memory,
    forgot: AtomicBool,
}

impl Store for ForgetfulStore {
    delegate_store!(
        inner: durability, create, claim, renew, append, read, changed, abort, answer, hold, delete,
        of_chat, list, orphans, endings, postpone_ending, delivered, sweep
    );

    fn answers<'a>(
        &'a self,
        id: &'a SessionId,
        after: usize,
    ) -> BoxFuture<'a, Result<Vec<StoredAnswer>, StoreError>> {
        Box::pin(async move {
            let mut answers = self.inner.answers(id, after).await?;
            if !self.forgot.load(SeqCst) {
                for answer in answers.iter_mut().filter(|answer| &*answer.name == "late") {
                    answer.name = "lost".into();
                }
            }
            Ok(answers)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_the_place_of_a_lost_one_is_found_when_its_name_is_closed() {
    let inner = Memory::new();
    let store = Arc::new(ForgetfulStore {
        inner: inner.clone(),
        forgot: AtomicBool::new(false),
    });
    let sessions = SessionsBuilder::new(store.clone(), TextFormat).lease(LEASE);
    let here = sessions.build();
    let (id, inbox) = (id("one"), Inbox::new());
    let (handle, source) = channel_source();
    begin(&here, &id, source, &inbox).await;
    handle.send_as("may I?", Mark::Waiting);
    for name in ["early", "late"] {
        give(&here, &id, name).await;
    }
    assert_eq!(inbox.recv("lost").await.unwrap(), "yes");
    store.forgot.store(true, SeqCst);
    let closed = timeout(Duration::from_secs(10), inbox.close("late")).await;
    assert_eq!(closed.unwrap().unwrap(), "yes");
}

/// A handler that continues with this source, once.
struct ContinueOnce(Mutex<Option<(ChannelSource, Inbox)>>);

impl RecoveryHandler for ContinueOnce {
    fn recover(&self, _: Orphan) -> BoxFuture<'_, Result<Option<Continuation>, ReadError>> {
        let taken = self.0.lock().unwrap().take();
        let on = taken.map(|(source, inbox)| Continuation::new(source).inbox(inbox));
        Box::pin(std::future::ready(Ok(on)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_owner_of_a_waiting_session_waits_on_and_receives_the_answers() {
    let store = Memory::new();
    let (id, epoch) = orphan(&store, "one", &["info"]).await;
    let mut asks = ChunkBuilder::new();
    asks.push(b"may I?");
    let asks = asks.take(lsn(2), epoch).unwrap();
    store.append(&id, asks, AfterAppend::Waiting).await.unwrap();
    let early = store.answer(&id, StoredAnswer::new("early", "yes")).await;
    assert!(matches!(early.unwrap(), AnswerOutcome::Stored(_)));
    let closed = store.answer(&id, StoredAnswer::closed("given up")).await;
    assert!(matches!(closed.unwrap(), AnswerOutcome::Stored(_)));
    let limits = Limits::default().idle(Duration::from_secs(60));
    let survivor = builder(&store).limits(limits).build();
    let inbox = Inbox::new();
    let (handle, source) = channel_source();
    let handler = ContinueOnce(Mutex::new(Some((source, inbox.clone()))));
    survivor.on_recovery(ServiceName::new("test"), handler);
    let session = survivor.attach(&id).await.unwrap();
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(read(&mut reader, 2).await, log(&["info", "may I?"]));
    assert_eq!(inbox.recv("early").await.unwrap(), "yes");
    // The source is silent since, and still not idle.
    seconds(600).await;
    assert_eq!(session.status(), Status::Waiting);
    let other: Arc<Sessions> = Arc::new(builder(&store).build());
    give(&other, &id, "late").await;
    let late = timeout(Duration::from_secs(1), inbox.recv("late")).await;
    assert_eq!(late.unwrap().unwrap(), "yes");
    // The former owner has closed this name.
    assert_eq!(inbox.recv("given up").await, None);
    handle.send("on");
    drop(handle);
    let rest = [(3, "on".to_owned()), (4, "complete".to_owned())];
    assert_eq!(read_all(&mut reader).await, rest);
}
