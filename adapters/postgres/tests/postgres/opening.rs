//! Opening a store: migrations, refusals, pools of the application, durability.

use std::time::Duration;

use libtest_mimic::Trial;
use unbroken::{
    log::{ChatId, Lsn, Owner, Position, ServiceName, SessionId},
    store::{
        AbortRequest, AfterAppend, Durability, Filter, SessionMeta, Store, StoreError, StoreExt,
    },
};
use unbroken_postgres::{
    Listen, Postgres, PostgresOpenError, PostgresOptions,
    deadpool_postgres::{Manager, Pool},
    tokio_postgres::NoTls,
};

use crate::{
    fixture::{chunk, seal, session, texts},
    machine::{Checked, Machine},
};

pub(crate) fn trials(machine: &Machine) -> Vec<Trial> {
    vec![
        machine.trial("servers_that_open_at_once_migrate_once", at_once),
        machine.trial("a_newer_schema_is_refused", newer),
        machine.trial("an_absent_schema_is_refused_without_migration", absent),
        machine.trial("a_pool_of_the_application_is_used", own_pool),
        machine.trial("no_password_is_shown", no_password),
        machine.trial("tls_that_is_required_is_not_skipped", tls),
        machine.trial("a_record_that_can_not_be_read_is_corrupt", corrupt),
        machine.trial("pages_are_full_however_the_sizes_are_spread", full_pages),
        machine.trial("names_may_be_any_text", names),
        machine.trial(
            "an_orphan_is_found_although_the_clock_was_set_back",
            set_back,
        ),
    ]
}

async fn at_once(machine: Machine) -> Checked {
    let options = machine.options().pool_size(2);
    let opening = (0..8).map(|_| {
        let (url, options) = (machine.url.clone(), options.clone());
        tokio::spawn(async move { Postgres::open(&url, options).await })
    });
    let opening: Vec<_> = opening.collect();
    for store in opening {
        let store = store.await??;
        session(&store).await?;
    }
    let count = format!("SELECT count(*) FROM {}.migrations", options.schema);
    let count: i64 = machine.client().await.query_one(&count, &[]).await?.get(0);
    assert_eq!(count, 4);
    Ok(())
}

async fn newer(machine: Machine) -> Checked {
    let options = machine.options();
    drop(Postgres::open(&machine.url, options.clone()).await?);
    let newer = format!(
        "INSERT INTO {}.migrations (number) VALUES (99)",
        options.schema
    );
    machine.client().await.batch_execute(&newer).await?;
    let refused = Postgres::open(&machine.url, options).await;
    assert!(matches!(
        refused,
        Err(PostgresOpenError::NewerSchema { found: 99, .. })
    ));
    Ok(())
}

async fn absent(machine: Machine) -> Checked {
    let options = machine.options();
    let refused = Postgres::open(&machine.url, options.clone().migrate(false)).await;
    assert!(matches!(
        refused,
        Err(PostgresOpenError::OlderSchema { found: 0, .. })
    ));
    drop(Postgres::open(&machine.url, options.clone()).await?);
    Postgres::open(&machine.url, options.migrate(false)).await?;
    Ok(())
}

async fn own_pool(machine: Machine) -> Checked {
    let manager = Manager::new(machine.url.parse()?, NoTls);
    let pool = Pool::builder(manager).max_size(2).build()?;
    let options = machine.options();
    let refused = Postgres::with_pool(pool.clone(), options.clone()).await;
    assert!(matches!(refused, Err(PostgresOpenError::Listen)));
    let options = options.listen(Listen::url(&machine.url)?);
    let store = Postgres::with_pool(pool.clone(), options).await?;
    let (id, epoch) = session(&store).await?;
    store.append(&id, chunk(1, epoch, &["a"]), seal()).await?;
    assert_eq!(texts(&store, &id).await?, ["a"]);
    assert!(pool.status().size > 0);
    assert_eq!(store.durability(), Durability::Host);
    let options = PostgresOptions::new().durability(Some(Durability::Process));
    let store = Postgres::with_pool(
        pool,
        options
            .schema(machine.schema())
            .listen(Listen::poll(Duration::ZERO)),
    );
    assert_eq!(store.await?.durability(), Durability::Process);
    Ok(())
}

async fn no_password(machine: Machine) -> Checked {
    let url = machine.url.replacen("postgres@", "postgres:hunter2@", 1);
    let options = machine.options().listen(Listen::url(&url)?);
    let store = Postgres::open(&url, options.clone()).await?;
    session(&store).await?;
    let shown = format!("{store:?} {options:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let wrong = Postgres::open("postgres://me:hunter2@127.0.0.1:1/x", options).await;
    let shown = format!("{:?}", wrong.err());
    assert!(!shown.contains("hunter2"), "{shown}");
    Ok(())
}

async fn tls(machine: Machine) -> Checked {
    let url = "host=127.0.0.1 user=postgres sslmode=require";
    let refused = Postgres::open(url, machine.options()).await;
    if cfg!(feature = "tls") {
        // The system does not trust the certificate of a test machine, if it has one.
        assert!(matches!(
            refused,
            Err(PostgresOpenError::Unavailable(_) | PostgresOpenError::Tls(_))
        ));
    } else {
        assert!(matches!(refused, Err(PostgresOpenError::TlsMissing)));
    }
    Ok(())
}

async fn corrupt(machine: Machine) -> Checked {
    let options = machine.options();
    let store = Postgres::open(&machine.url, options.clone()).await?;
    let damages = [
        "UPDATE @.chunks SET lengths = '\\x01' WHERE last = 4",
        "UPDATE @.chunks SET data = 'x' WHERE last = 4",
        "DELETE FROM @.chunks WHERE last = 4",
    ];
    for damage in damages {
        let (id, epoch) = session(&store).await?;
        for (first, records) in [(1, ["a", "b"]), (3, ["c", "d"]), (5, ["e", "f"])] {
            store
                .append(&id, chunk(first, epoch, &records), AfterAppend::Streaming)
                .await?;
        }
        let clear =
            "DELETE FROM @.chunks c USING @.sessions s WHERE c.session = s.number AND s.id <> $1";
        let client = machine.client().await;
        client
            .execute(&clear.replace('@', &options.schema), &[&id.as_str()])
            .await?;
        client
            .batch_execute(&damage.replace('@', &options.schema))
            .await?;
        let page = store.read(&id, Position::START, 1000).await?;
        let last = page.chunks.last().ok_or("no records")?.last();
        assert_eq!(last, Lsn::new(2), "{damage}");
        let page = store.read(&id, Position::after(last), 1000).await;
        assert!(
            matches!(page, Err(StoreError::Corrupt { lsn }) if lsn == Lsn::new(3)),
            "{damage}: {page:?}"
        );
    }
    Ok(())
}

async fn full_pages(machine: Machine) -> Checked {
    let store = machine.store().await;
    let (id, epoch) = session(&store).await?;
    // Many small records, then few large ones: the average is wrong for both.
    let large = "x".repeat(100_000);
    for lsn in 1..=400 {
        store
            .append(&id, chunk(lsn, epoch, &["x"]), AfterAppend::Streaming)
            .await?;
    }
    for lsn in 401..=404 {
        store
            .append(&id, chunk(lsn, epoch, &[&large]), AfterAppend::Streaming)
            .await?;
    }
    for (after, max, last) in [
        (0, 400, 400),
        (0, 399, 399),
        (0, 100_399, 400),
        (0, 100_400, 401),
        (399, 300_001, 403),
        (400, 1, 401),
        (404, 1000, 404),
        (0, usize::MAX, 404),
    ] {
        let page = store
            .read(&id, Position::after(Lsn::new(after)), max)
            .await?;
        let is = page.chunks.last().map_or(after, |chunk| chunk.last().get());
        assert_eq!(is, last, "{max} bytes after {after}");
    }
    // The part of a row before the position doesn't count.
    let (id, epoch) = session(&store).await?;
    let some = ["0123456789"; 3];
    for first in [1, 4] {
        store
            .append(&id, chunk(first, epoch, &some), AfterAppend::Streaming)
            .await?;
    }
    let page = store.read(&id, Position::after(Lsn::new(2)), 20).await?;
    assert_eq!(page.chunks.last().ok_or("no records")?.last(), Lsn::new(4));
    Ok(())
}

/// Checks a session whose owner appends so often that it never has to renew.
async fn set_back(machine: Machine) -> Checked {
    let options = machine.options();
    let store = Postgres::open(&machine.url, options.clone()).await?;
    let id = SessionId::random();
    let lease = Duration::from_millis(300);
    let new = unbroken::store::NewSession {
        lease,
        ..crate::fixture::new()
    };
    let unbroken::store::Created::Created(epoch) = store.create(&id, new).await? else {
        return Err("a random id was taken".into());
    };
    // As if the row had been written while the clock was an hour ahead.
    let ahead = "UPDATE @.sessions SET lease_until = lease_until + 3600000000, \
        lease_mark = lease_mark + 3600000000 WHERE id = $1";
    let client = machine.client().await;
    let ahead = ahead.replace('@', &options.schema);
    assert_eq!(client.execute(&ahead, &[&id.as_str()]).await?, 1);
    store
        .append(&id, chunk(1, epoch, &["a"]), AfterAppend::Streaming)
        .await?;
    tokio::time::sleep(lease * 2).await;
    let orphans = store.orphans(10).await?;
    assert_eq!(orphans.len(), 1);
    assert_eq!(orphans[0].id, id);
    Ok(())
}

async fn names(machine: Machine) -> Checked {
    let store = machine.store().await;
    let mut new = crate::fixture::new();
    let strange = "\u{0}'\"\\ \u{1f980}";
    let long = format!("{strange}{}", "x".repeat(128 - strange.len()));
    new.meta = std::sync::Arc::new(SessionMeta {
        owner: Some(Owner::new(long.as_str())),
        chat: Some(ChatId::new(long.as_str())),
        service: ServiceName::new(long.as_str()),
        ..SessionMeta::clone(&new.meta)
    });
    let id = SessionId::random();
    store.create(&id, new.clone()).await?;
    let abort = AbortRequest {
        reason: Some(long.as_str().into()),
    };
    store.abort(&id, abort.clone()).await?;
    let state = store.state(&id).await?;
    assert_eq!(state.meta, new.meta);
    assert_eq!(state.abort, Some(abort));
    for filter in [
        Filter {
            owner: new.meta.owner.clone(),
            ..Filter::default()
        },
        Filter {
            chat: new.meta.chat.clone(),
            ..Filter::default()
        },
    ] {
        assert_eq!(store.list(&filter).await?.sessions.len(), 1);
    }
    let strange = Filter {
        after: Some("' OR 1=1".to_owned()),
        ..Filter::default()
    };
    let page = store.list(&strange).await?;
    assert!(page.sessions.is_empty() && page.next.is_none());
    Ok(())
}
