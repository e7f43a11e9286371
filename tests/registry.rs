//! What the registry promises: who starts, who attaches, who is counted, what is cleaned up.

mod support;

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use support::{Told, Words, id, log, lsn, read, read_all, start, told, until};
use unbroken::{
    session::{
        Busy, ErrorCode, Limits, Mark, Outcome, Owner, Position, ReadError, Retention, Session,
        SessionId, Sessions, SessionsBuilder, Source, StartError, Status,
    },
    store::{Abort, Memory, StoreError},
};

fn builder() -> SessionsBuilder {
    Sessions::with_format(Memory::new(), Words)
}

/// Sessions that are forgotten as soon as a reader had it all and none is left.
fn frugal() -> Sessions {
    builder()
        .retention(Retention::until_released().grace(Duration::ZERO))
        .build()
}

async fn begin(sessions: &Sessions, id: &SessionId, source: Told) -> Session {
    let permit = sessions.permit(None).unwrap();
    let started = sessions.start(permit, start(id), source).await.unwrap();
    assert!(started.created);
    started.session
}

async fn is_gone(sessions: &Sessions, id: &SessionId) -> bool {
    matches!(sessions.state(id).await, Err(StoreError::Gone(_)))
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_start_creates() {
    let (sessions, id) = (builder().build(), id("one"));
    let (_teller, source) = told();
    let session = begin(&sessions, &id, source).await;
    assert_eq!(session.status(), Status::Streaming);
    assert_eq!(session.id(), &id);
    assert_eq!(sessions.running(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_start_attaches_and_its_source_is_never_used() {
    let (sessions, id) = (builder().build(), id("one"));
    let (_first, source) = told();
    let session = begin(&sessions, &id, source).await;
    let (second, source) = told();
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
    let (teller, source) = told();
    let first = begin(&sessions, &id, source).await;
    let second = sessions.attach(&id).await.unwrap();
    assert_eq!((first.clients(), second.clients()), (2, 2));
    teller.say("hello");
    drop(teller);
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
async fn the_same_id_for_another_request_or_owner_is_refused() {
    let (sessions, id) = (builder().build(), id("one"));
    let (_teller, source) = told();
    let _session = begin(&sessions, &id, source).await;
    let mut other = start(&id);
    other.digest = unbroken::session::Digest([8; 32]);
    let somebody = start(&id).owner(Some(Owner::new("somebody")));
    for start in [other, somebody] {
        let (teller, source) = told();
        let permit = sessions.permit(None).unwrap();
        let refused = sessions.start(permit, start, source).await;
        assert!(matches!(refused, Err(StartError::InUse)), "{refused:?}");
        assert!(!teller.was_polled());
    }
    assert_eq!(sessions.running(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_starts_at_once_call_one_source() {
    let (sessions, id) = (builder().build(), id("race"));
    let mut tellers = Vec::new();
    let mut starts = Vec::new();
    for _ in 0..20 {
        let (teller, source) = told();
        tellers.push(teller);
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
    assert_eq!(tellers.iter().filter(|t| t.was_polled()).count(), 1);
    assert_eq!(sessions.running(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_nobody_waits_for_happens_all_the_same() {
    let (sessions, id) = (builder().build(), id("one"));
    let (teller, source) = told();
    let permit = sessions.permit(None).unwrap();
    let mut starting = Box::pin(sessions.start(permit, start(&id), source));
    let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(starting.as_mut().poll(cx)));
    assert!(polled.await.is_pending());
    drop(starting);
    settle().await;
    assert!(teller.was_polled());
    assert!(sessions.attach(&id).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_source_is_polled_only_once_the_first_record_is_acknowledged() {
    let (sessions, id) = (builder().build(), id("one"));
    let (teller, source) = told();
    let session = begin(&sessions, &id, source).await;
    assert!(
        !teller.was_polled(),
        "the head leaves before the source is asked"
    );
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(read(&mut reader, 1).await, log(&["info"]));
    settle().await;
    assert!(teller.was_polled());
}

#[tokio::test(start_paused = true)]
async fn finished_and_last_released_is_cleaned_up() {
    let (sessions, id) = (frugal(), id("one"));
    let (teller, source) = told();
    let session = begin(&sessions, &id, source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    drop((teller, session));
    read_all(&mut reader).await;
    settle().await;
    assert!(!is_gone(&sessions, &id).await, "a reader is left");
    drop(reader);
    settle().await;
    assert!(is_gone(&sessions, &id).await);
    assert_eq!(sessions.in_memory_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn still_streaming_and_released_is_not_cleaned_up() {
    let (sessions, id) = (frugal(), id("one"));
    let (teller, source) = told();
    let session = begin(&sessions, &id, source).await;
    teller.say("hello");
    drop(session);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(sessions.state(&id).await.unwrap().status, Status::Streaming);
    assert_eq!(sessions.running(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_writer_outlives_all_clients() {
    let (sessions, id) = (builder().build(), id("one"));
    let (teller, source) = told();
    drop(begin(&sessions, &id, source).await);
    settle().await;
    teller.say("after everybody left");
    drop(teller);
    settle().await;
    let session = sessions.attach(&id).await.unwrap();
    let mut reader = session.reader(Position::START).await.unwrap();
    let whole = log(&["info", "after everybody left", "complete"]);
    assert_eq!(read_all(&mut reader).await, whole);
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_reads_on_from_the_last_lsn() {
    let (sessions, id) = (builder().build(), id("one"));
    let (teller, source) = told();
    let session = begin(&sessions, &id, source).await;
    teller.say("a");
    let mut reader = session.reader(Position::START).await.unwrap();
    let before = read(&mut reader, 2).await;
    let position = reader.position();
    drop((reader, session));
    teller.say("b");
    settle().await;
    let session = sessions.attach(&id).await.unwrap();
    let mut reader = session.reader(position).await.unwrap();
    teller.say("c");
    drop(teller);
    let after = read_all(&mut reader).await;
    assert_eq!(
        [before, after].concat(),
        log(&["info", "a", "b", "c", "complete"])
    );
}

#[tokio::test(start_paused = true)]
async fn cleaned_up_after_the_reconnected_client_is_done() {
    let (sessions, id) = (frugal(), id("one"));
    let (teller, source) = told();
    let session = begin(&sessions, &id, source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    read(&mut reader, 1).await;
    drop((reader, session));
    drop(teller);
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
    let (sessions, id) = (frugal(), id("one"));
    let (teller, source) = told();
    let session = begin(&sessions, &id, source).await;
    let mut readers = Vec::new();
    for _ in 0..50 {
        readers.push(session.reader(Position::START).await.unwrap());
    }
    assert_eq!(session.clients(), 51);
    drop((teller, session));
    for reader in &mut readers {
        assert_eq!(read_all(reader).await.len(), 2);
    }
    while readers.pop().is_some() {
        settle().await;
        assert_eq!(is_gone(&sessions, &id).await, readers.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_was_cut_before_the_terminal_record_does_not_let_it_go() {
    let (sessions, id) = (frugal(), id("one"));
    let (teller, source) = told();
    let session = begin(&sessions, &id, source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    read(&mut reader, 1).await;
    drop(teller);
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
    let (teller, source) = told();
    let session = begin(&sessions, &id, source).await;
    drop(teller);
    let mut reader = session.reader(Position::START).await.unwrap();
    read_all(&mut reader).await;
    drop((reader, session));
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
    let (teller, source) = told();
    drop((teller, begin(&sessions, &id, source).await));
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert!(sessions.attach(&id).await.is_ok());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(is_gone(&sessions, &id).await);
    assert!(matches!(
        sessions.attach(&id).await,
        Err(StoreError::Gone(_))
    ));
    let (late, source) = told();
    let permit = sessions.permit(None).unwrap();
    let retry = sessions.start(permit, start(&id), source).await;
    assert!(matches!(retry, Err(StartError::Gone(_))));
    assert!(!late.was_polled());
}

#[tokio::test(start_paused = true)]
async fn a_finished_session_that_nobody_reads_leaves_nothing_here() {
    let (sessions, id) = (builder().build(), id("one"));
    let (teller, source) = told();
    drop((teller, begin(&sessions, &id, source).await));
    settle().await;
    assert_eq!((sessions.in_memory_count(), sessions.running()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn attach_to_nothing_is_an_error() {
    let sessions = builder().build();
    let attached = sessions.attach(&id("nothing")).await;
    assert!(matches!(attached, Err(StoreError::NotFound)));
    assert_eq!(sessions.in_memory_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_provider_sets_the_status() {
    let (sessions, id) = (builder().build(), id("one"));
    let (teller, source) = told();
    let session = begin(&sessions, &id, source).await;
    teller.fail("it broke", Outcome::Error(ErrorCode::Provider));
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(read_all(&mut reader).await, log(&["info", "it broke"]));
    let status = Status::Ended(Outcome::Error(ErrorCode::Provider));
    assert_eq!(session.status(), status);
    assert_eq!(sessions.state(&id).await.unwrap().status, status);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_provider_ends_the_session() {
    let (sessions, id) = (builder().build(), id("one"));
    let (teller, source) = told();
    let session = begin(&sessions, &id, source).await;
    teller.say("a");
    teller.panic();
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
    let (teller, source) = told();
    let session = begin(&sessions, &id, source).await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(9)).await;
        teller.say("still here");
    }
    settle().await;
    assert_eq!(session.status(), Status::Streaming);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(
        session.status(),
        Status::Ended(Outcome::Error(ErrorCode::Timeout))
    );
    assert!(teller.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_waits_for_a_person_is_not_idle() {
    let limits = Limits::default().idle(Duration::from_secs(10));
    let (sessions, id) = (builder().limits(limits).build(), id("one"));
    let (teller, source) = told();
    let session = begin(&sessions, &id, source).await;
    teller.mark("may I?", Mark::Waiting);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(session.status(), Status::Waiting);
    teller.say("thank you");
    settle().await;
    assert_eq!(session.status(), Status::Streaming);
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_at_its_age_however_busy() {
    let limits = Limits::default().age(Duration::from_secs(60));
    let (sessions, id) = (builder().limits(limits).build(), id("one"));
    let (teller, source) = told();
    let session = begin(&sessions, &id, source).await;
    for second in 0..58 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(session.status(), Status::Streaming, "after {second} s");
        teller.say("busy");
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
        let (teller, source) = told();
        let session = begin(&sessions, &id, source).await;
        teller.say(&"x".repeat(size));
        drop(teller);
        let mut reader = session.reader(Position::START).await.unwrap();
        read_all(&mut reader).await;
        assert_eq!(session.status(), Status::Ended(outcome));
    }
}

#[tokio::test(start_paused = true)]
async fn permits_hold_both_limits_and_are_given_back() {
    let sessions = builder()
        .limits(Limits::default().running(3).running_per_owner(2))
        .build();
    let owner = Owner::new("somebody");
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
async fn an_abort_drops_the_provider_and_seals() {
    let (sessions, id) = (builder().build(), id("one"));
    let (teller, source) = told();
    let session = begin(&sessions, &id, source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    teller.say("a");
    read(&mut reader, 2).await;
    let abort = || Abort {
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
    assert!(teller.is_dropped());
    let again = sessions.abort(&id, abort()).await.unwrap();
    assert_eq!(again.status, Status::Ended(Outcome::Aborted));
}

#[tokio::test(start_paused = true)]
async fn an_abort_from_another_server_reaches_a_silent_provider() {
    let store = Memory::new();
    let here = Sessions::with_format(store.clone(), Words).build();
    let there = Sessions::with_format(store, Words).build();
    let id = id("one");
    let (teller, source) = told();
    let session = begin(&here, &id, source).await;
    settle().await;
    there.abort(&id, Abort::default()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(teller.is_dropped());
    assert_eq!(session.status(), Status::Ended(Outcome::Aborted));
}

#[tokio::test(start_paused = true)]
async fn a_reader_on_another_server_follows_live() {
    let store = Memory::new();
    let here = Sessions::with_format(store.clone(), Words).build();
    let there = Sessions::with_format(store, Words).build();
    let id = id("one");
    let (teller, source) = told();
    let _session = begin(&here, &id, source).await;
    let followed = there.attach(&id).await.unwrap();
    let mut reader = followed.reader(Position::START).await.unwrap();
    assert_eq!(read(&mut reader, 1).await, log(&["info"]));
    for n in 0..10 {
        teller.say(&n.to_string());
        assert_eq!(read(&mut reader, 1).await, [(n + 2, n.to_string())]);
    }
    drop(teller);
    assert_eq!(read_all(&mut reader).await, [(12, "complete".to_owned())]);
    drop((reader, followed));
    settle().await;
    assert_eq!(there.in_memory_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_delete_gives_readers_their_ending_then_forgets() {
    let (sessions, id) = (builder().build(), id("one"));
    let (teller, source) = told();
    let session = begin(&sessions, &id, source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    sessions.delete(&id).await.unwrap();
    assert_eq!(read_all(&mut reader).await, log(&["info", "aborted"]));
    assert!(teller.is_dropped());
    assert!(is_gone(&sessions, &id).await);
    sessions.delete(&id).await.unwrap();
    let nothing = sessions.delete(&support::id("nothing")).await;
    assert!(matches!(nothing, Err(StoreError::NotFound)));
}

#[tokio::test(start_paused = true)]
async fn a_cursor_past_the_tail_or_of_another_epoch_is_refused() {
    let (sessions, id) = (builder().build(), id("one"));
    let (teller, source) = told();
    let session = begin(&sessions, &id, source).await;
    teller.say("a");
    settle().await;
    let ahead = session.reader(Position::after(lsn(3))).await;
    assert!(matches!(ahead, Err(ReadError::Rewound { tail }) if tail == lsn(2)));
    let tag = unbroken::session::Epoch::first().tag();
    let foreign = session.reader(Position::tagged(lsn(2), tag)).await;
    assert!(matches!(foreign, Err(ReadError::Rewound { .. })));
    assert!(session.reader(Position::after(lsn(2))).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_fell_behind_the_hot_log_reads_from_the_store() {
    let sessions = builder().hot_bytes(100).build();
    let id = id("one");
    let (teller, source) = told();
    let session = begin(&sessions, &id, source).await;
    let mut slow = session.reader(Position::START).await.unwrap();
    let mut expected = vec!["info".to_owned()];
    for n in 0..500 {
        let text = format!("record {n}");
        teller.say(&text);
        expected.push(text);
        if n % 50 == 0 {
            settle().await;
        }
    }
    drop(teller);
    settle().await;
    expected.push("complete".to_owned());
    let all: Vec<_> = read_all(&mut slow).await;
    assert_eq!(all, (1..).zip(expected).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_lone_event_is_shown_at_once() {
    let (sessions, id) = (builder().build(), id("one"));
    let (teller, source) = told();
    let session = begin(&sessions, &id, source).await;
    let mut reader = session.reader(Position::after(lsn(0))).await.unwrap();
    read(&mut reader, 1).await;
    settle().await;
    let before = tokio::time::Instant::now();
    teller.say("a");
    read(&mut reader, 1).await;
    assert!(before.elapsed() <= Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn an_orphan_is_sealed_as_interrupted_after_its_lease() {
    let store = Memory::new();
    let survivor = Sessions::with_format(store.clone(), Words).build();
    let _ = survivor.attach(&id("wakes-the-sweeper")).await;
    let id = id("one");
    // Its runtime goes, and with it the writer, as if the server had been killed.
    let (teller, source) = told();
    let create = unbroken::store::New {
        info: std::sync::Arc::new(unbroken::store::Info {
            owner: None,
            chat: None,
            service: "test".into(),
            digest: unbroken::session::Digest([7; 32]),
            format: 1,
        }),
        request: bytes::Bytes::new(),
        token: unbroken::store::Token::random(),
        lease: Duration::from_secs(10),
        tombstone: Duration::from_secs(60),
    };
    unbroken::store::Store::create(&store, &id, create)
        .await
        .unwrap();
    drop((teller, source));
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
    let sessions = builder().build();
    let (quick, source) = told();
    let fast = begin(&sessions, &id("fast"), source).await;
    let (hanging, source) = told();
    let slow = begin(&sessions, &id("slow"), source).await;
    let mut fast_reader = fast.reader(Position::START).await.unwrap();
    let mut slow_reader = slow.reader(Position::START).await.unwrap();
    let shutdown = tokio::spawn({
        let sessions = sessions.clone();
        async move { sessions.shutdown(Duration::from_secs(5)).await }
    });
    settle().await;
    assert_eq!(sessions.permit(None).unwrap_err(), Busy::ShuttingDown);
    quick.say("bye");
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
async fn the_whole_flow_connect_read_disconnect_reconnect_finish_clean_up() {
    let (sessions, id) = (frugal(), id("flow"));
    let (teller, source) = told();
    let session = begin(&sessions, &id, source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    drop(session);
    teller.say("one");
    let mut seen = read(&mut reader, 2).await;
    let position = reader.position();
    drop(reader);
    teller.say("two");
    settle().await;
    let session = sessions.attach(&id).await.unwrap();
    let mut reader = session.reader(position).await.unwrap();
    drop(session);
    teller.say("three");
    drop(teller);
    seen.extend(read_all(&mut reader).await);
    assert_eq!(seen, log(&["info", "one", "two", "three", "complete"]));
    drop(reader);
    settle().await;
    assert!(is_gone(&sessions, &id).await);
    assert_eq!((sessions.running(), sessions.in_memory_count()), (0, 0));
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
