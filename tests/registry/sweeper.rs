//! The background task of a registry: renewals, and the search for orphans.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::Instant;
use unbroken::{
    BoxFuture,
    log::{SessionId, Status},
    session::{Retention, SessionsBuilder},
    store::{Lease, LeaseChange, Listed, Memory, Store, StoreError, StoreExt},
};
use unbroken_conformance::{Fault, FaultStore, Op, delegate_store};

use crate::{
    begin,
    support::{TextFormat, channel_source, id, seconds, until},
    take_over::{LEASE, orphan},
};

async fn is_held(store: &Memory, id: &SessionId) -> bool {
    matches!(store.state(id).await.unwrap().lease, Lease::Held(_))
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_kept_although_half_a_lease_of_renewals_is_lost() {
    let store = FaultStore::new(Memory::new());
    let (lease, id) = (Duration::from_secs(2), id("one"));
    let sessions = SessionsBuilder::new(store.clone(), TextFormat).lease(lease);
    let sessions = sessions.build();
    let (_teller, source) = channel_source();
    let _session = begin(&sessions, &id, source).await;
    for _ in 0..5 {
        store.faults().next(Op::Renew, Fault::LoseBefore);
    }
    let began = Instant::now();
    while began.elapsed() < lease * 2 {
        assert!(is_held(store.inner(), &id).await, "{:?}", began.elapsed());
        tokio::time::sleep(lease / 40).await;
    }
    assert_eq!(store.faults().happened(), 5);
}

#[tokio::test(start_paused = true)]
async fn orphans_are_looked_for_several_times_in_a_lease() {
    let store = Memory::new();
    let lease = Duration::from_millis(400);
    let sessions = SessionsBuilder::new(store.clone(), TextFormat).lease(lease);
    let sessions = sessions.build();
    let _ = sessions.attach(&id("wakes-the-sweeper")).await;
    tokio::time::sleep(lease / 8).await;
    let (id, epoch) = orphan(&store, "one", &["info"]).await;
    let given = [(id.clone(), epoch)];
    let _ = store.renew(&given, LeaseChange::GiveBack).await;
    tokio::time::sleep(lease / 2).await;
    let state = store.state(&id).await.unwrap();
    assert!(state.status.outcome().is_some(), "{state:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_outage_was_short_waits_for_owners_whose_outage_is_longer() {
    let store = Memory::new();
    let (near, far) = (
        FaultStore::new(store.clone()),
        FaultStore::new(store.clone()),
    );
    let server = |store| SessionsBuilder::new(store, TextFormat).lease(LEASE).build();
    let (here, there) = (server(near.clone()), server(far.clone()));
    let id = id("one");
    let (teller, source) = channel_source();
    let _session = begin(&here, &id, source).await;
    let _ = there.attach(&crate::support::id("wakes-the-sweeper")).await;
    seconds(20).await;
    near.faults().outage(true);
    far.faults().outage(true);
    seconds(6).await;
    far.faults().heal();
    until("the lease runs out", async || !is_held(&store, &id).await).await;
    seconds(2).await;
    near.faults().heal();
    seconds(2).await;
    assert!(is_held(&store, &id).await);
    assert_eq!(store.state(&id).await.unwrap().status, Status::Streaming);
    assert!(!teller.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn only_a_session_that_has_clients_is_held() {
    let store = FaultStore::new(Memory::new());
    let sessions = SessionsBuilder::new(store.clone(), TextFormat)
        .retention(Retention::until_released())
        .build();
    let id = id("one");
    let (_teller, source) = channel_source();
    drop(begin(&sessions, &id, source).await);
    store.faults().next(Op::Hold, Fault::LoseBefore);
    seconds(60).await;
    assert_eq!(store.faults().happened(), 0);
    let _client = sessions.attach(&id).await.unwrap();
    seconds(60).await;
    assert_eq!(store.faults().happened(), 1);
}

/// A store that panics once, when it is asked for orphans.
#[derive(Debug, Clone)]
struct PanickingStore {
    inner: Memory,
    panics: Arc<AtomicBool>,
}

impl Store for PanickingStore {
    delegate_store!(
        inner: durability, create, claim, renew, append, read, changed, abort, answer, answers, hold,
        delete, of_chat, list, endings, postpone_ending, delivered, sweep
    );

    fn orphans(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Listed>, StoreError>> {
        assert!(!self.panics.swap(false, SeqCst), "as the test wanted");
        self.inner.orphans(limit)
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_client_restarts_the_renewals_that_a_panic_of_the_store_ended() {
    let store = PanickingStore {
        inner: Memory::new(),
        panics: Arc::new(AtomicBool::new(true)),
    };
    let sessions = SessionsBuilder::new(store.clone(), TextFormat).lease(LEASE);
    let (sessions, id) = (sessions.build(), id("one"));
    let (_teller, source) = channel_source();
    let _session = begin(&sessions, &id, source).await;
    seconds(1).await;
    assert!(!store.panics.load(SeqCst));
    let _client = sessions.attach(&id).await.unwrap();
    seconds(25).await;
    assert!(is_held(&store.inner, &id).await);
}
