//! Shutdowns: running sessions are handed over, or ended where the store ends too.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::Instant;
use unbroken::{
    log::{Outcome, Position, ServiceName, SessionId, Status},
    session::{Mark, ReadError, Session, Sessions, SessionsBuilder},
    store::{AbortRequest, Lease, LeaseChange, Memory, Store as _, StoreExt},
};
use unbroken_conformance::{Fault, FaultStore, Op};

use crate::{
    claims::SlowHandler,
    support::{
        ChannelSource, SourceHandle, TextFormat, channel_source, id, log, read, read_all, start,
        until,
    },
    take_over::{TestHandler, orphan},
};

/// Counts the runs of a hook, each of which takes this time.
#[derive(Clone)]
struct Hook {
    takes: Duration,
    began: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
}

impl Hook {
    fn taking(takes: Duration) -> Self {
        Self {
            takes,
            began: Arc::default(),
            done: Arc::default(),
        }
    }

    fn counts(&self) -> (usize, usize) {
        (self.began.load(SeqCst), self.done.load(SeqCst))
    }

    async fn begin(&self, sessions: &Sessions, id: &SessionId, source: ChannelSource) -> Session {
        let hook = self.clone();
        let spec = start(id).on_sealed(move |outcome| async move {
            assert_eq!(
                outcome,
                Outcome::Error(unbroken::log::ErrorCode::Interrupted)
            );
            hook.began.fetch_add(1, SeqCst);
            tokio::time::sleep(hook.takes).await;
            hook.done.fetch_add(1, SeqCst);
        });
        let permit = sessions.permit(None).unwrap();
        sessions.start(permit, spec, source).await.unwrap().session
    }
}

async fn running(sessions: &Sessions, hook: &Hook) -> (SourceHandle, Session) {
    let (handle, source) = channel_source();
    let session = hook.begin(sessions, &id("one"), source).await;
    until("it runs", async || handle.was_polled()).await;
    (handle, session)
}

#[tokio::test(start_paused = true)]
async fn a_store_that_ends_with_its_server_gets_an_ending_and_the_shutdown_waits_for_its_hook() {
    for waits in [false, true] {
        let sessions = SessionsBuilder::new(Memory::new(), TextFormat).build();
        let hook = Hook::taking(Duration::from_secs(9));
        let (handle, session) = running(&sessions, &hook).await;
        let mut reader = session.reader(Position::START).await.unwrap();
        let mark = if waits { Mark::Waiting } else { Mark::Event };
        handle.send_as("so far", mark);
        assert_eq!(read(&mut reader, 2).await, log(&["info", "so far"]));
        sessions.shutdown(Duration::ZERO).await;
        assert_eq!(hook.counts(), (1, 1), "it is done");
        assert!(handle.is_dropped());
        assert_eq!(read_all(&mut reader).await, [(3, "interrupted".to_owned())]);
        assert_eq!((sessions.running(), sessions.waiting()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_with_another_handle_keeps_the_session_for_another_server() {
    let store = Memory::new();
    let sessions = SessionsBuilder::new(store.clone(), TextFormat).build();
    let hook = Hook::taking(Duration::ZERO);
    let (handle, session) = running(&sessions, &hook).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(read(&mut reader, 1).await, log(&["info"]));
    sessions.shutdown(Duration::ZERO).await;
    assert!(handle.is_dropped());
    assert!(matches!(
        reader.next().await,
        Some(Err(ReadError::ShutDown))
    ));
    let state = store.state(&id("one")).await.unwrap();
    assert_eq!(
        (state.lease, state.status),
        (Lease::Free, Status::Streaming)
    );
    assert_eq!(hook.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn only_handles_count_and_not_what_the_registry_does_with_its_own() {
    let store = Memory::new();
    assert!(!store.outlives_handle());
    let other = store.clone();
    assert!(store.outlives_handle() && Arc::new(store.clone()).outlives_handle());
    drop(other);
    let shared = Arc::new(store);
    assert!(!shared.outlives_handle());
    let other = shared.clone();
    assert!(shared.outlives_handle());
    drop(other);
    let sessions = SessionsBuilder::new(shared, TextFormat).build();
    let hook = Hook::taking(Duration::ZERO);
    let (_handle, session) = running(&sessions, &hook).await;
    // Clones of the registry, a handle, and a reader that waits share its store.
    let (_clone, mut reader) = (
        sessions.clone(),
        session.reader(Position::START).await.unwrap(),
    );
    let reading = tokio::spawn(async move { read_all(&mut reader).await });
    sessions.shutdown(Duration::ZERO).await;
    assert_eq!(reading.await.unwrap(), log(&["info", "interrupted"]));
}

#[tokio::test(start_paused = true)]
async fn an_orphan_whose_handler_has_not_decided_ends_too() {
    let store = Memory::new();
    let (id, epoch) = orphan(&store, "one", &["info"]).await;
    let given = [(id.clone(), epoch)];
    let _ = store.renew(&given, LeaseChange::GiveBack).await;
    let survivor = SessionsBuilder::new(store, TextFormat).build();
    let handler = SlowHandler::default();
    survivor.on_recovery(ServiceName::new("test"), handler.clone());
    let session = survivor.attach(&id).await.unwrap();
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(read(&mut reader, 1).await, log(&["info"]));
    until("the handler is asked", async || handler.asked() == 1).await;
    survivor.shutdown(Duration::ZERO).await;
    assert_eq!(handler.dropped(), 1);
    assert_eq!(read_all(&mut reader).await, [(2, "interrupted".to_owned())]);
}

/// The permit of a session that ends is free only once its hook is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_of_a_session_that_has_just_ended_is_not_missed() {
    for _ in 0..300 {
        let sessions = SessionsBuilder::new(Memory::new(), TextFormat).build();
        let hook = Hook::taking(Duration::from_millis(1));
        let _session = running(&sessions, &hook).await;
        sessions.shutdown(Duration::ZERO).await;
        assert_eq!(hook.counts(), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn the_ending_comes_although_an_append_of_it_is_lost() {
    for fault in [
        Fault::LoseBefore,
        Fault::LoseAfter,
        Fault::PauseBefore(Duration::from_secs(1)),
    ] {
        let store = FaultStore::new(Memory::new());
        let faults = store.faults().clone();
        let sessions = SessionsBuilder::new(store, TextFormat).build();
        let hook = Hook::taking(Duration::ZERO);
        let (_handle, session) = running(&sessions, &hook).await;
        let mut reader = session.reader(Position::START).await.unwrap();
        faults.next(Op::Append, fault);
        sessions.shutdown(Duration::ZERO).await;
        assert_eq!(faults.happened(), 1, "{fault:?}");
        assert_eq!(read_all(&mut reader).await, log(&["info", "interrupted"]));
        assert_eq!(hook.counts(), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_holds_no_shutdown_up() {
    let store = FaultStore::new(Memory::new());
    let faults = store.faults().clone();
    let sessions = SessionsBuilder::new(store, TextFormat).build();
    let (_handle, session) = running(&sessions, &Hook::taking(Duration::ZERO)).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(read(&mut reader, 1).await, log(&["info"]));
    faults.next(Op::Append, Fault::PauseBefore(Duration::from_secs(60)));
    let began = Instant::now();
    sessions.shutdown(Duration::ZERO).await;
    assert!(began.elapsed() < Duration::from_secs(3));
    assert!(matches!(
        reader.next().await,
        Some(Err(ReadError::ShutDown))
    ));
}

#[tokio::test(start_paused = true)]
async fn one_ending_is_written_by_an_abort_and_two_shutdowns() {
    for abort_first in [true, false] {
        let sessions = SessionsBuilder::new(Memory::new(), TextFormat).build();
        let (handle, source) = channel_source();
        let session = crate::begin(&sessions, &id("one"), source).await;
        until("it runs", async || handle.was_polled()).await;
        let mut reader = session.reader(Position::START).await.unwrap();
        let one = id("one");
        let abort = sessions.abort(&one, AbortRequest::default());
        let both = async {
            tokio::join!(
                sessions.shutdown(Duration::ZERO),
                sessions.shutdown(Duration::ZERO)
            )
        };
        let expected = if abort_first {
            let _ = tokio::join!(abort, both);
            "aborted"
        } else {
            let _ = tokio::join!(both, abort);
            "interrupted"
        };
        assert_eq!(read_all(&mut reader).await, log(&["info", expected]));
    }
}

/// The followers of many sessions of a server that leaves all claim at once.
#[tokio::test(start_paused = true)]
async fn a_server_takes_over_many_sessions_at_once() {
    let store = Memory::new();
    let slow = FaultStore::new(store.clone());
    let survivor = SessionsBuilder::new(slow.clone(), TextFormat).build();
    survivor.on_recovery(ServiceName::new("test"), TestHandler::by(|_| None));
    let leaving = SessionsBuilder::new(store.clone(), TextFormat).build();
    let mut kept = Vec::new();
    for number in 0..200 {
        let (handle, source) = channel_source();
        let id = id(&number.to_string());
        let session = crate::begin(&leaving, &id, source).await;
        let followed = survivor.attach(&id).await.unwrap();
        kept.push((handle, session, followed));
        slow.faults()
            .next(Op::Claim, Fault::PauseBefore(Duration::from_millis(5)));
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    leaving.shutdown(Duration::ZERO).await;
    let began = Instant::now();
    for (_, _, followed) in &kept {
        until("it ended", async || followed.status() != Status::Streaming).await;
    }
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(slow.faults().happened(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_takes_too_long_holds_no_shutdown_up() {
    for (takes, done) in [(10, 1), (11, 0)] {
        let sessions = SessionsBuilder::new(Memory::new(), TextFormat).build();
        let hook = Hook::taking(Duration::from_millis(takes * 1000 - 1));
        let _session = running(&sessions, &hook).await;
        let began = Instant::now();
        sessions.shutdown(Duration::ZERO).await;
        assert!(began.elapsed() < Duration::from_secs(11));
        assert_eq!(hook.counts(), (1, done));
    }
}
