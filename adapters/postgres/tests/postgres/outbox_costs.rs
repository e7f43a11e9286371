//! A look into the outbox reads what it returns, and a migration brings the outbox.

use libtest_mimic::Trial;
use std::time::Duration;
use unbroken::{
    log::{ServiceName, SessionId},
    store::{DeleteMode, Store, StoreError, StoreExt},
};
use unbroken_postgres::Postgres;

use crate::{
    counts::{CountedSchema, Rows},
    fixture::{new, new_with_outbox, seal, texts},
    machine::{Checked, Machine},
    outbox::service,
};

const HOUR: Duration = Duration::from_secs(3600);
/// The sessions of each kind beside those that are looked for.
const OTHERS: u32 = 1500;

pub(crate) fn trials(machine: &Machine) -> Vec<Trial> {
    vec![
        machine.trial("a_look_into_the_outbox_reads_what_it_returns", look),
        machine.trial(
            "a_look_into_the_outbox_reads_what_it_returns_by_an_early_plan",
            early_plan,
        ),
        machine.trial("a_sweep_reads_only_the_endings_that_it_drops", sweep),
        machine.trial(
            "an_ended_session_is_put_and_removed_at_a_fixed_cost",
            delivery,
        ),
        machine.trial("a_migration_brings_the_outbox", migrated),
    ]
}

/// Returns ended sessions whose endings wait, the first ones longest.
fn waiting(count: u32) -> Rows<'static> {
    Rows {
        count,
        kind: "0",
        ending_due: "n::bigint",
        ending_until: "9000000000000000",
        ..Rows::default()
    }
}

/// Returns sessions whose endings are not due, of another service, delivered, and that run.
fn crowd() -> [Rows<'static>; 4] {
    let like = waiting(OTHERS);
    [
        Rows {
            ending_due: "8000000000000000 + n",
            ..like
        },
        Rows {
            service: "'another service'",
            ..like
        },
        Rows {
            kind: "0",
            ending_due: "NULL::bigint",
            ending_until: "NULL::bigint",
            ..like
        },
        Rows {
            count: OTHERS,
            ..Rows::default()
        },
    ]
}

async fn look(machine: Machine) -> Checked {
    const WAITING: u32 = 1000;
    const BATCH: i64 = 64;
    let schema = CountedSchema::new(&machine).await?;
    for rows in crowd().into_iter().chain([waiting(WAITING)]) {
        schema.fill(rows).await?;
    }
    let mut taken = 0;
    for statistics in ["SELECT 1", "ANALYZE @.sessions"] {
        schema.execute(statistics).await?;
        for limit in [0, 1, 16, 100] {
            let counts = schema.count(async |store| {
                let endings = store.endings(&service(), limit, HOUR).await?;
                assert_eq!(endings.len(), limit);
                Ok(())
            });
            let counts = counts.await?;
            // Each in the outbox and by its number. Entries of those that were taken before are dead in the
            // outbox, and each statement may visit them.
            let limit = i64::try_from(limit)?;
            let statements = (limit + BATCH - 1) / BATCH;
            let most = 2 * limit + statements * taken + (statements - 1).max(0) * BATCH;
            assert!(
                counts.walked == 0 && counts.entries <= most,
                "{counts:?} of {limit} after {taken}"
            );
            taken += limit;
        }
    }
    let unknown = ServiceName::new("a third service");
    let counts = schema.count(async |store| {
        assert!(store.endings(&unknown, 100, HOUR).await?.is_empty());
        Ok(())
    });
    let counts = counts.await?;
    assert_eq!((counts.walked, counts.entries, counts.updates), (0, 0, 0));
    Ok(())
}

async fn early_plan(machine: Machine) -> Checked {
    const LOOKS: i64 = 10;
    let mut schema = CountedSchema::new(&machine).await?;
    schema.options = schema.options.clone().pool_size(1);
    let client = machine.client().await;
    let looks = schema.count(async |store| {
        // The server keeps the plan of a prepared statement after some runs.
        for _ in 0..LOOKS {
            assert!(store.endings(&service(), 10, HOUR).await?.is_empty());
        }
        for rows in crowd().into_iter().chain([waiting(1000)]) {
            client.batch_execute(&schema.named(&rows.insert())).await?;
        }
        for _ in 0..LOOKS {
            let taken = store.endings(&service(), 10, HOUR).await?;
            assert_eq!(taken.len(), 10);
        }
        Ok(())
    });
    let looks = looks.await?;
    // Dead ones are visited again until the server knows that nobody sees them.
    let most = LOOKS * 20 + 10 * LOOKS * LOOKS / 2;
    assert!(looks.walked == 0 && looks.entries <= most, "{looks:?}");
    Ok(())
}

async fn sweep(machine: Machine) -> Checked {
    let schema = CountedSchema::new(&machine).await?;
    let over = Rows {
        count: 100,
        ending_until: "n::bigint",
        ..waiting(100)
    };
    for rows in crowd().into_iter().chain([over]) {
        schema.fill(rows).await?;
    }
    schema.execute("ANALYZE @.sessions").await?;
    let mut dropped = 0;
    for count in [40, 40, 20, 0] {
        let counts = schema.count(async |store| {
            assert_eq!(store.sweep(40).await?, 0);
            Ok(())
        });
        let counts = counts.await?;
        assert_eq!((counts.walked, counts.updates), (0, count), "{counts:?}");
        // Each by its time and by its number, in two statements, which may visit dead entries.
        let most = 2 * count + 32 + 2 * dropped;
        assert!(counts.entries <= most, "{counts:?} after {dropped}");
        dropped += count;
    }
    let left = "SELECT count(*) FROM @.sessions WHERE ending_until <= 100";
    assert_eq!(schema.number(left).await?, 0);
    Ok(())
}

async fn delivery(machine: Machine) -> Checked {
    let schema = CountedSchema::new(&machine).await?;
    for rows in crowd() {
        schema.fill(rows).await?;
    }
    schema.execute("ANALYZE @.sessions").await?;
    let id = SessionId::random();
    let counts = schema.count(async |store| {
        let created = store.create(&id, new_with_outbox(HOUR)).await?;
        let unbroken::store::Created::Created(epoch) = created else {
            unreachable!("ids are random");
        };
        let end = crate::fixture::chunk(1, epoch, &["a"]);
        store.append(&id, end, seal()).await?;
        assert_eq!(store.endings(&service(), 10, HOUR).await?.len(), 1);
        store.postpone_ending(&id, 1, HOUR).await?;
        store.delivered(&id).await?;
        Ok(())
    });
    let counts = counts.await?;
    assert_eq!((counts.walked, counts.updates), (0, 4));
    assert!(counts.entries <= 16, "{counts:?}");
    Ok(())
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
        include_str!("../../src/migrations/0001.sql"),
        include_str!("../../src/migrations/0002.sql"),
        include_str!("../../src/migrations/0003.sql"),
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
    let end = crate::fixture::chunk(1, running.epoch, &["a"]);
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
    let unbroken::store::Created::Created(epoch) = store.create(&id, new_with_outbox(HOUR)).await?
    else {
        unreachable!("ids are random");
    };
    let end = unbroken::store::Seal::new(unbroken::log::Outcome::Complete, short);
    let end = unbroken::store::AfterAppend::Seal(end);
    let last = crate::fixture::chunk(1, epoch, &["a"]);
    store.append(&id, last, end).await?;
    let swept = "SELECT count(*) FROM @S.sessions s
        WHERE s.due <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    let swept: i64 = client.query_one(&named(swept), &[]).await?.get(0);
    assert_eq!(swept, 0);
    assert_eq!(store.endings(&service(), 10, HOUR).await?.len(), 1);
    store.create(&SessionId::random(), new()).await?;
    Ok(())
}
