//! A disk, a quota or a process without room, for a moment.

use std::time::Duration;

use unbroken::{
    log::{Epoch, SessionId},
    store::{
        AfterAppend, Created, DeleteMode, LeaseChange, NewSession, Store, StoreError, StoreExt,
    },
};
use unbroken_disk::{Disk, DiskHealth, DiskOptions, DiskWriteError};

use crate::{
    directory::Directory,
    faulty_io::{CALLS, FaultyIo, IoCall},
    fixture::{SECOND, chunk, claim, create, create_session, new_session, open, push, texts},
};

const ENOMEM: i32 = 12;
const EINTR: i32 = 4;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const EFBIG: i32 = 27;
pub(crate) const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;

pub(crate) async fn faulty(directory: &Directory) -> (Disk, FaultyIo) {
    let faults = FaultyIo::default();
    let options = DiskOptions::new()
        .segment_bytes(64 << 10)
        .io(faults.clone());
    let store = Disk::open(directory.path(), options).await.unwrap();
    (store, faults)
}

/// Returns true if the write failed for lack of room, which its error says.
fn is_stalled<T>(answer: &Result<T, StoreError>) -> bool {
    let Err(StoreError::Unavailable { source, .. }) = answer else {
        return false;
    };
    matches!(source.downcast_ref(), Some(DiskWriteError::Stalled(_)))
}

async fn healthy(store: &Disk) {
    let mut health = store.watch_health();
    let healthy = health.wait_for(DiskHealth::can_write);
    let healthy = tokio::time::timeout(Duration::from_secs(20), healthy).await;
    assert!(healthy.expect("it goes on by itself").is_ok());
}

fn record(session: usize, lsn: u64) -> String {
    format!("{session} {lsn} {}", "x".repeat(3000))
}

/// A store, and what it has acknowledged.
struct Writer {
    directory: Directory,
    store: Disk,
    faults: FaultyIo,
    sessions: Vec<(SessionId, Epoch, u64)>,
}

impl Writer {
    async fn new(sessions: usize) -> Self {
        let directory = Directory::new();
        let (store, faults) = faulty(&directory).await;
        let mut created = Vec::new();
        for _ in 0..sessions {
            let (id, epoch) = create_session(&store).await;
            created.push((id, epoch, 0));
        }
        Self {
            directory,
            store,
            faults,
            sessions: created,
        }
    }

    /// Appends a record to each session, as often as it takes. After each refusal a copy of the
    /// directory is opened, as after the death of the process.
    async fn append(&mut self) {
        for session in 0..self.sessions.len() {
            let (id, epoch, tail) = self.sessions[session].clone();
            let next = chunk(tail + 1, epoch, &[&record(session, tail + 1)]);
            let mut attempts = 0;
            loop {
                let appended = self.store.append(&id, next.clone(), AfterAppend::Streaming);
                let appended = appended.await;
                if appended.is_ok() {
                    break;
                }
                assert!(is_stalled(&appended), "{appended:?}");
                attempts += 1;
                assert!(attempts < 50, "it goes on");
                self.check_copy(session).await;
            }
            self.sessions[session].2 += 1;
        }
    }

    /// Checks that a copy has all acknowledged records, and of this session at most the one that was
    /// refused.
    async fn check_copy(&self, refused: usize) {
        let copy = self.directory.copy();
        let store = open(&copy).await;
        for (session, (id, _, tail)) in self.sessions.iter().enumerate() {
            let all = texts(&store, id).await.unwrap();
            let more = u64::from(session == refused && all.len() as u64 > *tail);
            let expected: Vec<_> = (1..=tail + more).map(|lsn| record(session, lsn)).collect();
            assert_eq!(all, expected, "session {session}");
        }
        store.close().await;
    }

    async fn check(&self, store: &Disk) {
        for (session, (id, _, tail)) in self.sessions.iter().enumerate() {
            let expected: Vec<_> = (1..=*tail).map(|lsn| record(session, lsn)).collect();
            assert!(texts(store, id).await.unwrap() == expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_lack_of_room_at_any_call_the_store_goes_on_and_loses_and_repeats_nothing() {
    let cases: Vec<_> = cases()
        .map(|(call, errno, count)| tokio::spawn(goes_on(call, errno, count)))
        .collect();
    for case in cases {
        case.await.unwrap();
    }
}

async fn goes_on(call: IoCall, errno: i32, count: usize) {
    let mut writer = Writer::new(3).await;
    writer.append().await;
    writer.faults.fail(call, count, errno);
    // Rotates files, and makes dead space.
    for _ in 0..12 {
        writer.append().await;
        let (dead, epoch) = loop {
            let id = SessionId::random();
            if let Ok(epoch) = crate::fixture::create(&writer.store, &id).await {
                break (id, epoch);
            }
        };
        let large = "y".repeat(30_000);
        let records = [large.as_str()];
        while push(&writer.store, &dead, 1, epoch, &records)
            .await
            .is_err()
        {}
        while writer.store.delete(&dead, DeleteMode::Now).await.is_err() {}
    }
    assert_eq!(writer.faults.failed(), count, "{call:?} {errno}");
    healthy(&writer.store).await;
    writer.check(&writer.store).await;
    writer.store.close().await;
    let store = open(&writer.directory).await;
    writer.check(&store).await;
    let (id, _, tail) = &writer.sessions[0];
    let epoch = claim(&store, id).await;
    push(&store, id, tail + 1, epoch, &["more"]).await.unwrap();
}

fn cases() -> impl Iterator<Item = (IoCall, i32, usize)> {
    let errors = [ENOSPC, EDQUOT, EFBIG, ENOMEM, EINTR, EMFILE, ENFILE];
    CALLS.into_iter().flat_map(move |call| {
        let once = errors.into_iter().map(move |errno| (call, errno, 1));
        // A file that can't be removed is tried again after a minute.
        let often = (call != IoCall::Remove).then_some((call, ENOSPC, 4));
        once.chain(often)
    })
}

#[tokio::test]
async fn a_batch_that_was_refused_never_comes_back_beside_the_one_that_took_its_place() {
    for call in [IoCall::Write, IoCall::Sync] {
        for other in ["b", &"b".repeat(2000), &"b".repeat(9000)] {
            let directory = Directory::new();
            let (store, faults) = faulty(&directory).await;
            let (id, epoch) = create_session(&store).await;
            push(&store, &id, 1, epoch, &["first"]).await.unwrap();
            faults.fail(call, 1, ENOSPC);
            let refused = "a".repeat(2000);
            let refused = push(&store, &id, 2, epoch, &[&refused]).await;
            assert!(is_stalled(&refused));
            assert_eq!(texts(&store, &id).await.unwrap(), ["first"]);
            push(&store, &id, 2, epoch, &[other]).await.unwrap();
            assert_eq!(texts(&store, &id).await.unwrap(), ["first", other]);
            let copy = directory.copy();
            let copied = open(&copy).await;
            assert_eq!(texts(&copied, &id).await.unwrap(), ["first", other]);
            store.close().await;
            let store = open(&directory).await;
            assert_eq!(texts(&store, &id).await.unwrap(), ["first", other]);
        }
    }
}

#[tokio::test]
async fn after_a_failed_fsync_the_end_of_the_log_is_written_and_synced_once_more() {
    let directory = Directory::new();
    let (store, faults) = faulty(&directory).await;
    let (id, epoch) = create_session(&store).await;
    push(&store, &id, 1, epoch, &["first"]).await.unwrap();
    faults.fail(IoCall::Sync, usize::MAX, ENOSPC);
    let before = faults.calls().len();
    assert!(is_stalled(&push(&store, &id, 2, epoch, &["second"]).await));
    let (_, end) = faults.calls()[before];
    faults.heal();
    push(&store, &id, 2, epoch, &["second"]).await.unwrap();

    let calls = faults.calls();
    assert_eq!(
        calls[before..][..2],
        [(IoCall::Write, end), (IoCall::Sync, 0)]
    );
    let rewritten = [
        (IoCall::SetLen, end),
        (IoCall::Write, 0),
        (IoCall::Sync, 0),
        (IoCall::SetLen, end),
        (IoCall::SetLen, 64 << 10),
        (IoCall::Write, end),
        (IoCall::Sync, 0),
    ];
    let after = &calls[before + 2..];
    assert!(
        after
            .windows(rewritten.len())
            .any(|calls| calls == rewritten),
        "{after:?}"
    );
}

#[tokio::test]
async fn without_room_reads_and_renewals_go_on_and_a_small_write_does_not_fail_with_a_large_one() {
    let directory = Directory::new();
    let (store, faults) = faulty(&directory).await;
    let (id, epoch) = create_session(&store).await;
    let (other, other_epoch) = create_session(&store).await;
    push(&store, &id, 1, epoch, &["first"]).await.unwrap();

    faults.leave_room_for(1000);
    let large = "x".repeat(2000);
    assert!(is_stalled(&push(&store, &id, 2, epoch, &[&large]).await));
    let DiskHealth::Stalled { error, .. } = store.health() else {
        panic!("{:?}", store.health());
    };
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    let owned = [(id.clone(), epoch), (other.clone(), other_epoch)];
    for renewed in store.renew(&owned, LeaseChange::Extend(SECOND)).await {
        renewed.unwrap();
    }
    assert_eq!(texts(&store, &id).await.unwrap(), ["first"]);
    let records = [large.as_str()];
    let (small, refused) = tokio::join!(
        push(&store, &other, 1, other_epoch, &["small"]),
        push(&store, &id, 2, epoch, &records),
    );
    small.unwrap();
    assert!(is_stalled(&refused));
    store.delete(&other, DeleteMode::Now).await.unwrap();
    assert!(!store.health().can_write(), "a small write is not room");

    faults.heal();
    push(&store, &id, 2, epoch, &["second"]).await.unwrap();
    assert!(store.health().can_write());
    store.close().await;
    let store = open(&directory).await;
    assert_eq!(texts(&store, &id).await.unwrap(), ["first", "second"]);
    assert!(matches!(
        store.state(&other).await,
        Err(StoreError::Gone(_))
    ));
}

#[tokio::test]
async fn a_store_without_writes_finds_room_by_itself() {
    let directory = Directory::new();
    let (store, faults) = faulty(&directory).await;
    let (id, epoch) = create_session(&store).await;
    faults.fail(IoCall::Write, usize::MAX, ENOSPC);
    assert!(is_stalled(&push(&store, &id, 1, epoch, &["first"]).await));
    assert!(!store.health().can_write());
    faults.heal();
    healthy(&store).await;
}

#[tokio::test]
async fn a_write_that_no_file_can_hold_is_refused_for_good_and_others_go_on() {
    let directory = Directory::new();
    let (store, faults) = faulty(&directory).await;
    let (id, epoch) = create_session(&store).await;
    let (other, other_epoch) = create_session(&store).await;
    // Larger than a file of 64 KiB, which holds a larger write alone where the system lets it.
    faults.limit_files_to(100_000);
    let large = "x".repeat(120_000);
    let refused = push(&store, &id, 1, epoch, &[&large]).await;
    assert!(is_stalled(&refused), "another write may be the cause");
    let refused = push(&store, &id, 1, epoch, &[&large]).await;
    let Err(StoreError::TooLarge { max }) = refused else {
        panic!("{refused:?}");
    };
    let fits = "x".repeat(max);
    push(&store, &id, 1, epoch, &[&fits]).await.unwrap();
    push(&store, &other, 1, other_epoch, &["small"])
        .await
        .unwrap();
    healthy(&store).await;
    store.close().await;
    let store = open(&directory).await;
    assert_eq!(texts(&store, &id).await.unwrap(), [fits]);
    assert_eq!(texts(&store, &other).await.unwrap(), ["small"]);
}

#[tokio::test]
async fn a_request_that_no_frame_can_hold_is_refused_after_what_its_id_has() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let large = NewSession {
        request: vec![0; (1 << 30) + 1].into(),
        ..new_session()
    };
    let id = SessionId::random();
    let refused = store.create(&id, large.clone()).await;
    assert!(
        matches!(refused, Err(StoreError::TooLarge { max }) if max == 1 << 30),
        "{refused:?}"
    );
    create(&store, &id).await.unwrap();
    let exists = store.create(&id, large).await;
    assert!(matches!(exists, Ok(Created::Exists(_))), "{exists:?}");
}
