//! What is gone gives its space back.

use std::fs;

use unbroken::{
    log::SessionId,
    store::{DeleteMode, Store},
};
use unbroken_disk::Disk;

use crate::{
    bed::{HOUR, chunk, made, open, push, seal, texts},
    directory::Directory,
};

const SESSIONS: usize = 200;
const RECORDS: u64 = 50;
const SEGMENT: u64 = 64 << 10;

fn size(directory: &Directory) -> u64 {
    let sizes = directory
        .logs()
        .into_iter()
        .map(|log| fs::metadata(log).unwrap().len());
    sizes.sum()
}

fn record(id: &SessionId, lsn: u64) -> String {
    format!("{id} {lsn} {}", "y".repeat(1000))
}

/// 10 MB of sealed sessions, and one that goes on.
async fn filled(store: &Disk) -> Vec<SessionId> {
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let (id, epoch) = made(store).await;
        for lsn in 1..RECORDS {
            push(store, &id, lsn, epoch, &[&record(&id, lsn)])
                .await
                .unwrap();
        }
        let last = chunk(RECORDS, epoch, &[&record(&id, RECORDS)]);
        store.append(&id, last, seal(HOUR)).await.unwrap();
        sessions.push(id);
    }
    sessions
}

/// Gives the store a few occasions to tidy up.
async fn settle(store: &Disk) {
    for _ in 0..500 {
        store.sweep(1000).await.unwrap();
    }
}

async fn check(store: &Disk, sessions: &[SessionId]) {
    for id in sessions {
        let expected: Vec<_> = (1..=RECORDS).map(|lsn| record(id, lsn)).collect();
        assert_eq!(texts(store, id).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn what_is_deleted_or_expires_gives_its_space_back_and_the_rest_stays() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let (early, epoch) = made(&store).await;
    push(&store, &early, 1, epoch, &["early"]).await.unwrap();
    let mut sessions = filled(&store).await;
    settle(&store).await;
    let full = size(&directory);
    let bytes = SESSIONS as u64 * RECORDS * 1030;
    assert!(full > bytes && full < 2 * bytes + 4 * SEGMENT, "{full}");

    // Every second one, so that no file is all dead.
    let mut kept = Vec::new();
    for (at, id) in sessions.drain(..).enumerate() {
        if at % 2 == 0 {
            store.delete(&id, DeleteMode::Now).await.unwrap();
        } else {
            kept.push(id);
        }
    }
    settle(&store).await;
    let half = size(&directory);
    assert!(half < bytes + 4 * SEGMENT, "{half} of {full}");
    check(&store, &kept).await;
    store.close().await;

    let store = open(&directory).await;
    check(&store, &kept).await;
    store.clock().jump(2 * HOUR);
    settle(&store).await;
    let rest = size(&directory);
    assert!(rest < 4 * SEGMENT, "{rest} of {half} of {full}");
    println!(
        "bytes in the directory: {full} full, {half} with half deleted, {rest} with all expired"
    );
    assert_eq!(texts(&store, &early).await.unwrap(), ["early"]);
    store.close().await;

    let store = open(&directory).await;
    assert_eq!(texts(&store, &early).await.unwrap(), ["early"]);
    let epoch = crate::bed::claim(&store, &early).await;
    push(&store, &early, 2, epoch, &["late"]).await.unwrap();
    assert_eq!(texts(&store, &early).await.unwrap(), ["early", "late"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_is_not_disturbed_while_files_are_emptied_and_removed() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let (long, epoch) = made(&store).await;
    let expected: Vec<_> = (1..=100).map(|lsn| record(&long, lsn)).collect();
    for (text, lsn) in expected.iter().zip(1..) {
        push(&store, &long, lsn, epoch, &[text]).await.unwrap();
    }
    let first = directory.logs().remove(0);
    let reader = tokio::spawn({
        let (store, first) = (store.clone(), first.clone());
        async move {
            let mut times = 0;
            while first.exists() || times < 50 {
                assert_eq!(texts(&store, &long).await.unwrap(), expected);
                times += 1;
            }
        }
    });
    while first.exists() {
        let (id, epoch) = made(&store).await;
        for lsn in 1..=RECORDS {
            let record = record(&id, lsn);
            push(&store, &id, lsn, epoch, &[&record]).await.unwrap();
        }
        store.delete(&id, DeleteMode::Now).await.unwrap();
    }
    reader.await.unwrap();
}
