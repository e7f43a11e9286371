//! Changes of the host's clock while the store is closed.

use std::time::{Duration, SystemTime};

use unbroken::store::{Store, StoreError, StoreExt};
use unbroken_disk::{Disk, DiskOptions};

use crate::{
    directory::Directory,
    fixture::{HOUR, chunk, claim, create_session, push, seal, texts},
};

async fn open_at(directory: &Directory, now: SystemTime) -> Disk {
    let options = DiskOptions::new().wall_clock(now);
    Disk::open(directory.path(), options).await.unwrap()
}

fn is_gone<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Gone(_)))
}

#[tokio::test]
async fn a_clock_that_is_set_by_an_hour_moves_expiry_by_an_hour_and_changes_nothing_else() {
    for back in [true, false] {
        let directory = Directory::new();
        let start = SystemTime::now();
        let store = open_at(&directory, start).await;
        let (id, epoch) = create_session(&store).await;
        let after = seal(2 * HOUR);
        store
            .append(&id, chunk(1, epoch, &["a", "b"]), after)
            .await
            .unwrap();
        let (running, epoch) = create_session(&store).await;
        push(&store, &running, 1, epoch, &["c"]).await.unwrap();
        store.close().await;

        let set = if back { start - HOUR } else { start + HOUR };
        let store = open_at(&directory, set).await;
        assert_eq!(texts(&store, &id).await.unwrap(), ["a", "b"]);
        let age = store.state(&id).await.unwrap().age;
        assert!(age < HOUR + Duration::from_secs(60), "{age:?}");
        let epoch = claim(&store, &running).await;
        push(&store, &running, 2, epoch, &["d"]).await.unwrap();
        assert_eq!(store.sweep(9).await.unwrap(), 0);
        store.close().await;

        let store = open_at(&directory, start).await;
        assert_eq!(texts(&store, &id).await.unwrap(), ["a", "b"]);
        assert_eq!(texts(&store, &running).await.unwrap(), ["c", "d"]);
        // The store's clock has passed an hour if the host's was set forward, and nothing if set back.
        store.clock().jump(if back { 2 * HOUR } else { HOUR });
        // The time that the test itself took.
        store.clock().jump(HOUR / 60);
        assert!(is_gone(&store.state(&id).await));
    }
}

#[tokio::test]
async fn an_expired_session_remains_expired_when_the_clock_is_set_back() {
    let directory = Directory::new();
    let start = SystemTime::now();
    let store = open_at(&directory, start).await;
    let (id, epoch) = create_session(&store).await;
    store
        .append(&id, chunk(1, epoch, &["a"]), seal(HOUR / 2))
        .await
        .unwrap();
    store.clock().jump(HOUR);
    assert!(is_gone(&store.state(&id).await));
    create_session(&store).await;
    store.close().await;
    let store = open_at(&directory, start - HOUR).await;
    assert!(is_gone(&store.state(&id).await));
}

#[tokio::test]
async fn time_passes_while_the_store_is_closed() {
    let directory = Directory::new();
    let start = SystemTime::now();
    let store = open_at(&directory, start).await;
    let (id, epoch) = create_session(&store).await;
    store
        .append(&id, chunk(1, epoch, &["a"]), seal(HOUR))
        .await
        .unwrap();
    store.close().await;
    let store = open_at(&directory, start + HOUR + HOUR / 2).await;
    assert!(is_gone(&store.state(&id).await));
    assert_eq!(store.sweep(9).await.unwrap(), 1, "its tombstone remains");
    assert_eq!(store.sweep(9).await.unwrap(), 0);
    store.clock().jump(2 * HOUR);
    assert!(matches!(store.state(&id).await, Err(StoreError::NotFound)));
    assert_eq!(store.sweep(9).await.unwrap(), 1);
}

#[tokio::test]
async fn a_session_is_swept_when_it_expires_and_again_when_its_tombstone_does() {
    let directory = Directory::new();
    let store = open_at(&directory, SystemTime::now()).await;
    let (id, epoch) = create_session(&store).await;
    let last = chunk(1, epoch, &["a"]);
    store.append(&id, last, seal(HOUR)).await.unwrap();
    assert_eq!(store.sweep(9).await.unwrap(), 0);
    for left in ["a tombstone", "nothing"] {
        store.clock().jump(HOUR);
        assert_eq!(store.sweep(9).await.unwrap(), 1, "{left} remains");
        assert_eq!(store.sweep(9).await.unwrap(), 0);
    }
    assert!(matches!(store.state(&id).await, Err(StoreError::NotFound)));
}
