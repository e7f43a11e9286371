//! The server is down, has lost data, or is full.

use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use unbroken::{
    log::{Lsn, Position},
    store::{DeleteMode, LeaseChange, Store, StoreError, StoreExt, Token},
};
use unbroken_redis::redis;

use crate::support::{
    self, fixture,
    server::{self, Server},
    trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    let missing = server::missing();
    let missing = missing.as_ref();
    vec![
        trial("a_server_that_comes_back_is_used_again", missing, restart),
        trial(
            "scripts_that_the_server_lost_are_sent_again",
            missing,
            flushed,
        ),
        trial("a_full_server_refuses_and_keeps_what_it_has", missing, full),
        trial(
            "a_silent_server_is_unavailable_after_the_timeout",
            missing,
            silent,
        ),
        trial("lost_records_are_noticed", missing, rewound),
        trial("a_record_that_is_missing_is_corrupt", missing, corrupt),
    ]
}

async fn restart() -> Result<(), Failed> {
    let server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let store = server.open(support::options()).await;
    let (id, epoch) = fixture::created(&store).await;
    fixture::push(&store, &id, epoch, 1, &["a"]).await?;
    let seen = store.state(&id).await?.version();
    let waiter = {
        let (store, id) = (store.clone(), id.clone());
        tokio::spawn(async move {
            store
                .changed(&id, seen.into(), Duration::from_secs(60))
                .await
        })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;

    let killed = Instant::now();
    server.kill();
    let woken = waiter.await?;
    assert!(
        matches!(woken, Err(StoreError::Unavailable { .. })),
        "{woken:?}"
    );
    assert!(killed.elapsed() < Duration::from_secs(1));
    for _ in 0..3 {
        // The first may have been sent on the old connection; the others had none.
        let lost = fixture::push(&store, &id, epoch, 2, &["b"]).await;
        assert!(lost.is_err_and(|error| error.is_unavailable()));
    }
    let lost = fixture::push(&store, &id, epoch, 2, &["b"]).await;
    let error = lost.expect_err("nobody answers");
    assert!(fixture::is_unavailable(&error, false), "{error:?}");

    server.run();
    server.answers().await;
    let began = Instant::now();
    while let Err(error) = fixture::push(&store, &id, epoch, 2, &["b"]).await {
        assert!(error.is_unavailable(), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{error:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(fixture::texts(&store, &id).await, ["a", "b"]);

    let seen = store.state(&id).await?.version();
    let waiter = {
        let (store, id) = (store.clone(), id.clone());
        tokio::spawn(async move {
            store
                .changed(&id, seen.into(), Duration::from_secs(60))
                .await
        })
    };
    fixture::push(&store, &id, epoch, 3, &["c"]).await?;
    assert_eq!(waiter.await??.tail.get(), 3);
    Ok(())
}

async fn flushed() -> Result<(), Failed> {
    let server = Server::start(&[]).await;
    let store = server.open(support::options()).await;
    let mut admin = support::connect(&server.url()).await;
    let mut flush = redis::cmd("SCRIPT");
    flush.arg("FLUSH");
    let (id, epoch) = fixture::created(&store).await;
    for lsn in 1..=10 {
        flush.exec_async(&mut admin).await?;
        fixture::push(&store, &id, epoch, lsn, &["x"]).await?;
        flush.exec_async(&mut admin).await?;
        assert_eq!(store.state(&id).await?.tail.get(), lsn);
    }
    flush.exec_async(&mut admin).await?;
    store
        .append(&id, fixture::chunk(11, epoch, &["z"]), fixture::sealed())
        .await?;
    flush.exec_async(&mut admin).await?;
    assert_eq!(fixture::texts(&store, &id).await.len(), 11);
    flush.exec_async(&mut admin).await?;
    store.delete(&id, DeleteMode::Now).await?;
    Ok(())
}

async fn full() -> Result<(), Failed> {
    let server = Server::start(&["--maxmemory", "6mb", "--maxmemory-policy", "noeviction"]).await;
    let store = server.open(support::options()).await;
    let (id, epoch) = fixture::created(&store).await;
    let record = "x".repeat(500_000);
    let mut lsn = 1;
    let error = loop {
        match fixture::push(&store, &id, epoch, lsn, &[&record]).await {
            Ok(()) => lsn += 1,
            Err(error) => break error,
        }
        assert!(lsn < 100, "the server is never full");
    };
    assert!(fixture::is_unavailable(&error, false), "{error:?}");
    let tail = store.state(&id).await?.tail;
    assert_eq!(tail.get(), lsn - 1);
    assert_eq!(fixture::texts(&store, &id).await.len() as u64, lsn - 1);
    // A delete works on a full server.
    store.delete(&id, DeleteMode::Now).await?;
    fixture::created(&store).await;
    Ok(())
}

async fn silent() -> Result<(), Failed> {
    let server = Server::start(&[]).await;
    let options = support::options().response_timeout(Duration::from_millis(200));
    let store = server.open(options).await;
    let (id, epoch) = fixture::created(&store).await;
    let mut admin = support::connect(&server.url()).await;
    let mut pause = redis::cmd("CLIENT");
    pause.arg("PAUSE").arg(700).exec_async(&mut admin).await?;
    let began = Instant::now();
    let lost = fixture::push(&store, &id, epoch, 1, &["a"]).await;
    let error = lost.expect_err("the server is silent");
    assert!(fixture::is_unavailable(&error, true), "{error:?}");
    assert!(began.elapsed() < Duration::from_millis(600));
    while let Err(error) = fixture::push(&store, &id, epoch, 1, &["a"]).await {
        assert!(error.is_unavailable(), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{error:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(fixture::texts(&store, &id).await, ["a"]);
    Ok(())
}

/// A failover to a replica that lags: the server has lost the last writes.
async fn rewound() -> Result<(), Failed> {
    let server = Server::start(&[]).await;
    let options = support::options();
    let prefix = options.prefix.clone();
    let store = server.open(options).await;
    let (id, epoch) = fixture::created(&store).await;
    fixture::push(&store, &id, epoch, 1, &["a", "b", "c"]).await?;
    let mut admin = support::connect(&server.url()).await;
    let keys = ["session", "log"].map(|what| format!("{prefix}{{{id}}}:{what}"));
    let mut before: Vec<Vec<u8>> = Vec::new();
    for key in &keys {
        before.push(redis::cmd("DUMP").arg(key).query_async(&mut admin).await?);
    }
    fixture::push(&store, &id, epoch, 4, &["d", "e"]).await?;
    for (key, dump) in keys.iter().zip(&before) {
        let mut restore = redis::cmd("RESTORE");
        restore.arg(key).arg(0).arg(dump).arg("REPLACE");
        restore.exec_async(&mut admin).await?;
    }

    let tail = Lsn::new(3);
    let rewound =
        |error: &StoreError| matches!(error, StoreError::Rewound { tail: is } if *is == tail);
    let late = fixture::push(&store, &id, epoch, 6, &["f"]).await;
    assert!(rewound(late.as_ref().unwrap_err()), "{late:?}");
    let at = Position::tagged(Lsn::new(5), epoch.tag());
    let page = store.read(&id, at, 1000).await;
    assert!(rewound(page.as_ref().unwrap_err()), "{page:?}");

    // Another server writes other records with the same LSNs.
    let given = store
        .renew(&[(id.clone(), epoch)], LeaseChange::GiveBack)
        .await;
    assert!(given[0].is_ok(), "{given:?}");
    let claimed = store
        .claim(&id, epoch, Token::random(), fixture::LONG)
        .await?;
    fixture::push(&store, &id, claimed.epoch, 4, &["D", "E", "F"]).await?;
    let page = store.read(&id, at, 1000).await;
    assert!(matches!(page, Err(StoreError::Rewound { .. })), "{page:?}");
    let at = Position::tagged(tail, epoch.tag());
    assert_eq!(store.read(&id, at, 1000).await?.chunks[0].len(), 3);
    Ok(())
}

async fn corrupt() -> Result<(), Failed> {
    let server = Server::start(&[]).await;
    let options = support::options();
    let prefix = options.prefix.clone();
    let store = server.open(options).await;
    let (id, epoch) = fixture::created(&store).await;
    for (lsn, record) in [(1, "a"), (2, "b"), (3, "c")] {
        fixture::push(&store, &id, epoch, lsn, &[record]).await?;
    }
    let mut admin = support::connect(&server.url()).await;
    let log = format!("{prefix}{{{id}}}:log");
    let mut delete = redis::cmd("XDEL");
    delete.arg(&log).arg("2-1").exec_async(&mut admin).await?;
    let page = store.read(&id, Position::START, 1000).await?;
    assert_eq!(page.chunks.len(), 1, "what can be read is given");
    assert_eq!(page.chunks[0].last(), Lsn::new(1));
    let page = store.read(&id, Position::after(Lsn::new(1)), 1000).await;
    assert!(
        matches!(page, Err(StoreError::Corrupt { lsn }) if lsn == Lsn::new(2)),
        "{page:?}"
    );
    let page = store.read(&id, Position::after(Lsn::new(2)), 1000).await?;
    assert_eq!(page.chunks[0].first(), Lsn::new(3));
    Ok(())
}
