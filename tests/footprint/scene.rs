//! Sessions whose events are let out one by one.

use std::{
    alloc::System,
    ops::Sub,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Body;
use http::{Request, header::CONTENT_TYPE};
use http_body_util::BodyExt as _;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tower::{Layer as _, ServiceExt as _};
use unbroken::{
    access::AnyoneWithTheId,
    chat::{ChatEvent, ChatRequest, provider_fn},
    durable::{DurableLayer, SessionBody},
    session::Sessions,
    store::Memory,
};

use super::tap::Tap;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The time between two events of a session.
const PACE: Duration = Duration::from_millis(50);
/// The events of one session that are made at a time.
const AT_ONCE: usize = 100;

/// Running sessions of one registry, on a runtime of one thread whose time is paused.
pub(crate) struct Scene {
    taps: Vec<Tap>,
    bodies: Vec<SessionBody>,
    record_bytes: usize,
    // The bytes that were allocated before the sessions that count.
    empty: usize,
    // The allocations for the events themselves, which the provider makes.
    made: Counts,
}

/// What was allocated until some moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) allocations: usize,
    pub(crate) bytes: usize,
}

impl Scene {
    /// Prepares so many sessions.
    pub(crate) fn new(sessions: usize) -> Self {
        Self {
            taps: (0..=sessions).map(|_| Tap::new(AT_ONCE)).collect(),
            bodies: Vec::with_capacity(sessions),
            record_bytes: 0,
            empty: 0,
            made: Counts::default(),
        }
    }

    /// Runs a part of the test.
    pub(crate) fn run(mut self, part: impl AsyncFnOnce(&mut Self)) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(part(&mut self));
    }

    /// Starts the sessions, and reads the first event of each. Without readers the responses are dropped
    /// then. One more session is started before and stays silent: what the server allocates once isn't that
    /// of a session.
    pub(crate) async fn start(&mut self, has_reader: bool) {
        let taps = Arc::new(Mutex::new(self.taps.clone().into_iter()));
        let provider = provider_fn(move |_: ChatRequest| taps.lock().unwrap().next().unwrap());
        let sessions = Sessions::builder(Memory::new()).build();
        let chat = DurableLayer::new(sessions, AnyoneWithTheId::new()).layer(provider);
        let body = r#"{"messages":[{"role":"user","content":"Hi"}]}"#;
        let silent = self.taps.remove(0);
        for tap in std::iter::once(&silent).chain(&self.taps) {
            let request = Request::post("/").header(CONTENT_TYPE, "application/json");
            let request = request.body(Body::from(body)).unwrap();
            let response = chat.clone().oneshot(request).await.unwrap();
            let mut body = response.into_body();
            let first = next_frame(&mut body).await;
            self.record_bytes = first - r#"{"lsn":1,"event":}"#.len() - 1;
            if has_reader {
                self.bodies.push(body);
            }
            while !tap.is_watched() {
                tokio::task::yield_now().await;
            }
            if std::ptr::eq(tap, &raw const silent) {
                self.bodies.clear();
                self.empty = live();
            }
        }
    }

    /// Lets out so many events of each session, one at a time, and reads each before the next one.
    pub(crate) async fn step(&mut self, events: usize) {
        for done in 0..events {
            if done % AT_ONCE == 0 {
                self.make(AT_ONCE.min(events - done));
            }
            tokio::time::advance(PACE).await;
            for (at, tap) in self.taps.iter().enumerate() {
                tap.let_out();
                if let Some(body) = self.bodies.get_mut(at) {
                    next_frame(body).await;
                } else {
                    tokio::task::yield_now().await;
                }
            }
        }
        // Without readers nothing shows that the last event is stored.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    fn make(&mut self, events: usize) {
        let before = counts();
        for tap in &self.taps {
            tap.fill((0..events).map(|_| ChatEvent::text(" token of text")));
        }
        let made = counts() - before;
        self.made.allocations += made.allocations;
        self.made.bytes += made.bytes;
        self.record_bytes += events * ChatEvent::text(" token of text").to_json().len();
    }

    /// Returns what was allocated so far, without the events themselves.
    pub(crate) fn counts(&self) -> Counts {
        counts() - self.made
    }

    /// Returns the bytes that the sessions hold.
    pub(crate) fn held(&self) -> usize {
        live() - self.empty
    }

    /// Returns the bytes of the records of one session.
    pub(crate) fn record_bytes(&self) -> usize {
        self.record_bytes
    }
}

/// Returns the bytes that are allocated now.
fn live() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

fn counts() -> Counts {
    let stats = ALLOCATOR.stats();
    Counts {
        allocations: stats.allocations + stats.reallocations,
        bytes: stats.bytes_allocated,
    }
}

/// Returns the length of the next frame, which is one event.
async fn next_frame(body: &mut SessionBody) -> usize {
    let frame = body.frame().await.expect("the body goes on");
    let bytes = frame.expect("it isn't cut").into_data().unwrap();
    assert!(bytes.starts_with(b"{\"lsn\":"), "no heartbeat: {bytes:?}");
    bytes.len()
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            allocations: self.allocations - other.allocations,
            bytes: self.bytes - other.bytes,
        }
    }
}
