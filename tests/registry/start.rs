//! Starts, attaches, and the limits on running sessions.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use crate::support::{TextFormat, channel_source, id, log, read, read_all, start};
use bytes::BytesMut;
use tokio::time::{Instant, sleep};
use unbroken::{
    log::{Owner, Position, Status},
    session::{Busy, Limits, Mark, SessionsBuilder, Source},
    store::{Memory, StoreError},
};
use unbroken_conformance::{Fault, FaultStore, Op};

use crate::{begin, builder, settle};

#[tokio::test(start_paused = true)]
async fn the_first_start_creates() {
    let (sessions, id) = (builder().build(), id("one"));
    let (_teller, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    assert_eq!(session.status(), Status::Streaming);
    assert_eq!(session.id(), &id);
    assert_eq!(sessions.running(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_start_attaches_and_its_source_is_never_used() {
    let (sessions, id) = (builder().build(), id("one"));
    let (_first, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    let (second, source) = channel_source();
    let permit = sessions.permit(None).unwrap();
    let again = sessions.start(permit, start(&id), source).await.unwrap();
    assert!(!again.created);
    assert_eq!(session.clients(), 2);
    assert!(second.is_dropped() && !second.was_polled());
    assert_eq!(sessions.running(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_attach_shares_and_counts() {
    let (sessions, id) = (builder().build(), id("one"));
    let (handle, source) = channel_source();
    let first = begin(&sessions, &id, source).await;
    let second = sessions.attach(&id).await.unwrap();
    assert_eq!((first.clients(), second.clients()), (2, 2));
    handle.send("hello");
    drop(handle);
    let (mut a, mut b) = (
        first.reader(Position::START).await.unwrap(),
        second.reader(Position::START).await.unwrap(),
    );
    assert_eq!(first.clients(), 4);
    let whole = log(&["info", "hello", "complete"]);
    assert_eq!(read_all(&mut a).await, whole);
    assert_eq!(read_all(&mut b).await, whole);
    drop((a, b, second));
    assert_eq!(first.clients(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_starts_at_once_call_one_source() {
    let (sessions, id) = (builder().build(), id("race"));
    let mut handles = Vec::new();
    let mut starts = Vec::new();
    for _ in 0..20 {
        let (handle, source) = channel_source();
        handles.push(handle);
        let (sessions, id) = (sessions.clone(), id.clone());
        starts.push(tokio::spawn(async move {
            let permit = sessions.permit(None).unwrap();
            sessions.start(permit, start(&id), source).await.unwrap()
        }));
    }
    let mut created = 0;
    let mut kept = Vec::new();
    for start in starts {
        let started = start.await.unwrap();
        created += usize::from(started.created);
        kept.push(started);
    }
    settle().await;
    assert_eq!(created, 1);
    assert_eq!(handles.iter().filter(|t| t.was_polled()).count(), 1);
    assert_eq!(sessions.running(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_start_whose_caller_is_dropped_still_happens() {
    let (sessions, id) = (builder().build(), id("one"));
    let (handle, source) = channel_source();
    let permit = sessions.permit(None).unwrap();
    let mut starting = Box::pin(sessions.start(permit, start(&id), source));
    let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(starting.as_mut().poll(cx)));
    assert!(polled.await.is_pending());
    drop(starting);
    settle().await;
    assert!(handle.was_polled());
    assert!(sessions.attach(&id).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_source_is_polled_only_once_the_first_record_is_acknowledged() {
    let (sessions, id) = (builder().build(), id("one"));
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    assert!(
        !handle.was_polled(),
        "the head leaves before the source is asked"
    );
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(read(&mut reader, 1).await, log(&["info"]));
    settle().await;
    assert!(handle.was_polled());
}

#[tokio::test(start_paused = true)]
async fn a_start_is_repeated_until_the_store_answers_and_creates_one_session() {
    for lost in [Fault::LoseBefore, Fault::LoseAfter] {
        let store = FaultStore::new(Memory::new());
        let sessions = SessionsBuilder::new(store.clone(), TextFormat).build();
        let (handle, source) = channel_source();
        store.faults().next(Op::Create, lost);
        let session = begin(&sessions, &id("one"), source).await;
        drop(handle);
        let mut reader = session.reader(Position::START).await.unwrap();
        assert_eq!(read_all(&mut reader).await, log(&["info", "complete"]));
        assert_eq!(store.faults().happened(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn attach_to_nothing_is_an_error() {
    let sessions = builder().build();
    let attached = sessions.attach(&id("nothing")).await;
    assert!(matches!(attached, Err(StoreError::NotFound)));
    assert_eq!(sessions.loaded(), 0);
}

#[tokio::test(start_paused = true)]
async fn permits_hold_both_limits_and_are_given_back() {
    let sessions = builder()
        .limits(Limits::default().running(3).running_per_owner(2))
        .build();
    let owner = Owner::new("owner");
    let a = sessions.permit(Some(&owner)).unwrap();
    let _b = sessions.permit(Some(&owner)).unwrap();
    assert_eq!(
        sessions.permit(Some(&owner)).unwrap_err(),
        Busy::RunningPerOwner
    );
    let _c = sessions.permit(None).unwrap();
    assert_eq!(sessions.permit(None).unwrap_err(), Busy::Running);
    drop(a);
    let _d = sessions.permit(Some(&owner)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_span_of_the_start_goes_on_in_the_writer() {
    struct Spans(Vec<&'static str>);

    impl Source for Spans {
        fn poll_record(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            out: &mut BytesMut,
        ) -> Poll<Option<Mark>> {
            let Some(_) = self.0.pop() else {
                return Poll::Ready(None);
            };
            let span = tracing::Span::current();
            let name = span.metadata().map_or("none", tracing::Metadata::name);
            out.extend_from_slice(name.as_bytes());
            Poll::Ready(Some(Mark::Event))
        }
    }

    let _subscribed = tracing::subscriber::set_default(tracing_subscriber::registry());
    let (sessions, id) = (builder().build(), id("one"));
    let starting = async {
        let permit = sessions.permit(None).unwrap();
        sessions
            .start(permit, start(&id), Spans(vec!["once"]))
            .await
    };
    let request = tracing::info_span!("request");
    let started = tracing::Instrument::instrument(starting, request)
        .await
        .unwrap();
    let mut reader = started.session.reader(Position::START).await.unwrap();
    assert_eq!(
        read_all(&mut reader).await,
        log(&["info", "request", "complete"])
    );
}

#[tokio::test(start_paused = true)]
async fn a_start_that_a_silent_store_never_answers_ends_in_its_time_and_with_the_server() {
    for (stops_after, within) in [(None, 2..3), (Some(Duration::from_millis(500)), 0..1)] {
        let store = FaultStore::new(Memory::new());
        let silent = Fault::PauseBefore(Duration::from_secs(3600));
        for _ in 0..10 {
            store.faults().next(Op::Create, silent);
        }
        let sessions = SessionsBuilder::new(store, TextFormat).build();
        let (handle, source) = channel_source();
        let permit = sessions.permit(None).unwrap();
        let began = Instant::now();
        let started = sessions.start(permit, start(&id("one")), source);
        let stop = async {
            if let Some(after) = stops_after {
                sleep(after).await;
                sessions.shutdown(Duration::ZERO).await;
            }
        };
        let (started, ()) = tokio::join!(async { (started.await.is_err(), began.elapsed()) }, stop);
        assert!(started.0);
        assert!(within.contains(&started.1.as_secs()), "{:?}", started.1);
        assert!(!handle.was_polled());
    }
}
