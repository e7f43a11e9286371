//! Regression tests of interleavings that once went wrong.

#[path = "../support/faulty.rs"]
mod faulty;
#[path = "../support/mod.rs"]
mod support;

mod broken_store;

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use broken_store::BrokenStore;
use faulty::{LEASE, builder_on};
use support::{TextFormat, begin, channel_source, id, read, read_all, seconds, start, until};
use unbroken::{
    log::*,
    session::*,
    store::{AfterAppend, Lease, Memory, Seal, Store, StoreExt, Token},
};
use unbroken_conformance::{ClockJump, Fault, FaultStore, Op};

#[tokio::test(start_paused = true)]
async fn a_body_whose_log_was_rewound_and_sealed_anew_does_not_end_cleanly() {
    let store = FaultStore::new(Memory::new());
    let (here, there) = (builder_on(&store).build(), builder_on(&store).build());
    let id = id("one");
    let (handle, source) = channel_source();
    let _session = begin(&here, &id, source).await;
    handle.send("a");
    seconds(1).await;
    let snapshot = store.inner().snapshot();
    handle.send("b");
    seconds(1).await;
    let followed = there.attach(&id).await.unwrap();
    let mut reader = followed.reader(Position::START).await.unwrap();
    assert_eq!(read(&mut reader, 3).await.len(), 3);
    seconds(1).await;
    // failover to a replica that lacks "b"; another server seals at the same LSN before we look
    store.inner().restore(&snapshot);
    store.inner().jump(LEASE * 2);
    let seen = store.inner().state(&id).await.unwrap();
    let claimed = Store::claim(store.inner(), &id, seen.epoch, Token::random(), LEASE)
        .await
        .unwrap();
    let mut b = ChunkBuilder::new();
    b.push(b"interrupted");
    let chunk = b.take(claimed.state.tail.next(), claimed.epoch).unwrap();
    let seal = Seal::new(
        Outcome::Error(ErrorCode::Interrupted),
        Duration::from_secs(100),
    );
    Store::append(store.inner(), &id, chunk, AfterAppend::Seal(seal))
        .await
        .unwrap();
    let next = tokio::time::timeout(Duration::from_secs(30), reader.next()).await;
    assert!(matches!(next, Ok(Some(Err(_)))), "{next:?}");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_until_leases_are_given_back() {
    let store = FaultStore::new(Memory::new());
    let here = builder_on(&store).build();
    let id = id("one");
    let (_handle, source) = channel_source();
    let session = begin(&here, &id, source).await;
    seconds(1).await;
    let _reader = session.reader(Position::START).await.unwrap();
    store
        .faults()
        .next(Op::Renew, Fault::PauseBefore(Duration::from_millis(300)));
    here.shutdown(Duration::ZERO).await;
    let state = store.inner().state(&id).await.unwrap();
    assert_eq!(state.lease, Lease::Free);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_under_way_when_the_server_shuts_down_calls_no_provider() {
    let store = FaultStore::new(Memory::new());
    let here = builder_on(&store).build();
    let (handle, source) = channel_source();
    store
        .faults()
        .next(Op::Create, Fault::PauseBefore(Duration::from_secs(5)));
    let permit = here.permit(None).unwrap();
    let sessions = here.clone();
    tokio::spawn(async move {
        let _ = sessions.start(permit, start(&id("one")), source).await;
    });
    tokio::time::sleep(Duration::from_millis(10)).await;
    here.shutdown(Duration::from_secs(1)).await;
    seconds(20).await;
    assert!(
        !handle.was_polled(),
        "provider called after shutdown, running {}",
        here.running()
    );
}

#[tokio::test(start_paused = true)]
async fn the_grace_counts_from_when_the_last_client_left() {
    let store = FaultStore::new(Memory::new());
    let here = builder_on(&store)
        .retention(Retention::until_released().grace(Duration::from_secs(10)))
        .build();
    let id = id("one");
    let (handle, source) = channel_source();
    let session = begin(&here, &id, source).await;
    drop(handle);
    let mut reader = session.reader(Position::START).await.unwrap();
    read_all(&mut reader).await;
    drop((reader, session));
    seconds(8).await;
    let back = here.attach(&id).await.unwrap();
    seconds(1).await;
    drop(back);
    seconds(3).await;
    assert!(
        here.attach(&id).await.is_ok(),
        "deleted 3 s after the last client left, grace is 10 s"
    );
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_hangs_does_not_stall_renewals() {
    let store = FaultStore::new(Memory::new());
    let here = builder_on(&store)
        .retention(Retention::until_released().grace(Duration::from_secs(1)))
        .build();
    let (handle, source) = channel_source();
    let session = begin(&here, &id("done"), source).await;
    let (_handle2, source2) = channel_source();
    let _session2 = begin(&here, &id("silent"), source2).await;
    drop(handle);
    let mut reader = session.reader(Position::START).await.unwrap();
    read_all(&mut reader).await;
    store
        .faults()
        .next(Op::Delete, Fault::PauseBefore(Duration::from_secs(60)));
    drop((reader, session));
    seconds(20).await;
    let state = store.inner().state(&id("silent")).await.unwrap();
    assert!(matches!(state.lease, Lease::Held(_)), "{:?}", state.lease);
}

#[tokio::test(start_paused = true)]
async fn sweeper_calls_that_hang_do_not_stall_renewals() {
    let store = FaultStore::new(Memory::new());
    let here = builder_on(&store)
        .retention(Retention::until_released())
        .build();
    let (_handle2, source2) = channel_source();
    let _session2 = begin(&here, &id("silent"), source2).await;
    for _ in 0..50 {
        store
            .faults()
            .next(Op::Orphans, Fault::PauseBefore(Duration::from_secs(60)));
        store
            .faults()
            .next(Op::Sweep, Fault::PauseBefore(Duration::from_secs(60)));
        store
            .faults()
            .next(Op::Hold, Fault::PauseBefore(Duration::from_secs(60)));
    }
    let mut lapsed = 0;
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let state = store.inner().state(&id("silent")).await.unwrap();
        lapsed += usize::from(!matches!(state.lease, Lease::Held(_)));
    }
    assert_eq!(lapsed, 0, "tenths of a second without a lease");
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_counts_its_lease_from_the_first_attempt() {
    let store = FaultStore::new(Memory::new());
    let here = builder_on(&store)
        .outage_timeout(Duration::from_secs(60))
        .build();
    let id = id("one");
    let (handle, source) = channel_source();
    store.faults().next(Op::Append, Fault::LoseAfter);
    let _session = begin(&here, &id, source).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(store.inner().state(&id).await.unwrap().tail.get(), 1);
    store.faults().outage(true);
    seconds(12).await;
    store.faults().heal();
    for _ in 0..50 {
        store.faults().next(Op::Renew, Fault::LoseBefore);
    }
    seconds(2).await;
    let state = store.inner().state(&id).await.unwrap();
    assert!(
        !(handle.was_polled() && state.lease == Lease::Expired),
        "provider called without a lease"
    );
}

#[tokio::test(start_paused = true)]
async fn of_two_deletes_at_once_both_succeed() {
    let store = FaultStore::new(Memory::new());
    let here = builder_on(&store).build();
    let id = id("one");
    let (_handle, source) = channel_source();
    let _session = begin(&here, &id, source).await;
    seconds(1).await;
    let (a, b) = tokio::join!(here.delete(&id), here.delete(&id));
    assert!(a.is_ok() && b.is_ok(), "{a:?} {b:?}");
}

#[tokio::test(start_paused = true)]
async fn readers_fail_while_an_append_hangs() {
    let store = FaultStore::new(Memory::new());
    let here = builder_on(&store).build();
    let (handle, source) = channel_source();
    let session = begin(&here, &id("one"), source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    read(&mut reader, 1).await;
    store
        .faults()
        .next(Op::Append, Fault::PauseBefore(Duration::from_secs(360_000)));
    handle.send("x");
    let next = tokio::time::timeout(Duration::from_secs(60), reader.next()).await;
    assert!(next.is_ok(), "nothing in 60 s, the outage timeout is 5 s");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_fails_the_bodies_of_a_session_that_hangs_in_the_store() {
    let store = FaultStore::new(Memory::new());
    let here = builder_on(&store).build();
    let (handle, source) = channel_source();
    let session = begin(&here, &id("one"), source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    read(&mut reader, 1).await;
    store
        .faults()
        .next(Op::Append, Fault::PauseBefore(Duration::from_secs(360_000)));
    handle.send("x");
    seconds(1).await;
    here.shutdown(Duration::from_secs(1)).await;
    let next = tokio::time::timeout(Duration::from_secs(7300), reader.next()).await;
    assert!(
        next.is_ok(),
        "body hangs after shutdown; running {}",
        here.running()
    );
}

#[test]
fn a_terminal_record_that_is_too_large_for_the_store_does_not_spin() {
    let (tx, rx) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(async {
                let store = FaultStore::new(Memory::new().max_append_bytes(5));
                let here = builder_on(&store).build();
                let (handle, source) = channel_source();
                let _session = begin(&here, &id("one"), source).await;
                handle.send("123456");
                seconds(5).await;
                tx.send(()).unwrap();
            });
    });
    assert!(
        rx.recv_timeout(Duration::from_secs(8)).is_ok(),
        "the runtime thread is stuck"
    );
}

#[tokio::test(start_paused = true)]
async fn limits_may_be_the_longest_duration() {
    let store = FaultStore::new(Memory::new());
    let here = builder_on(&store)
        .limits(Limits::default().idle(Duration::MAX).age(Duration::MAX))
        .build();
    let (handle, source) = channel_source();
    let session = begin(&here, &id("one"), source).await;
    drop(handle);
    until("sealed", async || session.status().outcome().is_some()).await;
}

#[tokio::test(start_paused = true)]
async fn a_grace_may_be_the_longest_duration() {
    let store = FaultStore::new(Memory::new());
    let here = builder_on(&store)
        .retention(Retention::until_released().grace(Duration::MAX))
        .build();
    let (handle, source) = channel_source();
    let session = begin(&here, &id("one"), source).await;
    drop(handle);
    let mut reader = session.reader(Position::START).await.unwrap();
    read_all(&mut reader).await;
    let sessions = here.clone();
    let first = tokio::spawn(async move { drop((reader, session)) }).await;
    let second = tokio::spawn(async move {
        let _ = sessions.attach(&id("two")).await;
    })
    .await;
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_not_pulled_is_not_idle() {
    let store = FaultStore::new(Memory::new());
    let here = builder_on(&store)
        .limits(Limits::default().idle(Duration::from_secs(2)))
        .outage_buffer(10)
        .build();
    let (handle, source) = channel_source();
    let session = begin(&here, &id("one"), source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    read(&mut reader, 1).await;
    store
        .faults()
        .next(Op::Append, Fault::PauseBefore(Duration::from_secs(4)));
    for _ in 0..5 {
        handle.send("0123456789");
    }
    drop(handle);
    let all = read_all(&mut reader).await;
    assert_eq!(all.last().unwrap().1, "complete", "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn a_follower_goes_on_until_the_deadline_of_a_shutdown() {
    let store = FaultStore::new(Memory::new());
    let (here, there) = (builder_on(&store).build(), builder_on(&store).build());
    let id = id("one");
    let (handle, source) = channel_source();
    let _session = begin(&here, &id, source).await;
    let followed = there.attach(&id).await.unwrap();
    let mut reader = followed.reader(Position::START).await.unwrap();
    read(&mut reader, 1).await;
    let sessions = there.clone();
    let (_handle, source) = channel_source();
    let _own = begin(&there, &support::id("own"), source).await;
    tokio::spawn(async move { sessions.shutdown(Duration::from_secs(30)).await });
    seconds(1).await;
    handle.send("a");
    let next = tokio::time::timeout(Duration::from_secs(5), async {
        read(&mut reader, 1).await;
        reader.next().await
    })
    .await;
    assert!(next.is_err(), "cut {next:?} long before the deadline");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_comes_too_late_starts_no_provider() {
    let store = FaultStore::new(Memory::new());
    let here = builder_on(&store).build();
    let id = id("one");
    let (handle, source) = channel_source();
    store
        .faults()
        .next(Op::Append, Fault::PauseAfter(LEASE * 2));
    // renewals of the sweeper are lost while the first append hangs
    for _ in 0..200 {
        store.faults().next(Op::Renew, Fault::LoseBefore);
    }
    let _session = begin(&here, &id, source).await;
    tokio::time::sleep(Duration::from_millis(19_900)).await;
    store.faults().heal();
    // the sweeper or the writer: applied, but answered after more than a lease
    for _ in 0..6 {
        store
            .faults()
            .next(Op::Renew, Fault::PauseAfter(LEASE + Duration::from_secs(5)));
    }
    for _ in 0..200 {
        store.faults().next(Op::Renew, Fault::LoseBefore);
    }
    let mut bad = false;
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let state = store.inner().state(&id).await.unwrap();
        bad |= handle.was_polled() && state.lease == Lease::Expired;
        if handle.was_polled() {
            break;
        }
    }
    assert!(!bad, "called without a lease");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_dropped_with_its_last_frame_is_not_done() {
    use http_body::Body as _;
    let sessions = Sessions::builder(Memory::new())
        .retention(Retention::until_released().grace(Duration::from_secs(1)))
        .build();
    let first = bytes::Bytes::from_static(b"{}");
    let start = SessionSpec::new(
        SessionId::random(),
        ServiceName::new("test"),
        Digest([0; 32]),
        first,
    );
    let id = start.id.clone();
    let provider = unbroken::chat::provider_fn(|_: unbroken::chat::ChatRequest| {
        futures_util::stream::iter([Ok::<_, unbroken::BoxError>(
            unbroken::chat::ChatEvent::text("hi"),
        )])
    });
    let source =
        unbroken::durable::ProviderSource::new(provider, unbroken::chat::ChatRequest::default());
    let session = sessions
        .start(sessions.permit(None).unwrap(), start, source)
        .await
        .unwrap()
        .session;
    until("sealed", async || session.status().outcome().is_some()).await;
    let (head, ()) = http::Request::new(()).into_parts();
    let native = unbroken::dialect::Native::new();
    let enc = native.encoder(&head).unwrap().unwrap();
    let mut body = unbroken::durable::Reply::new(unbroken::dialect::Native::new(), enc)
        .respond(&session)
        .await
        .unwrap()
        .into_body();
    // one frame is handed to the server, which can't write it: the client is gone
    let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await;
    assert!(frame.unwrap().is_ok());
    drop((body, session));
    seconds(5).await;
    assert!(
        sessions.attach(&id).await.is_ok(),
        "released although the client never got it"
    );
}

#[tokio::test(start_paused = true)]
async fn a_page_with_a_gap_fails_the_reader() {
    let store = BrokenStore::default();
    let here = SessionsBuilder::new(store.clone(), TextFormat).build();
    let there = SessionsBuilder::new(store.clone(), TextFormat).build();
    let id = id("one");
    let (handle, source) = channel_source();
    let _session = begin(&here, &id, source).await;
    seconds(1).await;
    let followed = there.attach(&id).await.unwrap();
    let mut reader = followed.reader(Position::START).await.unwrap();
    read(&mut reader, 1).await;
    seconds(1).await;
    store.gap.store(true, SeqCst);
    handle.send("left out");
    drop(handle);
    let next = tokio::time::timeout(Duration::from_secs(30), reader.next()).await;
    assert!(matches!(next, Ok(Some(Err(_)))), "{next:?}");
}

#[tokio::test(start_paused = true)]
async fn spurious_wakeups_are_paced() {
    let store = BrokenStore::default();
    let here = SessionsBuilder::new(store.clone(), TextFormat).build();
    let there = SessionsBuilder::new(store.clone(), TextFormat).build();
    let id = id("one");
    let (_handle, source) = channel_source();
    let _session = begin(&here, &id, source).await;
    let _followed = there.attach(&id).await.unwrap();
    seconds(1).await;
    store.spurious.store(true, SeqCst);
    let before = store.reads.load(SeqCst);
    seconds(10).await;
    let reads = store.reads.load(SeqCst) - before;
    assert!(reads < 100, "{reads} reads of one idle session in 10 s");
}
