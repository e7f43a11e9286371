//! The cost of appends and replays, beside a bare INSERT of the same bytes and a row for each record: the
//! figures of `docs/postgres.md`. Run with `cargo bench -p unbroken-postgres`; `POSTGRES_URL` is that of
//! the tests.

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use unbroken::{
    log::{Chunk, ChunkBuilder, Digest, Epoch, Lsn, Position, ServiceName, SessionId},
    store::{AfterAppend, Created, NewSession, SessionMeta, Store, Token},
};
use unbroken_postgres::{
    Postgres, PostgresOptions,
    tokio_postgres::{self, Client, NoTls},
};

const SCHEMA: &str = "bench_unbroken";
const RECORD: &[u8] = br#"{"type":"text","content":"Some words that a model could say, ok"}"#;

#[tokio::main]
async fn main() {
    let url = env::var("POSTGRES_URL")
        .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/test".to_owned());
    let (client, connection) = tokio_postgres::connect(&url, NoTls)
        .await
        .expect("a server");
    tokio::spawn(connection);
    let drop = format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE");
    client.batch_execute(&drop).await.expect("a clean start");
    for notify in [true, false] {
        let options = PostgresOptions::new().schema(SCHEMA).notify(notify);
        let store = Postgres::open(&url, options).await.expect("a store");
        println!("notify: {notify}");
        for (sessions, batch) in [(1, 64), (16, 64), (1, 1), (16, 1)] {
            let store = appends(&store, sessions, batch).await;
            let bare = bare(&url, sessions, batch).await;
            println!(
                "      of the bare INSERTs {:.2}; answered {:.2} ms later (p50), {:.1} times as long",
                store.rate / bare.rate,
                (store.wait.as_secs_f64() - bare.wait.as_secs_f64()) * 1e3,
                store.wait.as_secs_f64() / bare.wait.as_secs_f64(),
            );
        }
    }
    let store = Postgres::open(&url, PostgresOptions::new().schema(SCHEMA))
        .await
        .expect("a store");
    for batch in [64, 8, 1] {
        replay(&store, &client, batch).await;
    }
    row_per_record(&client).await;
    client.batch_execute(&drop).await.expect("a clean end");
}

/// Measures appends of a batch size in a number of sessions at once, for two seconds.
async fn appends(store: &Postgres, sessions: usize, batch: usize) -> Figures {
    let until = Instant::now() + Duration::from_secs(2);
    let writers: Vec<_> = (0..sessions)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let (id, epoch) = session(&store).await;
                let mut waits = Vec::new();
                while Instant::now() < until {
                    let sent = Instant::now();
                    append(&store, &id, epoch, waits.len() * batch, batch).await;
                    waits.push(sent.elapsed());
                }
                waits
            })
        })
        .collect();
    let figures = Figures::of(writers).await;
    println!(
        "  {sessions:2} sessions, batches of {batch:2}: {:.0} appends/s, {:.0} records/s, answered after {:?} (p50)",
        figures.rate,
        figures.rate * f64::from(u32::try_from(batch).unwrap_or(u32::MAX)),
        figures.wait,
    );
    figures
}

/// Measures an INSERT of the same bytes as one row, the cost of a commit of the engine, with a connection
/// for each session.
async fn bare(url: &str, sessions: usize, batch: usize) -> Figures {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a server");
    tokio::spawn(connection);
    let setup = format!(
        "DROP TABLE IF EXISTS {SCHEMA}.bare; CREATE TABLE {SCHEMA}.bare (session bigint, last bigint,
             data bytea, PRIMARY KEY (session, last))"
    );
    client.batch_execute(&setup).await.expect("a table");
    let until = Instant::now() + Duration::from_secs(2);
    let writers: Vec<_> = (0_i64..)
        .take(sessions)
        .map(|number| {
            let (url, data) = (url.to_owned(), RECORD.repeat(batch));
            tokio::spawn(async move {
                let connected = tokio_postgres::connect(&url, NoTls).await;
                let (client, connection) = connected.expect("a server");
                tokio::spawn(connection);
                let insert = format!("INSERT INTO {SCHEMA}.bare VALUES ($1, $2, $3)");
                let insert = client.prepare(&insert).await.expect("a statement");
                let (mut waits, mut last) = (Vec::new(), 0_i64);
                while Instant::now() < until {
                    let sent = Instant::now();
                    last += 1;
                    let inserted = client.execute(&insert, &[&number, &last, &data]).await;
                    inserted.expect("an insert");
                    waits.push(sent.elapsed());
                }
                waits
            })
        })
        .collect();
    let figures = Figures::of(writers).await;
    println!(
        "      bare INSERTs: {:.0} a second, answered after {:?} (p50)",
        figures.rate, figures.wait
    );
    figures
}

/// The result of two seconds of appends.
struct Figures {
    rate: f64,
    /// The median latency.
    wait: Duration,
}

impl Figures {
    async fn of(writers: Vec<tokio::task::JoinHandle<Vec<Duration>>>) -> Self {
        let mut waits = Vec::new();
        for writer in writers {
            waits.extend(writer.await.expect("a writer"));
        }
        waits.sort_unstable();
        Self {
            rate: f64::from(u32::try_from(waits.len()).unwrap_or(u32::MAX)) / 2.0,
            wait: waits[waits.len() / 2],
        }
    }
}

/// Measures reads of a log of 100,000 records, from the start and from the middle.
async fn replay(store: &Postgres, client: &Client, batch: usize) {
    const RECORDS: u32 = 100_000;
    let records = RECORDS as usize;
    let clear = format!("TRUNCATE {SCHEMA}.chunks");
    client.batch_execute(&clear).await.expect("a clean start");
    let (id, epoch) = session(store).await;
    for at in (0..records).step_by(batch) {
        append(store, &id, epoch, at, batch.min(records - at)).await;
    }
    let size = size(client, "chunks").await;
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..3 {
        let began = Instant::now();
        let (mut at, mut count, mut first) = (Position::START, 0, None);
        while count < records {
            let page = store.read(&id, at, 256 << 10).await.expect("a page");
            first.get_or_insert_with(|| began.elapsed());
            count += page.chunks.iter().map(Chunk::len).sum::<usize>();
            at = Position::after(page.chunks.last().expect("a chunk").last());
        }
        best = best.min((began.elapsed(), first.unwrap_or_default()));
    }
    let began = Instant::now();
    for at in (1..1000).map(|at| at * 97) {
        let at = Position::tagged(Lsn::new(at), epoch.tag());
        store.read(&id, at, 4 << 10).await.expect("a page");
    }
    println!(
        "replay of {RECORDS} in batches of {batch:2}: {:?}, first page {:?}; a page of 4 KiB from \
         anywhere {:?}; {} bytes a record on disk",
        best.0,
        best.1,
        began.elapsed() / 999,
        size / i64::from(RECORDS),
    );
}

/// Measures a table with a row for each record, by a plain statement.
async fn row_per_record(client: &Client) {
    const BATCHES: u32 = 1563;
    let setup = format!(
        "CREATE TABLE {SCHEMA}.heads (session bigint PRIMARY KEY, next bigint NOT NULL);
         INSERT INTO {SCHEMA}.heads VALUES (1, 1);
         CREATE TABLE {SCHEMA}.records (session bigint, lsn bigint, epoch bigint, data bytea,
             PRIMARY KEY (session, lsn))"
    );
    client.batch_execute(&setup).await.expect("the tables");
    let write = format!(
        "WITH l AS (UPDATE {SCHEMA}.heads SET next = next + $1 WHERE session = 1 AND next = $2 RETURNING 1)
         INSERT INTO {SCHEMA}.records SELECT 1, $2 + u.at - 1, 1, u.data
         FROM l, unnest($3::bytea[]) WITH ORDINALITY AS u (data, at)"
    );
    let write = client.prepare(&write).await.expect("a statement");
    let batch = vec![RECORD; 64];
    let began = Instant::now();
    let mut next = 1_i64;
    for _ in 0..BATCHES {
        client
            .execute(&write, &[&64_i64, &next, &batch])
            .await
            .expect("an append");
        next += 64;
    }
    let took = began.elapsed();
    let size = size(client, "records").await;
    let page = format!(
        "SELECT lsn, epoch, data FROM {SCHEMA}.records WHERE session = 1 AND lsn > $1 ORDER BY lsn LIMIT 4032"
    );
    let page = client.prepare(&page).await.expect("a statement");
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let (began, mut at) = (Instant::now(), 0_i64);
        while at < 100_000 {
            let rows = client.query(&page, &[&at]).await.expect("a page");
            at = rows.last().expect("a row").get(0);
        }
        best = best.min(began.elapsed());
    }
    println!(
        "a row a record, batches of 64: {:.0} records/s from one session; replay {best:?}; {} bytes a record on disk",
        f64::from(BATCHES * 64) / took.as_secs_f64(),
        size / next,
    );
}

async fn session(store: &Postgres) -> (SessionId, Epoch) {
    let id = SessionId::random();
    let new = NewSession {
        meta: Arc::new(SessionMeta {
            owner: None,
            chat: None,
            service: ServiceName::new("bench"),
            digest: Digest([0; 32]),
            format: SessionMeta::LATEST_FORMAT,
            outbox: None,
        }),
        request: Bytes::from_static(b"{}"),
        token: Token::random(),
        lease: Duration::from_secs(60),
        tombstone: Duration::from_secs(1),
    };
    match store.create(&id, new).await.expect("a session") {
        Created::Created(epoch) => (id, epoch),
        Created::Exists(_) => unreachable!("ids are random"),
    }
}

async fn append(store: &Postgres, id: &SessionId, epoch: Epoch, after: usize, count: usize) {
    let mut batch = ChunkBuilder::new();
    batch.extend(std::iter::repeat_n(RECORD, count));
    let chunk = batch
        .take(Lsn::new(after as u64 + 1), epoch)
        .expect("records");
    store
        .append(id, chunk, AfterAppend::Streaming)
        .await
        .expect("an append");
}

async fn size(client: &Client, table: &str) -> i64 {
    let size = format!("SELECT pg_total_relation_size('{SCHEMA}.{table}')");
    client.query_one(&size, &[]).await.expect("a size").get(0)
}
