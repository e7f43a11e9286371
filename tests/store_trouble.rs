//! Registries whose store doesn't answer, or gives the session to another server.

#[path = "support/faulty.rs"]
mod faulty;
mod support;

use std::time::Duration;

use faulty::{LEASE, builder_on};
use support::{begin, channel_source, id, log, lsn, read, read_all, seconds, start, until};
use unbroken::{
    log::{ErrorCode, Outcome, Position, Status},
    session::{Limits, Mark, ReadError, StartError},
    store::{AbortRequest, Lease, Memory, Seen, Store, StoreError},
};
use unbroken_conformance::{ClockJump, Fault, FaultStore, Op};

#[tokio::test(start_paused = true)]
async fn an_unacknowledged_first_record_keeps_the_provider_uncalled() {
    let store = FaultStore::new(Memory::new());
    let sessions = builder_on(&store).build();
    store
        .faults()
        .next(Op::Append, Fault::PauseBefore(Duration::from_secs(3)));
    let (handle, source) = channel_source();
    let _session = begin(&sessions, &id("one"), source).await;
    seconds(2).await;
    assert!(!handle.was_polled());
    seconds(2).await;
    assert!(handle.was_polled());
}

#[tokio::test(start_paused = true)]
async fn a_provider_is_not_called_once_the_lease_has_run_out() {
    let store = FaultStore::new(Memory::new());
    let sessions = builder_on(&store).build();
    // The first record is acknowledged so late that the lease counts from before it is over.
    store
        .faults()
        .next(Op::Append, Fault::PauseAfter(LEASE * 2));
    for _ in 0..20 {
        store.faults().next(Op::Renew, Fault::LoseBefore);
    }
    let (handle, source) = channel_source();
    let _session = begin(&sessions, &id("one"), source).await;
    seconds(20).await;
    assert!(!handle.was_polled());
    store.faults().heal();
    until("the lease is renewed and the provider called", async || {
        handle.was_polled()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_effects_of_a_barrier_do_not_begin_before_it_is_stored() {
    for mark in [Mark::Barrier, Mark::Waiting] {
        let store = FaultStore::new(Memory::new());
        let sessions = builder_on(&store).build();
        let (handle, source) = channel_source();
        let session = begin(&sessions, &id("one"), source).await;
        seconds(1).await;
        store
            .faults()
            .next(Op::Append, Fault::PauseAfter(Duration::from_secs(3)));
        handle.send("before");
        handle.send_as("a tool is to run", mark);
        handle.send("it ran");
        seconds(2).await;
        assert_eq!(handle.pending(), 1, "not asked for what comes of it");
        seconds(2).await;
        assert_eq!(handle.pending(), 0);
        drop(handle);
        let all = ["info", "before", "a tool is to run", "it ran", "complete"];
        let mut reader = session.reader(Position::START).await.unwrap();
        assert_eq!(read_all(&mut reader).await, log(&all));
    }
}

#[tokio::test(start_paused = true)]
async fn the_effects_of_a_barrier_do_not_begin_without_a_lease() {
    let store = FaultStore::new(Memory::new());
    let sessions = builder_on(&store).build();
    let (handle, source) = channel_source();
    let _session = begin(&sessions, &id("one"), source).await;
    seconds(1).await;
    store
        .faults()
        .next(Op::Append, Fault::PauseAfter(LEASE * 2));
    for _ in 0..20 {
        store.faults().next(Op::Renew, Fault::LoseBefore);
    }
    handle.send_as("a tool is to run", Mark::Barrier);
    handle.send("it ran");
    seconds(20).await;
    assert_eq!(handle.pending(), 1);
    store.faults().heal();
    until("the lease is renewed and the source asked", async || {
        handle.pending() == 0
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_repeats_the_batch_and_nothing_comes_twice() {
    for fault in [Fault::LoseBefore, Fault::LoseAfter] {
        let store = FaultStore::new(Memory::new());
        let sessions = builder_on(&store).build();
        let (handle, source) = channel_source();
        let session = begin(&sessions, &id("one"), source).await;
        let mut reader = session.reader(Position::START).await.unwrap();
        read(&mut reader, 1).await;
        store.faults().next(Op::Append, fault);
        handle.send("a");
        handle.send("b");
        drop(handle);
        let rest = read_all(&mut reader).await;
        assert_eq!(
            [log(&["info"]), rest].concat(),
            log(&["info", "a", "b", "complete"])
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_buffers_then_fails_readers_and_loses_nothing() {
    let store = FaultStore::new(Memory::new());
    let (sessions, id) = (builder_on(&store).build(), id("one"));
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    read(&mut reader, 1).await;
    store.faults().outage(true);
    handle.send("during");
    let waiting = tokio::time::timeout(Duration::from_secs(4), reader.next()).await;
    assert!(waiting.is_err(), "readers wait while there is hope");
    let told = tokio::time::timeout(Duration::from_secs(4), reader.next()).await;
    assert!(
        matches!(told, Ok(Some(Err(ReadError::Unavailable)))),
        "{told:?}"
    );
    assert!(matches!(
        sessions.state(&id).await,
        Err(StoreError::Unavailable { .. })
    ));
    handle.send("later");
    store.faults().heal();
    drop(handle);
    seconds(3).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(
        read_all(&mut reader).await,
        log(&["info", "during", "later", "complete"])
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_pulls_the_provider_until_the_buffer_is_full() {
    let store = FaultStore::new(Memory::new());
    let sessions = builder_on(&store).outage_buffer(100).build();
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id("one"), source).await;
    seconds(1).await;
    store.faults().outage(true);
    for _ in 0..30 {
        handle.send("0123456789");
    }
    seconds(1).await;
    assert_eq!(handle.pending(), 20, "ten records of ten bytes fit");
    store.faults().heal();
    drop(handle);
    let mut reader = session.reader(Position::START).await.unwrap();
    assert_eq!(read_all(&mut reader).await.len(), 32);
}

#[tokio::test(start_paused = true)]
async fn the_idle_clock_stands_still_during_an_outage() {
    let store = FaultStore::new(Memory::new());
    let limits = Limits::default().idle(Duration::from_secs(10));
    let sessions = builder_on(&store).limits(limits).outage_buffer(1).build();
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id("one"), source).await;
    seconds(5).await;
    handle.send("a");
    tokio::time::sleep(Duration::from_millis(5_200)).await;
    // Pulled at 10.2 seconds, and nothing after it until the store is back.
    store.faults().outage(true);
    handle.send("b");
    tokio::time::sleep(Duration::from_millis(2_800)).await;
    store.faults().heal();
    tokio::time::sleep(Duration::from_millis(8_500)).await;
    assert_eq!(session.status(), Status::Streaming);
    seconds(4).await;
    assert_eq!(
        session.status(),
        Status::Ended(Outcome::Error(ErrorCode::Timeout))
    );
}

#[tokio::test(start_paused = true)]
async fn a_start_that_the_store_does_not_answer_is_refused_and_starts_nothing() {
    let store = FaultStore::new(Memory::new());
    let sessions = builder_on(&store).build();
    store.faults().outage(true);
    let (handle, source) = channel_source();
    let permit = sessions.permit(None).unwrap();
    let refused = sessions.start(permit, start(&id("one")), source).await;
    assert!(matches!(
        refused,
        Err(StartError::Store(StoreError::Unavailable { .. }))
    ));
    assert!(handle.is_dropped() && !handle.was_polled());
    assert_eq!((sessions.running(), sessions.loaded()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_the_engine_cannot_take_ends_the_session() {
    let store = FaultStore::new(Memory::new().max_append_bytes(20));
    let sessions = builder_on(&store).build();
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id("one"), source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    read(&mut reader, 1).await;
    handle.send(&"x".repeat(20));
    assert_eq!(read(&mut reader, 1).await.len(), 1);
    handle.send(&"x".repeat(21));
    assert_eq!(read_all(&mut reader).await, [(3, "eventbytes".to_owned())]);
    assert_eq!(
        session.status(),
        Status::Ended(Outcome::Error(ErrorCode::Limit))
    );
}

#[tokio::test(start_paused = true)]
async fn a_fenced_owner_drops_its_provider_and_its_readers_go_on() {
    let store = FaultStore::new(Memory::new());
    let (here, there) = (builder_on(&store).build(), builder_on(&store).build());
    let id = id("one");
    let _ = there.attach(&id).await;
    seconds(15).await;
    let (handle, source) = channel_source();
    let session = begin(&here, &id, source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    handle.send("shown");
    assert_eq!(read(&mut reader, 2).await, log(&["info", "shown"]));
    // The store's clock jumps: the lease is over before its owner has renewed.
    let _follower = there.attach(&id).await.unwrap();
    store.inner().jump(LEASE * 2);
    assert_eq!(read_all(&mut reader).await, [(3, "interrupted".to_owned())]);
    assert!(handle.is_dropped());
    assert_eq!(
        session.status(),
        Status::Ended(Outcome::Error(ErrorCode::Interrupted))
    );
}

#[tokio::test(start_paused = true)]
async fn an_owner_keeps_its_session_over_an_outage_longer_than_its_lease() {
    let store = FaultStore::new(Memory::new());
    let (here, there) = (builder_on(&store).build(), builder_on(&store).build());
    let id = id("one");
    let _ = there.attach(&id).await;
    seconds(15).await;
    let (handle, source) = channel_source();
    let session = begin(&here, &id, source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    read(&mut reader, 1).await;
    store.faults().outage(true);
    seconds(60).await;
    store.faults().outage(false);
    // The lease has run out, but no server was there to see it.
    seconds(30).await;
    assert_eq!(here.state(&id).await.unwrap().epoch.claims(), 0);
    handle.send("still here");
    drop(handle);
    let mut reader = session.reader(Position::after(lsn(1))).await.unwrap();
    let rest = read_all(&mut reader).await;
    assert_eq!(
        rest,
        [(2, "still here".to_owned()), (3, "complete".to_owned())]
    );
}

#[tokio::test(start_paused = true)]
async fn no_claims_follow_an_outage_that_ends_later_for_the_owner() {
    let store = Memory::new();
    let (near, far) = (
        FaultStore::new(store.clone()),
        FaultStore::new(store.clone()),
    );
    let (here, there) = (builder_on(&near).build(), builder_on(&far).build());
    let _ = there.attach(&id("wakes-the-sweeper")).await;
    let mut running = Vec::new();
    for at in 0..20 {
        let (handle, source) = channel_source();
        let id = id(&format!("running-{at}"));
        let session = begin(&here, &id, source).await;
        let followed = there.attach(&id).await.unwrap();
        running.push((id, handle, session, followed));
    }
    seconds(15).await;
    for store in [&near, &far] {
        store.faults().outage(true);
    }
    seconds(60).await;
    // Every lease has run out, and the other server knows it some seconds before the owner does.
    far.faults().outage(false);
    seconds(6).await;
    near.faults().outage(false);
    seconds(30).await;
    for (id, handle, session, followed) in running {
        assert_eq!(here.state(&id).await.unwrap().epoch.claims(), 0, "{id}");
        handle.send("still here");
        drop((handle, followed));
        let mut reader = session.reader(Position::START).await.unwrap();
        let whole = read_all(&mut reader).await;
        assert_eq!(whole, log(&["info", "still here", "complete"]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_given_back_is_claimed_at_once() {
    let store = FaultStore::new(Memory::new());
    let (here, there) = (builder_on(&store).build(), builder_on(&store).build());
    let id = id("one");
    let (_teller, source) = channel_source();
    let _session = begin(&here, &id, source).await;
    let followed = there.attach(&id).await.unwrap();
    let mut reader = followed.reader(Position::START).await.unwrap();
    read(&mut reader, 1).await;
    here.shutdown(Duration::ZERO).await;
    let before = tokio::time::Instant::now();
    assert_eq!(read_all(&mut reader).await, [(2, "interrupted".to_owned())]);
    assert!(
        before.elapsed() < Duration::from_secs(3),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_claimant_that_finds_an_abort_seals_aborted() {
    let store = FaultStore::new(Memory::new());
    let (here, there) = (builder_on(&store).build(), builder_on(&store).build());
    let id = id("one");
    let _ = there.attach(&id).await;
    seconds(15).await;
    let (_teller, source) = channel_source();
    let _session = begin(&here, &id, source).await;
    seconds(1).await;
    let followed = there.attach(&id).await.unwrap();
    let mut reader = followed.reader(Position::START).await.unwrap();
    read(&mut reader, 1).await;
    // The owner hangs in its next append while another server takes over.
    store
        .faults()
        .next(Op::Append, Fault::PauseBefore(LEASE * 10));
    let abort = AbortRequest {
        reason: Some("enough".into()),
    };
    Store::abort(store.inner(), &id, abort).await.unwrap();
    store.inner().jump(LEASE * 2);
    assert_eq!(
        read_all(&mut reader).await,
        [(2, "aborted: enough".to_owned())]
    );
}

#[tokio::test(start_paused = true)]
async fn a_follower_reads_on_when_wakeups_are_lost() {
    let store = FaultStore::new(Memory::new());
    let (here, there) = (builder_on(&store).build(), builder_on(&store).build());
    let id = id("one");
    let (handle, source) = channel_source();
    let _session = begin(&here, &id, source).await;
    let followed = there.attach(&id).await.unwrap();
    let mut reader = followed.reader(Position::START).await.unwrap();
    read(&mut reader, 1).await;
    for _ in 0..10 {
        store.faults().next(Op::Changed, Fault::MissWake);
    }
    handle.send("unheard");
    let came = tokio::time::timeout(Duration::from_secs(5), read(&mut reader, 1)).await;
    assert_eq!(came.unwrap(), [(2, "unheard".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn evicted_records_are_read_once_for_all_readers() {
    let store = FaultStore::new(Memory::new());
    let sessions = builder_on(&store).hot_bytes(10).build();
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id("one"), source).await;
    let mut readers = Vec::new();
    for _ in 0..50 {
        readers.push(session.reader(Position::START).await.unwrap());
    }
    for n in 0..100 {
        handle.send(&format!("record number {n}"));
    }
    seconds(1).await;
    drop(handle);
    // Each read takes a while, so that all readers ask for the same page.
    let mut tasks = Vec::new();
    for mut reader in readers {
        tasks.push(tokio::spawn(
            async move { read_all(&mut reader).await.len() },
        ));
    }
    for _ in 0..4 {
        store
            .faults()
            .next(Op::Read, Fault::PauseAfter(Duration::from_secs(1)));
    }
    for _ in 0..200 {
        store.faults().next(Op::Read, Fault::LoseBefore);
    }
    for task in tasks {
        let patience = Duration::from_secs(4);
        assert_eq!(
            tokio::time::timeout(patience, task).await.unwrap().unwrap(),
            102
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_is_under_way_does_not_undo_a_lease_given_back() {
    let store = FaultStore::new(Memory::new());
    let (sessions, id) = (builder_on(&store).build(), id("one"));
    let (_teller, source) = channel_source();
    let _session = begin(&sessions, &id, source).await;
    let late = Fault::PauseBefore(Duration::from_millis(400));
    store.faults().next(Op::Renew, late);
    until("a renewal is under way", async || {
        store.faults().happened() == 1
    })
    .await;
    sessions.shutdown(Duration::ZERO).await;
    seconds(1).await;
    let state = Store::changed(store.inner(), &id, Seen::Nothing, Duration::ZERO).await;
    assert_eq!(state.unwrap().lease, Lease::Free);
}

#[tokio::test(start_paused = true)]
async fn readers_on_another_server_fail_as_soon_as_the_owners_while_the_store_hangs() {
    let store = FaultStore::new(Memory::new());
    let (here, there) = (builder_on(&store).build(), builder_on(&store).build());
    let id = id("one");
    let (_teller, source) = channel_source();
    let _session = begin(&here, &id, source).await;
    let followed = there.attach(&id).await.unwrap();
    let mut reader = followed.reader(Position::START).await.unwrap();
    read(&mut reader, 1).await;
    // From the next wait on, no call is answered within the outage timeout.
    let silence = Duration::from_secs(60);
    for op in [Op::Changed, Op::Read] {
        for _ in 0..9 {
            store.faults().next(op, Fault::PauseAfter(silence));
        }
    }
    let began = tokio::time::Instant::now();
    let told = reader.next().await;
    assert!(
        matches!(told, Some(Err(ReadError::Unavailable))),
        "{told:?}"
    );
    let took = began.elapsed();
    // The wait that was under way, one that hangs, and the outage timeout of five seconds.
    assert!(took < Duration::from_secs(10), "after {took:?}");
}
