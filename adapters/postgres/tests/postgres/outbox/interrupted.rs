//! Deletions that were interrupted before they removed the records, while the ending waits.

use std::time::Duration;

use libtest_mimic::Trial;
use unbroken::{
    log::SessionId,
    store::{DeleteMode, Store, StoreError, StoreExt},
};

use super::servers::{HOUR, NAMED, SECOND, Servers, is_gone, sealed, service, take_one};
use crate::{
    fixture::{maybe_applied, new, new_with_outbox},
    machine::{Checked, Machine},
};

const REMAINS: &str = "SELECT (SELECT count(*) FROM @.requests) + (SELECT count(*) FROM @.chunks)";

/// Counts the sessions that the next sweep looks at.
const DUE: &str = "SELECT count(*) FROM @.sessions
    WHERE due <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

pub(super) fn trials(machine: &Machine) -> Vec<Trial> {
    vec![
        machine.trial(
            "a_sweep_clears_a_deleted_session_while_its_ending_waits",
            swept,
        ),
        machine.trial(
            "a_sweep_clears_any_number_of_interrupted_deletions_and_counts_none",
            many,
        ),
        machine.trial(
            "a_sweep_clears_a_deleted_session_after_the_delivery",
            delivered,
        ),
        machine.trial(
            "a_repeated_deletion_clears_a_session_while_its_ending_waits",
            repeated,
        ),
    ]
}

/// Opens servers for whose schema no record can be removed until [`allow`].
async fn refusing(machine: &Machine) -> Result<Servers, Box<dyn std::error::Error + Send + Sync>> {
    let servers = Servers::open(machine, machine.options()).await?;
    let refuse = "CREATE FUNCTION @.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'not now'; END $$;
         CREATE TRIGGER refuse BEFORE DELETE ON @.chunks
            FOR EACH ROW EXECUTE FUNCTION @.refuse()";
    servers.execute(refuse).await?;
    Ok(servers)
}

async fn allow(servers: &Servers) -> Checked {
    servers.execute("DROP TRIGGER refuse ON @.chunks").await
}

/// Seals and deletes a session. Its records stay.
async fn half_deleted(servers: &Servers) -> Result<SessionId, StoreError> {
    let id = sealed(&servers.one, new_with_outbox(2 * HOUR), HOUR).await?;
    let deleted = servers.one.delete(&id, DeleteMode::Now).await;
    assert_eq!(maybe_applied(&deleted), Some(true), "{deleted:?}");
    Ok(id)
}

async fn swept(machine: Machine) -> Checked {
    let servers = refusing(&machine).await?;
    let id = half_deleted(&servers).await?;
    allow(&servers).await?;
    assert!(is_gone(&servers.other.state(&id).await));
    assert_eq!(servers.number(REMAINS).await?, 2);
    assert_eq!(servers.other.sweep(10).await?, 0);
    assert_eq!(servers.number(REMAINS).await?, 0);
    // The next sweep doesn't look at it again.
    assert_eq!(servers.number(DUE).await?, 0);
    // Its tombstone would be over.
    servers.pass(HOUR).await?;
    assert_eq!(servers.other.sweep(10).await?, 0);
    let ending = take_one(&servers.one).await?;
    assert_eq!((&ending.id, ending.deleted), (&id, true));
    assert_eq!(
        (&*ending.summary, &*ending.request),
        (&b"the summary"[..], &b""[..])
    );
    servers.deliver(&servers.other, &id).await?;
    assert_eq!(servers.number(NAMED).await?, 0);
    assert_eq!(servers.one.sweep(10).await?, 1);
    assert_eq!(servers.number("SELECT count(*) FROM @.sessions").await?, 0);
    Ok(())
}

async fn many(machine: Machine) -> Checked {
    // A statement takes 32.
    const DELETED: usize = 40;
    let servers = refusing(&machine).await?;
    for _ in 0..DELETED {
        half_deleted(&servers).await?;
    }
    allow(&servers).await?;
    let expired = sealed(&servers.one, new(), Duration::ZERO).await?;
    assert_eq!(servers.one.sweep(10).await?, 0);
    assert_eq!(servers.number(DUE).await?, 31);
    assert_eq!(servers.one.sweep(100).await?, 1);
    assert_eq!(servers.number(DUE).await?, 0);
    assert_eq!(servers.number(REMAINS).await?, 0);
    assert!(is_gone(&servers.one.state(&expired).await));
    let taken = servers.one.endings(&service(), 100, HOUR).await?;
    assert_eq!(taken.len(), DELETED);
    assert!(taken.iter().all(|it| it.deleted && it.request.is_empty()));
    Ok(())
}

async fn delivered(machine: Machine) -> Checked {
    let servers = refusing(&machine).await?;
    let id = half_deleted(&servers).await?;
    allow(&servers).await?;
    let ending = take_one(&servers.one).await?;
    assert!(ending.deleted && ending.request.is_empty());
    servers.deliver(&servers.one, &id).await?;
    servers.one.sweep(10).await?;
    assert_eq!(servers.number(REMAINS).await?, 0);
    assert_eq!(servers.number(NAMED).await?, 0);
    assert_eq!(servers.number(DUE).await?, 0);
    assert!(is_gone(&servers.one.state(&id).await));
    servers.pass(61 * SECOND).await?;
    assert_eq!(servers.one.sweep(10).await?, 1);
    assert_eq!(servers.number("SELECT count(*) FROM @.sessions").await?, 0);
    Ok(())
}

async fn repeated(machine: Machine) -> Checked {
    let servers = refusing(&machine).await?;
    let id = half_deleted(&servers).await?;
    allow(&servers).await?;
    servers.other.delete(&id, DeleteMode::Now).await?;
    assert_eq!(servers.number(REMAINS).await?, 0);
    assert_eq!(servers.number(DUE).await?, 0);
    assert_eq!(take_one(&servers.one).await?.id, id);
    Ok(())
}
