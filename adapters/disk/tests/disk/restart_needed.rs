//! Failures that only a restart ends.

use unbroken::store::{DeleteMode, LeaseChange, Store, StoreError};
use unbroken_disk::{Disk, DiskHealth, DiskWriteError};

use crate::{
    directory::Directory,
    faulty_io::{FaultyIo, IoCall},
    fixture::{SECOND, claim, create_session, open, push, texts},
    no_room::faulty,
};

const ENOENT: i32 = 2;
const EIO: i32 = 5;
const EACCES: i32 = 13;
const EROFS: i32 = 30;

/// Returns true if the write failed, and its error says that the store needs a restart.
pub(crate) fn is_lost<T>(answer: &Result<T, StoreError>) -> bool {
    let Err(StoreError::Unavailable { source, .. }) = answer else {
        return false;
    };
    matches!(
        source.downcast_ref(),
        Some(DiskWriteError::RestartNeeded(_))
    )
}

fn all_calls(faults: &FaultyIo) -> usize {
    faults.calls().len()
}

async fn is_told(store: &Disk) {
    let mut health = store.watch_health();
    let told = health.wait_for(DiskHealth::needs_restart).await;
    assert!(told.is_ok());
}

#[tokio::test]
async fn a_broken_disk_is_told_and_no_call_follows_until_the_store_is_opened_again() {
    let calls = [
        IoCall::Create,
        IoCall::SetLen,
        IoCall::Write,
        IoCall::Sync,
        IoCall::SyncDirectory,
    ];
    for call in calls {
        for errno in [EIO, EROFS, EACCES, ENOENT] {
            let directory = Directory::new();
            let (store, faults) = faulty(&directory).await;
            let (id, epoch) = create_session(&store).await;
            let record = "x".repeat(3000);
            faults.fail(call, 1, errno);
            let mut tail = 0;
            // Rotates files.
            let refused = loop {
                match push(&store, &id, tail + 1, epoch, &[&record]).await {
                    Ok(_) => tail += 1,
                    Err(error) => break Err::<(), _>(error),
                }
                assert!(tail < 100, "{call:?} fails");
            };
            assert!(is_lost(&refused), "{call:?} {errno}: {refused:?}");
            is_told(&store).await;

            // A failed write is cut off at most.
            let before = all_calls(&faults);
            let again = push(&store, &id, tail + 1, epoch, &[&record]).await;
            assert!(is_lost(&again));
            assert!(
                matches!(again, Err(StoreError::Unavailable { maybe_applied, .. }) if !maybe_applied)
            );
            assert!(is_lost(&store.delete(&id, DeleteMode::Now).await));
            let owned = [(id.clone(), epoch)];
            let renewed = store.renew(&owned, LeaseChange::Extend(SECOND)).await;
            assert!(is_lost(&renewed[0]));
            assert_eq!(all_calls(&faults), before);
            assert_eq!(texts(&store, &id).await.unwrap().len() as u64, tail);
            store.close().await;
            assert_eq!(all_calls(&faults), before);

            let store = open(&directory).await;
            assert!(store.health().can_write());
            let found = texts(&store, &id).await.unwrap().len() as u64;
            assert!(found == tail || found == tail + 1, "{found} of {tail}");
            let epoch = claim(&store, &id).await;
            push(&store, &id, found + 1, epoch, &["more"])
                .await
                .unwrap();
        }
    }
}
