//! Endings of sessions.

use std::time::Duration;

use crate::support::{channel_source, id, log, read, read_all, start};
use unbroken::{
    log::{ErrorCode, Outcome, Owner, Position, Status},
    session::{Limits, Mark, StartError},
    store::AbortRequest,
};

use crate::{begin, builder, settle};

#[tokio::test(start_paused = true)]
async fn the_same_id_for_another_request_or_owner_is_refused() {
    let (sessions, id) = (builder().build(), id("one"));
    let (_teller, source) = channel_source();
    let _session = begin(&sessions, &id, source).await;
    let mut other = start(&id);
    other.digest = unbroken::log::Digest([8; 32]);
    let owned = start(&id).owner(Some(Owner::new("owner")));
    for start in [other, owned] {
        let (handle, source) = channel_source();
        let permit = sessions.permit(None).unwrap();
        let refused = sessions.start(permit, start, source).await;
        assert!(matches!(refused, Err(StartError::InUse)), "{refused:?}");
        assert!(!handle.was_polled());
    }
    assert_eq!(sessions.running(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_provider_sets_the_status() {
    let (sessions, id) = (builder().build(), id("one"));
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    handle.send_as(
        "it broke",
        Mark::Terminal(Outcome::Error(ErrorCode::Provider)),
    );
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(read_all(&mut reader).await, log(&["info", "it broke"]));
    let status = Status::Ended(Outcome::Error(ErrorCode::Provider));
    assert_eq!(session.status(), status);
    assert_eq!(sessions.state(&id).await.unwrap().status, status);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_provider_ends_the_session() {
    let (sessions, id) = (builder().build(), id("one"));
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    handle.send("a");
    handle.panic();
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(read_all(&mut reader).await, log(&["info", "a", "panicked"]));
    assert_eq!(
        session.status(),
        Status::Ended(Outcome::Error(ErrorCode::Internal))
    );
    assert_eq!(sessions.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_session_at_its_idle_limit_and_not_before() {
    let limits = Limits::default().idle(Duration::from_secs(10));
    let (sessions, id) = (builder().limits(limits).build(), id("one"));
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(9)).await;
        handle.send("still here");
    }
    settle().await;
    assert_eq!(session.status(), Status::Streaming);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(
        session.status(),
        Status::Ended(Outcome::Error(ErrorCode::Timeout))
    );
    assert!(handle.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_waits_for_a_person_is_not_idle() {
    let limits = Limits::default().idle(Duration::from_secs(10));
    let (sessions, id) = (builder().limits(limits).build(), id("one"));
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    handle.send_as("may I?", Mark::Waiting);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(session.status(), Status::Waiting);
    handle.send("thank you");
    settle().await;
    assert_eq!(session.status(), Status::Streaming);
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_at_its_age_however_busy() {
    let limits = Limits::default().age(Duration::from_secs(60));
    let (sessions, id) = (builder().limits(limits).build(), id("one"));
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    for second in 0..58 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(session.status(), Status::Streaming, "after {second} s");
        handle.send("busy");
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        session.status(),
        Status::Ended(Outcome::Error(ErrorCode::Timeout))
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_over_the_limit_ends_the_session_with_a_terminal_record() {
    for (size, outcome) in [
        (10, Outcome::Complete),
        (11, Outcome::Error(ErrorCode::Limit)),
    ] {
        let (sessions, id) = (
            builder().limits(Limits::default().event_bytes(10)).build(),
            id("one"),
        );
        let (handle, source) = channel_source();
        let session = begin(&sessions, &id, source).await;
        handle.send(&"x".repeat(size));
        drop(handle);
        let mut reader = session.reader(Position::START).await.unwrap();
        read_all(&mut reader).await;
        assert_eq!(session.status(), Status::Ended(outcome));
    }
}

#[tokio::test(start_paused = true)]
async fn an_abort_drops_the_provider_and_seals() {
    let (sessions, id) = (builder().build(), id("one"));
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    handle.send("a");
    read(&mut reader, 2).await;
    let abort = || AbortRequest {
        reason: Some("enough".into()),
    };
    let state = sessions.abort(&id, abort()).await.unwrap();
    assert_eq!(
        state.status,
        Status::Streaming,
        "it was running when the wish was stored"
    );
    assert_eq!(
        read_all(&mut reader).await,
        [(3, "aborted: enough".to_owned())]
    );
    assert!(handle.is_dropped());
    let again = sessions.abort(&id, abort()).await.unwrap();
    assert_eq!(again.status, Status::Ended(Outcome::Aborted));
}
