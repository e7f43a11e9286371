//! Sessions that turn out never to have been one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::Instant;
use unbroken::{
    log::{ErrorCode, Outcome, Position, Status},
    session::{Limits, Mark, ReadError, Reader, Session, Sessions, SessionsBuilder},
    store::{AbortRequest, Filter, Memory, Store, StoreError, StoreExt, Token},
};
use unbroken_conformance::{Fault, FaultStore, Op};

use crate::{
    begin, settle,
    support::{
        SourceHandle, TextFormat, channel_source, id, log, read, read_all, seconds, start, until,
    },
    take_over::LEASE,
};

const INTERRUPTED: Status = Status::Ended(Outcome::Error(ErrorCode::Interrupted));
const OUTAGE: Duration = Duration::from_secs(5);

fn builder(store: &FaultStore<Memory>) -> SessionsBuilder {
    SessionsBuilder::new(store.clone(), TextFormat)
        .lease(LEASE)
        .outage_timeout(OUTAGE)
}

/// A session on one of two servers over one store.
struct Scene {
    store: FaultStore<Memory>,
    here: Sessions,
    there: Sessions,
    _session: Session,
    source: SourceHandle,
    reader: Reader,
}

impl Scene {
    /// Begins a session with the record `half`, which its reader here has.
    async fn new() -> Self {
        let store = FaultStore::new(Memory::new());
        let (here, there) = (builder(&store).build(), builder(&store).build());
        let (source, polled) = channel_source();
        let session = begin(&here, &id("one"), polled).await;
        source.send("half");
        let mut reader = session.reader(Position::START).await.unwrap();
        assert_eq!(read(&mut reader, 2).await, log(&["info", "half"]));
        Self {
            store,
            here,
            there,
            _session: session,
            source,
            reader,
        }
    }

    fn withdraw(&self) {
        self.source.send_as("", Mark::Withdraw);
    }

    async fn is_absent(&self) -> bool {
        let state = self.store.inner().state(&id("one")).await;
        matches!(state, Err(StoreError::NotFound))
    }

    async fn absent(&self) {
        until("it is withdrawn", async || self.is_absent().await).await;
    }
}

async fn failure(reader: &mut Reader) -> ReadError {
    let next = tokio::time::timeout(Duration::from_secs(60), reader.next());
    match next.await.expect("the reader is told") {
        Some(Err(error)) => error,
        other => panic!("not a failure: {other:?}"),
    }
}

/// Starts the session anew. Returns true if this start created it.
async fn again(sessions: &Sessions) -> (SourceHandle, bool) {
    let (teller, source) = channel_source();
    let permit = sessions.permit(None).unwrap();
    let started = sessions.start(permit, start(&id("one")), source).await;
    (teller, started.unwrap().created)
}

async fn whole(sessions: &Sessions) -> Vec<(u64, String)> {
    let session = sessions.attach(&id("one")).await.unwrap();
    read_all(&mut session.reader(Position::START).await.unwrap()).await
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_session_was_never_there() {
    let store = FaultStore::new(Memory::new());
    let here = builder(&store).build();
    let has_run = Arc::new(AtomicBool::new(false));
    let hook = has_run.clone();
    let (source, polled) = channel_source();
    let spec = start(&id("one")).outbox(LEASE).on_sealed(move |_| {
        hook.store(true, SeqCst);
        std::future::ready(())
    });
    let service = spec.service.clone();
    let started = here.start(here.permit(None).unwrap(), spec, polled).await;
    let session = started.unwrap().session;
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(read(&mut reader, 1).await, log(&["info"]));
    source.send_as("", Mark::Withdraw);
    assert!(matches!(failure(&mut reader).await, ReadError::NotFound));
    assert!(source.is_dropped());
    assert_eq!(here.running(), 0, "the permit is free");
    let attached = here.attach(&id("one")).await;
    assert!(
        matches!(attached, Err(StoreError::NotFound)),
        "{attached:?}"
    );
    let opened = session.reader(Position::START).await;
    assert!(matches!(opened, Err(ReadError::NotFound)), "{opened:?}");
    let listing = here.list(&Filter::default()).await.unwrap();
    assert!(listing.sessions.is_empty());
    seconds(60).await;
    assert!(!has_run.load(SeqCst));
    let endings = store.endings(&service, 9, LEASE).await.unwrap();
    assert!(endings.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_told_can_start_a_new_session_at_once() {
    let mut scene = Scene::new().await;
    scene.withdraw();
    failure(&mut scene.reader).await;
    let (teller, created) = again(&scene.here).await;
    assert!(created);
    teller.send("new");
    drop(teller);
    assert_eq!(whole(&scene.here).await, log(&["info", "new", "complete"]));
    assert_eq!(whole(&scene.there).await, log(&["info", "new", "complete"]));
}

#[tokio::test(start_paused = true)]
async fn readers_on_another_server_are_told_and_can_start_a_new_session() {
    let scene = Scene::new().await;
    let followed = scene.there.attach(&id("one")).await.unwrap();
    let mut reader = followed.reader(Position::START).await.unwrap();
    assert_eq!(read(&mut reader, 2).await, log(&["info", "half"]));
    scene.withdraw();
    assert!(matches!(failure(&mut reader).await, ReadError::NotFound));
    let (teller, created) = again(&scene.there).await;
    assert!(created);
    drop(teller);
    assert_eq!(whole(&scene.here).await, log(&["info", "complete"]));
}

#[tokio::test(start_paused = true)]
async fn a_start_on_a_server_that_has_not_noticed_creates_a_new_session() {
    let scene = Scene::new().await;
    let followed = scene.there.attach(&id("one")).await.unwrap();
    let mut reader = followed.reader(Position::START).await.unwrap();
    assert_eq!(read(&mut reader, 2).await, log(&["info", "half"]));
    settle().await;
    // The wake-up is lost, so the follower looks at the end of its wait only.
    scene.store.faults().next(Op::Changed, Fault::MissWake);
    scene.store.faults().next(Op::Changed, Fault::MissWake);
    scene.source.send("more");
    read(&mut reader, 1).await;
    scene.withdraw();
    scene.absent().await;
    let (teller, created) = again(&scene.there).await;
    assert!(created);
    let told = failure(&mut reader).await;
    assert!(
        matches!(told, ReadError::NotFound | ReadError::Rewound { .. }),
        "{told:?}"
    );
    drop(teller);
    assert_eq!(whole(&scene.here).await, log(&["info", "complete"]));
}

#[tokio::test(start_paused = true)]
async fn a_withdrawal_whose_request_or_reply_is_lost_is_repeated() {
    for fault in [Fault::LoseBefore, Fault::LoseAfter] {
        let mut scene = Scene::new().await;
        scene.store.faults().next(Op::Delete, fault);
        scene.store.faults().next(Op::Delete, fault);
        scene.withdraw();
        let told = failure(&mut scene.reader).await;
        assert!(matches!(told, ReadError::NotFound), "{fault:?}: {told:?}");
        assert!(scene.is_absent().await);
        assert_eq!(scene.here.running(), 0);
        assert!(again(&scene.here).await.1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_withdrawal_that_arrives_again_later_leaves_a_new_session_alone() {
    let mut scene = Scene::new().await;
    scene.store.faults().next(Op::Delete, Fault::Repeat(4));
    scene.withdraw();
    failure(&mut scene.reader).await;
    let (teller, created) = again(&scene.here).await;
    assert!(created);
    for text in ["one", "two", "three", "four"] {
        teller.send(text);
        settle().await;
    }
    drop(teller);
    let expected = log(&["info", "one", "two", "three", "four", "complete"]);
    assert_eq!(whole(&scene.here).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_lost_before_a_new_session_harms_neither() {
    let mut scene = Scene::new().await;
    scene.store.faults().next(Op::Delete, Fault::LoseAfter);
    scene.withdraw();
    scene.absent().await;
    // Before the repetition.
    let (teller, created) = again(&scene.there).await;
    assert!(created);
    teller.send("new");
    let told = failure(&mut scene.reader).await;
    assert!(
        matches!(told, ReadError::NotFound | ReadError::Rewound { .. }),
        "{told:?}"
    );
    until("the permit is free", async || scene.here.running() == 0).await;
    drop(teller);
    assert_eq!(whole(&scene.here).await, log(&["info", "new", "complete"]));
}

#[tokio::test(start_paused = true)]
async fn an_abort_before_the_mark_seals_the_session() {
    let mut scene = Scene::new().await;
    // Both wait for the writer, which takes commands first.
    scene.withdraw();
    let aborted = scene.here.abort(&id("one"), AbortRequest::default()).await;
    aborted.unwrap();
    assert_eq!(read_all(&mut scene.reader).await, [(3, "aborted".into())]);
    assert!(scene.source.is_dropped());
    settle().await;
    assert!(!scene.is_absent().await);
}

#[tokio::test(start_paused = true)]
async fn an_abort_after_the_mark_has_no_effect() {
    for by_owner in [true, false] {
        let mut scene = Scene::new().await;
        let pause = Fault::PauseBefore(Duration::from_secs(1));
        scene.store.faults().next(Op::Delete, pause);
        scene.withdraw();
        settle().await;
        assert!(scene.source.is_dropped());
        let server = if by_owner { &scene.here } else { &scene.there };
        let aborted = server.abort(&id("one"), AbortRequest::default()).await;
        assert!(aborted.is_ok(), "it is still there: {aborted:?}");
        assert!(matches!(
            failure(&mut scene.reader).await,
            ReadError::NotFound
        ));
        let aborted = server.abort(&id("one"), AbortRequest::default()).await;
        assert!(matches!(aborted, Err(StoreError::NotFound)), "{aborted:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_delays_a_withdrawal_and_no_limit_seals_the_session_meanwhile() {
    let store = FaultStore::new(Memory::new());
    let limits = Limits::default().idle(Duration::from_secs(2));
    let here = builder(&store).limits(limits).build();
    let (source, polled) = channel_source();
    let session = begin(&here, &id("one"), polled).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    read(&mut reader, 1).await;
    store.faults().outage(true);
    source.send("not acknowledged");
    source.send_as("", Mark::Withdraw);
    let began = Instant::now();
    assert!(matches!(failure(&mut reader).await, ReadError::Unavailable));
    assert!(began.elapsed() >= OUTAGE && source.is_dropped());
    seconds(30).await;
    assert_eq!(here.running(), 1, "the store may still have it");
    store.faults().outage(false);
    until("it is withdrawn", async || here.running() == 0).await;
    let state = store.inner().state(&id("one")).await;
    assert!(matches!(state, Err(StoreError::NotFound)), "{state:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_another_server_has_claimed_is_not_withdrawn() {
    let mut scene = Scene::new().await;
    let memory = scene.store.inner().clone();
    for _ in 0..1000 {
        scene.store.faults().next(Op::Delete, Fault::LoseBefore);
        scene.store.faults().next(Op::Renew, Fault::LoseBefore);
    }
    scene.withdraw();
    until("its lease is over", async || {
        let state = memory.state(&id("one")).await.unwrap();
        state.lease.is_over()
    })
    .await;
    let seen = memory.state(&id("one")).await.unwrap().epoch;
    memory
        .claim(&id("one"), seen, Token(7), LEASE)
        .await
        .unwrap();
    scene.store.faults().heal();
    // The claimant dies, and the orphan is sealed.
    let told = failure(&mut scene.reader).await;
    assert!(matches!(told, ReadError::Unavailable), "{told:?}");
    until("the writer gives up", async || scene.here.running() == 0).await;
    seconds(1).await;
    let expected = log(&["info", "half", "interrupted"]);
    assert_eq!(whole(&scene.here).await, expected);
    let state = memory.state(&id("one")).await.unwrap();
    assert_eq!(state.status, INTERRUPTED);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_a_withdrawal_under_way() {
    let mut scene = Scene::new().await;
    let pause = Fault::PauseBefore(Duration::from_secs(1));
    scene.store.faults().next(Op::Delete, pause);
    scene.withdraw();
    settle().await;
    scene.here.shutdown(Duration::ZERO).await;
    assert!(scene.is_absent().await);
    let told = failure(&mut scene.reader).await;
    assert!(matches!(told, ReadError::NotFound), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_gives_a_session_back_that_could_not_be_withdrawn() {
    let mut scene = Scene::new().await;
    for _ in 0..1000 {
        scene.store.faults().next(Op::Delete, Fault::LoseBefore);
    }
    scene.withdraw();
    settle().await;
    scene.here.shutdown(Duration::ZERO).await;
    let told = failure(&mut scene.reader).await;
    assert!(matches!(told, ReadError::ShutDown), "{told:?}");
    assert_eq!(
        whole(&scene.there).await,
        log(&["info", "half", "interrupted"])
    );
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_of_a_store_that_ends_withdraws_the_session() {
    let here = SessionsBuilder::new(Memory::new(), TextFormat).build();
    let (source, polled) = channel_source();
    let session = begin(&here, &id("one"), polled).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    read(&mut reader, 1).await;
    source.send_as("", Mark::Withdraw);
    here.shutdown(Duration::from_secs(1)).await;
    assert!(matches!(failure(&mut reader).await, ReadError::NotFound));
}

#[tokio::test(start_paused = true)]
async fn an_append_that_hangs_does_not_delay_a_withdrawal() {
    let mut scene = Scene::new().await;
    let pause = Fault::PauseBefore(Duration::from_secs(60));
    scene.store.faults().next(Op::Append, pause);
    scene.source.send("hangs");
    settle().await;
    scene.withdraw();
    let began = Instant::now();
    assert!(matches!(
        failure(&mut scene.reader).await,
        ReadError::NotFound
    ));
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_deleted_meanwhile_stays_deleted() {
    let mut scene = Scene::new().await;
    let pause = Fault::PauseBefore(Duration::from_secs(1));
    scene.store.faults().next(Op::Delete, pause);
    scene.withdraw();
    settle().await;
    let memory = scene.store.inner().clone();
    memory
        .delete(&id("one"), unbroken::store::DeleteMode::Now)
        .await
        .unwrap();
    assert!(matches!(
        failure(&mut scene.reader).await,
        ReadError::Gone(_)
    ));
    assert_eq!(scene.here.running(), 0);
    assert!(crate::is_gone(&scene.here, &id("one")).await);
}
