//! The cost of appends, beside a bare XADD and a bare script of the same bytes in the same run, and of look-ups beside
//! many sessions of another owner: the figures of `docs/redis.md`. Run with `cargo bench -p unbroken-redis`; `REDIS_URL` is that of the tests.

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::task::JoinHandle;
use unbroken::{
    log::{ChatId, ChunkBuilder, Digest, Epoch, Lsn, Outcome, Owner, ServiceName, SessionId},
    store::{AfterAppend, Created, DeleteMode, NewSession, Seal, SessionMeta, Store, Token},
};
use unbroken_redis::{
    Redis, RedisOptions,
    redis::{self, Client, aio::MultiplexedConnection},
};

const RECORD: &[u8] = br#"{"type":"text","content":"Some words that a model could say, ok"}"#;
const PREFIX: &str = "unbroken-bench:";
const TIME: Duration = Duration::from_secs(3);
/// The sessions of another owner beside which a look-up is measured.
const OTHERS: usize = 40_000;

#[tokio::main]
async fn main() {
    let url = env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());
    let client = Client::open(url.as_str()).expect("a URL");
    let connected = client.get_multiplexed_async_connection().await;
    let bare = connected.expect("a server");
    let store = Redis::open(&url, RedisOptions::new().prefix(PREFIX)).await;
    let store = store.expect("a store");
    for (sessions, batch) in [(1, 1), (1, 64), (64, 1), (64, 64)] {
        println!("{sessions} sessions, batches of {batch}:");
        let ours = appends(&store, sessions, batch).await;
        println!("  the store:    {ours}");
        for (name, how) in [
            ("bare XADD:  ", How::Command),
            ("bare EVALSHA:", How::Script),
        ] {
            let theirs = commands(&bare, how, sessions, batch).await;
            println!(
                "  {name} {theirs}; the store makes {:.2} of its appends, answered {:.0} µs later, {:.1} times as long",
                ours.rate / theirs.rate,
                (ours.wait.as_secs_f64() - theirs.wait.as_secs_f64()) * 1e6,
                ours.wait.as_secs_f64() / theirs.wait.as_secs_f64(),
            );
        }
    }
    lookups(&store).await;
}

/// Measures the look-up of a page load on a server without other sessions, then beside `OTHERS` of another owner in a
/// chat of the same name.
async fn lookups(store: &Redis) {
    let (mine, chat) = (Owner::new("me"), ChatId::new("a chat"));
    let mut made = vec![session_in(store, Some(&mine), Some(&chat)).await];
    let mut medians = Vec::new();
    for others in [0, OTHERS] {
        let other = Owner::new("other");
        while made.len() <= others {
            let batch = (0..256.min(others + 1 - made.len())).map(|_| async {
                let (id, epoch) = session_in(store, Some(&other), Some(&chat)).await;
                let mut records = ChunkBuilder::new();
                records.push(RECORD);
                let chunk = records.take(Lsn::new(1), epoch).expect("a record");
                let seal = Seal::new(Outcome::Complete, Duration::from_secs(3600));
                let sealed = store.append(&id, chunk, AfterAppend::Seal(seal)).await;
                sealed.expect("a seal");
                (id, epoch)
            });
            made.extend(join_all(batch).await);
        }
        let mut waits = Vec::new();
        for _ in 0..5000 {
            let asked = Instant::now();
            let found = store.of_chat(Some(&mine), &chat, 1).await;
            assert_eq!(found.expect("an answer")[0].id, made[0].0);
            waits.push(asked.elapsed());
        }
        waits.sort_unstable();
        medians.push(waits[waits.len() / 2].as_secs_f64());
    }
    println!(
        "a look-up by owner and chat: {:.0} µs on an empty server, {:.2} of that beside {OTHERS} sessions of another owner",
        medians[0] * 1e6,
        medians[1] / medians[0]
    );
    for batch in made.chunks(256) {
        let deletions = batch
            .iter()
            .map(|(id, _)| store.delete(id, DeleteMode::Now));
        for deleted in join_all(deletions).await {
            deleted.expect("it is deleted");
        }
    }
}

/// Measures appends, one in flight in each session.
async fn appends(store: &Redis, sessions: usize, batch: usize) -> Figures {
    let mut made = Vec::new();
    for _ in 0..sessions {
        made.push(session(store).await);
    }
    let until = Instant::now() + TIME;
    let writers = made.iter().cloned().map(|(id, epoch)| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut waits = Vec::new();
            while Instant::now() < until {
                let mut records = ChunkBuilder::new();
                records.extend(std::iter::repeat_n(RECORD, batch));
                let first = Lsn::new((waits.len() * batch) as u64 + 1);
                let chunk = records.take(first, epoch).expect("records");
                let sent = Instant::now();
                let added = store.append(&id, chunk, AfterAppend::Streaming).await;
                added.expect("an append");
                waits.push(sent.elapsed());
            }
            waits
        })
    });
    let figures = Figures::of(writers.collect()).await;
    for (id, _) in made {
        let deleted = store.delete(&id, DeleteMode::Now).await;
        deleted.expect("it is deleted");
    }
    figures
}

/// The command that adds to a stream.
#[derive(Clone, Copy)]
enum How {
    Command,
    Script,
}

/// Measures the commands of the engine over one shared connection, one in flight in each stream.
async fn commands(
    connection: &MultiplexedConnection,
    how: How,
    sessions: usize,
    batch: usize,
) -> Figures {
    let script = "return redis.call('XADD', KEYS[1], ARGV[1], 'r', ARGV[2])";
    let mut load = redis::cmd("SCRIPT");
    let loaded = load.arg("LOAD").arg(script);
    let digest: String = loaded
        .query_async(&mut connection.clone())
        .await
        .expect("a script");
    let until = Instant::now() + TIME;
    let writers = (0..sessions).map(|number| {
        let (mut connection, digest) = (connection.clone(), digest.clone());
        let (key, data) = (format!("{PREFIX}bare-{number}"), RECORD.repeat(batch));
        tokio::spawn(async move {
            let mut waits = Vec::new();
            while Instant::now() < until {
                let id = format!("{}-1", (waits.len() + 1) * batch);
                let command = match how {
                    How::Command => {
                        let mut command = redis::cmd("XADD");
                        command.arg(&key).arg(id).arg("r").arg(&data);
                        command
                    }
                    How::Script => {
                        let mut command = redis::cmd("EVALSHA");
                        command.arg(&digest).arg(1).arg(&key).arg(id).arg(&data);
                        command
                    }
                };
                let sent = Instant::now();
                let added = command.exec_async(&mut connection).await;
                added.expect("an entry");
                waits.push(sent.elapsed());
            }
            let mut unlink = redis::cmd("UNLINK");
            let removed = unlink.arg(&key).exec_async(&mut connection).await;
            removed.expect("it is removed");
            waits
        })
    });
    Figures::of(writers.collect()).await
}

/// The result of a run.
struct Figures {
    rate: f64,
    /// The median latency.
    wait: Duration,
}

impl Figures {
    async fn of(writers: Vec<JoinHandle<Vec<Duration>>>) -> Self {
        let mut waits = Vec::new();
        for writer in writers {
            waits.extend(writer.await.expect("a writer"));
        }
        waits.sort_unstable();
        let count = u32::try_from(waits.len()).unwrap_or(u32::MAX);
        Self {
            rate: f64::from(count) / TIME.as_secs_f64(),
            wait: waits[waits.len() / 2],
        }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.0} a second, answered after {:?} (p50)",
            self.rate, self.wait
        )
    }
}

async fn session(store: &Redis) -> (SessionId, Epoch) {
    session_in(store, None, None).await
}

async fn session_in(
    store: &Redis,
    owner: Option<&Owner>,
    chat: Option<&ChatId>,
) -> (SessionId, Epoch) {
    let id = SessionId::random();
    let new = NewSession {
        meta: Arc::new(SessionMeta {
            owner: owner.cloned(),
            chat: chat.cloned(),
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
