//! A server that is killed and restarted.

use std::{path::PathBuf, time::Duration};

use libtest_mimic::Trial;
use tokio::time::{Instant, sleep};
use unbroken::store::{AfterAppend, Durability, Store, StoreError, StoreExt};
use unbroken_postgres::{Postgres, PostgresOptions};

use crate::{
    fixture::{chunk, session, texts},
    machine::{Checked, Machine, connect, ignored},
    tools::Server,
};

pub(crate) fn trials(machine: &Machine) -> Vec<Trial> {
    match Server::programs() {
        Some(bin) => vec![
            machine.trial("a_store_works_again_after_a_restart_of_its_server", {
                let bin = bin.clone();
                move |_| comes_back(bin)
            }),
            machine.trial("a_record_waits_for_the_standby", move |_| standby(bin)),
        ],
        None => vec![Trial::ignorable_test("crash", || {
            ignored("initdb is not installed")
        })],
    }
}

async fn comes_back(bin: PathBuf) -> Checked {
    let server = Server::start(bin).await?;
    let store = Postgres::open(&server.url(), PostgresOptions::new()).await?;
    assert_eq!(store.durability(), Durability::Host);
    let (id, epoch) = session(&store).await?;
    store
        .append(&id, chunk(1, epoch, &["a"]), AfterAppend::Streaming)
        .await?;
    sleep(Duration::from_millis(300)).await;
    let seen = store.state(&id).await?.version();
    let waiter = tokio::spawn({
        let (store, id) = (store.clone(), id.clone());
        async move {
            store
                .changed(&id, seen.into(), Duration::from_secs(60))
                .await
        }
    });
    sleep(Duration::from_millis(100)).await;
    let killed = Instant::now();
    server.kill()?;
    let _ = waiter.await?;
    assert!(killed.elapsed() < Duration::from_secs(1));
    let append = store
        .append(&id, chunk(2, epoch, &["b"]), AfterAppend::Streaming)
        .await;
    assert!(
        matches!(append, Err(StoreError::Unavailable { .. })),
        "{append:?}"
    );
    server.restart().await?;
    let restarted = Instant::now();
    while let Err(error) = store
        .append(&id, chunk(2, epoch, &["b"]), AfterAppend::Streaming)
        .await
    {
        assert!(error.is_unavailable(), "{error:?}");
        assert!(restarted.elapsed() < Duration::from_secs(10), "{error:?}");
        sleep(Duration::from_millis(50)).await;
    }
    println!(
        "the store was back {:?} after its server",
        restarted.elapsed()
    );
    assert_eq!(texts(&store, &id).await?, ["a", "b"]);
    let admin = connect(&server.url()).await?;
    admin
        .batch_execute("ALTER SYSTEM SET synchronous_commit = off")
        .await?;
    admin.batch_execute("SELECT pg_reload_conf()").await?;
    sleep(Duration::from_millis(300)).await;
    let weak = Postgres::open(&server.url(), PostgresOptions::new()).await?;
    assert_eq!(weak.durability(), Durability::Process);
    Ok(())
}

async fn standby(bin: PathBuf) -> Checked {
    let server = Server::start(bin).await?;
    let options = PostgresOptions::new().statement_timeout(Duration::from_millis(300));
    let reader = Postgres::open(&server.url(), options.clone()).await?;
    let (id, epoch) = session(&reader).await?;
    let admin = connect(&server.url()).await?;
    let settle = async |names: &str| -> Checked {
        let set = format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'");
        admin.batch_execute(&set).await?;
        admin.batch_execute("SELECT pg_reload_conf()").await?;
        sleep(Duration::from_millis(300)).await;
        Ok(())
    };
    settle("nobody").await?;
    let store = Postgres::open(&server.url(), options).await?;
    assert_eq!(store.durability(), Durability::Replicated);
    let append = tokio::spawn({
        let (store, id) = (store.clone(), id.clone());
        async move {
            store
                .append(&id, chunk(1, epoch, &["a"]), AfterAppend::Streaming)
                .await
        }
    });
    // Longer than the statement timeout, which does not include the wait for the standby.
    sleep(Duration::from_millis(1500)).await;
    assert!(!append.is_finished());
    assert_eq!(texts(&reader, &id).await?, [""; 0]);
    settle("").await?;
    append.await??;
    assert_eq!(texts(&reader, &id).await?, ["a"]);
    Ok(())
}
