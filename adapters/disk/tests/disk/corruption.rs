//! Truncated and corrupt files give a valid prefix or a typed error, and never an altered record.

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
};

use unbroken::{
    log::{Lsn, Position, SessionId},
    store::{Store, StoreError, StoreExt},
};
use unbroken_disk::{Disk, DiskOptions};

use crate::{
    directory::Directory,
    fixture::{claim, create_session, open, push, texts},
};

const RECORDS: [&str; 3] = [
    "the first record",
    "the second",
    "and the third, which is the last",
];

/// A store with one session of three records in as many batches, and its only log.
struct Small {
    directory: Directory,
    id: SessionId,
    log: Vec<u8>,
    /// The offset of the last batch.
    last: usize,
}

impl Small {
    async fn new() -> Self {
        let directory = Directory::new();
        let store = open(&directory).await;
        let (id, epoch) = create_session(&store).await;
        store.close().await;
        let mut last = 0;
        for (record, lsn) in RECORDS.iter().zip(1..) {
            last = size(&directory);
            let store = open(&directory).await;
            push(&store, &id, lsn, epoch, &[record]).await.unwrap();
            store.close().await;
        }
        let log = fs::read(&directory.logs()[0]).unwrap();
        Self {
            directory,
            id,
            log,
            last,
        }
    }

    /// Opens a store with this log, and returns the number of records that it shows.
    async fn check(&self, log: &[u8]) -> usize {
        let copy = self.directory.with_log(log);
        let store = open(&copy).await;
        let shown = match texts(&store, &self.id).await {
            Ok(texts) => {
                assert_eq!(texts[..], RECORDS[..texts.len()]);
                texts.len()
            }
            Err(StoreError::NotFound | StoreError::Corrupt { .. }) => 0,
            Err(error) => panic!("{error:?}"),
        };
        store.close().await;
        shown
    }
}

/// Returns the length of the log of a closed store.
fn size(directory: &Directory) -> usize {
    fs::read(&directory.logs()[0]).unwrap().len()
}

#[tokio::test]
async fn a_log_truncated_anywhere_shows_a_prefix() {
    let small = Small::new().await;
    let mut before = 0;
    for len in 0..=small.log.len() {
        let shown = small.check(&small.log[..len]).await;
        assert!(shown >= before, "less with {len} bytes than with fewer");
        assert!(len < small.last || shown >= 2, "{shown} with {len} bytes");
        before = shown;
    }
    assert_eq!(before, 3);
}

#[tokio::test]
async fn a_flipped_bit_never_alters_a_record() {
    let small = Small::new().await;
    let mut shown = [0; 4];
    for at in 0..small.log.len() {
        // Every bit of the last record, and one of each byte before.
        let bits = if at < small.last {
            at % 8..at % 8 + 1
        } else {
            0..8
        };
        for bit in bits {
            let mut log = small.log.clone();
            log[at] ^= 1 << bit;
            let count = small.check(&log).await;
            assert!(
                at < small.last || count == 2,
                "{count} shown of bit {bit} of {at}"
            );
            shown[count] += 1;
        }
    }
    println!("flipped bits by the number of records shown: {shown:?}");
    // A corrupt header of a batch that others follow loses no record.
    let headers = 3 * 32;
    assert!(shown[3] <= headers, "a flipped bit went unnoticed");
}

#[tokio::test]
async fn a_store_that_lost_its_tail_continues_from_there() {
    let small = Small::new().await;
    let copy = small.directory.with_log(&small.log[..small.log.len() - 1]);
    let store = open(&copy).await;
    let beyond = store.read(&small.id, Position::after(Lsn::new(3)), 9).await;
    assert!(
        matches!(beyond, Err(StoreError::Rewound { .. })),
        "{beyond:?}"
    );
    let epoch = claim(&store, &small.id).await;
    push(&store, &small.id, 3, epoch, &["another"])
        .await
        .unwrap();
    store.close().await;
    let store = open(&copy).await;
    let expected = [RECORDS[0], RECORDS[1], "another"];
    assert_eq!(texts(&store, &small.id).await.unwrap(), expected);
}

/// Writes two sessions with interleaved records, and returns the offset of the second record of the
/// first session.
async fn interleaved(directory: &Directory) -> ([SessionId; 2], usize) {
    let store = open(directory).await;
    let sessions = [create_session(&store).await, create_session(&store).await];
    for lsn in 1..=3 {
        for (id, epoch) in &sessions {
            let text = format!("{lsn} of {id}");
            push(&store, id, lsn, *epoch, &[&text]).await.unwrap();
        }
    }
    store.close().await;
    let ids = sessions.map(|(id, _)| id);
    let text = format!("2 of {}", ids[0]);
    let log = fs::read(&directory.logs()[0]).unwrap();
    let mut windows = log.windows(text.len());
    let offset = windows.position(|bytes| bytes == text.as_bytes());
    (ids, offset.unwrap())
}

#[tokio::test]
async fn a_corrupt_record_in_the_middle_is_reported_and_affects_no_other() {
    let directory = Directory::new();
    let ([corrupt_id, intact_id], offset) = interleaved(&directory).await;
    let mut log = fs::read(&directory.logs()[0]).unwrap();
    log[offset] ^= 1;
    let copy = directory.with_log(&log);
    let store = open(&copy).await;
    assert_eq!(texts(&store, &intact_id).await.unwrap().len(), 3);
    let page = store
        .read(&corrupt_id, Position::START, 10_000)
        .await
        .unwrap();
    assert_eq!(page.chunks.len(), 1);
    assert_eq!(page.chunks[0].last(), Lsn::new(1));
    assert_eq!(page.state.tail, Lsn::new(3));
    let corrupt = store
        .read(&corrupt_id, Position::after(Lsn::new(1)), 10_000)
        .await;
    assert!(matches!(corrupt, Err(StoreError::Corrupt { lsn }) if lsn == Lsn::new(2)));
    let rest = store
        .read(&corrupt_id, Position::after(Lsn::new(2)), 10_000)
        .await;
    assert_eq!(rest.unwrap().chunks[0].last(), Lsn::new(3));
}

#[tokio::test]
async fn a_record_corrupted_while_the_store_is_open_is_reported() {
    let directory = Directory::new();
    let ([corrupt_id, intact_id], offset) = interleaved(&directory).await;
    let store = open(&directory).await;
    let open = fs::OpenOptions::new()
        .write(true)
        .open(&directory.logs()[0]);
    let mut log = open.unwrap();
    log.seek(SeekFrom::Start(offset as u64)).unwrap();
    log.write_all(&[0xff]).unwrap();
    let corrupt = store
        .read(&corrupt_id, Position::after(Lsn::new(1)), 10_000)
        .await;
    assert!(matches!(corrupt, Err(StoreError::Corrupt { lsn }) if lsn == Lsn::new(2)));
    assert_eq!(texts(&store, &intact_id).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_torn_last_batch_is_dropped() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let (id, epoch) = create_session(&store).await;
    push(&store, &id, 1, epoch, &["a"]).await.unwrap();
    store.close().await;
    let from = size(&directory);
    let store = open(&directory).await;
    let large = "z".repeat(20_000);
    push(&store, &id, 2, epoch, &[&large, &large])
        .await
        .unwrap();
    store.close().await;
    let until = size(&directory);
    let log = fs::read(&directory.logs()[0]).unwrap();
    for page in from / 4096..=until / 4096 {
        let mut torn = log.clone();
        let lost = (page * 4096).max(from)..((page + 1) * 4096).min(until);
        torn[lost].fill(0);
        let copy = directory.with_log(&torn);
        let store = open(&copy).await;
        assert_eq!(texts(&store, &id).await.unwrap(), ["a"], "page {page}");
        let state = store.state(&id).await.unwrap();
        assert_eq!(state.tail, Lsn::new(1));
    }
}

#[tokio::test]
async fn foreign_files_are_not_taken_for_logs() {
    let directory = Directory::new();
    let opened = Disk::open(directory.path(), DiskOptions::new()).await;
    opened.unwrap().close().await;
    fs::write(
        directory.path().join("0000000007.log"),
        "words".repeat(1000),
    )
    .unwrap();
    fs::write(directory.path().join("notes.txt"), "words").unwrap();
    let store = open(&directory).await;
    let (id, epoch) = create_session(&store).await;
    push(&store, &id, 1, epoch, &["a"]).await.unwrap();
    assert_eq!(texts(&store, &id).await.unwrap(), ["a"]);
}
