//! Starts that are refused because the store doesn't answer: they are never begun.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use unbroken::{
    BoxFuture,
    log::{ErrorCode, Outcome, Position, ServiceName, SessionId, Status},
    session::{Sessions, SessionsBuilder, StartError},
    store::{AbortRequest, Created, Memory, NewSession, SessionState, Store, StoreError, StoreExt},
};
use unbroken_conformance::{Fault, FaultStore, Op, Rates, delegate_store};

use crate::{
    begin, settle,
    support::{
        ChannelSource, SourceHandle, TextFormat, channel_source, id, log, read_all, seconds, start,
        until,
    },
    take_over::{LEASE, TestHandler, orphan},
};

const INTERRUPTED: Status = Status::Ended(Outcome::Error(ErrorCode::Interrupted));
/// Longer than all retries of a start.
const SLOW: u64 = 6;
const HOURS: u64 = 3 * 60 * 60;

/// A store that applies each `create` after a while, also if its caller has given up.
#[derive(Debug, Clone)]
struct SlowCreates {
    inner: Memory,
    seconds: Arc<AtomicU64>,
}

impl SlowCreates {
    fn new(inner: &Memory) -> Self {
        Self {
            inner: inner.clone(),
            seconds: Arc::new(AtomicU64::new(SLOW)),
        }
    }

    fn takes(&self, seconds: u64) {
        self.seconds.store(seconds, SeqCst);
    }
}

impl Store for SlowCreates {
    delegate_store!(
        inner: durability, claim, renew, append, read, changed, abort, answer, answers, hold,
        delete, of_chat, list, orphans, endings, postpone_ending, delivered, sweep
    );

    fn create<'a>(
        &'a self,
        id: &'a SessionId,
        new: NewSession,
    ) -> BoxFuture<'a, Result<Created, StoreError>> {
        let (inner, id) = (self.inner.clone(), id.clone());
        let pause = self.seconds.load(SeqCst);
        let applied = tokio::spawn(async move {
            seconds(pause).await;
            inner.create(&id, new).await
        });
        Box::pin(async move { applied.await.unwrap() })
    }
}

fn server(store: impl Store, handler: &TestHandler) -> Sessions {
    let sessions = SessionsBuilder::new(store, TextFormat).lease(LEASE).build();
    sessions.on_recovery(ServiceName::new("test"), handler.clone());
    sessions
}

/// A handler that would run any orphan that it is asked about.
fn runs_orphans() -> TestHandler {
    TestHandler::by(|_| {
        let (_, source) = channel_source();
        Some(unbroken::session::Continuation::new(source).first("info"))
    })
}

async fn refused(sessions: &Sessions, id: &SessionId) -> SourceHandle {
    let (handle, source) = channel_source();
    let permit = sessions.permit(None).unwrap();
    let refused = sessions.start(permit, start(id), source).await;
    assert!(
        matches!(
            refused,
            Err(StartError::Store(StoreError::Unavailable { .. }))
        ),
        "{refused:?}"
    );
    assert!(handle.is_dropped() && !handle.was_polled());
    assert_eq!((sessions.running(), sessions.loaded()), (0, 0));
    handle
}

/// Starts the session again, and returns true if this start created it.
async fn again(sessions: &Sessions, id: &SessionId, source: ChannelSource) -> bool {
    let permit = sessions.permit(None).unwrap();
    let started = sessions.start(permit, start(id), source).await;
    started.unwrap().created
}

async fn whole(sessions: &Sessions, id: &SessionId) -> Vec<(u64, String)> {
    let session = sessions.attach(id).await.unwrap();
    read_all(&mut session.reader(Position::START).await.unwrap()).await
}

async fn ended(store: &Memory, id: &SessionId) -> SessionState {
    until("it ends", async || {
        let state = store.state(id).await;
        state.is_ok_and(|state| state.status.outcome().is_some())
    })
    .await;
    store.state(id).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_start_that_the_store_applies_after_its_refusal_is_withdrawn_and_never_begun() {
    let memory = Memory::new();
    let handler = runs_orphans();
    let here = server(SlowCreates::new(&memory), &handler);
    let there = server(memory.clone(), &handler);
    let _ = there.attach(&id("wakes-the-sweeper")).await;
    let mut starts = Vec::new();
    for n in 0..5 {
        let id = id(&format!("refused-{n}"));
        let handle = refused(&here, &id).await;
        starts.push((id, handle));
    }
    for (id, _) in &starts {
        let state = ended(&memory, id).await;
        assert_eq!((state.status, state.tail.get()), (INTERRUPTED, 1));
        assert_eq!(state.epoch.claims(), 0, "by the server that refused it");
        assert_eq!(whole(&there, id).await, log(&["interrupted"]));
    }
    seconds(HOURS).await;
    assert!(starts.iter().all(|(_, handle)| !handle.was_polled()));
    assert_eq!(handler.asked(), 0);
}

/// The fault: a session in the store whose start was refused, and nothing that withdraws it.
#[tokio::test(start_paused = true)]
async fn a_refused_start_of_a_server_that_dies_is_sealed_by_whoever_finds_it() {
    for by_reader in [false, true] {
        let memory = Memory::new();
        let handler = runs_orphans();
        let there = server(memory.clone(), &handler);
        let _ = there.attach(&id("wakes-the-sweeper")).await;
        let here = server(SlowCreates::new(&memory), &handler);
        let id = id("refused");
        let handle = refused(&here, &id).await;
        here.shutdown(Duration::ZERO).await;
        seconds(SLOW).await;
        let state = memory.state(&id).await.unwrap();
        assert_eq!(
            (state.status, state.tail.get()),
            (Status::Streaming, 0),
            "it was created, and looks like an orphan that may run"
        );
        if by_reader {
            assert_eq!(whole(&there, &id).await, log(&["interrupted"]));
        }
        assert_eq!(ended(&memory, &id).await.status, INTERRUPTED);
        assert_eq!(memory.state(&id).await.unwrap().epoch.claims(), 1);
        seconds(HOURS).await;
        assert!(!handle.was_polled());
        assert_eq!(handler.asked(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeated_start_takes_the_refused_one_over() {
    let memory = Memory::new();
    let store = SlowCreates::new(&memory);
    let here = server(store.clone(), &runs_orphans());
    let id = id("one");
    let first = refused(&here, &id).await;
    store.takes(0);
    let (second, source) = channel_source();
    assert!(again(&here, &id, source).await, "it is the start that runs");
    second.send("hello");
    drop(second);
    assert_eq!(whole(&here, &id).await, log(&["info", "hello", "complete"]));
    seconds(HOURS).await;
    assert!(!first.was_polled());
}

#[tokio::test(start_paused = true)]
async fn a_start_of_another_request_takes_no_refused_one_over() {
    let memory = Memory::new();
    let store = SlowCreates::new(&memory);
    let here = server(store.clone(), &runs_orphans());
    let id = id("one");
    refused(&here, &id).await;
    seconds(SLOW).await;
    store.takes(0);
    let (other, source) = channel_source();
    let mut spec = start(&id);
    spec.digest = unbroken::log::Digest([8; 32]);
    let permit = here.permit(None).unwrap();
    let in_use = here.start(permit, spec, source).await;
    assert!(matches!(in_use, Err(StartError::InUse)), "{in_use:?}");
    assert_eq!(ended(&memory, &id).await.status, INTERRUPTED);
    assert!(!other.was_polled());
}

#[tokio::test(start_paused = true)]
async fn a_repeated_start_begins_on_another_server_what_a_dead_one_created() {
    let memory = Memory::new();
    let handler = runs_orphans();
    let there = server(memory.clone(), &handler);
    let _ = there.attach(&id("wakes-the-sweeper")).await;
    seconds(15).await;
    let (id, _) = orphan(&memory, "one", &[]).await;
    // Its lease still runs. A reader is here first.
    let session = there.attach(&id).await.unwrap();
    let mut reader = session.reader(Position::START).await.unwrap();
    let (handle, source) = channel_source();
    assert!(!again(&there, &id, source).await);
    assert_eq!(there.running(), 1);
    handle.send("hello");
    drop(handle);
    assert_eq!(
        read_all(&mut reader).await,
        log(&["info", "hello", "complete"])
    );
    settle().await;
    assert_eq!((there.running(), handler.asked()), (0, 0));
    assert_eq!(memory.state(&id).await.unwrap().epoch.claims(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_waits_is_dropped_once_the_owner_begins() {
    let store = FaultStore::new(Memory::new());
    let (here, there) = (
        server(store.clone(), &runs_orphans()),
        server(store.clone(), &runs_orphans()),
    );
    store
        .faults()
        .next(Op::Append, Fault::PauseBefore(Duration::from_secs(3)));
    let id = id("one");
    let (first, source) = channel_source();
    let _session = begin(&here, &id, source).await;
    let (second, source) = channel_source();
    assert!(!again(&there, &id, source).await);
    assert!(!second.is_dropped());
    seconds(6).await;
    assert!(first.was_polled());
    assert!(second.is_dropped() && !second.was_polled());
    assert_eq!((here.running(), there.running()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_waits_outlives_its_client_and_ends_with_an_abort_or_a_shutdown() {
    for end in 0..3 {
        let memory = Memory::new();
        let there = server(memory.clone(), &runs_orphans());
        let _ = there.attach(&id("wakes-the-sweeper")).await;
        let (id, _) = orphan(&memory, "one", &[]).await;
        let (handle, source) = channel_source();
        assert!(!again(&there, &id, source).await);
        match end {
            0 => {
                until("it begins", async || handle.was_polled()).await;
                continue;
            }
            1 => drop(there.abort(&id, AbortRequest::default()).await.unwrap()),
            _ => there.shutdown(Duration::ZERO).await,
        }
        seconds(30).await;
        assert!(handle.is_dropped() && !handle.was_polled());
        assert_eq!(there.running(), 0);
        let state = memory.state(&id).await.unwrap();
        let aborted = state.status == Status::Ended(Outcome::Aborted);
        assert_eq!(aborted, end == 1, "{state:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_was_given_up_by_its_client_and_the_store_is_never_begun() {
    let memory = Memory::new();
    let here = server(SlowCreates::new(&memory), &runs_orphans());
    let id = id("one");
    let (handle, source) = channel_source();
    let permit = here.permit(None).unwrap();
    let starting = here.start(permit, start(&id), source);
    let given_up = tokio::time::timeout(Duration::from_millis(20), starting).await;
    assert!(given_up.is_err());
    assert_eq!(ended(&memory, &id).await.status, INTERRUPTED);
    seconds(HOURS).await;
    assert!(!handle.was_polled());
}

#[tokio::test(start_paused = true)]
async fn a_bounded_number_of_refused_starts_is_withdrawn_and_the_sweeper_seals_the_rest() {
    const MOST: usize = 256;
    let store = FaultStore::new(Memory::new());
    let here = server(store.clone(), &runs_orphans());
    let mut rates = Rates::default();
    rates.lose_after = 1000;
    store.faults().random(1, rates);
    let mut starts = Vec::new();
    for n in 0..=MOST {
        let (here, id) = (here.clone(), id(&format!("refused-{n}")));
        starts.push(tokio::spawn(async move {
            let (_, source) = channel_source();
            let permit = here.permit(None).unwrap();
            assert!(here.start(permit, start(&id), source).await.is_err());
            id
        }));
    }
    let mut ids = Vec::new();
    for start in starts {
        ids.push(start.await.unwrap());
    }
    store.faults().heal();
    // Less than the lease for which the store has to answer before the sweeper claims.
    seconds(5).await;
    let count = async || {
        let mut sealed = 0;
        for id in &ids {
            let state = store.inner().state(id).await.unwrap();
            sealed += usize::from(state.status == INTERRUPTED);
        }
        sealed
    };
    assert_eq!(count().await, MOST);
    seconds(30).await;
    assert_eq!(count().await, MOST + 1);
}

#[tokio::test(start_paused = true)]
async fn a_start_waits_as_long_as_the_bytes_of_its_request_need_on_the_slowest_link() {
    let memory = Memory::new();
    let here = server(SlowCreates::new(&memory), &runs_orphans());
    let id = id("large");
    let (handle, source) = channel_source();
    let permit = here.permit(None).unwrap();
    let large = start(&id).request(vec![b'x'; 2 << 20].into());
    let started = here.start(permit, large, source).await.unwrap();
    assert!(started.created);
    until("it is begun", async || handle.was_polled()).await;
}
