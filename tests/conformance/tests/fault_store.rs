//! Each fault of the fault-injecting store does what it says, and nothing happens without one.
use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;
use unbroken::{
    log::{ChunkBuilder, Digest, Epoch, Lsn, ServiceName, SessionId},
    store::{
        AbortRequest, AfterAppend, Created, DeleteMode, Filter, LeaseChange, Memory, NewSession, SessionMeta,
        Store, StoreError, StoreExt, Token,
    },
};
use unbroken_conformance::{ClockJump, Fault, FaultStore, Op, Rates, Rewind, store};

fn what() -> NewSession {
    NewSession {
        info: Arc::new(SessionMeta {
            owner: None,
            chat: None,
            service: ServiceName::new("a service"),
            digest: Digest([1; 32]),
            format: SessionMeta::LATEST_FORMAT,
        }),
        request: Bytes::new(),
        token: Token::random(),
        lease: Duration::from_secs(10),
        tombstone: Duration::from_secs(100),
    }
}

struct Bed {
    store: FaultStore<Memory>,
    id: SessionId,
    epoch: Epoch,
}

impl Bed {
    async fn new() -> Self {
        let (store, id) = (FaultStore::new(Memory::new()), SessionId::random());
        let Ok(Created::Created(epoch)) = store.create(&id, what()).await else {
            panic!("a random id was taken");
        };
        Self { store, id, epoch }
    }

    fn meets(&self, op: Op, fault: Fault) {
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
async fn without_faults_it_is_a_store_like_any_other() {
    let report = store::suite(|| async { FaultStore::new(Memory::new()) }).await;
    assert!(report.passed(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_lost_has_not_happened() {
    let bed = Bed::new().await;
    bed.meets(Op::Append, Fault::LoseBefore);
    assert!(is_maybe(&bed.push(1).await));
    assert_eq!(bed.tail().await, 0);
    bed.push(1).await.unwrap();
    assert_eq!((bed.tail().await, bed.store.faults().happened()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_reply_is_lost_has_happened() {
    let bed = Bed::new().await;
    bed.meets(Op::Append, Fault::LoseAfter);
    assert!(is_maybe(&bed.push(1).await));
    assert_eq!(bed.tail().await, 1);
    bed.push(1).await.unwrap();
    assert_eq!(bed.tail().await, 1);
}

#[tokio::test(start_paused = true)]
async fn each_renewal_of_a_lost_call_is_answered() {
    let bed = Bed::new().await;
    let owned = [
        (bed.id.clone(), bed.epoch),
        (SessionId::random(), bed.epoch),
    ];
    bed.meets(Op::Renew, Fault::LoseAfter);
    let answers = bed.store.renew(&owned, LeaseChange::Extend(Duration::from_secs(1))).await;
    assert_eq!(answers.iter().filter(|answer| is_maybe(answer)).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_copy_arrives_after_as_many_calls_as_were_asked_for() {
    let bed = Bed::new().await;
    bed.meets(Op::Delete, Fault::Repeat(2));
    bed.store.delete(&bed.id, DeleteMode::Now).await.unwrap();
    tokio::time::advance(Duration::from_secs(101)).await;
    // The first further call makes a new session under the id, which the copy then deletes.
    bed.store.create(&bed.id, what()).await.unwrap();
    assert!(bed.store.inner().state(&bed.id).await.is_ok());
    bed.store.list(&Filter::default()).await.unwrap();
    let gone = bed.store.inner().state(&bed.id).await;
    assert!(matches!(gone, Err(StoreError::Gone(_))), "{gone:?}");
}

#[tokio::test(start_paused = true)]
async fn a_missed_wake_up_leaves_a_waiter_asleep_to_its_limit() {
    let bed = Bed::new().await;
    for (lsn, fault, late) in [(1, None, 0), (2, Some(Fault::MissWake), 2)] {
        let seen = bed.store.state(&bed.id).await.unwrap().version();
        if let Some(fault) = fault {
            bed.meets(Op::Changed, fault);
        }
        let began = Instant::now();
        let wait = bed
            .store
            .changed(&bed.id, seen.into(), Duration::from_secs(60));
        let (state, _) = tokio::join!(wait, bed.push(lsn));
        assert_eq!(state.unwrap().tail.get(), lsn);
        assert_eq!(began.elapsed().as_secs(), late);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_comes_before_or_after_the_call() {
    let bed = Bed::new().await;
    let pause = Duration::from_secs(3);
    for (lsn, fault, meanwhile) in [
        (1, Fault::PauseBefore(pause), 0),
        (2, Fault::PauseAfter(pause), 2),
    ] {
        bed.meets(Op::Append, fault);
        let began = Instant::now();
        let look = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            bed.tail().await
        };
        let (pushed, seen) = tokio::join!(bed.push(lsn), look);
        pushed.unwrap();
        assert_eq!((seen, began.elapsed()), (meanwhile, pause));
        assert_eq!(bed.tail().await, lsn);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_applies_nothing_until_it_is_over() {
    let bed = Bed::new().await;
    bed.store.faults().outage(true);
    let refused = bed.push(1).await;
    assert!(matches!(
        refused,
        Err(StoreError::Unavailable {
            maybe_applied: false,
            ..
        })
    ));
    assert!(bed.store.state(&bed.id).await.is_err());
    assert_eq!(bed.tail().await, 0);
    bed.store.faults().outage(false);
    bed.push(1).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_jump_of_the_clock_ends_leases() {
    let bed = Bed::new().await;
    let lease = || async { bed.store.state(&bed.id).await.unwrap().lease };
    assert!(!lease().await.is_over());
    bed.store.jump(Duration::from_secs(10));
    assert!(lease().await.is_over());
}

#[tokio::test(start_paused = true)]
async fn a_rewind_forgets_what_happened_since() {
    let bed = Bed::new().await;
    bed.push(1).await.unwrap();
    let once = bed.store.snapshot();
    let younger = SessionId::random();
    bed.store.create(&younger, what()).await.unwrap();
    bed.push(2).await.unwrap();
    bed.store
        .abort(&bed.id, AbortRequest::default())
        .await
        .unwrap();
    let seen = bed.store.state(&bed.id).await.unwrap().version();
    let wait = bed
        .store
        .changed(&bed.id, seen.into(), Duration::from_secs(60));
    let rewind = async { bed.store.restore(&once) };
    let (state, ()) = tokio::join!(wait, rewind);
    let state = state.unwrap();
    assert_eq!((state.tail, state.abort), (Lsn::new(1), None));
    let lost = bed.store.state(&younger).await;
    assert!(matches!(lost, Err(StoreError::NotFound)), "{lost:?}");
    let ahead = bed.push(3).await;
    assert!(
        matches!(ahead, Err(StoreError::Rewound { .. })),
        "{ahead:?}"
    );
    bed.store.delete(&bed.id, DeleteMode::Now).await.unwrap();
    bed.store.restore(&once);
    assert_eq!(bed.tail().await, 1);
    assert_eq!(
        bed.store
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
        let bed = Bed::new().await;
        let mut rates = Rates::default();
        (rates.lose_before, rates.lose_after) = (300, 300);
        bed.store.faults().random(seed, rates);
        let mut lost = Vec::new();
        for _ in 0..50 {
            lost.push(bed.store.sweep(1).await.is_err());
        }
        bed.store.faults().heal();
        assert!(bed.store.sweep(1).await.is_ok());
        lost
    };
    let first = run(1).await;
    assert_eq!(first, run(1).await);
    assert_ne!(first, run(2).await);
    assert!((15..45).contains(&first.iter().filter(|lost| **lost).count()));
}
