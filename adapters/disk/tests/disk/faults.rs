//! Failed writes and fsyncs.

use std::time::Duration;

use crate::faulty_io::FaultyIo;
use unbroken::{
    log::{Lsn, Position},
    store::{DeleteMode, LeaseChange, Seen, Store, StoreError, StoreExt},
};
use unbroken_disk::{Disk, DiskOptions};

use crate::{
    directory::Directory,
    fixture::{SECOND, claim, create, create_session, open, push, texts},
    restart_needed::is_lost,
};

#[tokio::test]
async fn after_a_failed_fsync_nothing_is_acknowledged_or_shown_until_the_store_is_opened_again() {
    after_a_failure(|faults| faults.fail_syncs(1)).await;
}

#[tokio::test]
async fn after_a_failed_write_nothing_is_acknowledged_either() {
    after_a_failure(|faults| faults.fail_writes(1)).await;
}

async fn after_a_failure(fail: fn(&FaultyIo)) {
    let directory = Directory::new();
    let faults = FaultyIo::default();
    let options = DiskOptions::new().io(faults.clone());
    let store = Disk::open(directory.path(), options).await.unwrap();
    let (id, epoch) = create_session(&store).await;
    push(&store, &id, 1, epoch, &["a"]).await.unwrap();
    let seen = store.state(&id).await.unwrap().version();

    fail(&faults);
    assert!(is_lost(&push(&store, &id, 2, epoch, &["b"]).await));
    // The disk works again, but the record may or may not be on it.
    for _ in 0..3 {
        assert!(is_lost(&push(&store, &id, 2, epoch, &["b"]).await));
        assert!(is_lost(&push(&store, &id, 2, epoch, &["other"]).await));
        assert!(is_lost(
            &create(&store, &unbroken::log::SessionId::random()).await
        ));
        assert!(is_lost(&store.delete(&id, DeleteMode::Now).await));
        assert!(is_lost(&store.sweep(1).await));
        let renewed = store
            .renew(&[(id.clone(), epoch)], LeaseChange::Extend(SECOND))
            .await;
        assert!(renewed.iter().all(is_lost));
    }
    assert_eq!(texts(&store, &id).await.unwrap(), ["a"]);
    let position = Position::after(Lsn::new(2));
    let beyond = store.read(&id, position, 100).await;
    assert!(
        matches!(beyond, Err(StoreError::Rewound { .. })),
        "{beyond:?}"
    );
    let waited = store
        .changed(&id, seen.into(), Duration::from_millis(20))
        .await;
    assert_eq!(waited.unwrap().version(), seen);
    assert!(store.changed(&id, Seen::Nothing, SECOND).await.is_ok());
    store.close().await;

    let store = open(&directory).await;
    let mut all = texts(&store, &id).await.unwrap();
    assert!(all == ["a"] || all == ["a", "b"], "{all:?}");
    let epoch = claim(&store, &id).await;
    let next = all.len() as u64 + 1;
    push(&store, &id, next, epoch, &["z"]).await.unwrap();
    all.push("z".to_owned());
    assert_eq!(texts(&store, &id).await.unwrap(), all);
}

#[tokio::test]
async fn a_failed_fsync_fails_every_write_of_its_batch() {
    let directory = Directory::new();
    let faults = FaultyIo::default();
    let options = DiskOptions::new().io(faults.clone());
    let store = Disk::open(directory.path(), options).await.unwrap();
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(create_session(&store).await);
    }
    faults.fail_syncs(1);
    let tasks: Vec<_> = sessions
        .iter()
        .cloned()
        .map(|(id, epoch)| {
            let store = store.clone();
            tokio::spawn(async move { push(&store, &id, 1, epoch, &["a"]).await })
        })
        .collect();
    for task in tasks {
        assert!(is_lost(&task.await.unwrap()));
    }
    for (id, _) in sessions {
        assert_eq!(store.state(&id).await.unwrap().tail, Lsn::ZERO);
    }
}
