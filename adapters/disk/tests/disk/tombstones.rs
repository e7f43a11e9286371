//! Tombstones: what they keep, how many there are, and that they outlive compaction and the process.

use std::sync::Arc;

use unbroken::{
    log::{ChatId, Digest, Owner, ServiceName, SessionId},
    store::{Created, DeleteMode, NewSession, SessionMeta, Store, StoreError, StoreExt, Tombstone},
};
use unbroken_disk::{Disk, DiskOptions};

use crate::{
    directory::Directory,
    fixture::{HOUR, chunk, compact, create_session, new_session, open, push, seal},
};

async fn create(store: &Disk, meta: SessionMeta) -> SessionId {
    let id = SessionId::random();
    let new = NewSession {
        meta: Arc::new(meta),
        ..new_session()
    };
    let created = store.create(&id, new).await.unwrap();
    assert!(matches!(created, Created::Created(_)));
    id
}

async fn deleted(store: &Disk) -> SessionId {
    let (id, _) = create_session(store).await;
    store.delete(&id, DeleteMode::Now).await.unwrap();
    id
}

async fn word(store: &Disk, id: &SessionId) -> &'static str {
    match store.state(id).await {
        Ok(_) => "present",
        Err(StoreError::Gone(_)) => "gone",
        Err(StoreError::NotFound) => "not found",
        Err(error) => panic!("{error}"),
    }
}

async fn words(store: &Disk, ids: &[SessionId]) -> Vec<&'static str> {
    let mut words = Vec::new();
    for id in ids {
        words.push(word(store, id).await);
    }
    words
}

#[tokio::test]
async fn a_tombstone_keeps_its_owner_and_digest_through_compaction_and_a_restart() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let owner = Owner::new("the-owner-of-it");
    let meta = SessionMeta {
        owner: Some(owner.clone()),
        chat: Some(ChatId::new("the-chat-of-it")),
        service: ServiceName::new("the-service-of-it"),
        digest: Digest([9; 32]),
        format: 1, // that of the registries of these tests
        outbox: None,
    };
    let ids = [
        create(&store, meta.clone()).await,
        create(&store, meta).await,
    ];
    store.delete(&ids[0], DeleteMode::Now).await.unwrap();
    let epoch = store.state(&ids[1]).await.unwrap().epoch;
    let last = chunk(1, epoch, &["the-record-of-it"]);
    store.append(&ids[1], last, seal(HOUR / 2)).await.unwrap();
    store.clock().jump(HOUR / 2);
    assert_eq!(store.sweep(9).await.unwrap(), 1);
    compact(&store).await;
    for text in [
        "the-chat-of-it",
        "the-service-of-it",
        "the-record-of-it",
        "a request",
    ] {
        assert!(!directory.holds(text), "the files still hold {text:?}");
    }
    assert!(directory.holds(owner.as_str()));
    store.close().await;

    let store = open(&directory).await;
    let left = Tombstone {
        owner: Some(owner),
        digest: Digest([9; 32]),
    };
    for id in &ids {
        let state = store.state(id).await;
        assert!(
            matches!(&state, Err(StoreError::Gone(it)) if *it == left),
            "{state:?}"
        );
        let again = store.create(id, new_session()).await;
        assert!(matches!(again, Err(StoreError::Gone(_))), "{again:?}");
    }
    store.clock().jump(2 * HOUR);
    assert_eq!(words(&store, &ids).await, ["not found"; 2]);
    let again = store.create(&ids[0], new_session()).await.unwrap();
    assert!(matches!(again, Created::Created(_)), "{again:?}");
    store.close().await;
    assert_eq!(word(&open(&directory).await, &ids[0]).await, "present");
}

#[tokio::test]
async fn the_oldest_tombstones_go_first_also_when_the_store_is_opened_again() {
    let directory = Directory::new();
    let options = |max| {
        let options = DiskOptions::new().segment_bytes(64 << 10);
        Disk::open(directory.path(), options.max_tombstones(max))
    };
    let store = options(3).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(deleted(&store).await);
    }
    let three = ["not found", "gone", "gone", "gone"];
    assert_eq!(words(&store, &ids).await, three);
    store.close().await;
    let store = options(3).await.unwrap();
    assert_eq!(words(&store, &ids).await, three);
    store.close().await;
    let store = options(1).await.unwrap();
    let one = ["not found", "not found", "not found", "gone"];
    assert_eq!(words(&store, &ids).await, one);
    compact(&store).await;
    store.close().await;
    let store = options(0).await.unwrap();
    assert_eq!(words(&store, &ids).await, ["not found"; 4]);
}

#[tokio::test]
async fn an_id_whose_tombstone_was_removed_names_the_new_session_after_a_restart() {
    let directory = Directory::new();
    let options = || {
        let options = DiskOptions::new().segment_bytes(64 << 10);
        Disk::open(directory.path(), options.max_tombstones(0))
    };
    let store = options().await.unwrap();
    let id = deleted(&store).await;
    assert_eq!(word(&store, &id).await, "not found");
    let epoch = crate::fixture::create(&store, &id).await.unwrap();
    push(&store, &id, 1, epoch, &["new"]).await.unwrap();
    store.close().await;
    let store = options().await.unwrap();
    assert_eq!(crate::fixture::texts(&store, &id).await.unwrap(), ["new"]);
}

#[tokio::test]
async fn a_number_is_not_used_again_while_frames_of_its_session_remain() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let id = deleted(&store).await;
    store.clock().jump(2 * HOUR);
    while store.sweep(9).await.unwrap() > 0 {}
    assert_eq!(word(&store, &id).await, "not found");
    store.close().await;
    // Frames of the deleted session are still in the files, and its tombstone is not in memory.
    let later = std::time::SystemTime::now() + 3 * HOUR;
    let options = DiskOptions::new().segment_bytes(64 << 10).wall_clock(later);
    let store = Disk::open(directory.path(), options).await.unwrap();
    let (new, epoch) = create_session(&store).await;
    push(&store, &new, 1, epoch, &["new"]).await.unwrap();
    store.close().await;
    let store = open(&directory).await;
    assert_eq!(crate::fixture::texts(&store, &new).await.unwrap(), ["new"]);
    assert_eq!(word(&store, &id).await, "not found");
}

#[tokio::test]
async fn a_sweep_and_a_deletion_of_one_batch_bury_a_session_once() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let (id, epoch) = create_session(&store).await;
    let last = chunk(1, epoch, &["z"]);
    store.append(&id, last, seal(HOUR)).await.unwrap();
    store.clock().jump(HOUR);
    let (deleted, swept, again) = tokio::join!(
        store.delete(&id, DeleteMode::Now),
        store.sweep(9),
        store.delete(&id, DeleteMode::Now)
    );
    deleted.unwrap();
    again.unwrap();
    let swept = swept.unwrap() + store.sweep(9).await.unwrap();
    assert_eq!(swept, 1);
    assert_eq!(word(&store, &id).await, "gone");
    store.close().await;
    assert_eq!(word(&open(&directory).await, &id).await, "gone");
}
