//! The renewals that a writer makes itself, before it calls its provider and after a barrier.

use std::time::Duration;

use unbroken::{
    session::{Mark, Sessions, SessionsBuilder},
    store::Memory,
};
use unbroken_conformance::{Fault, FaultStore, Op};

use crate::{
    begin, settle,
    support::{TextFormat, channel_source, id, seconds},
    take_over::LEASE,
};

fn server(store: &FaultStore<Memory>) -> Sessions {
    SessionsBuilder::new(store.clone(), TextFormat)
        .lease(LEASE)
        .build()
}

#[tokio::test(start_paused = true)]
async fn a_writer_without_a_lease_renews_it_although_the_sweeper_hangs() {
    for at_barrier in [false, true] {
        let store = FaultStore::new(Memory::new());
        let sessions = server(&store);
        let late = Fault::PauseAfter(LEASE * 2);
        if !at_barrier {
            store.faults().next(Op::Append, late);
        }
        let (handle, source) = channel_source();
        let _session = begin(&sessions, &id("one"), source).await;
        if at_barrier {
            settle().await;
            store.faults().next(Op::Append, late);
            handle.send_as("a tool is to run", Mark::Barrier);
        }
        handle.send("it ran");
        // The record before is acknowledged when its lease is over, and the sweeper can't renew it.
        for _ in 0..100 {
            store.faults().next(Op::Renew, Fault::LoseBefore);
        }
        seconds(19).await;
        store.faults().heal();
        let hangs = Fault::PauseBefore(Duration::from_secs(3));
        store.faults().next(Op::Renew, hangs);
        let answers = Fault::PauseBefore(Duration::from_millis(100));
        for _ in 0..20 {
            store.faults().next(Op::Renew, answers);
        }
        tokio::time::sleep(Duration::from_millis(800)).await;
        assert_eq!(handle.pending(), 1);
        seconds(1).await;
        assert_eq!(handle.pending(), 0, "at a barrier: {at_barrier}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_whose_lease_runs_renews_none() {
    let store = FaultStore::new(Memory::new());
    let sessions = server(&store);
    store.faults().next(Op::Renew, Fault::LoseBefore);
    let (handle, source) = channel_source();
    let _session = begin(&sessions, &id("one"), source).await;
    handle.send_as("a tool is to run", Mark::Barrier);
    handle.send("it ran");
    settle().await;
    assert_eq!((handle.pending(), store.faults().happened()), (0, 0));
}
