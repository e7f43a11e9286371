//! The cost of a page load by a chat's name beside many sessions of others, as a ratio to one on an empty
//! store.
//!
//! ```text
//! cargo bench -p server-tests --bench page_load
//! cargo bench -p server-tests --bench page_load -- 40000 memory disk redis://127.0.0.1 postgres://…
//! ```
//!
//! The sessions of others have the same chat name: they run, have ended, or are tombstones. Loads of both
//! stores take turns, in this process.

use std::{
    collections::HashMap,
    convert::Infallible,
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{
    Request, Response, StatusCode,
    request::{self, Parts},
};
use http_body_util::Full;
use tower::{Layer as _, ServiceExt as _, util::BoxCloneService};
use unbroken::{
    BoxError,
    access::OnlyTheOwner,
    chat::{ChatEvent, provider_fn},
    dialect::AiSdk,
    durable::{ChatFormat, DurableLayer, SessionBody},
    log::{ChatId, ChunkBuilder, Digest, Lsn, Outcome, Owner, ServiceName, SessionId},
    session::{Format as _, Sessions},
    store::{
        AfterAppend, Created, DeleteMode, Memory, NewSession, Seal, SessionMeta, Store, Token,
    },
};
use unbroken_disk::{Disk, DiskOptions};
use unbroken_postgres::{
    Postgres, PostgresOptions,
    tokio_postgres::{self, NoTls},
};
use unbroken_redis::{Redis, RedisOptions, redis};

/// Shorter than an id.
const CHAT: &str = "a-chat-of-a-page";
/// Longer than the bench takes.
const HOUR: Duration = Duration::from_secs(3600);
/// The number of concurrent writes while a store is filled.
const WRITES: usize = 64;
const LOADS: usize = 300;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let (mut others, mut urls) = (40_000, Vec::new());
    for argument in env::args().skip(1).filter(|it| !it.starts_with("--")) {
        match argument.parse() {
            Ok(count) => others = count,
            Err(_) => urls.push(argument),
        }
    }
    if urls.is_empty() {
        urls.extend(["memory".to_owned(), "disk".to_owned()]);
        urls.extend(
            ["REDIS_URL", "POSTGRES_URL"]
                .map(env::var)
                .into_iter()
                .flatten(),
        );
    }
    println!("| store | page | loads | empty, p50 | {others} of others, p50 | ratio | goal |");
    println!("|---|---|---|---|---|---|---|");
    for url in urls {
        let (empty, crowded) = (
            Space::open(&url, "empty").await?,
            Space::open(&url, "crowd").await?,
        );
        if url.contains("://") {
            // By connections of its own, so that both stores that are compared have made as few.
            let other = Space::open(&url, "crowd").await?;
            crowd(&*other.store, others).await?;
        } else {
            crowd(&*crowded.store, others).await?;
        }
        for (page, expected) in [("nothing runs", 204), ("an answer runs", 200)] {
            if expected == 200 {
                for space in [&empty, &crowded] {
                    let started = space.start().await;
                    if started != StatusCode::OK {
                        return Err(format!("{url}: {started} for a start").into());
                    }
                }
            }
            compare(&url, page, expected, &empty, &crowded).await?;
        }
        for space in [empty, crowded] {
            space.clean(&url).await?;
        }
    }
    Ok(())
}

/// Prints the median times of page loads on both stores.
async fn compare(
    url: &str,
    page: &str,
    expected: u16,
    empty: &Space,
    crowded: &Space,
) -> Result<(), BoxError> {
    let expected = StatusCode::from_u16(expected)?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for load in 0..LOADS + 50 {
        for (space, times) in [(empty, &mut alone), (crowded, &mut beside)] {
            let began = Instant::now();
            let status = space.load().await;
            let took = began.elapsed();
            if status != expected {
                return Err(format!("{url}, {page}: {status} instead of {expected}").into());
            }
            // Connections are made and statements prepared before.
            if load >= 50 {
                times.push(took);
            }
        }
    }
    let (alone, beside) = (median(alone), median(beside));
    let ratio = beside.as_secs_f64() / alone.as_secs_f64();
    let store = url.split(':').next().unwrap_or(url);
    println!("| {store} | {page} | {LOADS} | {alone:?} | {beside:?} | {ratio:.2} | 1.2 |");
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A store, and the sessions of a server on it.
struct Space {
    name: String,
    store: Arc<dyn Store>,
    sessions: Sessions,
    service: BoxCloneService<Request<Full<Bytes>>, Response<SessionBody>, Infallible>,
    _folder: tempfile::TempDir,
}

impl Space {
    async fn open(url: &str, name: &str) -> Result<Self, BoxError> {
        let name = format!("page_load_{}_{name}", std::process::id());
        let folder = tempfile::tempdir()?;
        let store: Arc<dyn Store> = match url.split(':').next() {
            Some("memory") => Arc::new(Memory::new()),
            Some("disk") => Arc::new(Disk::open(folder.path(), DiskOptions::new()).await?),
            Some("redis") => {
                let options = RedisOptions::new().prefix(format!("{name}:"));
                Arc::new(Redis::open(url, options).await?)
            }
            Some("postgres") => {
                Arc::new(Postgres::open(url, PostgresOptions::new().schema(&*name)).await?)
            }
            _ => {
                return Err(format!(
                    "`{url}` is not a store: give memory, disk, redis://… or postgres://…"
                )
                .into());
            }
        };
        let sessions = Sessions::builder(store.clone()).build();
        let service = DurableLayer::new(sessions.clone(), OnlyTheOwner::new(owner))
            .dialect(AiSdk::new())
            .layer(provider_fn(|_| {
                stream::pending::<Result<ChatEvent, BoxError>>()
            }));
        Ok(Self {
            name,
            sessions,
            service: BoxCloneService::new(service),
            store,
            _folder: folder,
        })
    }

    /// Loads the page, up to the head of the response.
    async fn load(&self) -> StatusCode {
        let request = Request::get(format!("/{CHAT}/stream"));
        self.send(request, "").await
    }

    /// Starts an answer that never ends.
    async fn start(&self) -> StatusCode {
        let message = r#"{"id":"m","role":"user","parts":[{"type":"text","text":"Hi"}]}"#;
        let body = format!(r#"{{"id":"{CHAT}","messages":[{message}]}}"#);
        let request = Request::post("/").header("content-type", "application/json");
        self.send(request, &body).await
    }

    async fn send(&self, request: request::Builder, body: &str) -> StatusCode {
        let body = Full::from(body.to_owned());
        let request = request.header("x-owner", "me").body(body);
        let request = request.expect("a request");
        let Ok(response) = self.service.clone().oneshot(request).await;
        response.status()
    }

    async fn clean(self, url: &str) -> Result<(), BoxError> {
        self.sessions.shutdown(Duration::ZERO).await;
        match url.split(':').next() {
            Some("redis") => {
                let connection = redis::Client::open(url)?;
                let mut connection = connection.get_multiplexed_async_connection().await?;
                let mut cursor = 0_u64;
                loop {
                    let mut scan = redis::cmd("SCAN");
                    scan.arg(cursor)
                        .arg("MATCH")
                        .arg(format!("{}:*", self.name));
                    let found = scan.arg("COUNT").arg(5000).query_async(&mut connection);
                    let (next, keys): (u64, Vec<Vec<u8>>) = found.await?;
                    if !keys.is_empty() {
                        redis::cmd("UNLINK")
                            .arg(keys)
                            .exec_async(&mut connection)
                            .await?;
                    }
                    cursor = next;
                    if cursor == 0 {
                        return Ok(());
                    }
                }
            }
            Some("postgres") => {
                let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
                tokio::spawn(connection);
                let drop = format!("DROP SCHEMA {} CASCADE", self.name);
                client.batch_execute(&drop).await?;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn owner(head: &mut Parts) -> Option<Owner> {
    let name = head.headers.get("x-owner")?.to_str().ok()?;
    Some(Owner::new(name))
}

/// The state in which a session is left.
#[derive(Clone, Copy)]
enum Fate {
    Runs,
    Ended,
    Deleted,
}

/// Makes sessions of a hundred others in chats of the same name.
async fn crowd(store: &dyn Store, count: usize) -> Result<(), BoxError> {
    let owners: HashMap<_, _> = (0..100)
        .map(|at| (at, Owner::new(format!("other {at}"))))
        .collect();
    let made = stream::iter(0..count).map(|at| {
        let fate = match at % 8 {
            0 | 1 => Fate::Runs,
            2 => Fate::Deleted,
            _ => Fate::Ended,
        };
        session(store, at, &owners[&(at % 100)], fate)
    });
    made.buffer_unordered(WRITES).try_collect().await
}

async fn session(store: &dyn Store, at: usize, owner: &Owner, fate: Fate) -> Result<(), BoxError> {
    let id = SessionId::random();
    let new = NewSession {
        meta: Arc::new(SessionMeta {
            owner: Some(owner.clone()),
            chat: Some(ChatId::new(CHAT)),
            service: ServiceName::new("a service"),
            digest: Digest([u8::try_from(at % 256)?; 32]),
            format: ChatFormat::new().number(),
            outbox: None,
        }),
        request: Bytes::from_static(b"{}"),
        token: Token::random(),
        lease: HOUR,
        tombstone: HOUR,
    };
    let Created::Created(epoch) = store.create(&id, new).await? else {
        return Err("a random id is in use".into());
    };
    let mut records = ChunkBuilder::new();
    records.push(br#"{"type":"text","content":"Hi"}"#);
    let chunk = records.take(Lsn::new(1), epoch).ok_or("no record")?;
    let seal = Seal::new(Outcome::Complete, HOUR);
    match fate {
        Fate::Runs => drop(store.append(&id, chunk, AfterAppend::Streaming).await?),
        Fate::Ended => drop(store.append(&id, chunk, AfterAppend::Seal(seal)).await?),
        Fate::Deleted => store.delete(&id, DeleteMode::Now).await?,
    }
    Ok(())
}
