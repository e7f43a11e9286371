//! Several servers on one store, and one that shuts down.

use std::time::Duration;

use crate::support::{TextFormat, channel_source, id, log, read, read_all};
use unbroken::{
    log::{Outcome, Position, ServiceName, Status},
    session::{Busy, ReadError, SessionsBuilder},
    store::{AbortRequest, Memory},
};

use crate::{begin, settle};

#[tokio::test(start_paused = true)]
async fn an_abort_from_another_server_reaches_a_silent_provider() {
    let store = Memory::new();
    let here = SessionsBuilder::new(store.clone(), TextFormat).build();
    let there = SessionsBuilder::new(store, TextFormat).build();
    let id = id("one");
    let (handle, source) = channel_source();
    let session = begin(&here, &id, source).await;
    settle().await;
    there.abort(&id, AbortRequest::default()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(handle.is_dropped());
    assert_eq!(session.status(), Status::Ended(Outcome::Aborted));
}

#[tokio::test(start_paused = true)]
async fn a_reader_on_another_server_follows_live() {
    let store = Memory::new();
    let here = SessionsBuilder::new(store.clone(), TextFormat).build();
    let there = SessionsBuilder::new(store, TextFormat).build();
    let id = id("one");
    let (handle, source) = channel_source();
    let _session = begin(&here, &id, source).await;
    let followed = there.attach(&id).await.unwrap();
    let mut reader = followed.reader(Position::START).await.unwrap();
    assert_eq!(read(&mut reader, 1).await, log(&["info"]));
    for n in 0..10 {
        handle.send(&n.to_string());
        assert_eq!(read(&mut reader, 1).await, [(n + 2, n.to_string())]);
    }
    drop(handle);
    assert_eq!(read_all(&mut reader).await, [(12, "complete".to_owned())]);
    drop((reader, followed));
    settle().await;
    assert_eq!(there.loaded(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_orphan_is_sealed_as_interrupted_after_its_lease() {
    let store = Memory::new();
    let survivor = SessionsBuilder::new(store.clone(), TextFormat).build();
    let _ = survivor.attach(&id("wakes-the-sweeper")).await;
    let id = id("one");
    // Its runtime goes, and with it the writer, as if the server had been killed.
    let (handle, source) = channel_source();
    let create = unbroken::store::NewSession {
        meta: std::sync::Arc::new(unbroken::store::SessionMeta {
            owner: None,
            chat: None,
            service: ServiceName::new("test"),
            digest: unbroken::log::Digest([7; 32]),
            format: 1,
            outbox: None,
        }),
        request: bytes::Bytes::new(),
        token: unbroken::store::Token::random(),
        lease: Duration::from_secs(10),
        tombstone: Duration::from_secs(60),
    };
    unbroken::store::Store::create(&store, &id, create)
        .await
        .unwrap();
    drop((handle, source));
    let session = match survivor.attach(&id).await {
        Ok(session) => session,
        Err(error) => panic!("{error}"),
    };
    let mut reader = session.reader(Position::START).await.unwrap();
    let before = tokio::time::Instant::now();
    assert_eq!(read_all(&mut reader).await, log(&["interrupted"]));
    let took = before.elapsed();
    assert!(
        took > Duration::from_secs(9) && took < Duration::from_secs(12),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_sessions_finish_and_fails_the_others_at_the_deadline() {
    let store = Memory::new();
    let sessions = SessionsBuilder::new(store.clone(), TextFormat).build();
    let (quick, source) = channel_source();
    let fast = begin(&sessions, &id("fast"), source).await;
    let (hanging, source) = channel_source();
    let slow = begin(&sessions, &id("slow"), source).await;
    let mut fast_reader = fast.reader(Position::START).await.unwrap();
    let mut slow_reader = slow.reader(Position::START).await.unwrap();
    let shutdown = tokio::spawn({
        let sessions = sessions.clone();
        async move { sessions.shutdown(Duration::from_secs(5)).await }
    });
    settle().await;
    assert_eq!(sessions.permit(None).unwrap_err(), Busy::ShuttingDown);
    quick.send("bye");
    drop(quick);
    assert_eq!(
        read_all(&mut fast_reader).await,
        log(&["info", "bye", "complete"])
    );
    assert!(!hanging.is_dropped());
    shutdown.await.unwrap();
    assert!(hanging.is_dropped());
    let mut last = None;
    while let Some(batch) = slow_reader.next().await {
        last = Some(batch);
    }
    assert!(matches!(last, Some(Err(ReadError::ShutDown))));
    assert_eq!(sessions.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_follower_lingers_after_its_last_client_however_long_it_has_followed() {
    let store = Memory::new();
    let here = SessionsBuilder::new(store.clone(), TextFormat).build();
    let linger = Duration::from_secs(30);
    let there = SessionsBuilder::new(store, TextFormat);
    let there = there.follower_linger(linger).build();
    let (_teller, source) = channel_source();
    let _session = begin(&here, &id("one"), source).await;
    let followed = there.attach(&id("one")).await.unwrap();
    tokio::time::sleep(linger * 2).await;
    drop(followed);
    tokio::time::sleep(linger / 2).await;
    assert_eq!(there.loaded(), 1);
    tokio::time::sleep(linger).await;
    assert_eq!(there.loaded(), 0);
}
