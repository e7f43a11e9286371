//! Deleted and expired sessions give their space back.

use std::fs;

use unbroken::{
    log::SessionId,
    store::{DeleteMode, Store},
};
use unbroken_disk::Disk;

use crate::{
    directory::Directory,
    fixture::{HOUR, chunk, create_session, open, push, seal, texts},
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

/// Writes 10 MB of sealed sessions.
async fn filled(store: &Disk) -> Vec<SessionId> {
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let (id, epoch) = create_session(store).await;
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

/// Gives the store many occasions to compact its files.
async fn compact(store: &Disk) {
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
async fn deleted_and_expired_sessions_give_their_space_back_and_the_rest_remains() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let (early, epoch) = create_session(&store).await;
    push(&store, &early, 1, epoch, &["early"]).await.unwrap();
    let mut sessions = filled(&store).await;
    compact(&store).await;
    let full = size(&directory);
    let bytes = SESSIONS as u64 * RECORDS * 1030;
    assert!(full > bytes && full < 2 * bytes + 4 * SEGMENT, "{full}");

    // Every second one, so that no file is entirely dead.
    let mut remaining = Vec::new();
    for (at, id) in sessions.drain(..).enumerate() {
        if at % 2 == 0 {
            store.delete(&id, DeleteMode::Now).await.unwrap();
        } else {
            remaining.push(id);
        }
    }
    compact(&store).await;
    let half = size(&directory);
    assert!(half < bytes + 4 * SEGMENT, "{half} of {full}");
    check(&store, &remaining).await;
    store.close().await;

    let store = open(&directory).await;
    check(&store, &remaining).await;
    store.clock().jump(2 * HOUR);
    compact(&store).await;
    let rest = size(&directory);
    assert!(rest < 4 * SEGMENT, "{rest} of {half} of {full}");
    println!(
        "bytes in the directory: {full} full, {half} with half deleted, {rest} with all expired"
    );
    assert_eq!(texts(&store, &early).await.unwrap(), ["early"]);
    store.close().await;

    let store = open(&directory).await;
    assert_eq!(texts(&store, &early).await.unwrap(), ["early"]);
    let epoch = crate::fixture::claim(&store, &early).await;
    push(&store, &early, 2, epoch, &["late"]).await.unwrap();
    assert_eq!(texts(&store, &early).await.unwrap(), ["early", "late"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_is_not_disturbed_while_files_are_rewritten_and_removed() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let (long, epoch) = create_session(&store).await;
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
        let (id, epoch) = create_session(&store).await;
        for lsn in 1..=RECORDS {
            let record = record(&id, lsn);
            push(&store, &id, lsn, epoch, &[&record]).await.unwrap();
        }
        store.delete(&id, DeleteMode::Now).await.unwrap();
    }
    reader.await.unwrap();
}
