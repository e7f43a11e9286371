//! What an operator reads, and a probe hears, of a store that fails.

use std::time::Duration;

use tokio::time::{advance, sleep};
use unbroken::{log::Position, session::Sessions, store::Memory};
use unbroken_conformance::{Fault, FaultStore, Op};

use crate::{
    faulty::builder_on,
    support::{channel_source, id, log, read_all, start},
    traces::Traces,
};

fn failures(traces: &Traces) -> Vec<String> {
    traces.with(&["the store failed"])
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_traced_with_its_cause_once_a_second_and_so_is_its_end() {
    let traces = Traces::collect();
    let store = FaultStore::new(Memory::new());
    let sessions = builder_on(&store).build();
    let (source, fed) = channel_source();
    let permit = sessions.permit(None).unwrap();
    let started = sessions
        .start(permit, start(&id("one")), fed)
        .await
        .unwrap();
    let mut reader = started.session.reader(Position::START).await.unwrap();
    source.send("a");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(traces.with(&["WARN"]), Vec::<String>::new(), "all is well");

    store.faults().outage(true);
    source.send("b");
    sleep(Duration::from_millis(900)).await;
    let first = traces.with(&["WARN", "unbroken::session", "call=\"append\""]);
    assert_eq!(first.len(), 1, "{first:?}");
    // What is behind the error that all stores have.
    assert!(
        first[0].contains("cause=the store is unavailable; try again later: "),
        "{first:?}"
    );
    assert!(first[0].contains("left_out=0"), "{first:?}");
    sleep(Duration::from_secs(3)).await;
    let appends = traces.with(&["WARN", "call=\"append\""]);
    assert!((2..=4).contains(&appends.len()), "{appends:?}");
    let left_out: usize = appends
        .iter()
        .map(|line| {
            let (_, count) = line.split_once("left_out=").unwrap();
            count.parse::<usize>().unwrap()
        })
        .sum();
    assert!(left_out > 0, "{appends:?}");

    store.faults().outage(false);
    source.send("c");
    drop(source);
    assert_eq!(
        read_all(&mut reader).await,
        log(&["info", "a", "b", "c", "complete"])
    );
    let ends = traces.with(&["INFO", "the store answers again"]);
    assert_eq!(ends.len(), 1, "{ends:?}");
    let before = failures(&traces).len();
    sleep(Duration::from_secs(10)).await;
    assert_eq!(failures(&traces).len(), before);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_silent_is_traced_as_that() {
    let traces = Traces::collect();
    let store = FaultStore::new(Memory::new());
    store
        .faults()
        .next(Op::Create, Fault::PauseBefore(Duration::from_secs(3600)));
    let sessions = builder_on(&store).build();
    let (_source, fed) = channel_source();
    let permit = sessions.permit(None).unwrap();
    let _ = sessions.start(permit, start(&id("one")), fed).await;
    let silent = traces.with(&["WARN", "call=\"create\"", "has not answered for"]);
    assert_eq!(silent.len(), 1, "{:?}", failures(&traces));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_is_no_failure_of_the_store() {
    let traces = Traces::collect();
    let store = FaultStore::new(Memory::new());
    let sessions = builder_on(&store).build();
    store
        .faults()
        .next(Op::Changed, Fault::PauseBefore(Duration::from_secs(3600)));
    let (absent, asked) = (id("one"), Duration::from_millis(900));
    assert!(
        tokio::time::timeout(asked, sessions.state(&absent))
            .await
            .is_err()
    );
    assert_eq!(failures(&traces), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn health_tells_of_the_store_and_of_a_shutdown() {
    let store = FaultStore::new(Memory::new());
    let sessions: Sessions = builder_on(&store).build();
    let health = sessions.health().await;
    assert!(health.is_ready());
    assert_eq!(health.store_latency, Some(Duration::ZERO));
    assert_eq!((health.store_failing_for, health.draining), (None, false));

    store.faults().outage(true);
    assert!(!sessions.health().await.is_ready());
    advance(Duration::from_secs(5)).await;
    let health = sessions.health().await;
    assert_eq!(health.store_latency, None);
    assert_eq!(health.store_failing_for, Some(Duration::from_secs(5)));
    store.faults().outage(false);
    assert!(sessions.health().await.is_ready());
    assert_eq!(sessions.health().await.store_failing_for, None);

    // One that is silent isn't waited for.
    store
        .faults()
        .next(Op::Changed, Fault::PauseBefore(Duration::from_secs(3600)));
    let began = tokio::time::Instant::now();
    assert!(!sessions.health().await.is_ready());
    assert_eq!(began.elapsed().as_secs(), 2);
    assert!(sessions.health().await.is_ready());

    sessions.shutdown(Duration::ZERO).await;
    let health = sessions.health().await;
    assert!(health.draining && !health.is_ready() && health.store_latency.is_some());
}
