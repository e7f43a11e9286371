//! Directories that other versions have written: those in `tests/layouts`, by the number of their layout.
//!
//! `src/layout_fixture.rs` makes that of the latest layout. Those of earlier ones were made by their versions.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use unbroken::{
    log::{ErrorCode, Outcome, ServiceName, SessionId, Status},
    store::{AbortRequest, Store, StoreError, StoreExt, StoredAnswer},
};
use unbroken_disk::{Disk, DiskOpenError, DiskOptions};

use crate::{
    directory::Directory,
    fixture::{HOUR, claim, create_session, push, texts},
};

/// A moment after the last write of all fixtures.
const NOW: Duration = Duration::from_secs(1_750_000_060);

fn folder(number: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/layouts/{number}"))
}

fn copy(number: u32) -> Directory {
    let copy = Directory::new();
    for entry in fs::read_dir(folder(number)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

async fn open(directory: &Directory) -> Disk {
    let options = DiskOptions::new()
        .segment_bytes(64 << 10)
        .wall_clock(UNIX_EPOCH + NOW);
    Disk::open(directory.path(), options).await.unwrap()
}

fn id(number: u64) -> SessionId {
    format!("a-session-of-a-fixture-{number}").parse().unwrap()
}

fn service() -> ServiceName {
    ServiceName::new("a service")
}

fn layout(directory: &Directory) -> String {
    fs::read_to_string(directory.path().join("layout")).unwrap()
}

#[tokio::test]
async fn a_directory_of_the_latest_layout_has_everything_that_was_stored() {
    let directory = copy(3);
    for delivery in [1, 2] {
        let store = open(&directory).await;
        check_running(&store, "\0yes").await;
        check_sealed(&store, Some(Duration::from_secs(60))).await;
        check_merged(&store).await;
        let gone = store.state(&id(21)).await;
        assert!(matches!(gone, Err(StoreError::Gone(_))), "{gone:?}");
        check_endings(&store, delivery).await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_directory_of_an_earlier_layout_is_read_and_gets_the_latest_number() {
    let earlier = [
        (1, "yes", None),
        (2, "\0yes", Some(Duration::from_secs(60))),
    ];
    for (number, answer, ended) in earlier {
        let directory = copy(number);
        let former = format!("unbroken {number} ");
        let salt = layout(&directory).strip_prefix(&former).unwrap().to_owned();
        let store = open(&directory).await;
        check_running(&store, answer).await;
        check_sealed(&store, ended).await;
        let gone = store.state(&id(21)).await;
        assert!(matches!(gone, Err(StoreError::Gone(_))), "{gone:?}");
        assert_eq!(store.state(&id(2)).await.unwrap().meta.outbox, None);
        let endings = store.endings(&service(), 99, HOUR).await.unwrap();
        assert!(endings.is_empty(), "{endings:?}");
        assert_eq!(layout(&directory), format!("unbroken 3 {salt}"));
        let (new, epoch) = create_session(&store).await;
        push(&store, &new, 1, epoch, &["new"]).await.unwrap();
        store.close().await;

        let store = open(&directory).await;
        check_running(&store, answer).await;
        check_sealed(&store, ended).await;
        assert_eq!(texts(&store, &new).await.unwrap(), ["new"]);
        let owner = claim(&store, &id(1)).await;
        push(&store, &id(1), 5, owner, &["e"]).await.unwrap();
        assert_eq!(
            texts(&store, &id(1)).await.unwrap(),
            ["a", "", "c", "d", "e"]
        );
    }
}

#[tokio::test]
async fn a_directory_of_an_unknown_layout_is_refused_in_words_and_left_as_it_is() {
    for unknown in ["unbroken 4 0123456789abcdef\n", "unbroken 0 1\n", "x", ""] {
        let directory = copy(3);
        fs::write(directory.path().join("layout"), unknown).unwrap();
        let log = fs::read(&directory.logs()[0]).unwrap();
        let opened = Disk::open(directory.path(), DiskOptions::new()).await;
        let error = opened.unwrap_err();
        let DiskOpenError::Unsupported { layout: found, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(found, unknown.trim_end());
        let text = error.to_string();
        assert!(text.contains("upgrade the server"), "{text}");
        assert_eq!(layout(&directory), unknown);
        assert_eq!(fs::read(&directory.logs()[0]).unwrap(), log);
    }
}

/// Checks a session that waits for answers, at its second epoch, and that was told to stop.
async fn check_running(store: &Disk, answer: &'static str) {
    let id = id(1);
    assert_eq!(texts(store, &id).await.unwrap(), ["a", "", "c", "d"]);
    let state = store.state(&id).await.unwrap();
    assert_eq!((state.epoch.counter, state.attempts), (2, 1));
    assert_eq!(state.status, Status::Waiting);
    let reason = Some("enough".into());
    assert_eq!(state.abort, Some(AbortRequest { reason }));
    assert_eq!(state.meta.owner.as_ref().unwrap().as_str(), "an owner");
    assert_eq!(state.meta.chat.as_ref().unwrap().as_str(), "a chat");
    let expected = [
        StoredAnswer::new("a question", answer),
        StoredAnswer::closed("another"),
    ];
    assert_eq!(store.answers(&id, 0).await.unwrap(), expected);
}

/// Checks a session of each outcome, which ended so long ago.
async fn check_sealed(store: &Disk, ended: Option<Duration>) {
    let errors = ErrorCode::ALL.iter().copied().map(Outcome::Error);
    let outcomes = [Outcome::Complete, Outcome::Aborted];
    for (number, outcome) in (2..).zip(outcomes.into_iter().chain(errors)) {
        let id = id(number);
        let state = store.state(&id).await.unwrap();
        assert_eq!(state.status, Status::Ended(outcome));
        let since = state
            .ended
            .map(|since| Duration::from_secs(since.as_secs()));
        assert_eq!(since, ended);
        assert_eq!(texts(store, &id).await.unwrap(), ["z"]);
    }
}

/// Checks a session that compaction has written.
async fn check_merged(store: &Disk) {
    let id = id(20);
    assert_eq!(texts(store, &id).await.unwrap(), ["x", "y", "z"]);
    let state = store.state(&id).await.unwrap();
    assert_eq!(state.status, Status::Streaming);
    assert_eq!(state.abort, Some(AbortRequest::default()));
    assert_eq!(state.meta.owner, None);
    let answers = store.answers(&id, 0).await.unwrap();
    assert_eq!(answers, [StoredAnswer::new("a question", "no")]);
}

/// Checks a session with an outbox that runs, and three that have ended. The pending endings were taken so often,
/// and this time, since the fixture was made.
async fn check_endings(store: &Disk, delivery: u32) {
    let keep = Duration::from_secs(2_000_000_000);
    let running = store.state(&id(22)).await.unwrap();
    assert_eq!(running.meta.outbox, Some(keep));
    assert_eq!(running.status, Status::Streaming);
    let delivered = store.state(&id(24)).await.unwrap();
    assert_eq!(delivered.status, Status::Ended(Outcome::Complete));
    let gone = store.state(&id(25)).await;
    assert!(matches!(gone, Err(StoreError::Gone(_))), "{gone:?}");

    let endings = store.endings(&service(), 99, HOUR).await.unwrap();
    let found = endings.iter().map(|ending| {
        assert_eq!(ending.summary, "a summary");
        assert_eq!(ending.state.meta.outbox, Some(keep));
        let request = std::str::from_utf8(&ending.request).unwrap();
        (ending.id.clone(), ending.delivery, ending.deleted, request)
    });
    let expected = [
        (id(23), 2 + delivery, false, "a request"),
        (id(25), delivery, true, ""),
    ];
    assert_eq!(found.collect::<Vec<_>>(), expected);
}
