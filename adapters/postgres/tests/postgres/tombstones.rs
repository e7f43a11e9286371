//! Tombstones keep an owner and a digest, and are limited in number.

use libtest_mimic::Trial;
use unbroken::{
    log::{ChatId, Digest, Owner, SessionId},
    store::{
        AbortRequest, Created, DeleteMode, SessionMeta, Store, StoreError, StoreExt, Tombstone,
    },
};

use unbroken_postgres::Postgres;

use crate::{
    counts::{CountedSchema, Rows},
    fixture::{chunk, new, seal},
    machine::{Checked, Machine},
};

pub(crate) fn trials(machine: &Machine) -> Vec<Trial> {
    vec![
        machine.trial("a_tombstone_keeps_owner_and_digest_only", emptied),
        machine.trial(
            "the_oldest_tombstones_beyond_the_limit_are_swept_first",
            limited,
        ),
        machine.trial("a_sweep_reads_only_the_tombstones_that_it_removes", bounded),
        machine.trial("as_many_tombstones_as_the_limit_are_kept", at_the_limit),
        machine.trial("a_migration_empties_and_numbers_tombstones", migrated),
        machine.trial(
            "an_absent_session_costs_as_much_as_one_of_another_owner",
            absent,
        ),
    ]
}

/// Counts the bytes that clients chose in rows of tombstones, apart from ids and owners.
const NAMED: &str =
    "SELECT count(*) FROM @.sessions WHERE deleted IS NOT NULL AND (chat IS NOT NULL
    OR service <> '' OR abort_reason IS NOT NULL OR holds <> '{}' OR answers <> '{}')";
const TOMBSTONES: &str = "SELECT count(*) FROM @.sessions WHERE deleted IS NOT NULL";
const REMAINS: &str = "SELECT (SELECT count(*) FROM @.requests) + (SELECT count(*) FROM @.chunks)
    + (SELECT count(*) FROM @.answers)";

async fn emptied(machine: Machine) -> Checked {
    let schema = CountedSchema::new(&machine).await?;
    let mut session = new();
    session.meta = std::sync::Arc::new(SessionMeta {
        chat: Some(ChatId::new("c".repeat(128))),
        ..SessionMeta::clone(&session.meta)
    });
    let (deleted, expired) = (SessionId::random(), SessionId::random());
    schema
        .count(async |store| {
            for id in [&deleted, &expired] {
                let Created::Created(epoch) = store.create(id, session.clone()).await? else {
                    panic!("the id is in use");
                };
                let reason = Some("a reason".into());
                store.abort(id, AbortRequest { reason }).await?;
                store.append(id, chunk(1, epoch, &["a"]), seal()).await?;
            }
            store.delete(&deleted, DeleteMode::Now).await?;
            Ok(())
        })
        .await?;
    let expire = format!(
        "UPDATE @.sessions SET keep_until = extract(epoch FROM now()) * 1000000 - 1, due = 1
        WHERE id = '{expired}'"
    );
    schema.execute(&expire).await?;
    schema
        .count(async |store| {
            assert_eq!(store.sweep(10).await?, 1);
            for id in [&deleted, &expired] {
                let gone = Tombstone {
                    owner: Some(Owner::new("an owner")),
                    digest: Digest([7; 32]),
                };
                let found = store.state(id).await;
                assert!(
                    matches!(&found, Err(StoreError::Gone(it)) if *it == gone),
                    "{found:?}"
                );
                let again = store.create(id, session.clone()).await;
                assert!(matches!(again, Err(StoreError::Gone(it)) if it == gone));
                store.delete(id, DeleteMode::Now).await?;
            }
            Ok(())
        })
        .await?;
    assert_eq!(schema.number(TOMBSTONES).await?, 2);
    assert_eq!(schema.number(NAMED).await?, 0);
    assert_eq!(schema.number(REMAINS).await?, 0);
    Ok(())
}

/// Creates and deletes sessions, in this order. Returns their ids.
async fn buried(store: &impl Store, count: usize) -> Result<Vec<SessionId>, StoreError> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let id = SessionId::random();
        store.create(&id, new()).await?;
        store.delete(&id, DeleteMode::Now).await?;
        ids.push(id);
    }
    Ok(ids)
}

async fn limited(machine: Machine) -> Checked {
    let mut schema = CountedSchema::new(&machine).await?;
    schema.options = schema.options.clone().max_tombstones(40);
    let mut ids = Vec::new();
    schema
        .count(async |store| {
            ids = buried(&store, 100).await?;
            assert_eq!(store.sweep(10).await?, 10);
            Ok(())
        })
        .await?;
    schema
        .count(async |store| {
            assert_eq!(store.sweep(1000).await?, 50);
            Ok(())
        })
        .await?;
    assert_eq!(schema.number(TOMBSTONES).await?, 40);
    schema
        .count(async |store| {
            for (at, id) in ids.iter().enumerate() {
                match store.state(id).await {
                    Err(StoreError::NotFound) => assert!(at < 60, "{at}"),
                    Err(StoreError::Gone(_)) => assert!(at >= 60, "{at}"),
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(store.sweep(1000).await?, 0);
            Ok(())
        })
        .await?;
    Ok(())
}

async fn bounded(machine: Machine) -> Checked {
    let mut schema = CountedSchema::new(&machine).await?;
    schema.options = schema.options.clone().max_tombstones(2000);
    let tombstones = Rows {
        count: 3000,
        kind: "0",
        tombstone_number: "n::bigint",
        ..Rows::default()
    };
    schema.fill(tombstones).await?;
    for statistics in ["SELECT 1", "ANALYZE @.sessions"] {
        schema.execute(statistics).await?;
        for limit in [0_u8, 1, 32] {
            let sweep = schema.count(async |store| {
                assert_eq!(store.sweep(limit.into()).await?, usize::from(limit));
                Ok(())
            });
            let sweep = sweep.await?;
            // The greatest number, and those that are removed; those of the sweeps before are dead.
            let most = 1 + i64::from(limit) + 2 * 33;
            assert!(
                sweep.entries <= most && sweep.walked == 0,
                "{sweep:?} of {limit}"
            );
        }
    }
    Ok(())
}

async fn at_the_limit(machine: Machine) -> Checked {
    let store = Postgres::open(&machine.url, machine.options().max_tombstones(5));
    let store = store.await?;
    let mut ids = buried(&store, 5).await?;
    assert_eq!(store.sweep(100).await?, 0);
    ids.extend(buried(&store, 1).await?);
    assert_eq!(store.sweep(100).await?, 1);
    assert!(matches!(
        store.state(&ids[0]).await,
        Err(StoreError::NotFound)
    ));
    assert!(matches!(
        store.create(&ids[0], new()).await?,
        Created::Created(_)
    ));
    for id in &ids[1..] {
        assert!(matches!(store.state(id).await, Err(StoreError::Gone(_))));
    }
    Ok(())
}

async fn migrated(machine: Machine) -> Checked {
    let options = machine.options();
    let client = machine.client().await;
    // 1 to 10 are tombstones; 11 runs and 12 has ended; the names of 13 to 15 are too long by now, of a
    // tombstone, a session that runs, and one that has ended.
    let old = format!(
        "CREATE SCHEMA @S; CREATE TABLE @S.migrations (number integer PRIMARY KEY,
            applied timestamptz NOT NULL DEFAULT clock_timestamp());
         {} {} INSERT INTO @S.migrations VALUES (1), (2);
         INSERT INTO @S.sessions (id, owner, chat, service, digest, format, created, token, counter,
            bits, lease, lease_until, lease_mark, tombstone, deleted, kind, keep_until, abort_reason)
         SELECT 'an-id-of-an-older-version-' || n, convert_to(repeat('o', CASE n WHEN 13 THEN 129 ELSE 128 END), 'UTF8'),
            convert_to(repeat('c', CASE WHEN n IN (11, 12) THEN 128 ELSE 129 END), 'UTF8'), 'a service',
            decode(repeat('07', 32), 'hex'), 1, 0, decode(repeat('00', 16), 'hex'), 1, 1, 0, 0, 0,
            9000000000000000, CASE WHEN n <= 10 OR n = 13 THEN 1000 - n END,
            CASE WHEN n NOT IN (11, 14) THEN 0 END, 9000000000000000, 'why'
         FROM generate_series(1, 15) n",
        include_str!("../../src/migrations/0001.sql"),
        include_str!("../../src/migrations/0002.sql"),
    );
    client
        .batch_execute(&old.replace("@S", &options.schema))
        .await?;
    let store = Postgres::open(&machine.url, options.clone().max_tombstones(4)).await?;
    let named = NAMED.replace('@', &options.schema);
    assert_eq!(client.query_one(&named, &[]).await?.get::<_, i64>(0), 0);
    let newer = buried(&store, 1).await?;
    assert_eq!(store.sweep(100).await?, 7);
    for n in 1..=15 {
        let id = format!("an-id-of-an-older-version-{n}").parse()?;
        let found = store.state(&id).await;
        let expected = match n {
            // Deleted last.
            1..=3 => matches!(found, Err(StoreError::Gone(_))),
            4..=10 | 13 | 14 => matches!(found, Err(StoreError::NotFound)),
            11 | 12 => found.is_ok(),
            // Read, or refused by a version that can't.
            _ => matches!(found, Ok(_) | Err(StoreError::Corrupt { .. })),
        };
        assert!(expected, "{n}: {found:?}");
    }
    let found = store.state(&newer[0]).await;
    assert!(matches!(found, Err(StoreError::Gone(_))));
    Ok(())
}

async fn absent(machine: Machine) -> Checked {
    let schema = CountedSchema::new(&machine).await?;
    let (theirs, gone) = (SessionId::random(), SessionId::random());
    schema
        .count(async |store| {
            for id in [&theirs, &gone] {
                store.create(id, new()).await?;
            }
            store.delete(&gone, DeleteMode::Now).await?;
            Ok(())
        })
        .await?;
    for id in [theirs, gone, SessionId::random()] {
        let counts = schema
            .count(async |store| {
                let _ = store.state(&id).await;
                Ok(())
            })
            .await?;
        assert_eq!((counts.scans, counts.walked), (1, 0), "{counts:?}");
    }
    Ok(())
}
