//! The kinds of work that are measured.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use crate::{
    client::{self, Answer, BodyFigures, Window},
    process::Server,
    report::{compare, median, milliseconds, percentile, single, title},
};

fn ask(words: &str) -> String {
    format!(r#"{{"messages":[{{"role":"user","content":"{words}"}}]}}"#)
}

async fn bare(server: &Server, words: &str) -> Answer {
    client::send(server.address, "POST", "/bare", &ask(words)).await
}

async fn ours(server: &Server, words: &str) -> Answer {
    client::send(server.address, "POST", "/ours", &ask(words)).await
}

fn session_of(answer: &Answer) -> String {
    let id = answer
        .header("x-session-id")
        .expect("our answers name their session");
    format!("/ours/{id}")
}

/// Measures one session with one reader, at full speed.
pub(crate) async fn live(events: usize, rounds: usize) {
    title(&format!(
        "one session, one reader, {events} events as fast as it goes"
    ));
    let server = Server::start();
    let words = format!("fast {events}");
    let (mut rates, mut times) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for round in 0..=rounds {
        let cpu = server.cpu();
        let b: BodyFigures = bare(&server, &words).await.read().await;
        let between = server.cpu();
        let o: BodyFigures = ours(&server, &words).await.read().await;
        let after = server.cpu();
        assert!(b.lines >= events && o.lines >= events, "{b:?} {o:?}");
        if round == 0 {
            continue;
        }
        rates.0.push(events as f64 / b.whole.as_secs_f64() / 1e6);
        rates.1.push(events as f64 / o.whole.as_secs_f64() / 1e6);
        times.0.push(between - cpu);
        times.1.push(after - between);
    }
    compare(
        "million events/s",
        median(rates.0),
        median(rates.1),
        "M/s",
        ">= 1.00",
    );
    compare("server CPU", median(times.0), median(times.1), "ms", "");
}

/// Measures a replay of a finished session from the start.
pub(crate) async fn replay(events: usize, rounds: usize) {
    title(&format!("replay of a finished session of {events} events"));
    let server = Server::start();
    let answer = ours(&server, &format!("fast {events}")).await;
    let path = session_of(&answer);
    let whole = answer.read().await;
    let (mut bare_times, mut our_times, mut firsts) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        let b = bare(&server, &format!("bytes {}", whole.bytes))
            .await
            .read()
            .await;
        let o = client::send(server.address, "GET", &path, "")
            .await
            .read()
            .await;
        assert!(o.lines >= events);
        if round > 0 {
            bare_times.push(milliseconds(b.whole));
            our_times.push(milliseconds(o.whole));
            firsts.push(milliseconds(o.first_byte));
        }
    }
    compare(
        "whole, against 64 KiB chunks",
        median(bare_times),
        median(our_times),
        "ms",
        "<= 1.20",
    );
    single("first byte", median(firsts), "ms", "<= 2");
}

/// Measures many readers of one live session.
pub(crate) async fn readers(readers: usize, pace: usize, length: Duration) {
    let goal = if readers > 100 { "<= 1.20" } else { "<= 1.10" };
    title(&format!(
        "{readers} readers on one live session of {pace} events/s"
    ));
    let words = format!("pace {pace} {}", length.as_millis() + 30_000);
    let mut figures = Vec::new();
    for is_ours in [false, true] {
        let server = Server::start();
        let mut group = Readers::default();
        if is_ours {
            let first = ours(&server, &words).await;
            let path = session_of(&first);
            group.add(first);
            for _ in 1..readers {
                group.add(client::send(server.address, "GET", &path, "").await);
            }
        } else {
            group.add(bare(&server, &format!("cast {words}")).await);
            for _ in 1..readers {
                group.add(bare(&server, "watch").await);
            }
        }
        figures.push(group.measure(&server, length).await);
    }
    let [mut bare, mut ours] = <[Figures; 2]>::try_from(figures).expect("two");
    println!(
        "  events read: bare {}, ours {}",
        bare.delays.len(),
        ours.delays.len()
    );
    compare("server CPU", bare.cpu, ours.cpu, "ms", goal);
    let p99 = |figures: &mut Figures| percentile(&mut figures.delays, 99) as f64 / 1e6;
    compare("p99 delay", p99(&mut bare), p99(&mut ours), "ms", goal);
}

/// Measures many sessions at a human pace, with a reader each.
pub(crate) async fn sessions(sessions: usize, length: Duration) {
    title(&format!(
        "{sessions} sessions at 20 events/s, a reader each"
    ));
    let words = format!("pace 20 {}", length.as_millis() + 60_000);
    let (mut figures, mut peaks) = (Vec::new(), Vec::new());
    for is_ours in [false, true] {
        let server = Server::start();
        let mut group = Readers::default();
        for _ in 0..sessions {
            group.add(if is_ours {
                ours(&server, &words).await
            } else {
                bare(&server, &words).await
            });
        }
        figures.push(group.measure(&server, length).await);
        peaks.push(server.peak_resident() as f64 / 1e6);
    }
    let (bare, ours) = (&figures[0], &figures[1]);
    println!(
        "  events read: bare {}, ours {}",
        bare.delays.len(),
        ours.delays.len()
    );
    let per_event = |group: &Figures, count: u64| count as f64 / group.delays.len() as f64;
    compare("server CPU", bare.cpu, ours.cpu, "ms", "<= 1.30");
    compare("peak resident memory", peaks[0], peaks[1], "MB", "");
    compare(
        "allocations an event",
        per_event(bare, bare.allocations),
        per_event(ours, ours.allocations),
        "",
        "<= bare + 2",
    );
    compare(
        "bytes allocated an event",
        per_event(bare, bare.allocated),
        per_event(ours, ours.allocated),
        "B",
        "",
    );
}

/// Measures the heap that a running session holds, hyper's connection included.
pub(crate) async fn heap(sessions: usize) {
    title(&format!("heap of each of {sessions} running sessions"));
    for (is_ours, has_reader) in [(false, true), (true, true), (true, false)] {
        for events in [0_u64, 100, 10_000] {
            let server = Server::start();
            // What the server allocates once doesn't count.
            ours(&server, "fast 1").await.read().await;
            bare(&server, "fast 1").await.read().await;
            let before = server.heap().await.live;
            let words = format!("hold {events}");
            let mut open = Vec::new();
            for _ in 0..sessions {
                let answer = if is_ours {
                    ours(&server, &words).await
                } else {
                    bare(&server, &words).await
                };
                if has_reader {
                    open.push(tokio::spawn(answer.delays(Arc::default())));
                }
            }
            let held = settled(&server).await.saturating_sub(before);
            // A record of this benchmark has 65 bytes, and four bytes for its end.
            let records = if is_ours { events * 69 } else { 0 };
            let beside = held as f64 / sessions as f64 - records as f64;
            let who = match (is_ours, has_reader) {
                (false, _) => "bare body",
                (true, true) => "with a reader",
                (true, false) => "no reader",
            };
            single(
                &format!("{who}, {events} events"),
                beside,
                "B",
                "<= bare + 8192, records apart",
            );
            open.iter().for_each(JoinHandle::abort);
        }
    }
}

/// Readers that read from the beginning, and are measured together later.
#[derive(Default)]
struct Readers {
    window: Arc<Window>,
    tasks: Vec<JoinHandle<Vec<u64>>>,
}

/// Returns the bytes that the server holds once it has no more events to write.
async fn settled(server: &Server) -> u64 {
    let mut last = server.heap().await;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = server.heap().await;
        // A request for the counts, and the timers of silent sessions, allocate a little.
        if now.allocations - last.allocations < 500 {
            return now.live;
        }
        last = now;
    }
}

/// The figures of readers over some time.
#[derive(Debug)]
struct Figures {
    /// The server's processor time in milliseconds.
    cpu: f64,
    /// The server's allocations, and their bytes.
    allocations: u64,
    allocated: u64,
    /// The delay of each event.
    delays: Vec<u64>,
}

impl Readers {
    fn add(&mut self, answer: Answer) {
        let delays = answer.delays(self.window.clone());
        self.tasks.push(tokio::spawn(delays));
    }

    /// Returns the figures over this length, once all readers keep up.
    async fn measure(self, server: &Server, length: Duration) -> Figures {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let heap = server.heap().await;
        self.window.open();
        let before = server.cpu();
        tokio::time::sleep(length).await;
        let cpu = server.cpu() - before;
        self.window.close();
        let after = server.heap().await;
        let mut delays = Vec::new();
        for task in self.tasks {
            delays.extend(task.await.expect("a reader reads"));
        }
        Figures {
            cpu,
            allocations: after.allocations - heap.allocations,
            allocated: after.allocated - heap.allocated,
            delays,
        }
    }
}

/// Measures the memory of finished sessions without readers.
pub(crate) async fn memory(sessions: usize, events: usize) {
    title(&format!(
        "{sessions} finished sessions of {events} events, without readers"
    ));
    let server = Server::start();
    let words = format!("fast {events}");
    let mut bytes = 0;
    // The allocator and the runtime grow once, which does not count.
    for _ in 0..50 {
        ours(&server, &words).await.read().await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = server.resident();
    for _ in 0..sessions {
        let answer = ours(&server, &words).await;
        let tail = answer.read().await;
        // Without the chunk framing and the `{"lsn":N,"event":…}` around each record.
        bytes += tail.bytes;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let each = (server.resident() - before) as f64 / sessions as f64;
    let body = bytes as f64 / sessions as f64;
    println!("  NDJSON bytes a session {body:.0}");
    single(
        "resident bytes a session",
        each,
        "B",
        "<= 1.3 x record bytes + 1 KiB",
    );
    // A record of this benchmark has 65 bytes.
    let records = events as f64 * 65.0;
    single(
        "of its record bytes, less 1 KiB",
        (each - 1024.0) / records,
        "x",
        "<= 1.30",
    );
}

/// Measures the time from POST to the response head, with a silent provider and a fast one.
pub(crate) async fn head(rounds: usize) {
    title("from POST to response head");
    let server = Server::start();
    let mut times = (Vec::new(), Vec::new());
    let mut open = Vec::new();
    for _ in 0..rounds {
        let begun = Instant::now();
        open.push(ours(&server, "silent").await);
        times.0.push(milliseconds(begun.elapsed()));
        let begun = Instant::now();
        open.push(ours(&server, "fast 10").await);
        times.1.push(milliseconds(begun.elapsed()));
    }
    single("provider silent", median(times.0), "ms", "as below");
    single("provider talks at once", median(times.1), "ms", "as above");
}

/// Measures the time from an abort to the drop of the provider's stream.
pub(crate) async fn abort(rounds: usize) {
    title("abort to provider dropped, same server");
    let server = Server::start();
    let mut times = Vec::new();
    for _ in 0..rounds {
        let answer = ours(&server, "silent").await;
        let path = format!("{}/abort", session_of(&answer));
        tokio::time::sleep(Duration::from_millis(5)).await;
        let asked = client::nanoseconds();
        drop(client::send(server.address, "POST", &path, "").await);
        let body = client::send(server.address, "GET", "/dropped", "")
            .await
            .text()
            .await;
        let dropped: u64 = body.trim().parse().expect("the time of the drop");
        times.push(dropped.saturating_sub(asked));
    }
    single(
        "p99",
        percentile(&mut times, 99) as f64 / 1e6,
        "ms",
        "<= 50",
    );
}
