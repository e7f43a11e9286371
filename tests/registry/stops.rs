//! Aborts while the store doesn't answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::Instant;
use unbroken::{
    BoxFuture,
    log::{ErrorCode, Outcome, Position, ServiceName, SessionId, Status},
    session::{Continuation, Session, Sessions, SessionsBuilder},
    store::{AbortRequest, Memory, Seen, SessionState, Store, StoreError, StoreExt},
};
use unbroken_conformance::{Fault, FaultStore, Op, delegate_store};

use crate::{
    begin, settle,
    support::{SourceHandle, TextFormat, channel_source, id, log, read_all, seconds, until},
    take_over::{LEASE, TestHandler, orphan},
};

fn builder_on(store: impl Store) -> SessionsBuilder {
    SessionsBuilder::new(store, TextFormat).lease(LEASE)
}

fn enough() -> AbortRequest {
    AbortRequest {
        reason: Some("enough".into()),
    }
}

async fn running(sessions: &Sessions, id: &SessionId) -> (SourceHandle, Session) {
    let (handle, source) = channel_source();
    let session = begin(sessions, id, source).await;
    settle().await;
    assert!(handle.was_polled());
    (handle, session)
}

async fn whole(session: &Session) -> Vec<(u64, String)> {
    read_all(&mut session.reader(Position::START).await.unwrap()).await
}

/// Lets every call of the store hang.
fn freeze(store: &FaultStore<Memory>) {
    for op in [Op::Abort, Op::Append, Op::Renew, Op::Changed, Op::Read] {
        for _ in 0..4 {
            let hang = Fault::PauseBefore(Duration::from_secs(30));
            store.faults().next(op, hang);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_abort_drops_the_provider_at_once_while_the_store_refuses_or_hangs() {
    for hangs in [false, true] {
        let store = FaultStore::new(Memory::new());
        let (sessions, id) = (builder_on(store.clone()).build(), id("one"));
        let (handle, session) = running(&sessions, &id).await;
        if hangs {
            freeze(&store);
        } else {
            store.faults().outage(true);
        }
        let began = Instant::now();
        let aborting = tokio::spawn({
            let (sessions, id) = (sessions.clone(), id.clone());
            async move { sessions.abort(&id, enough()).await }
        });
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(handle.is_dropped(), "before the store has answered");
        let state = aborting.await.unwrap().unwrap();
        assert!(began.elapsed() <= Duration::from_millis(510));
        assert_eq!(state.status, Status::Streaming);
        assert_eq!(state.abort, Some(enough()));
        let stored = store.inner().state(&id).await.unwrap();
        assert_eq!((stored.status, stored.abort), (Status::Streaming, None));
        seconds(20).await;
        store.faults().heal();
        until("the record follows", async || {
            let stored = store.inner().state(&id).await.unwrap();
            stored.status == Status::Ended(Outcome::Aborted)
        })
        .await;
        assert_eq!(whole(&session).await, log(&["info", "aborted: enough"]));
        let again = sessions.abort(&id, enough()).await.unwrap();
        assert_eq!(again.status, Status::Ended(Outcome::Aborted));
    }
}

#[tokio::test(start_paused = true)]
async fn an_abort_whose_caller_is_dropped_while_the_store_hangs_still_happens() {
    let store = FaultStore::new(Memory::new());
    let (sessions, id) = (builder_on(store.clone()).build(), id("one"));
    let (handle, session) = running(&sessions, &id).await;
    freeze(&store);
    let aborting = sessions.abort(&id, enough());
    let dropped = tokio::time::timeout(Duration::from_millis(1), aborting).await;
    assert!(dropped.is_err() && handle.is_dropped());
    seconds(60).await;
    assert_eq!(session.status(), Status::Ended(Outcome::Aborted));
}

#[tokio::test(start_paused = true)]
async fn an_abort_in_an_outage_follows_the_session_to_the_server_that_takes_it_over() {
    let store = Memory::new();
    let near = FaultStore::new(store.clone());
    let (resumed, source) = channel_source();
    let source = std::sync::Mutex::new(Some(source));
    let there = builder_on(store.clone()).build();
    there.on_recovery(
        ServiceName::new("test"),
        TestHandler::by(move |_| source.lock().unwrap().take().map(Continuation::new)),
    );
    let (here, id) = (builder_on(near.clone()).build(), id("one"));
    let (handle, _session) = running(&here, &id).await;
    near.faults().outage(true);
    here.abort(&id, enough()).await.unwrap();
    settle().await;
    assert!(handle.is_dropped());
    until("the other server has it", async || resumed.was_polled()).await;
    near.faults().heal();
    until("the abort arrives", async || resumed.is_dropped()).await;
    settle().await;
    let state = store.state(&id).await.unwrap();
    assert_eq!(state.status, Status::Ended(Outcome::Aborted));
}

/// The loss that the docs of `abort` name: the store never had the request.
#[tokio::test(start_paused = true)]
async fn an_abort_in_an_outage_is_lost_with_its_server() {
    let store = Memory::new();
    let near = FaultStore::new(store.clone());
    let there = builder_on(store.clone()).build();
    let (here, id) = (builder_on(near.clone()).build(), id("one"));
    let _ = there.attach(&id).await;
    let (handle, _session) = running(&here, &id).await;
    near.faults().outage(true);
    here.abort(&id, enough()).await.unwrap();
    here.shutdown(Duration::ZERO).await;
    assert!(handle.is_dropped());
    near.faults().heal();
    until("another server ends it", async || {
        let state = store.state(&id).await.unwrap();
        state.status.outcome().is_some()
    })
    .await;
    let state = store.state(&id).await.unwrap();
    assert_eq!(
        state.status,
        Status::Ended(Outcome::Error(ErrorCode::Interrupted))
    );
}

#[tokio::test(start_paused = true)]
async fn an_abort_after_the_end_of_the_stream_leaves_one_ending() {
    let store = FaultStore::new(Memory::new());
    let (sessions, id) = (builder_on(store.clone()).build(), id("one"));
    let (handle, session) = running(&sessions, &id).await;
    store.faults().outage(true);
    drop(handle);
    settle().await;
    let state = sessions.abort(&id, enough()).await.unwrap();
    assert_eq!(state.status, Status::Streaming, "as far as is stored");
    store.faults().heal();
    assert_eq!(whole(&session).await, log(&["info", "complete"]));
    let state = sessions.abort(&id, enough()).await.unwrap();
    assert_eq!(state.status, Status::Ended(Outcome::Complete));
}

#[tokio::test(start_paused = true)]
async fn records_that_wait_for_the_store_come_before_the_abort() {
    let store = FaultStore::new(Memory::new());
    let (sessions, id) = (builder_on(store.clone()).build(), id("one"));
    let (handle, session) = running(&sessions, &id).await;
    store.faults().outage(true);
    handle.send("a");
    settle().await;
    sessions.abort(&id, enough()).await.unwrap();
    handle.send("b");
    seconds(20).await;
    store.faults().heal();
    seconds(3).await;
    assert_eq!(
        whole(&session).await,
        log(&["info", "a", "aborted: enough"])
    );
}

#[tokio::test(start_paused = true)]
async fn an_abort_in_an_outage_is_refused_by_a_server_that_does_not_run_the_session() {
    let store = FaultStore::new(Memory::new());
    let here = builder_on(store.inner().clone()).build();
    let there = builder_on(store.clone()).build();
    let id = id("one");
    let (handle, _session) = running(&here, &id).await;
    let _followed = there.attach(&id).await.unwrap();
    store.faults().outage(true);
    let refused = there.abort(&id, enough()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })));
    settle().await;
    assert!(!handle.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn a_delete_in_an_outage_stops_the_provider_and_is_refused() {
    for hangs in [false, true] {
        let store = FaultStore::new(Memory::new());
        let (sessions, id) = (builder_on(store.clone()).build(), id("one"));
        let (handle, _session) = running(&sessions, &id).await;
        if hangs {
            freeze(&store);
        } else {
            store.faults().outage(true);
        }
        let refused = sessions.delete(&id).await;
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })));
        assert!(handle.is_dropped());
        store.faults().heal();
        seconds(40).await;
        let state = sessions.state(&id).await.unwrap();
        assert_eq!(state.status, Status::Ended(Outcome::Aborted));
        sessions.delete(&id).await.unwrap();
    }
}

/// A store whose waits end at once, which it may do.
#[derive(Debug, Clone)]
struct RestlessStore {
    inner: Memory,
    waits: Arc<AtomicUsize>,
}

impl Store for RestlessStore {
    delegate_store!(
        inner: durability, create, claim, renew, append, read, abort, answer, answers, hold, delete,
        of_chat, list, orphans, endings, postpone_ending, delivered, sweep
    );

    fn changed<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Seen,
        _: Duration,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        assert!(self.waits.fetch_add(1, SeqCst) < 1000, "a busy loop");
        self.inner.changed(id, seen, Duration::ZERO)
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_waits_for_the_seal_in_pauses_also_if_the_store_does_not_wait() {
    let store = RestlessStore {
        inner: Memory::new(),
        waits: Arc::default(),
    };
    let (id, _) = orphan(&store.inner, "one", &["info"]).await;
    let sessions = builder_on(store.clone()).build();
    let began = Instant::now();
    sessions.delete(&id).await.unwrap();
    let waited = began.elapsed();
    let patience = Duration::from_secs(2);
    assert!(waited >= patience && waited < patience * 2, "{waited:?}");
    assert!(store.waits.load(SeqCst) > 1);
    let gone = sessions.state(&id).await;
    assert!(matches!(gone, Err(StoreError::Gone(_))), "{gone:?}");
}
