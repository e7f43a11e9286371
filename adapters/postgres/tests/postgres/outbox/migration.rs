//! A migration brings the outbox to a schema with sessions.

use std::time::Duration;

use libtest_mimic::Trial;
use unbroken::{
    log::{Outcome, SessionId},
    store::{AfterAppend, Created, DeleteMode, Seal, Store, StoreError, StoreExt},
};
use unbroken_postgres::Postgres;

use super::servers::{HOUR, service};
use crate::{
    fixture::{chunk, new, new_with_outbox, seal, texts},
    machine::{Checked, Machine},
};

pub(super) fn trials(machine: &Machine) -> Vec<Trial> {
    vec![machine.trial("a_migration_brings_the_outbox", migrated)]
}

async fn migrated(machine: Machine) -> Checked {
    let options = machine.options();
    let client = machine.client().await;
    // 1 runs, 2 has ended, 3 is a tombstone.
    let old = format!(
        "CREATE SCHEMA @S; CREATE TABLE @S.migrations (number integer PRIMARY KEY,
            applied timestamptz NOT NULL DEFAULT clock_timestamp());
         {} {} {} INSERT INTO @S.migrations VALUES (1), (2), (3);
         INSERT INTO @S.sessions (id, owner, chat, service, digest, format, created, token, counter, bits,
            lease, lease_until, lease_mark, tombstone, deleted, kind, keep_until, due, tombstone_number)
         SELECT 'an-id-of-an-older-version-' || n, 'an owner', CASE WHEN n < 3 THEN 'c'::bytea END,
            CASE WHEN n < 3 THEN 'a service' ELSE '' END::bytea, decode(repeat('07', 32), 'hex'), 1, 0,
            decode(repeat('00', 16), 'hex'), 1, 1, 60000000,
            9000000000000000, 9000000000000000, 9000000000000000, CASE WHEN n = 3 THEN 1 END,
            CASE WHEN n > 1 THEN 0 END, 9000000000000000,
            CASE WHEN n > 1 THEN 9000000000000000 END, CASE WHEN n = 3 THEN 1 END
         FROM generate_series(1, 3) n;
         INSERT INTO @S.requests SELECT number, 'the request' FROM @S.sessions WHERE kind IS NULL",
        include_str!("../../../src/migrations/0001.sql"),
        include_str!("../../../src/migrations/0002.sql"),
        include_str!("../../../src/migrations/0003.sql"),
    );
    let named = |text: &str| text.replace("@S", &options.schema);
    client.batch_execute(&named(&old)).await?;
    let store = Postgres::open(&machine.url, options.clone()).await?;
    let ids: Vec<SessionId> = (1..=3)
        .map(|n| format!("an-id-of-an-older-version-{n}").parse())
        .collect::<Result<_, _>>()?;
    let running = store.state(&ids[0]).await?;
    assert_eq!(running.meta.outbox, None);
    assert_eq!(store.state(&ids[1]).await?.meta.outbox, None);
    assert!(matches!(
        store.state(&ids[2]).await,
        Err(StoreError::Gone(_))
    ));
    let end = chunk(1, running.epoch, &["a"]);
    store.append(&ids[0], end, seal()).await?;
    assert_eq!(texts(&store, &ids[0]).await?, ["a"]);
    store.delete(&ids[1], DeleteMode::Now).await?;
    assert!(store.endings(&service(), 10, HOUR).await?.is_empty());

    // Statements of a server of the former version, which goes on until it is upgraded.
    let former = "
        INSERT INTO @S.sessions (id, owner, chat, service, digest, format, token, bits, lease, tombstone,
            counter, created, lease_until, lease_mark)
        VALUES ('an-id-of-an-older-version-4', 'an owner', NULL, 'a service',
            decode(repeat('07', 32), 'hex'), 1, decode(repeat('00', 16), 'hex'), 1, 60000000,
            9000000000000000, 1, 0, 9000000000000000, 9000000000000000);
        UPDATE @S.sessions s SET tail = 1, tail_counter = 1, tail_bits = 1, chunks = 1, waiting = false,
            kind = 0, lease_until = 1, keep_until = 9000000000000000, due = 9000000000000000,
            answers = '{}', answered = 0
        WHERE s.id = 'an-id-of-an-older-version-4'";
    client.batch_execute(&named(former)).await?;
    let theirs: SessionId = "an-id-of-an-older-version-4".parse()?;
    let state = store.state(&theirs).await?;
    assert!(state.status.outcome().is_some() && state.meta.outbox.is_none());
    // It sweeps by the same column, so it takes no session whose ending waits.
    let id = SessionId::random();
    let short = Duration::ZERO;
    let Created::Created(epoch) = store.create(&id, new_with_outbox(HOUR)).await? else {
        unreachable!("ids are random");
    };
    let end = Seal::new(Outcome::Complete, short);
    let end = AfterAppend::Seal(end);
    let last = chunk(1, epoch, &["a"]);
    store.append(&id, last, end).await?;
    let swept = "SELECT count(*) FROM @S.sessions s
        WHERE s.due <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    let swept: i64 = client.query_one(&named(swept), &[]).await?.get(0);
    assert_eq!(swept, 0);
    assert_eq!(store.endings(&service(), 10, HOUR).await?.len(), 1);
    store.create(&SessionId::random(), new()).await?;
    Ok(())
}
