//! A registry over a store on disk.

use std::time::Duration;

use tokio::time::timeout;
use unbroken::{
    log::{Outcome, Position, Status},
    session::{SessionsBuilder, StartError},
};

use crate::{
    directory::Directory,
    faulty_io::IoCall,
    fixture::{create_session, open, push},
    no_room::{ENOSPC, faulty},
    support::{TextFormat, begin, channel_source, id, log, read, read_all, start},
    traces::Traces,
};

#[tokio::test]
async fn the_next_process_seals_a_session_of_a_dead_process_at_once() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let (id, epoch) = create_session(&store).await;
    push(&store, &id, 1, epoch, &["info", "Hel"]).await.unwrap();
    store.close().await;

    let sessions = SessionsBuilder::new(open(&directory).await, TextFormat).build();
    let session = sessions.attach(&id).await.unwrap();
    let mut reader = session.reader(Position::START).await.unwrap();
    // Shorter than a lease of ten seconds.
    let all = timeout(Duration::from_secs(5), read_all(&mut reader)).await;
    assert_eq!(all.unwrap(), log(&["info", "Hel", "interrupted"]));
}

#[tokio::test]
async fn the_next_process_reads_a_finished_session_from_the_disk() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let sessions = SessionsBuilder::new(store.clone(), TextFormat).build();
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id("one"), source).await;
    for word in ["Hel", "lo"] {
        handle.send(word);
    }
    drop(handle);
    let mut reader = session.reader(Position::START).await.unwrap();
    let expected = log(&["info", "Hel", "lo", "complete"]);
    assert_eq!(read_all(&mut reader).await, expected);
    drop((reader, session, sessions));
    store.close().await;

    let sessions = SessionsBuilder::new(open(&directory).await, TextFormat).build();
    let session = sessions.attach(&id("one")).await.unwrap();
    assert_eq!(session.status(), Status::Ended(Outcome::Complete));
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(read_all(&mut reader).await, expected);
}

#[tokio::test]
async fn a_running_session_goes_on_after_a_full_disk_and_a_start_is_refused_meanwhile() {
    let directory = Directory::new();
    let (store, faults) = faulty(&directory).await;
    let sessions = SessionsBuilder::new(store.clone(), TextFormat).build();
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id("one"), source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    handle.send("Hel");
    let mut all = read(&mut reader, 2).await;

    faults.fail(IoCall::Write, usize::MAX, ENOSPC);
    handle.send("lo");
    let mut health = store.watch_health();
    let stalled = health.wait_for(|health| !health.can_write()).await;
    assert!(!stalled.unwrap().needs_restart());
    let (_other, other) = channel_source();
    let permit = sessions.permit(None).unwrap();
    let refused = sessions.start(permit, start(&id("two")), other).await;
    assert!(
        matches!(&refused, Err(StartError::Store(error)) if error.is_unavailable()),
        "{refused:?}"
    );
    handle.send(" there");
    assert_eq!(session.status(), Status::Streaming);

    faults.heal();
    drop(handle);
    all.extend(read_all(&mut reader).await);
    let expected = log(&["info", "Hel", "lo", " there", "complete"]);
    assert_eq!(all, expected);
    assert!(store.health().can_write());
    drop((reader, session, sessions));
    store.close().await;

    let sessions = SessionsBuilder::new(open(&directory).await, TextFormat).build();
    let session = sessions.attach(&id("one")).await.unwrap();
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(read_all(&mut reader).await, expected);
}

#[tokio::test]
async fn a_full_disk_is_named_to_the_operator() {
    let traces = Traces::collect();
    let directory = Directory::new();
    let (store, faults) = faulty(&directory).await;
    let sessions = SessionsBuilder::new(store.clone(), TextFormat).build();
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id("one"), source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(read(&mut reader, 1).await, log(&["info"]));
    faults.fail(IoCall::Write, usize::MAX, ENOSPC);
    handle.send("Hel");
    let words = [
        "WARN",
        "the store failed",
        "call=\"append\"",
        "No space left",
    ];
    let named = async {
        while traces.with(&words).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let named = timeout(Duration::from_secs(10), named).await;
    assert!(named.is_ok(), "{:#?}", traces.with(&[""]));
}
