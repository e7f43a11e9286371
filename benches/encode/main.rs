//! Measures the time to encode an event in each dialect, and the savings of a compacted replay. Without
//! sockets: the log of a usual answer goes through each encoder, in the chunks of a replay and one
//! record at a time as live.
//!
//! `cargo bench --bench encode --features ag-ui,ai-sdk,durable-streams,openai-responses`
#![expect(
    clippy::cast_precision_loss,
    reason = "figures for people have three digits"
)]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use http::{Request, header::ACCEPT};
use serde_json::json;
use unbroken::{
    chat::{Capabilities, ChatEvent, SessionInfo, ToolCall},
    dialect::{
        AgUi, AiSdk, Dialect, DurableStreams, Encoder, Intent, Native, OpenAiResponses, Progress,
        Route, SessionView,
    },
    log::{Chunk, ChunkBuilder, Epoch, Lsn, Position, SessionId, Status},
};

const ID: &str = "0123456789abcdefghjkmnpqrs";
const NDJSON: &str = "application/x-ndjson";
const SSE: &str = "text/event-stream";
const ROUNDS: usize = 30;
/// The size of a frame in bytes.
const FRAME: usize = 62 * 1024;

/// A request for a stream in one encoding.
struct Encoding {
    name: &'static str,
    dialect: Box<dyn Dialect>,
    uri: String,
    accept: &'static str,
}

fn main() {
    let events = answer(5_000);
    let replay = chunks(&events, 64);
    let live = chunks(&events, 1);
    let bytes: usize = replay.iter().map(Chunk::bytes).sum();
    println!(
        "an answer of {} events, {:.1} bytes each as they are stored; the median of {ROUNDS} rounds\n",
        events.len(),
        bytes as f64 / events.len() as f64
    );
    println!("  written as            replay ns/event   live ns/event   bytes/event");
    let copied = |chunks: &[Chunk]| median(|| copy(chunks)).as_nanos() as f64 / events.len() as f64;
    println!(
        "  {:<22}{:>15.1}{:>16.1}{:>14.1}",
        "(the bare records)",
        copied(&replay),
        copied(&live),
        bytes as f64 / events.len() as f64
    );
    for encoding in encodings("") {
        let (stream, whole) = (encoding.measure(&replay), encoding.measure(&live));
        println!(
            "  {:<22}{:>15.1}{:>16.1}{:>14.1}",
            encoding.name,
            stream.took.as_nanos() as f64 / events.len() as f64,
            whole.took.as_nanos() as f64 / events.len() as f64,
            stream.bytes as f64 / events.len() as f64
        );
    }
    println!("\n  compacted replay      events            bytes               time");
    let all = encodings("");
    let (whole, compact) = (&all[..3], &encodings("compact")[..3]);
    for (whole, compact) in whole.iter().zip(compact) {
        let (w, c) = (whole.measure(&replay), compact.measure(&replay));
        println!(
            "  {:<22}{:>5} -> {:<8}{:>8} -> {:<8}{:>7.0} -> {:.0} µs",
            whole.name,
            w.events,
            c.events,
            w.bytes,
            c.bytes,
            w.took.as_secs_f64() * 1e6,
            c.took.as_secs_f64() * 1e6,
        );
    }
}

/// Returns the encodings. The first three have a compacted form.
fn encodings(replay: &str) -> Vec<Encoding> {
    let native = match replay {
        "" => format!("/{ID}"),
        replay => format!("/{ID}?replay={replay}"),
    };
    // A plain resume of the AI SDK is compacted; a resume by the number of chunks is not.
    let ai = match replay {
        "" => "/chat/stream?startIndex=0".to_owned(),
        _ => "/chat/stream".to_owned(),
    };
    let encoding = |name, dialect, uri: &str, accept| Encoding {
        name,
        dialect,
        uri: uri.to_owned(),
        accept,
    };
    let sse = format!("/{ID}?offset=-1&live=sse");
    let join = format!("/?offset=-1&runId={ID}");
    let responses = format!("/responses/{ID}?stream=true");
    vec![
        encoding("native NDJSON", Box::new(Native::new()), &native, NDJSON),
        encoding("native SSE", Box::new(Native::new()), &native, SSE),
        encoding("AI SDK", Box::new(AiSdk::new()), &ai, SSE),
        encoding("AG-UI", Box::new(AgUi::new()), &join, SSE),
        encoding(
            "OpenAI Responses",
            Box::new(OpenAiResponses::new()),
            &responses,
            SSE,
        ),
        encoding(
            "Durable Streams",
            Box::new(DurableStreams::new()),
            &sse,
            SSE,
        ),
        encoding(
            "Durable Streams, UI",
            Box::new(DurableStreams::ui_messages(AiSdk::new())),
            &sse,
            SSE,
        ),
    ]
}

struct Figures {
    took: Duration,
    bytes: usize,
    events: usize,
}

impl Encoding {
    fn encoder(&self) -> Box<dyn Encoder> {
        let request = Request::get(&self.uri).header(ACCEPT, self.accept);
        let (head, ()) = request.body(()).expect("a request").into_parts();
        match self.dialect.route(&head) {
            Ok(Route::Known(Intent::Read(read))) => read.encoder,
            other => panic!("{} is not read as a stream: {other:?}", self.uri),
        }
    }

    fn measure(&self, chunks: &[Chunk]) -> Figures {
        let (mut bytes, mut events) = (0, 0);
        self.write(chunks, &mut |frame| {
            bytes += frame.len();
            let end: &[u8] = if self.accept == NDJSON {
                b"\n"
            } else {
                b"\n\n"
            };
            events += frame.windows(end.len()).filter(|it| *it == end).count();
        });
        Figures {
            took: median(|| {
                self.write(chunks, &mut |frame| {
                    black_box(frame);
                });
            }),
            bytes,
            events,
        }
    }

    /// Encodes a log as a body does, in frames with the progress after each.
    fn write(&self, chunks: &[Chunk], send: &mut dyn FnMut(&[u8])) {
        let mut encoder = self.encoder();
        let mut out = BytesMut::with_capacity(FRAME * 2);
        let id: SessionId = ID.parse().expect("an id");
        let view = SessionView::new(&id, Status::Streaming, Lsn::ZERO);
        encoder.preamble(&view, &mut out);
        // A reader that keeps up sends each record by itself.
        let live = chunks.first().is_some_and(|chunk| chunk.len() == 1);
        for chunk in chunks {
            encoder.encode(chunk, &mut out);
            if live || out.len() >= FRAME {
                let at = Position::tagged(chunk.last(), chunk.epoch().tag());
                encoder.progress(&Progress::new(at), &mut out);
                send(&out);
                out.clear();
            }
        }
        encoder.trailer(&mut out);
        send(&out);
    }
}

fn copy(chunks: &[Chunk]) {
    let mut out = BytesMut::with_capacity(FRAME * 2);
    for record in chunks.iter().flat_map(Chunk::records) {
        out.extend_from_slice(record.bytes);
        if out.len() >= FRAME {
            black_box(&out);
            out.clear();
        }
    }
    black_box(&out);
}

fn median(run: impl Fn()) -> Duration {
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            run();
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[ROUNDS / 2]
}

/// Returns an answer of some thinking, a tool call, and many words.
fn answer(words: usize) -> Vec<ChatEvent> {
    let mut events = vec![SessionInfo::new(Capabilities::new()).into()];
    events.extend((0..words / 10).map(|_| ChatEvent::thinking("consider ")));
    events.push(ChatEvent::tool_calls([ToolCall::new(
        "call-1",
        "search",
        json!({ "query": "cats" }),
    )]));
    events.push(ChatEvent::tool_result("call-1", "search", r#"{"found":2}"#));
    events.extend((0..words).map(|at| ChatEvent::text(["word ", "and\n", "\"so\" "][at % 3])));
    events.push(ChatEvent::complete());
    events
}

fn chunks(events: &[ChatEvent], size: usize) -> Vec<Chunk> {
    let (mut builder, epoch) = (ChunkBuilder::new(), Epoch::first());
    let (mut chunks, mut first) = (Vec::new(), Lsn::new(1));
    for some in events.chunks(size) {
        for event in some {
            builder.push(&event.to_json());
        }
        let chunk = builder.take(first, epoch).expect("it has records");
        first = chunk.last().next();
        chunks.push(chunk);
    }
    chunks
}
