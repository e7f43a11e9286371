//! The server, with the same events through `unbroken` at `/ours` and as a bare hyper body at `/bare`.

use std::{
    alloc::System,
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::{net::TcpListener, sync::broadcast, time::Instant};
use tower::{Layer, ServiceExt};
use unbroken::{
    access,
    chat::{ChatEvent, ChatRequest, Message, provider_fn},
    durable::DurableLayer,
    session::{Limits, Sessions},
    store::Memory,
};

use crate::client::nanoseconds;

/// Counts in the process of the clients too, where the counts aren't read.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type Body = UnsyncBoxBody<Bytes, unbroken::BoxError>;

pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async { tokio::spawn(accept()).await.expect("the server runs") });
}

async fn accept() {
    let limits = Limits::default().running(10_000).session_events(1_000_000);
    let sessions = Sessions::builder(Memory::new()).limits(limits).build();
    let dropped = Arc::new(AtomicU64::new(0));
    let dropped_at = dropped.clone();
    let provider = provider_fn(move |request: ChatRequest| answer(&request, dropped_at.clone()));
    let ours = DurableLayer::new(sessions, access::AnyoneWithTheId::new()).layer(provider);
    let (lines, _) = broadcast::channel(1024);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (ours, lines, dropped) = (ours.clone(), lines.clone(), dropped.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let (ours, lines, dropped) = (ours.clone(), lines.clone(), dropped.clone());
                async move { Ok::<_, Infallible>(route(request, ours, lines, dropped).await) }
            });
            let builder = Builder::new(TokioExecutor::new());
            let _ = builder
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn route<S>(
    request: Request<Incoming>,
    ours: S,
    lines: broadcast::Sender<Bytes>,
    dropped: Arc<AtomicU64>,
) -> Response<Body>
where
    S: tower::Service<
            Request<Incoming>,
            Response = Response<unbroken::durable::SessionBody>,
            Error = Infallible,
        >,
{
    if request.uri().path() == "/dropped" {
        return Response::new(full(dropped.load(SeqCst).to_string().into()));
    }
    if request.uri().path() == "/heap" {
        return Response::new(full(heap().into()));
    }
    if let Some(rest) = request.uri().path().strip_prefix("/ours") {
        let path = if rest.is_empty() { "/" } else { rest }.to_owned();
        let (mut parts, body) = request.into_parts();
        parts.uri = path.parse().expect("the rest of a path");
        let answer = ours.oneshot(Request::from_parts(parts, body)).await;
        let Ok(answer) = answer;
        return answer.map(|body| body.map_err(Into::into).boxed_unsync());
    }
    let request = request
        .into_body()
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let request: ChatRequest = serde_json::from_slice(&request).expect("a chat request");
    Response::new(bare(&words(&request), &lines))
}

/// Returns the counts of the allocator, as [`Heap`](crate::process::Heap) has them.
fn heap() -> String {
    let stats = ALLOCATOR.stats();
    let allocations = stats.allocations + stats.reallocations;
    let live = stats.bytes_allocated - stats.bytes_deallocated;
    format!("{allocations} {} {live}", stats.bytes_allocated)
}

fn full(bytes: Bytes) -> Body {
    // Streamed, so that the client reads all answers in one way.
    frames(stream::iter([bytes]))
}

fn frames(bytes: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    StreamBody::new(bytes.map(|bytes| Ok(Frame::data(bytes)))).boxed_unsync()
}

fn words(request: &ChatRequest) -> Vec<String> {
    let last = request.messages.last().map(Message::text);
    last.unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

fn number(words: &[String], at: usize) -> u64 {
    words
        .get(at)
        .and_then(|word| word.parse().ok())
        .unwrap_or(0)
}

fn event() -> ChatEvent {
    ChatEvent::text(format!("t{}                ", nanoseconds()))
}

fn line(lsn: u64) -> Bytes {
    let mut line = BytesMut::with_capacity(128);
    line.extend_from_slice(format!("{{\"lsn\":{lsn},\"event\":").as_bytes());
    event().write_json(&mut line);
    line.extend_from_slice(b"}\n");
    line.freeze()
}

fn ticks(per_second: u64, milliseconds: u64) -> impl Stream<Item = u64> + Send {
    let pace = Duration::from_secs(1) / u32::try_from(per_second.max(1)).unwrap_or(1);
    let until = Instant::now() + Duration::from_millis(milliseconds);
    stream::unfold(
        (tokio::time::interval(pace), 0),
        move |(mut interval, n)| async move {
            (interval.tick().await < until).then_some((n + 1, (interval, n + 1)))
        },
    )
}

/// Returns a bare body with the events of the provider's answer to these words.
fn bare(words: &[String], lines: &broadcast::Sender<Bytes>) -> Body {
    match words.first().map_or("", String::as_str) {
        "fast" => frames(stream::iter(1..=number(words, 1)).map(line)),
        "bytes" => {
            let mut left = usize::try_from(number(words, 1)).unwrap_or(0);
            let chunk = Bytes::from(vec![b'}'; 64 * 1024]);
            frames(stream::iter(std::iter::from_fn(move || {
                let some = chunk.slice(..left.min(chunk.len()));
                left -= some.len();
                (!some.is_empty()).then_some(some)
            })))
        }
        "pace" => frames(ticks(number(words, 1), number(words, 2)).map(line)),
        "hold" => {
            let events = usize::try_from(number(words, 1)).unwrap_or(0);
            let lines = ticks(2_000, 60_000).take(events).map(line);
            frames(lines.chain(stream::pending()))
        }
        "cast" => {
            let (sender, mut ticks) = (
                lines.clone(),
                Box::pin(ticks(number(words, 2), number(words, 3))),
            );
            tokio::spawn(async move {
                while let Some(n) = ticks.next().await {
                    let _ = sender.send(line(n));
                }
            });
            watch(lines)
        }
        _ => watch(lines),
    }
}

fn watch(lines: &broadcast::Sender<Bytes>) -> Body {
    frames(stream::unfold(
        lines.subscribe(),
        |mut watched| async move { watched.recv().await.ok().map(|line| (line, watched)) },
    ))
}

/// Returns the provider's answer.
fn answer(request: &ChatRequest, dropped: Arc<AtomicU64>) -> Answer {
    let words = words(request);
    let ok = |_| Ok(event());
    let events: Pin<Box<dyn Stream<Item = Result<ChatEvent, Infallible>> + Send>> =
        match words.first().map_or("", String::as_str) {
            "fast" => Box::pin(stream::iter(1..=number(&words, 1)).map(ok)),
            "pace" => Box::pin(ticks(number(&words, 1), number(&words, 2)).map(ok)),
            // So many events, one at a time, and then silence.
            "hold" => {
                let events = usize::try_from(number(&words, 1)).unwrap_or(0);
                let events = ticks(2_000, 60_000).take(events).map(ok);
                Box::pin(events.chain(stream::pending()))
            }
            _ => Box::pin(stream::pending()),
        };
    Answer { events, dropped }
}

struct Answer {
    events: Pin<Box<dyn Stream<Item = Result<ChatEvent, Infallible>> + Send>>,
    dropped: Arc<AtomicU64>,
}

impl Stream for Answer {
    type Item = Result<ChatEvent, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.as_mut().poll_next(cx)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.dropped.store(nanoseconds(), SeqCst);
    }
}
