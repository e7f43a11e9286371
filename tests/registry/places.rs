//! The places of sessions that wait for a person or a client tool, and how they are given up.

use std::{sync::Mutex, time::Duration};

use unbroken::{
    BoxFuture,
    log::{ChunkBuilder, ErrorCode, Outcome, Owner, Position, ServiceName, SessionId, Status},
    session::{
        Busy, Continuation, Limits, Mark, Orphan, ReadError, RecoveryHandler, Session, Sessions,
        SessionsBuilder,
    },
    store::{AbortRequest, AfterAppend, Lease, Memory, Store, StoreExt},
};
use unbroken_conformance::{Fault, FaultStore, Op};

use crate::{
    settle,
    support::{
        ChannelSource, SourceHandle, TextFormat, channel_source, id, log, lsn, read_all, seconds,
        start, until,
    },
    take_over::{LEASE, orphan},
};

const OVER: Outcome = Outcome::Error(ErrorCode::Limit);

fn sessions(store: &Memory, limits: Limits) -> Sessions {
    let builder = SessionsBuilder::new(store.clone(), TextFormat);
    builder.lease(LEASE).limits(limits).build()
}

fn waiting(most: usize) -> Limits {
    Limits::default().waiting(most)
}

/// Starts a session of this owner. Its source does what the test says.
async fn begin(sessions: &Sessions, name: &str, owner: Option<&str>) -> (Session, SourceHandle) {
    let owner = owner.map(Owner::new);
    let (handle, source) = channel_source();
    let permit = sessions.permit(owner.as_ref()).unwrap();
    let spec = start(&id(name)).owner(owner);
    let started = sessions.start(permit, spec, source).await.unwrap();
    (started.session, handle)
}

/// Starts a session that asks a question and waits.
async fn ask(sessions: &Sessions, name: &str, owner: Option<&str>) -> (Session, SourceHandle) {
    let (session, handle) = begin(sessions, name, owner).await;
    handle.send_as("may I?", Mark::Waiting);
    settle().await;
    (session, handle)
}

/// Reads a whole log, and checks that it has one ending.
async fn whole(session: &Session) -> Vec<(u64, String)> {
    read_all(&mut session.reader(Position::START).await.unwrap()).await
}

#[tokio::test(start_paused = true)]
async fn sessions_that_wait_refuse_no_start() {
    let limits = Limits::default().running(2).running_per_owner(2);
    let sessions = sessions(&Memory::new(), limits);
    let mut asked = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        asked.push(ask(&sessions, name, Some("ann")).await);
    }
    assert_eq!((sessions.running(), sessions.waiting()), (0, 5));
    let _one = sessions.permit(Some(&Owner::new("ann"))).unwrap();
    let _two = sessions.permit(Some(&Owner::new("ann"))).unwrap();
    let full = sessions.permit(Some(&Owner::new("ann"))).unwrap_err();
    assert_eq!(full, Busy::Running);
}

#[tokio::test(start_paused = true)]
async fn one_too_many_ends_the_longest_wait_with_one_ending_for_every_reader() {
    let store = Memory::new();
    let (here, there) = (sessions(&store, waiting(2)), sessions(&store, waiting(2)));
    let (first, handle) = ask(&here, "first", None).await;
    let mut local = first.reader(Position::START).await.unwrap();
    let remote = there.attach(first.id()).await.unwrap();
    let mut remote = remote.reader(Position::START).await.unwrap();
    let (second, _second) = ask(&here, "second", None).await;
    assert_eq!(first.status(), Status::Waiting, "as many wait as may");
    let (third, _third) = ask(&here, "third", None).await;
    let ended = log(&["info", "may I?", "givenup"]);
    assert_eq!(read_all(&mut local).await, ended);
    assert_eq!(read_all(&mut remote).await, ended);
    assert!(handle.is_dropped());
    let state = store.state(first.id()).await.unwrap();
    assert_eq!(state.status, Status::Ended(OVER));
    for other in [&second, &third] {
        assert_eq!(other.status(), Status::Waiting);
    }
    assert_eq!((here.running(), here.waiting()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn an_owner_at_its_limit_gives_up_a_place_of_its_own() {
    let sessions = sessions(&Memory::new(), waiting(9).waiting_per_owner(1));
    let (ben, _ben) = ask(&sessions, "ben", Some("ben")).await;
    let (first, _first) = ask(&sessions, "first", Some("ann")).await;
    let (second, _second) = ask(&sessions, "second", Some("ann")).await;
    assert_eq!(first.status(), Status::Ended(OVER));
    assert_eq!(second.status(), Status::Waiting);
    assert_eq!(ben.status(), Status::Waiting);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_questions_without_an_owner_ends_none_of_an_owner() {
    let sessions = sessions(&Memory::new(), waiting(3));
    let (ann, _ann) = ask(&sessions, "ann", Some("ann")).await;
    let mut flood = Vec::new();
    for number in 0..50 {
        flood.push(ask(&sessions, &format!("flood-{number}"), None).await);
    }
    assert_eq!(ann.status(), Status::Waiting);
    let ended = flood
        .iter()
        .filter(|it| it.0.status() == Status::Ended(OVER));
    assert_eq!(ended.count(), 48);
    assert_eq!((sessions.running(), sessions.waiting()), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_goes_on_runs_past_the_limit_and_starts_are_refused_meanwhile() {
    let sessions = sessions(&Memory::new(), Limits::default().running(1));
    let (first, asked) = ask(&sessions, "first", None).await;
    let (_second, runs) = begin(&sessions, "second", None).await;
    asked.send("on");
    settle().await;
    assert_eq!(first.status(), Status::Streaming);
    assert_eq!((sessions.running(), sessions.waiting()), (2, 0));
    assert_eq!(sessions.permit(None).unwrap_err(), Busy::Running);
    drop(runs);
    settle().await;
    assert_eq!(sessions.permit(None).unwrap_err(), Busy::Running);
    drop(asked);
    settle().await;
    drop(sessions.permit(None).unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_reaches_the_source_before_the_end_keeps_the_session() {
    let sessions = sessions(&Memory::new(), waiting(1));
    let (first, asked) = ask(&sessions, "first", None).await;
    let (second, asks) = begin(&sessions, "second", None).await;
    settle().await;
    // The second writer runs first, and takes the place. The first one finds its answer.
    asks.send_as("may I?", Mark::Waiting);
    asked.send("on");
    settle().await;
    assert_eq!(first.status(), Status::Streaming);
    assert_eq!(second.status(), Status::Waiting);
    assert_eq!((sessions.running(), sessions.waiting()), (1, 1));
    drop(asked);
    let ended = log(&["info", "may I?", "on", "complete"]);
    assert_eq!(whole(&first).await, ended);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_after_the_end_is_not_taken() {
    let sessions = sessions(&Memory::new(), waiting(0));
    let (first, asked) = ask(&sessions, "first", None).await;
    asked.send("on");
    let ended = log(&["info", "may I?", "givenup"]);
    assert_eq!(whole(&first).await, ended);
}

#[tokio::test(start_paused = true)]
async fn an_abort_and_a_lost_place_make_one_ending() {
    for abort_first in [true, false] {
        let sessions = sessions(&Memory::new(), waiting(1));
        let (first, _first) = ask(&sessions, "first", None).await;
        let (_second, asks) = begin(&sessions, "second", None).await;
        settle().await;
        let abort = sessions.abort(first.id(), AbortRequest::default());
        if abort_first {
            abort.await.unwrap();
            asks.send_as("may I?", Mark::Waiting);
        } else {
            asks.send_as("may I?", Mark::Waiting);
            abort.await.unwrap();
        }
        let whole = whole(&first).await;
        assert_eq!(whole.len(), 3, "{whole:?}");
        assert!(matches!(&*whole[2].1, "aborted" | "givenup"), "{whole:?}");
        settle().await;
        assert_eq!((sessions.running(), sessions.waiting()), (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_loses_its_place_in_an_outage_is_sealed_after_it() {
    let store = FaultStore::new(Memory::new());
    let builder = SessionsBuilder::new(store.clone(), TextFormat).lease(LEASE);
    let sessions = builder.limits(waiting(1)).build();
    let (first, _first) = ask(&sessions, "first", None).await;
    let (_second, asks) = begin(&sessions, "second", None).await;
    settle().await;
    for _ in 0..1000 {
        store.faults().next(Op::Append, Fault::LoseBefore);
    }
    asks.send_as("may I?", Mark::Waiting);
    seconds(1).await;
    assert_eq!(first.status(), Status::Waiting, "nothing is stored");
    // It ends, so that it is neither running nor waiting for a start or another question.
    assert_eq!(sessions.waiting(), 1);
    store.faults().heal();
    let ended = log(&["info", "may I?", "givenup"]);
    assert_eq!(whole(&first).await, ended);
}

/// A handler that continues with this source, once.
struct ContinueOnce(Mutex<Option<ChannelSource>>);

impl RecoveryHandler for ContinueOnce {
    fn recover(&self, _: Orphan) -> BoxFuture<'_, Result<Option<Continuation>, ReadError>> {
        let source = self.0.lock().unwrap().take();
        Box::pin(std::future::ready(Ok(source.map(Continuation::new))))
    }
}

async fn waiting_orphan(store: &Memory, name: &str) -> SessionId {
    let (id, epoch) = orphan(store, name, &["info"]).await;
    let mut asks = ChunkBuilder::new();
    asks.push(b"may I?");
    let asks = asks.take(lsn(2), epoch).unwrap();
    store.append(&id, asks, AfterAppend::Waiting).await.unwrap();
    id
}

#[tokio::test(start_paused = true)]
async fn a_waiting_session_that_is_taken_over_counts_where_it_goes_on() {
    let store = Memory::new();
    let orphan = waiting_orphan(&store, "orphan").await;
    let survivor = sessions(&store, waiting(1));
    let (own, _own) = ask(&survivor, "own", None).await;
    let (handle, source) = channel_source();
    let handler = ContinueOnce(Mutex::new(Some(source)));
    survivor.on_recovery(ServiceName::new("test"), handler);
    let session = survivor.attach(&orphan).await.unwrap();
    until("it is continued", async || handle.was_polled()).await;
    settle().await;
    assert_eq!((survivor.running(), survivor.waiting()), (0, 1));
    assert_eq!(session.status(), Status::Waiting);
    assert_eq!(own.status(), Status::Ended(OVER), "it waits longer here");
    handle.send("on");
    settle().await;
    assert_eq!((survivor.running(), survivor.waiting()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_running_sessions_and_hands_waiting_ones_over() {
    let store = Memory::new();
    let sessions = sessions(&store, Limits::default());
    let (asked, _asked) = ask(&sessions, "asked", None).await;
    let (runs, handle) = begin(&sessions, "runs", None).await;
    settle().await;
    let mut reader = asked.reader(Position::START).await.unwrap();
    let shutdown = tokio::spawn({
        let sessions = sessions.clone();
        async move { sessions.shutdown(Duration::from_secs(600)).await }
    });
    seconds(30).await;
    assert!(!shutdown.is_finished(), "one session runs");
    assert_eq!(sessions.waiting(), 1, "an answer would still be taken here");
    drop(handle);
    let ended = log(&["info", "complete"]);
    assert_eq!(whole(&runs).await, ended);
    settle().await;
    assert!(shutdown.is_finished(), "none runs");
    let mut last = None;
    while let Some(batch) = reader.next().await {
        last = Some(batch);
    }
    assert!(matches!(last, Some(Err(ReadError::ShutDown))), "{last:?}");
    let state = store.state(asked.id()).await.unwrap();
    assert_eq!((state.status, state.lease), (Status::Waiting, Lease::Free));
    assert_eq!((sessions.running(), sessions.waiting()), (0, 0));
}
