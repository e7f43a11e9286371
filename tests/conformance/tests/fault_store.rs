//! Tests of `FaultStore`: each fault has its effect, and without faults it passes the store suite.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;
use unbroken::{
    log::{ChunkBuilder, Digest, Epoch, Lsn, ServiceName, SessionId},
    store::{
        AbortRequest, AfterAppend, Created, DeleteMode, Filter, LeaseChange, Memory, NewSession,
        SessionMeta, Store, StoreError, StoreExt, Token,
    },
};
use unbroken_conformance::{ClockJump, Fault, FaultStore, Op, Rates, Rewind, store};

fn new_session() -> NewSession {
    NewSession {
        meta: Arc::new(SessionMeta {
            owner: None,
            chat: None,
            service: ServiceName::new("a service"),
            digest: Digest([1; 32]),
            format: SessionMeta::LATEST_FORMAT,
            outbox: None,
        }),
        request: Bytes::new(),
        token: Token::random(),
        lease: Duration::from_secs(10),
        tombstone: Duration::from_secs(100),
    }
}

struct Fixture {
    store: FaultStore<Memory>,
    id: SessionId,
    epoch: Epoch,
}

impl Fixture {
    async fn new() -> Self {
        let (store, id) = (FaultStore::new(Memory::new()), SessionId::random());
        let Ok(Created::Created(epoch)) = store.create(&id, new_session()).await else {
            panic!("a random id exists already");
        };
        Self { store, id, epoch }
    }

    fn fail_next(&self, op: Op, fault: Fault) {
        self.store.faults().next(op, fault);
    }

    async fn push(&self, lsn: u64) -> Result<(), StoreError> {
        let mut batch = ChunkBuilder::new();
        batch.push(b"x");
        let chunk = batch.take(Lsn::new(lsn), self.epoch).unwrap();
        let append = self.store.append(&self.id, chunk, AfterAppend::Streaming);
        append.await.map(drop)
    }

    async fn tail(&self) -> u64 {
        self.store.inner().state(&self.id).await.unwrap().tail.get()
    }
}

fn is_maybe<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(
        answer,
        Err(StoreError::Unavailable {
            maybe_applied: true,
            ..
        })
    )
}

#[tokio::test(start_paused = true)]
async fn without_faults_it_passes_the_suite() {
    let report = store::suite(|| async { FaultStore::new(Memory::new()) }).await;
    assert!(report.passed(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_request_is_not_applied() {
    let fixture = Fixture::new().await;
    fixture.fail_next(Op::Append, Fault::LoseBefore);
    assert!(is_maybe(&fixture.push(1).await));
    assert_eq!(fixture.tail().await, 0);
    fixture.push(1).await.unwrap();
    assert_eq!(
        (fixture.tail().await, fixture.store.faults().happened()),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_reply_is_lost_is_applied() {
    let fixture = Fixture::new().await;
    fixture.fail_next(Op::Append, Fault::LoseAfter);
    assert!(is_maybe(&fixture.push(1).await));
    assert_eq!(fixture.tail().await, 1);
    fixture.push(1).await.unwrap();
    assert_eq!(fixture.tail().await, 1);
}

#[tokio::test(start_paused = true)]
async fn each_renewal_of_a_lost_call_is_answered() {
    let fixture = Fixture::new().await;
    let owned = [
        (fixture.id.clone(), fixture.epoch),
        (SessionId::random(), fixture.epoch),
    ];
    fixture.fail_next(Op::Renew, Fault::LoseAfter);
    let answers = fixture
        .store
        .renew(&owned, LeaseChange::Extend(Duration::from_secs(1)))
        .await;
    assert_eq!(answers.iter().filter(|answer| is_maybe(answer)).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_request_arrives_after_the_given_number_of_calls() {
    let fixture = Fixture::new().await;
    fixture.fail_next(Op::Delete, Fault::Repeat(2));
    fixture
        .store
        .delete(&fixture.id, DeleteMode::Now)
        .await
        .unwrap();
    tokio::time::advance(Duration::from_secs(101)).await;
    // The first further call makes a new session under the id, which the copy then deletes.
    fixture
        .store
        .create(&fixture.id, new_session())
        .await
        .unwrap();
    assert!(fixture.store.inner().state(&fixture.id).await.is_ok());
    fixture.store.list(&Filter::default()).await.unwrap();
    let gone = fixture.store.inner().state(&fixture.id).await;
    assert!(matches!(gone, Err(StoreError::Gone(_))), "{gone:?}");
}

#[tokio::test(start_paused = true)]
async fn a_missed_wake_up_makes_a_wait_last_to_its_limit() {
    let fixture = Fixture::new().await;
    for (lsn, fault, late) in [(1, None, 0), (2, Some(Fault::MissWake), 2)] {
        let seen = fixture.store.state(&fixture.id).await.unwrap().version();
        if let Some(fault) = fault {
            fixture.fail_next(Op::Changed, fault);
        }
        let began = Instant::now();
        let wait = fixture
            .store
            .changed(&fixture.id, seen.into(), Duration::from_secs(60));
        let (state, _) = tokio::join!(wait, fixture.push(lsn));
        assert_eq!(state.unwrap().tail.get(), lsn);
        assert_eq!(began.elapsed().as_secs(), late);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_comes_before_or_after_the_call() {
    let fixture = Fixture::new().await;
    let pause = Duration::from_secs(3);
    for (lsn, fault, meanwhile) in [
        (1, Fault::PauseBefore(pause), 0),
        (2, Fault::PauseAfter(pause), 2),
    ] {
        fixture.fail_next(Op::Append, fault);
        let began = Instant::now();
        let look_meanwhile = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            fixture.tail().await
        };
        let (pushed, seen) = tokio::join!(fixture.push(lsn), look_meanwhile);
        pushed.unwrap();
        assert_eq!((seen, began.elapsed()), (meanwhile, pause));
        assert_eq!(fixture.tail().await, lsn);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_applies_nothing_until_it_is_over() {
    let fixture = Fixture::new().await;
    fixture.store.faults().outage(true);
    let refused = fixture.push(1).await;
    assert!(matches!(
        refused,
        Err(StoreError::Unavailable {
            maybe_applied: false,
            ..
        })
    ));
    assert!(fixture.store.state(&fixture.id).await.is_err());
    assert_eq!(fixture.tail().await, 0);
    fixture.store.faults().outage(false);
    fixture.push(1).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_jump_of_the_clock_ends_leases() {
    let fixture = Fixture::new().await;
    let lease = || async { fixture.store.state(&fixture.id).await.unwrap().lease };
    assert!(!lease().await.is_over());
    fixture.store.jump(Duration::from_secs(10));
    assert!(lease().await.is_over());
}

#[tokio::test(start_paused = true)]
async fn a_rewind_restores_the_earlier_content() {
    let fixture = Fixture::new().await;
    fixture.push(1).await.unwrap();
    let once = fixture.store.snapshot();
    let younger = SessionId::random();
    fixture.store.create(&younger, new_session()).await.unwrap();
    fixture.push(2).await.unwrap();
    fixture
        .store
        .abort(&fixture.id, AbortRequest::default())
        .await
        .unwrap();
    let seen = fixture.store.state(&fixture.id).await.unwrap().version();
    let wait = fixture
        .store
        .changed(&fixture.id, seen.into(), Duration::from_secs(60));
    let rewind = async { fixture.store.restore(&once) };
    let (state, ()) = tokio::join!(wait, rewind);
    let state = state.unwrap();
    assert_eq!((state.tail, state.abort), (Lsn::new(1), None));
    let lost = fixture.store.state(&younger).await;
    assert!(matches!(lost, Err(StoreError::NotFound)), "{lost:?}");
    let ahead = fixture.push(3).await;
    assert!(
        matches!(ahead, Err(StoreError::Rewound { .. })),
        "{ahead:?}"
    );
    fixture
        .store
        .delete(&fixture.id, DeleteMode::Now)
        .await
        .unwrap();
    fixture.store.restore(&once);
    assert_eq!(fixture.tail().await, 1);
    assert_eq!(
        fixture
            .store
            .list(&Filter::default())
            .await
            .unwrap()
            .sessions
            .len(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn random_faults_are_the_same_for_the_same_seed() {
    let run = async |seed| {
        let fixture = Fixture::new().await;
        let mut rates = Rates::default();
        (rates.lose_before, rates.lose_after) = (300, 300);
        fixture.store.faults().random(seed, rates);
        let mut lost = Vec::new();
        for _ in 0..50 {
            lost.push(fixture.store.sweep(1).await.is_err());
        }
        fixture.store.faults().heal();
        assert!(fixture.store.sweep(1).await.is_ok());
        lost
    };
    let first = run(1).await;
    assert_eq!(first, run(1).await);
    assert_ne!(first, run(2).await);
    assert!((15..45).contains(&first.iter().filter(|lost| **lost).count()));
}
