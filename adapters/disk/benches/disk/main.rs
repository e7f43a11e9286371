//! Measures the disk store: appends per second, each acknowledged after an fsync, for one session and
//! for many at once, beside a bare file with the same bytes; then the time to open a store, and the
//! memory of an idle session.
//!
//! Run `cargo bench -p unbroken-disk`, with a directory on the disk in question as the last argument.
#![expect(
    clippy::cast_precision_loss,
    reason = "the printed figures have three digits"
)]

use std::{
    env, fs,
    io::Write,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::task::JoinSet;
use unbroken::{
    log::{
        ChatId, Chunk, ChunkBuilder, Digest, Epoch, Lsn, Outcome, Owner, Position, ServiceName,
        SessionId,
    },
    store::{AfterAppend, Created, Filter, NewSession, Seal, SessionMeta, Store, Token},
};
use unbroken_disk::{Disk, DiskOptions};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    if let Some(at) = words.iter().position(|word| word == "opens") {
        return opens(Path::new(&words[at + 1])).await;
    }
    let parent = words.last().filter(|word| !word.starts_with("--"));
    let parent = parent.map_or_else(env::temp_dir, PathBuf::from);
    let path = parent.join(format!("unbroken-bench-{}", std::process::id()));
    for sessions in [1, 64, 1000] {
        for size in [60, 1024] {
            let store = appends(&path, sessions, size).await;
            let bare = bare(&path, sessions, size);
            println!(
                "      of a bare file's appends {:.2}; acknowledged {:.2} ms later (p50), {:.1} times as long",
                store.rate / bare.rate,
                (store.wait.as_secs_f64() - bare.wait.as_secs_f64()) * 1e3,
                store.wait.as_secs_f64() / bare.wait.as_secs_f64(),
            );
        }
    }
    idle(&path, 50_000).await;
}

/// The figures of a loop of appends.
struct Figures {
    /// Appends per second.
    rate: f64,
    /// The median time to the acknowledgement.
    wait: Duration,
}

/// Writes the same bytes to one file for three seconds: a record of each session, all in one write,
/// and an fsync.
fn bare(path: &Path, sessions: usize, size: usize) -> Figures {
    fs::create_dir_all(path).expect("a directory");
    let mut file = fs::File::create(path.join("bare")).expect("a file");
    let batch = vec![b'x'; sessions * size];
    let (start, mut waits) = (Instant::now(), Vec::new());
    while start.elapsed() < Duration::from_secs(3) {
        let sent = Instant::now();
        file.write_all(&batch).expect("it is written");
        file.sync_data().expect("it is stable");
        waits.push(sent.elapsed());
    }
    let rate = (waits.len() * sessions) as f64 / start.elapsed().as_secs_f64();
    waits.sort_unstable();
    let wait = waits[waits.len() / 2];
    println!(
        "      a bare file:     {rate:>7.0} appends/s, acknowledged after {:.2} ms (p50)",
        wait.as_secs_f64() * 1e3
    );
    fs::remove_dir_all(path).expect("it can be removed");
    Figures { rate, wait }
}

async fn open(path: &Path) -> Disk {
    let opened = Disk::open(path, DiskOptions::new()).await;
    opened.expect("the store can be opened")
}

async fn create_session(store: &Disk) -> (SessionId, Epoch) {
    let id = SessionId::random();
    let new = NewSession {
        meta: Arc::new(SessionMeta {
            owner: Some(Owner::new("an owner")),
            chat: Some(ChatId::new("a conversation")),
            service: ServiceName::new("chat"),
            digest: Digest([0; 32]),
            format: SessionMeta::LATEST_FORMAT,
            outbox: None,
        }),
        request: Bytes::from(vec![b'r'; 500]),
        token: Token::random(),
        lease: HOUR,
        tombstone: HOUR,
    };
    match store.create(&id, new).await {
        Ok(Created::Created(epoch)) => (id, epoch),
        other => panic!("a session is made: {other:?}"),
    }
}

fn record(lsn: u64, epoch: Epoch, size: usize) -> Chunk {
    let mut batch = ChunkBuilder::new();
    batch.push(&vec![b'x'; size]);
    let chunk = batch.take(Lsn::new(lsn), epoch);
    chunk.expect("there is a record in it")
}

/// Appends for three seconds, with one append in flight in each session.
async fn appends(path: &Path, sessions: usize, size: usize) -> Figures {
    let store = open(path).await;
    let mut writers = JoinSet::new();
    let mut created = Vec::new();
    for _ in 0..sessions {
        created.push(create_session(&store).await);
    }
    let (start, cpu) = (Instant::now(), cpu());
    for (id, epoch) in created {
        let store = store.clone();
        writers.spawn(async move {
            let mut waits = Vec::new();
            while start.elapsed() < Duration::from_secs(3) {
                let sent = Instant::now();
                let lsn = waits.len() as u64 + 1;
                let added = store.append(&id, record(lsn, epoch, size), AfterAppend::Streaming);
                added.await.expect("it is added");
                waits.push(sent.elapsed());
            }
            waits
        });
    }
    let mut waits: Vec<Duration> = writers.join_all().await.into_iter().flatten().collect();
    let (took, cpu) = (start.elapsed(), self::cpu() - cpu);
    waits.sort_unstable();
    let count = waits.len();
    println!(
        "{sessions:>5} sessions, {size:>4} B: {:>7.0} appends/s, {:.1} µs of processor each, acknowledged after {:.2} ms (p50), {:.2} ms (p99)",
        count as f64 / took.as_secs_f64(),
        cpu * 1e6 / count as f64,
        waits[count / 2].as_secs_f64() * 1e3,
        waits[count * 99 / 100].as_secs_f64() * 1e3,
    );
    store.close().await;
    fs::remove_dir_all(path).expect("it can be removed");
    Figures {
        rate: count as f64 / took.as_secs_f64(),
        wait: waits[count / 2],
    }
}

/// Measures a store that is opened with sealed sessions of 100 records of 60 bytes.
async fn idle(path: &Path, sessions: usize) {
    let store = open(path).await;
    let mut writers = JoinSet::new();
    for _ in 0..100 {
        let store = store.clone();
        writers.spawn(async move {
            for _ in 0..sessions / 100 {
                let (id, epoch) = create_session(&store).await;
                let mut batch = ChunkBuilder::new();
                batch.extend(std::iter::repeat_n(&[b'x'; 60][..], 50));
                let first = batch.take(Lsn::new(1), epoch).expect("records");
                batch.extend(std::iter::repeat_n(&[b'x'; 60][..], 50));
                let rest = batch.take(Lsn::new(51), epoch).expect("records");
                let added = store.append(&id, first, AfterAppend::Streaming).await;
                added.expect("it is added");
                let outcome = Outcome::Complete;
                let seal = AfterAppend::Seal(Seal::new(outcome, HOUR));
                store.append(&id, rest, seal).await.expect("it is added");
            }
        });
    }
    writers.join_all().await;
    store.close().await;
    let size: u64 = fs::read_dir(path)
        .expect("it is there")
        .map(|entry| entry.and_then(|e| e.metadata()).map_or(0, |m| m.len()))
        .sum();
    println!(
        "{sessions} sealed sessions: {:.1} MB in files",
        size as f64 / 1e6
    );
    let program = env::current_exe().expect("this program has a path");
    let child = Command::new(program).arg("opens").arg(path).status();
    child.expect("it runs");
    fs::remove_dir_all(path).expect("it can be removed");
}

async fn opens(path: &Path) {
    let before = resident();
    let start = Instant::now();
    let store = open(path).await;
    let took = start.elapsed();
    let all = Filter {
        limit: NonZeroUsize::new(usize::MAX),
        ..Filter::default()
    };
    let sessions = store.list(&all);
    let sessions = sessions.await.expect("they are listed").sessions;
    let (count, some) = (sessions.len(), sessions[0].id.clone());
    drop(sessions);
    let start = Instant::now();
    let page = store
        .read(&some, Position::START, 64 << 10)
        .await
        .expect("it is read");
    assert_eq!(page.chunks.iter().map(Chunk::len).sum::<usize>(), 100);
    println!(
        "opened in {:.2} s; {} bytes of memory a session at most; 100 records read in {:.2} ms",
        took.as_secs_f64(),
        (resident() - before) / count as u64,
        start.elapsed().as_secs_f64() * 1e3,
    );
}

/// Returns the processor time of this process in seconds.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux tells of processes");
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|field| field.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

/// Returns the resident memory of this process in bytes.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux tells of processes");
    let pages = statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("a count") * 4096
}
