//! Two stores on one schema, as on two servers.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use tokio::time::sleep;
use unbroken::{
    log::{Epoch, SessionId},
    store::{
        AbortRequest, AfterAppend, DeleteMode, Seen, SessionState, Store, StoreError, StoreExt,
    },
};
use unbroken_postgres::{
    Listen, Postgres,
    tokio_postgres::{Config, NoTls},
};

use crate::{
    fixture::{chunk, seal, session},
    machine::{Checked, Machine},
};

pub(crate) fn trials(machine: &Machine) -> Vec<Trial> {
    vec![
        machine.trial("two_servers_wake_each_other", each_other),
        machine.trial("an_append_whose_future_is_dropped_wakes_others", dropped),
        machine.trial("an_owner_is_not_woken_by_records", owners),
        machine.trial("a_lost_notification_costs_at_most_two_seconds", unnotified),
        machine.trial("waits_end_when_the_listener_is_terminated", terminated),
        machine.trial("a_session_that_expires_ends_its_wait", expiry),
    ]
}

/// The task of a wait, with its result and its end.
type Wait = tokio::task::JoinHandle<(Result<SessionState, StoreError>, Instant)>;

/// Starts a wait, which sleeps by the time that this returns.
async fn waiter(store: &Postgres, id: &SessionId, seen: impl Into<Seen>) -> Wait {
    let (store, id, seen) = (store.clone(), id.clone(), seen.into());
    let task = tokio::spawn(async move {
        let state = store.changed(&id, seen, Duration::from_secs(60)).await;
        (state, Instant::now())
    });
    sleep(Duration::from_millis(20)).await;
    task
}

async fn pair(
    machine: &Machine,
) -> Result<(Postgres, Postgres), unbroken_postgres::PostgresOpenError> {
    let options = machine.options();
    let one = Postgres::open(&machine.url, options.clone()).await?;
    let two = Postgres::open(&machine.url, options).await?;
    // The connections that listen are made in the background.
    sleep(Duration::from_millis(300)).await;
    Ok((one, two))
}

async fn each_other(machine: Machine) -> Checked {
    let (one, two) = pair(&machine).await?;
    let mut delays = Vec::new();
    for (writes, waits) in [(&one, &two), (&two, &one)] {
        let (id, epoch) = session(writes).await?;
        for lsn in 1..=100 {
            let seen = waits.state(&id).await?.version();
            let wait = waiter(waits, &id, seen).await;
            writes
                .append(&id, chunk(lsn, epoch, &["x"]), AfterAppend::Streaming)
                .await?;
            let committed = Instant::now();
            let (state, at) = wait.await?;
            assert_eq!(state?.tail.get(), lsn);
            delays.push(quick(at, committed));
        }
        for change in 0..3 {
            let seen = Seen::Owner(waits.state(&id).await?.version());
            let wait = waiter(waits, &id, seen).await;
            match change {
                0 => drop(writes.abort(&id, AbortRequest::default()).await?),
                1 => drop(
                    writes
                        .append(&id, chunk(101, epoch, &["z"]), seal())
                        .await?,
                ),
                _ => writes.delete(&id, DeleteMode::Now).await?,
            }
            let committed = Instant::now();
            let (_, at) = wait.await?;
            delays.push(quick(at, committed));
        }
    }
    delays.sort();
    let at = |part: usize| delays[(delays.len() - 1) * part / 100];
    println!(
        "a wake-up on another server, {} of them: p50 {:?}, p99 {:?}, most {:?}",
        delays.len(),
        at(50),
        at(99),
        at(100)
    );
    Ok(())
}

/// Returns the delay of a wait, and fails if it came to its limit.
fn quick(at: Instant, committed: Instant) -> Duration {
    let took = at.saturating_duration_since(committed);
    assert!(took < Duration::from_secs(1), "woken after {took:?}");
    took
}

async fn dropped(machine: Machine) -> Checked {
    let (one, two) = pair(&machine).await?;
    let (id, epoch) = session(&one).await?;
    for lsn in 1..=10 {
        let seen = two.state(&id).await?.version();
        let wait = waiter(&two, &id, seen).await;
        let append = one.append(&id, chunk(lsn, epoch, &["x"]), AfterAppend::Streaming);
        drop(tokio::time::timeout(Duration::ZERO, append).await);
        let dropped = Instant::now();
        let (state, at) = wait.await?;
        assert_eq!(state?.tail.get(), lsn);
        quick(at, dropped);
    }
    Ok(())
}

async fn owners(machine: Machine) -> Checked {
    let (one, two) = pair(&machine).await?;
    let (id, epoch) = session(&one).await?;
    let mut tasks = Vec::new();
    for store in [&one, &two] {
        let seen = Seen::by_owner(epoch);
        tasks.push(waiter(store, &id, seen).await);
    }
    for lsn in 1..=20 {
        one.append(&id, chunk(lsn, epoch, &["x"]), AfterAppend::Streaming)
            .await?;
    }
    sleep(Duration::from_millis(200)).await;
    assert!(tasks.iter().all(|task| !task.is_finished()));
    let aborted = Instant::now();
    two.abort(&id, AbortRequest::default()).await?;
    for task in tasks {
        let (state, at) = task.await?;
        assert!(state?.abort.is_some());
        assert!(at - aborted < Duration::from_secs(1));
    }
    Ok(())
}

async fn unnotified(machine: Machine) -> Checked {
    let options = machine.options();
    let silent = Postgres::open(&machine.url, options.clone().notify(false)).await?;
    let store = Postgres::open(&machine.url, options).await?;
    sleep(Duration::from_millis(300)).await;
    let (id, epoch) = session(&silent).await?;
    let seen = store.state(&id).await?.version();
    let began = Instant::now();
    let wait = waiter(&store, &id, seen).await;
    silent
        .append(&id, chunk(1, epoch, &["x"]), AfterAppend::Streaming)
        .await?;
    let written = Instant::now();
    let (state, at) = wait.await?;
    assert_eq!(state?.tail.get(), 1);
    // The polls are counted from the begin of the wait, however long the append took.
    let waited = at - began;
    assert!(
        waited > Duration::from_secs(1),
        "a notification woke it after {waited:?}"
    );
    let took = at - written;
    assert!(took < Duration::from_secs(10), "after {took:?}");
    Ok(())
}

async fn terminated(machine: Machine) -> Checked {
    let options = machine.options();
    let name = options.schema.clone();
    let mut config: Config = machine.url.parse()?;
    config.application_name(&name);
    let store = Postgres::open_with(config, NoTls, options.clone()).await?;
    let other = Postgres::open(
        &machine.url,
        options.listen(Listen::poll(Duration::from_secs(1))),
    )
    .await?;
    let admin = machine.client().await;
    let listener = format!("application_name = '{name} (listening)'");
    let count = format!("SELECT count(*) FROM pg_stat_activity WHERE {listener}");
    let listens = async |wanted: i64| -> Checked {
        for _ in 0..100 {
            if admin.query_one(&count, &[]).await?.get::<_, i64>(0) == wanted {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err("nobody listens".into())
    };
    let (id, epoch): (SessionId, Epoch) = session(&store).await?;
    for lsn in 1..=2 {
        listens(1).await?;
        sleep(Duration::from_millis(50)).await;
        let seen = store.state(&id).await?.version();
        let wait = waiter(&store, &id, seen).await;
        let kill =
            format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {listener}");
        let killed = Instant::now();
        admin.query(&kill, &[]).await?;
        let (state, at) = wait.await?;
        assert_eq!(state?.version(), seen);
        let took = at - killed;
        assert!(took < Duration::from_millis(500), "let go after {took:?}");
        listens(1).await?;
        sleep(Duration::from_millis(50)).await;
        let wait = waiter(&store, &id, seen).await;
        sleep(Duration::from_millis(400)).await;
        assert!(!wait.is_finished(), "it polls although it listens");
        other
            .append(&id, chunk(lsn, epoch, &["x"]), AfterAppend::Streaming)
            .await?;
        let written = Instant::now();
        let (state, at) = wait.await?;
        assert_eq!(state?.tail.get(), lsn);
        let took = at.saturating_duration_since(written);
        assert!(took < Duration::from_secs(1), "woken after {took:?}");
    }
    Ok(())
}

async fn expiry(machine: Machine) -> Checked {
    let store = machine.store().await;
    let (id, epoch) = session(&store).await?;
    let then = AfterAppend::Seal(unbroken::store::Seal::new(
        unbroken::log::Outcome::Complete,
        Duration::from_millis(700),
    ));
    store.append(&id, chunk(1, epoch, &["x"]), then).await?;
    let seen = store.state(&id).await?.version();
    let began = Instant::now();
    let (state, at) = waiter(&store, &id, seen).await.await?;
    assert!(matches!(state, Err(StoreError::Gone(_))), "{state:?}");
    assert!(at - began < Duration::from_millis(1500));
    Ok(())
}
