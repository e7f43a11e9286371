//! The outbox, where sessions are deleted and servers shut down.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::Instant;
use unbroken::{
    BoxError, BoxFuture,
    log::{Outcome, SessionId},
    session::{EndingHandler, Retention, SessionsBuilder, StoredEnding},
    store::{DeleteMode, Memory, Store, StoreError},
};
use unbroken_conformance::delegate_store;

use crate::{
    is_gone,
    outbox::{Notes, delivering, ended, server, service, spec},
    support::{TextFormat, channel_source, id, seconds, until},
    take_over::LEASE,
};

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
