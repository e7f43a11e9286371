//! Endings of sessions.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use crate::support::{TextFormat, channel_source, id, log, read, read_all, start};
use unbroken::{
    log::{Ending, ErrorCode, Outcome, Owner, Position, Status},
    session::{Limits, Mark, SessionsBuilder, Source, StartError},
    store::{AbortRequest, Memory},
};
use unbroken_conformance::{Fault, FaultStore, Op};

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

/// A source without records that was last heard at the given time.
struct Heard(Option<Instant>);

impl Source for Heard {
    fn poll_record(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut BytesMut,
    ) -> Poll<Option<Mark>> {
        Poll::Pending
    }

    fn silence(&self) -> Option<Duration> {
        Some(self.0?.elapsed())
    }
}

#[tokio::test(start_paused = true)]
async fn silence_counts_from_the_last_sign_of_life_that_is_no_record() {
    let limits = Limits::default().idle(Duration::from_secs(10));
    for (heard, ends) in [(None, 10), (Some(0), 10), (Some(7), 17), (Some(9), 19)] {
        let (sessions, id) = (builder().limits(limits.clone()).build(), id("one"));
        let began = Instant::now();
        let heard = heard.map(|heard| began + Duration::from_secs(heard));
        let session = begin(&sessions, &id, Heard(heard)).await;
        tokio::time::sleep_until(began + Duration::from_millis(ends * 1000 - 100)).await;
        assert_eq!(session.status(), Status::Streaming, "{ends}");
        tokio::time::sleep(Duration::from_millis(200)).await;
        let timeout = Status::Ended(Outcome::Error(ErrorCode::Timeout));
        assert_eq!(session.status(), timeout, "{ends}");
    }
}

/// A source without records that has words of its own for the end.
struct LastWords(Words);

type Words = fn() -> Option<Bytes>;

impl Source for LastWords {
    fn poll_record(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut BytesMut,
    ) -> Poll<Option<Mark>> {
        Poll::Pending
    }

    fn ending(&self, _: &Ending) -> Option<Bytes> {
        self.0()
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_writes_the_terminal_record_if_it_can_and_the_record_fits() {
    let limits = Limits::default().event_bytes(10);
    let cases: [(Words, &str); 4] = [
        (|| Some("0123456789".into()), "0123456789"),
        (|| Some("0123456789+".into()), "aborted"),
        (|| None, "aborted"),
        (|| panic!("no words"), "aborted"),
    ];
    for (words, expected) in cases {
        let (sessions, id) = (builder().limits(limits.clone()).build(), id("one"));
        let session = begin(&sessions, &id, LastWords(words)).await;
        let aborted = sessions.abort(&id, AbortRequest::default()).await;
        aborted.unwrap();
        let mut reader = session.reader(Position::START).await.unwrap();
        let records = read_all(&mut reader).await;
        assert!(records[1].1.starts_with(expected), "{records:?}");
        assert_eq!(session.status(), Status::Ended(Outcome::Aborted));
    }
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
async fn a_first_record_over_the_limit_is_refused_and_one_at_the_limit_starts() {
    for (limit, fits) in [(4, true), (3, false), (2, false)] {
        let limits = Limits::default().event_bytes(limit);
        let sessions = builder().limits(limits).build();
        let (handle, source) = channel_source();
        let permit = sessions.permit(None).unwrap();
        let started = sessions.start(permit, start(&id("one")), source).await;
        if fits {
            assert!(started.unwrap().created);
        } else {
            assert!(matches!(started, Err(StartError::TooLarge)), "{started:?}");
            assert!(handle.is_dropped() && !handle.was_polled());
            assert_eq!(sessions.running(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_the_store_refuses_as_a_whole_only_ends_nothing() {
    let store = Memory::new().max_append_bytes(20);
    let sessions = SessionsBuilder::new(store, TextFormat).build();
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id("one"), source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    read(&mut reader, 1).await;
    for text in ["one of three", "two of three", "and the last"] {
        handle.send(text);
    }
    settle().await;
    assert_eq!((handle.pending(), handle.is_dropped()), (0, false));
    handle.send("more");
    drop(handle);
    let all = [
        "info",
        "one of three",
        "two of three",
        "and the last",
        "more",
        "complete",
    ];
    assert_eq!(read_all(&mut reader).await, log(&all)[1..]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_the_store_refuses_drops_the_provider_before_the_end_is_stored() {
    let store = FaultStore::new(Memory::new().max_append_bytes(20));
    let sessions = SessionsBuilder::new(store.clone(), TextFormat).build();
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id("one"), source).await;
    settle().await;
    for pause in [0, 10] {
        let pause = Fault::PauseBefore(Duration::from_secs(pause));
        store.faults().next(Op::Append, pause);
    }
    handle.send(&"x".repeat(21));
    settle().await;
    assert!(handle.is_dropped());
    assert_eq!(session.status(), Status::Streaming);
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
