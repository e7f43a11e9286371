//! A lock that is lost while the store is open.
#![cfg(unix)]

use std::fs;

use unbroken_disk::Disk;

use crate::{
    directory::Directory,
    fixture::{create_session, open, push, texts},
    restart_needed::is_lost,
};

async fn loses(lose: impl FnOnce(&Directory)) -> (Directory, Disk) {
    let directory = Directory::new();
    let store = open(&directory).await;
    let (id, epoch) = create_session(&store).await;
    push(&store, &id, 1, epoch, &["first"]).await.unwrap();
    lose(&directory);
    assert!(is_lost(&push(&store, &id, 2, epoch, &["second"]).await));
    assert!(store.health().needs_restart());
    assert_eq!(texts(&store, &id).await.unwrap(), ["first"]);
    (directory, store)
}

#[tokio::test]
async fn a_store_whose_directory_was_removed_acknowledges_nothing() {
    loses(|directory| fs::remove_dir_all(directory.path()).unwrap()).await;
}

#[tokio::test]
async fn a_store_whose_lock_another_process_took_acknowledges_nothing() {
    let (directory, first) = loses(|directory| {
        fs::remove_file(directory.path().join("lock")).unwrap();
    })
    .await;
    let second = open(&directory).await;
    assert!(second.health().can_write());
    create_session(&second).await;
    drop(first);
}
