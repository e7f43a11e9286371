//! Deletion of finished and released sessions.

use std::time::Duration;

use crate::support::{channel_source, id, log, lsn, read, read_all, start, until};
use unbroken::{
    log::{Position, Status},
    session::{Retention, StartError},
    store::StoreError,
};

use crate::{begin, builder, is_gone, sessions_released_at_once, settle};

#[tokio::test(start_paused = true)]
async fn a_finished_session_is_deleted_after_its_last_release() {
    let (sessions, id) = (sessions_released_at_once(), id("one"));
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    drop((handle, session));
    read_all(&mut reader).await;
    settle().await;
    assert!(!is_gone(&sessions, &id).await, "a reader is left");
    drop(reader);
    settle().await;
    assert!(is_gone(&sessions, &id).await);
    assert_eq!(sessions.loaded(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_streaming_session_is_not_deleted_after_its_release() {
    let (sessions, id) = (sessions_released_at_once(), id("one"));
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    handle.send("hello");
    drop(session);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(sessions.state(&id).await.unwrap().status, Status::Streaming);
    assert_eq!(sessions.running(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_writer_outlives_all_clients() {
    let (sessions, id) = (builder().build(), id("one"));
    let (handle, source) = channel_source();
    drop(begin(&sessions, &id, source).await);
    settle().await;
    handle.send("after everybody left");
    drop(handle);
    settle().await;
    let session = sessions.attach(&id).await.unwrap();
    let mut reader = session.reader(Position::START).await.unwrap();
    let whole = log(&["info", "after everybody left", "complete"]);
    assert_eq!(read_all(&mut reader).await, whole);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_deleted_after_a_reconnected_client_is_done() {
    let (sessions, id) = (sessions_released_at_once(), id("one"));
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    read(&mut reader, 1).await;
    drop((reader, session));
    drop(handle);
    settle().await;
    assert!(!is_gone(&sessions, &id).await);
    let session = sessions.attach(&id).await.unwrap();
    let mut reader = session.reader(Position::after(lsn(1))).await.unwrap();
    read_all(&mut reader).await;
    drop((reader, session));
    settle().await;
    assert!(is_gone(&sessions, &id).await);
}

#[tokio::test(start_paused = true)]
async fn many_clients_are_counted_and_cleanup_waits_for_all() {
    let (sessions, id) = (sessions_released_at_once(), id("one"));
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    let mut readers = Vec::new();
    for _ in 0..50 {
        readers.push(session.reader(Position::START).await.unwrap());
    }
    assert_eq!(session.clients(), 51);
    drop((handle, session));
    for reader in &mut readers {
        assert_eq!(read_all(reader).await.len(), 2);
    }
    while readers.pop().is_some() {
        settle().await;
        assert_eq!(is_gone(&sessions, &id).await, readers.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_was_cut_before_the_terminal_record_releases_nothing() {
    let (sessions, id) = (sessions_released_at_once(), id("one"));
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    read(&mut reader, 1).await;
    drop(handle);
    until("the seal", async || session.status().outcome().is_some()).await;
    drop((reader, session));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!is_gone(&sessions, &id).await);
    // Its retention ends it all the same.
    tokio::time::sleep(Duration::from_secs(5 * 60)).await;
    assert!(is_gone(&sessions, &id).await);
}

#[tokio::test(start_paused = true)]
async fn a_released_session_waits_out_its_grace_and_a_return_stops_it() {
    let sessions = builder()
        .retention(Retention::until_released().grace(Duration::from_secs(10)))
        .build();
    let id = id("one");
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    drop(handle);
    let mut reader = session.reader(Position::START).await.unwrap();
    read_all(&mut reader).await;
    drop((reader, session));
    tokio::time::sleep(Duration::from_secs(9)).await;
    // A short return makes the grace begin anew.
    drop(sessions.attach(&id).await.unwrap());
    tokio::time::sleep(Duration::from_secs(9)).await;
    let back = sessions.attach(&id).await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(!is_gone(&sessions, &id).await);
    drop(back);
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(!is_gone(&sessions, &id).await);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(is_gone(&sessions, &id).await);
}

#[tokio::test(start_paused = true)]
async fn a_finished_session_is_kept_for_its_retention_then_gone() {
    let sessions = builder()
        .retention(Retention::for_duration(Duration::from_secs(30)))
        .build();
    let id = id("one");
    let (handle, source) = channel_source();
    drop((handle, begin(&sessions, &id, source).await));
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert!(sessions.attach(&id).await.is_ok());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(is_gone(&sessions, &id).await);
    assert!(matches!(
        sessions.attach(&id).await,
        Err(StoreError::Gone(_))
    ));
    let (late, source) = channel_source();
    let permit = sessions.permit(None).unwrap();
    let retry = sessions.start(permit, start(&id), source).await;
    assert!(matches!(retry, Err(StartError::Gone(_))));
    assert!(!late.was_polled());
}

#[tokio::test(start_paused = true)]
async fn a_finished_session_without_readers_leaves_nothing_in_memory() {
    let (sessions, id) = (builder().build(), id("one"));
    let (handle, source) = channel_source();
    drop((handle, begin(&sessions, &id, source).await));
    settle().await;
    assert_eq!((sessions.loaded(), sessions.running()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_whole_flow_connect_read_disconnect_reconnect_finish_clean_up() {
    let (sessions, id) = (sessions_released_at_once(), id("flow"));
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    drop(session);
    handle.send("one");
    let mut seen = read(&mut reader, 2).await;
    let position = reader.position();
    drop(reader);
    handle.send("two");
    settle().await;
    let session = sessions.attach(&id).await.unwrap();
    let mut reader = session.reader(position).await.unwrap();
    drop(session);
    handle.send("three");
    drop(handle);
    seen.extend(read_all(&mut reader).await);
    assert_eq!(seen, log(&["info", "one", "two", "three", "complete"]));
    drop(reader);
    settle().await;
    assert!(is_gone(&sessions, &id).await);
    assert_eq!((sessions.running(), sessions.loaded()), (0, 0));
}
