//! Endings in the outbox outlive compaction and the process, until they are delivered or their time is over.

use std::{
    collections::{HashMap, HashSet},
    fs,
    sync::{LazyLock, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use unbroken::{
    log::{ChatId, Epoch, Outcome, Position, ServiceName, SessionId},
    store::{
        AfterAppend, Created, DeleteMode, Filter, Holder, NewSession, PendingEnding, Seal,
        SessionMeta, Store, StoreError, StoreExt,
    },
};
use unbroken_disk::Disk;

use crate::{
    directory::Directory,
    fixture::{
        HOUR, SECOND, chunk, compact, create_as, new_session, new_session_with_outbox, open, texts,
    },
};

/// The epochs that have sealed the sessions of these tests.
static SEALED_BY: LazyLock<Mutex<HashMap<SessionId, Epoch>>> = LazyLock::new(Mutex::default);

pub(crate) fn sealed_by(id: &SessionId) -> Epoch {
    SEALED_BY.lock().unwrap()[id]
}

pub(crate) const REQUEST: &str = "the request of it";
const SUMMARY: &str = "the summary of it";
const RECORD: &str = "the record of it";

/// Creates a session with this outbox, and seals it with this retention.
async fn sealed(store: &Disk, outbox: Duration, keep: Duration) -> SessionId {
    let new = new_session_with_outbox();
    let meta = SessionMeta {
        outbox: Some(outbox),
        chat: Some(ChatId::new("a chat")),
        ..(*new.meta).clone()
    };
    let new = NewSession {
        meta: meta.into(),
        request: Bytes::from_static(REQUEST.as_bytes()),
        ..new
    };
    let id = SessionId::random();
    let epoch = create_as(store, &id, new).await.unwrap();
    let seal = Seal::new(Outcome::Complete, keep).summary(SUMMARY.into());
    let last = chunk(1, epoch, &[RECORD]);
    let sealed = store.append(&id, last, AfterAppend::Seal(seal)).await;
    sealed.unwrap();
    SEALED_BY.lock().unwrap().insert(id.clone(), epoch);
    id
}

pub(crate) async fn ended(store: &Disk) -> SessionId {
    sealed(store, 24 * HOUR, HOUR).await
}

pub(crate) async fn take(store: &Disk, limit: usize) -> Vec<PendingEnding> {
    let service = ServiceName::new("a service");
    store.endings(&service, limit, 30 * SECOND).await.unwrap()
}

/// Takes the only ending, of this session, and checks all of it but its request.
pub(crate) async fn only(store: &Disk, id: &SessionId) -> PendingEnding {
    let mut taken = take(store, 9).await;
    assert_eq!(taken.len(), 1, "{taken:?}");
    let ending = taken.remove(0);
    assert_eq!(ending.id, *id);
    assert_eq!(ending.summary, SUMMARY);
    let state = &ending.state;
    assert_eq!(state.status.outcome(), Some(Outcome::Complete));
    assert_eq!(state.tail.get(), 1);
    assert_eq!(state.meta.owner, new_session().meta.owner);
    assert_eq!(state.meta.chat, Some(ChatId::new("a chat")));
    assert!(ending.expires_in <= 24 * HOUR && ending.expires_in > 20 * HOUR);
    ending
}

async fn check_gone(store: &Disk, id: &SessionId) {
    let gone = store.state(id).await;
    assert!(matches!(gone, Err(StoreError::Gone(_))), "{gone:?}");
    let gone = store.read(id, Position::START, 100).await;
    assert!(matches!(gone, Err(StoreError::Gone(_))), "{gone:?}");
    let gone = store.create(id, new_session()).await;
    assert!(matches!(gone, Err(StoreError::Gone(_))), "{gone:?}");
    let listed = store.list(&Filter::default()).await.unwrap().sessions;
    assert!(listed.iter().all(|it| it.id != *id), "{listed:?}");
    let owner = new_session().meta.owner.clone();
    let chat = ChatId::new("a chat");
    let listed = store.of_chat(owner.as_ref(), &chat, 9).await.unwrap();
    assert!(listed.iter().all(|it| it.id != *id), "{listed:?}");
}

#[tokio::test]
async fn an_ending_waits_with_its_request_over_restarts_and_its_deliveries_are_counted_on() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let id = ended(&store).await;
    for delivery in [1, 2] {
        let ending = only(&store, &id).await;
        assert_eq!((ending.delivery, ending.deleted), (delivery, false));
        assert_eq!(ending.request, REQUEST);
        assert!(take(&store, 9).await.is_empty(), "it is leased");
        store.clock().jump(30 * SECOND);
    }
    store.close().await;

    let store = open(&directory).await;
    let ending = only(&store, &id).await;
    assert_eq!((ending.delivery, ending.deleted), (3, false));
    assert_eq!(ending.request, REQUEST);
    // A call of the former process has a number that is over.
    let late = store.postpone_ending(&id, 2, Duration::ZERO).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    assert!(take(&store, 9).await.is_empty());
    store.postpone_ending(&id, 3, 2 * HOUR).await.unwrap();
    store.clock().jump(HOUR);
    assert!(take(&store, 9).await.is_empty(), "it is postponed");
    store.close().await;

    let store = open(&directory).await;
    assert_eq!(only(&store, &id).await.delivery, 4, "due at once");
    let back = store.postpone_ending(&id, 4, Duration::ZERO).await;
    back.unwrap();
    assert_eq!(only(&store, &id).await.delivery, 5);
    assert_eq!(texts(&store, &id).await.unwrap(), [RECORD]);
}

#[tokio::test]
async fn a_delivered_ending_does_not_come_again_after_a_restart() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let id = ended(&store).await;
    only(&store, &id).await;
    store.delivered(&id, sealed_by(&id)).await.unwrap();
    store.delivered(&id, sealed_by(&id)).await.unwrap();
    for _ in 0..2 {
        store.clock().jump(60 * SECOND);
        assert!(take(&store, 9).await.is_empty());
        let late = store.postpone_ending(&id, 1, SECOND).await;
        assert!(matches!(late, Err(StoreError::NotFound)), "{late:?}");
    }
    store.close().await;

    let store = open(&directory).await;
    assert!(take(&store, 9).await.is_empty());
    assert_eq!(texts(&store, &id).await.unwrap(), [RECORD]);
    store.delivered(&id, sealed_by(&id)).await.unwrap();
    store
        .delivered(&SessionId::random(), sealed_by(&id))
        .await
        .unwrap();
    let released = DeleteMode::Released(Holder(1));
    store.delete(&id, released).await.unwrap();
    check_gone(&store, &id).await;
}

#[tokio::test]
async fn the_request_is_kept_by_compaction_until_the_ending_is_delivered() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let id = ended(&store).await;
    let first = directory.logs().remove(0);
    compact(&store).await;
    assert!(!first.exists());
    assert_eq!(only(&store, &id).await.request, REQUEST);
    store.close().await;

    let store = open(&directory).await;
    compact(&store).await;
    assert_eq!(only(&store, &id).await.request, REQUEST);
    assert!(directory.holds(REQUEST));
    store.delivered(&id, sealed_by(&id)).await.unwrap();
    compact(&store).await;
    assert!(!directory.holds(REQUEST), "nobody asks for it any more");
    assert!(!directory.holds(SUMMARY));
    assert_eq!(texts(&store, &id).await.unwrap(), [RECORD]);
}

#[tokio::test]
async fn the_ending_of_a_deleted_session_remains_and_nothing_else_of_it() {
    let directory = Directory::new();
    let mut store = open(&directory).await;
    let id = ended(&store).await;
    let released = DeleteMode::Released(Holder(1));
    let held = store.delete(&id, released).await;
    assert!(matches!(held, Err(StoreError::Held)), "{held:?}");
    assert!(store.state(&id).await.is_ok());
    store.delete(&id, DeleteMode::Now).await.unwrap();
    for round in 1..=3 {
        check_gone(&store, &id).await;
        for how in [DeleteMode::Now, released] {
            store.delete(&id, how).await.unwrap();
        }
        let ending = only(&store, &id).await;
        assert_eq!((ending.delivery, ending.deleted), (round, true));
        assert!(ending.request.is_empty());
        compact(&store).await;
        for text in [REQUEST, RECORD] {
            assert!(!directory.holds(text), "the files still hold {text:?}");
        }
        assert!(directory.holds(SUMMARY));
        store.close().await;
        store = open(&directory).await;
    }
    store.delivered(&id, sealed_by(&id)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(store.sweep(9).await.unwrap(), 0, "it is buried already");
        check_gone(&store, &id).await;
        assert!(take(&store, 9).await.is_empty());
        store.close().await;
        store = open(&directory).await;
    }
    compact(&store).await;
    assert!(!directory.holds(SUMMARY), "only its tombstone is needed");
    check_gone(&store, &id).await;
}

#[tokio::test]
async fn the_records_of_a_deleted_session_are_not_needed_after_a_kill_either() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let id = ended(&store).await;
    store.delete(&id, DeleteMode::Now).await.unwrap();
    // As after a kill: the records are before the deletion in one file.
    let copy = directory.copy();
    store.close().await;
    let store = open(&copy).await;
    check_gone(&store, &id).await;
    let ending = only(&store, &id).await;
    assert!(ending.deleted && ending.request.is_empty());
    compact(&store).await;
    assert!(!copy.holds(RECORD));
    assert!(copy.holds(SUMMARY));
    assert!(store.sweep(9).await.is_ok());
    check_gone(&store, &id).await;
}

#[tokio::test]
async fn a_session_outlives_its_retention_until_its_ending_is_delivered() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let ids = [
        sealed(&store, 24 * HOUR, SECOND).await,
        sealed(&store, 24 * HOUR, SECOND).await,
    ];
    store.clock().jump(HOUR / 2);
    assert_eq!(store.sweep(9).await.unwrap(), 0);
    compact(&store).await;
    store.close().await;

    let store = open(&directory).await;
    for id in &ids {
        assert_eq!(texts(&store, id).await.unwrap(), [RECORD]);
    }
    assert_eq!(take(&store, 9).await.len(), 2);
    store.delivered(&ids[0], sealed_by(&ids[0])).await.unwrap();
    check_gone(&store, &ids[0]).await;
    assert!(store.state(&ids[1]).await.is_ok());
    store.close().await;

    let store = open(&directory).await;
    check_gone(&store, &ids[0]).await;
    assert_eq!(only(&store, &ids[1]).await.request, REQUEST);
}

#[tokio::test]
async fn an_ending_whose_time_is_over_goes_and_so_does_its_session() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let expired = ended(&store).await;
    let deleted = ended(&store).await;
    store.delete(&deleted, DeleteMode::Now).await.unwrap();
    store.clock().jump(23 * HOUR);
    assert_eq!(store.sweep(9).await.unwrap(), 0);
    assert_eq!(take(&store, 9).await.len(), 2);
    store.clock().jump(HOUR);
    assert!(take(&store, 9).await.is_empty());
    let late = store.postpone_ending(&expired, 1, SECOND).await;
    assert!(matches!(late, Err(StoreError::NotFound)), "{late:?}");
    check_gone(&store, &expired).await;
    assert_eq!(store.sweep(9).await.unwrap(), 2);
    check_gone(&store, &expired).await;
    // Its tombstone is counted from the deletion, and is over since then.
    let nothing = store.state(&deleted).await;
    assert!(matches!(nothing, Err(StoreError::NotFound)), "{nothing:?}");
    store.close().await;

    let store = open(&directory).await;
    assert!(take(&store, 9).await.is_empty());
    check_gone(&store, &expired).await;
    let nothing = store.state(&deleted).await;
    assert!(matches!(nothing, Err(StoreError::NotFound)), "{nothing:?}");
}

#[tokio::test]
async fn a_session_is_swept_as_soon_as_its_ending_lets_it_go() {
    let directory = Directory::new();
    let store = open(&directory).await;
    // Delivered: the retention decides. Deleted: the time of the ending does.
    let delivered = ended(&store).await;
    store
        .delivered(&delivered, sealed_by(&delivered))
        .await
        .unwrap();
    let deleted = sealed(&store, HOUR, 48 * HOUR).await;
    store.delete(&deleted, DeleteMode::Now).await.unwrap();
    let waits = ended(&store).await;
    assert_eq!(store.sweep(9).await.unwrap(), 0);
    store.clock().jump(HOUR);
    assert_eq!(store.sweep(9).await.unwrap(), 2);
    assert_eq!(only(&store, &waits).await.request, REQUEST);
}

#[tokio::test]
async fn the_request_of_a_deleted_session_gives_its_space_back() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let id = SessionId::random();
    let new = NewSession {
        request: vec![b'r'; 400_000].into(),
        ..new_session_with_outbox()
    };
    let epoch = create_as(&store, &id, new).await.unwrap();
    let last = chunk(1, epoch, &[RECORD]);
    let seal = AfterAppend::Seal(Seal::new(Outcome::Complete, HOUR));
    store.append(&id, last, seal).await.unwrap();
    let size = || {
        let logs = directory.logs().into_iter();
        let sizes = logs.map(|log| fs::metadata(log).unwrap().len());
        sizes.sum::<u64>()
    };
    for _ in 0..20 {
        store.sweep(9).await.unwrap();
    }
    assert!(size() > 400_000, "the ending has it");
    store.delete(&id, DeleteMode::Now).await.unwrap();
    for _ in 0..20 {
        store.sweep(9).await.unwrap();
    }
    assert!(size() < 200_000, "{} bytes are left", size());
    let taken = take(&store, 9).await;
    assert!(taken.len() == 1 && taken[0].deleted);
}

#[tokio::test]
async fn an_ending_that_is_taken_beside_the_deletion_has_no_request() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(ended(&store).await);
    }
    let deletions = ids.iter().map(|id| store.delete(id, DeleteMode::Now));
    // Most of the deletions are in the batch of the call.
    let (deleted, taken) = tokio::join!(join_all(deletions), take(&store, 99));
    assert!(deleted.iter().all(Result::is_ok));
    assert_eq!(taken.len(), 20);
    for ending in taken {
        assert!(ending.deleted && ending.request.is_empty());
        assert_eq!(ending.summary, SUMMARY);
    }
}

#[tokio::test]
async fn a_delivery_past_the_tombstone_of_a_deleted_session_is_kept_as_well() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let id = ended(&store).await;
    store.delete(&id, DeleteMode::Now).await.unwrap();
    store.clock().jump(2 * HOUR);
    check_gone(&store, &id).await;
    store.delivered(&id, sealed_by(&id)).await.unwrap();
    for _ in 0..2 {
        let nothing = store.state(&id).await;
        assert!(matches!(nothing, Err(StoreError::NotFound)), "{nothing:?}");
    }
    store.close().await;

    let store = open(&directory).await;
    assert!(take(&store, 9).await.is_empty());
    let again = store.create(&id, new_session()).await.unwrap();
    assert!(matches!(again, Created::Created(_)), "{again:?}");
}

#[tokio::test]
async fn calls_at_once_take_different_endings() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let mut ids = HashSet::new();
    for _ in 0..60 {
        ids.insert(ended(&store).await);
    }
    // Many of them share a batch.
    let calls = (0..20).map(|_| take(&store, 3));
    let mut taken = HashSet::new();
    for endings in join_all(calls).await {
        assert_eq!(endings.len(), 3, "there are more of them");
        for ending in endings {
            assert_eq!(ending.delivery, 1);
            assert_eq!(ending.request, REQUEST);
            assert!(taken.insert(ending.id), "it was taken twice");
        }
    }
    assert_eq!(taken, ids);
}

#[tokio::test]
async fn a_deletion_and_a_delivery_of_one_batch_leave_a_tombstone() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(ended(&store).await);
    }
    let calls = ids.iter().map(|id| async {
        let deleted = store.delete(id, DeleteMode::Now);
        let (deleted, delivered, again, _) = tokio::join!(
            deleted,
            store.delivered(id, sealed_by(id)),
            store.delete(id, DeleteMode::Now),
            take(&store, 1),
        );
        deleted.unwrap();
        delivered.unwrap();
        again.unwrap();
    });
    join_all(calls).await;
    store.clock().jump(60 * SECOND);
    assert!(take(&store, 99).await.is_empty());
    for id in &ids {
        check_gone(&store, id).await;
    }
    store.close().await;
    let store = open(&directory).await;
    assert!(take(&store, 99).await.is_empty());
    for id in &ids {
        check_gone(&store, id).await;
    }
}

#[tokio::test]
async fn endings_whose_time_is_over_are_in_nobodys_way() {
    let directory = Directory::new();
    let store = open(&directory).await;
    for _ in 0..20 {
        // Some are present for longer, and some are gone.
        sealed(&store, HOUR, 48 * HOUR).await;
        sealed(&store, HOUR, SECOND).await;
    }
    store.clock().jump(2 * HOUR);
    let id = ended(&store).await;
    let taken = take(&store, 1).await;
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].id, id);
    assert!(take(&store, 1).await.is_empty());
    store.clock().jump(60 * SECOND);
    assert_eq!(take(&store, 1).await.len(), 1);
}
