//! The cost of a record on the server: the bytes are asserted, the times printed.

use std::time::Instant;

use libtest_mimic::{Failed, Trial};
use unbroken::{
    log::{Chunk, Position, SessionId},
    store::{Created, Store, StoreError},
};
use unbroken_redis::{
    Redis,
    redis::{self, aio::MultiplexedConnection},
};

use crate::support::{
    self, fixture,
    server::{self, Server},
    trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    let missing = server::missing();
    let missing = missing.as_ref();
    vec![
        trial("a_record_costs_little_more_than_its_bytes", missing, bytes),
        trial("the_memory_of_a_session_is_bounded", missing, session),
        trial("the_times_of_appends_and_pages_are_printed", missing, time),
    ]
}

/// The length of a typical event, in bytes.
const RECORD: &str = r#"{"type":"text","content":"a token or two of some answer, as is"}"#;

async fn fill(
    store: &Redis,
    id: &SessionId,
    epoch: unbroken::log::Epoch,
    appends: u64,
    batch: u64,
) -> Result<(), StoreError> {
    let records = vec![RECORD; usize::try_from(batch).unwrap_or(1)];
    for at in 0..appends {
        fixture::push(store, id, epoch, 1 + at * batch, &records).await?;
    }
    Ok(())
}

async fn memory(admin: &mut MultiplexedConnection, key: &str) -> u64 {
    let mut command = redis::cmd("MEMORY");
    command.arg("USAGE").arg(key).arg("SAMPLES").arg(0);
    let usage: Option<u64> = command.query_async(admin).await.expect("MEMORY works");
    usage.unwrap_or(0)
}

async fn bytes() -> Result<(), Failed> {
    let server = Server::start(&[]).await;
    let mut admin = support::connect(&server.url()).await;
    for (batch, most) in [(1_u64, 480), (8, 240), (64, 300)] {
        let options = support::options();
        let prefix = options.prefix.clone();
        let store = server.open(options).await;
        let (id, epoch) = fixture::created(&store).await;
        let count = 6400;
        fill(&store, &id, epoch, count / batch, batch).await?;
        let end = fixture::chunk(count + 1, epoch, &[RECORD]);
        store.append(&id, end, fixture::sealed()).await?;
        let key = |what: &str| format!("{prefix}{{{id}}}:{what}");
        let log = memory(&mut admin, &key("log")).await;
        let rest = memory(&mut admin, &key("session")).await
            + memory(&mut admin, &key("tombstone")).await
            + memory(&mut admin, &key("request")).await;
        let payload = (count + 1) * RECORD.len() as u64;
        // In tenths of a byte.
        let over = log.saturating_sub(payload) * 10 / count;
        println!(
            "{} bytes a record, appended {batch} at a time: {}.{} bytes more each in Redis; {rest} bytes a session beside its log",
            RECORD.len(),
            over / 10,
            over % 10
        );
        assert!(over < most, "{over} tenths of a byte a record");
        assert!(rest < 1200, "{rest} bytes a session");
    }
    Ok(())
}

/// Measures sessions of many owners, with their entries in the indexes.
async fn session() -> Result<(), Failed> {
    const COUNT: u32 = 2000;
    let server = Server::start(&[]).await;
    let mut admin = support::connect(&server.url()).await;
    let store = server.open(support::options()).await;
    let before = used(&mut admin).await?;
    for at in 0..COUNT {
        let (id, new) = (SessionId::random(), fixture::new_of(&format!("owner {at}")));
        let Created::Created(epoch) = store.create(&id, new).await? else {
            panic!("a random id was taken");
        };
        let end = fixture::chunk(1, epoch, &["z"]);
        store.append(&id, end, fixture::sealed()).await?;
    }
    let each = used(&mut admin).await?.saturating_sub(before) / u64::from(COUNT);
    println!("a finished session of one record, an owner each: {each} bytes in all");
    // The last node of a stream is allocated whole: 4 KiB.
    assert!(each < 4096 + 2500, "{each} bytes");
    Ok(())
}

async fn used(admin: &mut MultiplexedConnection) -> Result<u64, Failed> {
    let info: String = redis::cmd("INFO").arg("memory").query_async(admin).await?;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    Ok(line.ok_or("no used_memory")?.trim().parse()?)
}

async fn cpu(admin: &mut MultiplexedConnection) -> f64 {
    let info: String = redis::cmd("INFO")
        .arg("cpu")
        .query_async(admin)
        .await
        .expect("INFO works");
    let of = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().parse::<f64>().ok())
    };
    of("used_cpu_user:").unwrap_or(0.0) + of("used_cpu_sys:").unwrap_or(0.0)
}

async fn time() -> Result<(), Failed> {
    let server = Server::start(&[]).await;
    let mut admin = support::connect(&server.url()).await;
    let store = server.open(support::options()).await;
    for (appends, batch) in [(2000_u64, 1_u64), (1000, 64)] {
        let (id, epoch) = fixture::created(&store).await;
        let (began, before) = (Instant::now(), cpu(&mut admin).await);
        fill(&store, &id, epoch, appends, batch).await?;
        let used = cpu(&mut admin).await - before;
        let each = used * 1e6 / f64::from(u32::try_from(appends)?);
        println!(
            "an append of {batch}: {:?}, {each:.0} µs of the server's CPU",
            began.elapsed() / u32::try_from(appends)?
        );
        let (began, before) = (Instant::now(), cpu(&mut admin).await);
        let mut at = Position::START;
        let mut pages = 0;
        while at.lsn.get() < appends * batch {
            let page = store.read(&id, at, 256 << 10).await?;
            let last = page.chunks.last().ok_or("an empty page")?;
            at = Position::tagged(last.last(), last.epoch().tag());
            pages += 1;
            assert!(page.chunks.iter().map(Chunk::bytes).sum::<usize>() <= 256 << 10);
        }
        let used = (cpu(&mut admin).await - before) * 1e3;
        println!(
            "{} records that were appended {batch} at a time, read in {pages} pages: {:?}, {used:.1} ms of the server's CPU",
            appends * batch,
            began.elapsed()
        );
    }
    Ok(())
}
