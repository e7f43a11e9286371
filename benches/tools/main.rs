//! Measures the cost of the tool layer if no tool is called: the same events with and without the layer,
//! in turns, best of many. The layer inspects each event and keeps the text, which takes about 10 ns.
//! That is much for events that cost nothing, and little for events between a model's server and a
//! client.
//!
//! `cargo bench --features openai,tools --bench tools`

use std::{
    hint::black_box,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    pin::pin,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tower::{Service, ServiceExt, layer::Layer};
use unbroken::{
    BoxError,
    access::AnyoneWithTheId,
    chat::{
        Capabilities, ChatEvent, ChatRequest, EnabledTools, Provider, ProviderError, provider_fn,
    },
    durable::{DurableLayer, ProviderSource},
    log::{Digest, Position, ServiceName, SessionId},
    provider::OpenAi,
    session::{Limits, SessionSpec, Sessions},
    store::Memory,
    tools::{Call, ToolLayer, Tools, tool_fn},
};

const EVENTS: usize = 200_000;
const ROUNDS: usize = 40;

#[derive(Deserialize, schemars::JsonSchema)]
struct Nothing {}

type EventResult = Result<ChatEvent, ProviderError>;

fn provider() -> impl Service<
    ChatRequest,
    Response = impl stream::Stream<Item = EventResult> + Send + use<>,
    Error: Into<BoxError> + Send,
    Future: Send,
> + Clone
+ Send
+ Sync
+ 'static {
    provider_fn(|_| stream::iter((0..EVENTS).map(|_| Ok(ChatEvent::text("token ")))))
}

fn layer() -> ToolLayer {
    let tool = |name| tool_fn(name, "", |_: Nothing, _: Call| async { Ok("nothing") });
    ToolLayer::new(Tools::new().with(tool("one")).with(tool("two")))
}

fn request() -> ChatRequest {
    let mut request = ChatRequest::from_user("Hi");
    request.enabled_tools = Some(EnabledTools::All);
    request
}

/// Measures the provider's stream, read to its end.
async fn read_stream<S, T, E>(provider: S) -> Duration
where
    S: Service<ChatRequest, Response = T>,
    S::Error: Into<BoxError>,
    T: stream::Stream<Item = Result<ChatEvent, E>>,
    E: Into<BoxError>,
{
    let stream = provider.oneshot(request()).await.map_err(Into::into);
    let mut stream = pin!(stream.expect("it starts"));
    let began = Instant::now();
    let mut events = 0;
    while let Some(event) = stream
        .try_next()
        .await
        .map_err(Into::into)
        .expect("an event")
    {
        black_box(&event);
        events += 1;
    }
    assert_eq!(events, EVENTS);
    began.elapsed()
}

/// Measures a session with its log, read to its end.
async fn read_session(provider: impl Provider) -> Duration {
    let sessions = sessions();
    let first = ChatEvent::session_info(Capabilities::new())
        .to_json()
        .freeze();
    let start = SessionSpec::new(
        SessionId::random(),
        ServiceName::new("bench"),
        Digest([0; 32]),
        first,
    );
    let permit = sessions.permit(None).expect("room");
    let source = ProviderSource::new(provider, request());
    let began = Instant::now();
    let started = sessions
        .start(permit, start, source)
        .await
        .expect("it starts");
    let mut reader = started
        .session
        .reader(Position::START)
        .await
        .expect("a reader");
    let mut events = 0;
    while let Some(batch) = reader.next().await {
        events += batch.expect("a batch").chunk().len();
    }
    assert_eq!(events, EVENTS + 2);
    began.elapsed()
}

/// Measures the answer as a client gets it: a POST over a socket to a server on a thread of its own, with
/// the NDJSON read to its end.
fn read_http<S, T, E>(provider: S) -> Duration
where
    S: Service<ChatRequest, Response = T> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    T: stream::Stream<Item = Result<ChatEvent, E>> + Send + 'static,
    E: Into<BoxError> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let server = std::thread::spawn(move || {
        runtime().block_on(async {
            listener.set_nonblocking(true).expect("it can be");
            let listener = tokio::net::TcpListener::from_std(listener).expect("it is one");
            let (connection, _) = listener.accept().await.expect("a client");
            let service = DurableLayer::new(sessions(), AnyoneWithTheId::new()).layer(provider);
            let service = service_fn(|request| service.clone().oneshot(request));
            let http = hyper::server::conn::http1::Builder::new();
            let served = http.serve_connection(TokioIo::new(connection), service);
            served.await.expect("it is served");
        });
    });
    let body = serde_json::to_string(&request()).expect("it is JSON");
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut client = TcpStream::connect(address).expect("a connection");
    let began = Instant::now();
    client
        .write_all((head + &body).as_bytes())
        .expect("it is sent");
    let (mut buffer, mut bytes) = (vec![0; 256 * 1024], 0);
    loop {
        match client.read(&mut buffer).expect("an answer") {
            0 => break,
            n => bytes += n,
        }
    }
    let took = began.elapsed();
    server.join().expect("the server is well");
    let least = EVENTS * r#"{"lsn":1,"event":{"type":"text","content":"token "}}"#.len();
    assert!(bytes > least);
    took
}

/// Starts a server of a model with as many events, on a thread of its own. Returns its URL.
fn model() -> String {
    let mut body = r#"data: {"choices":[{"index":0,"delta":{"content":"token "}}]}"#.to_owned();
    body.push_str("\n\n");
    let mut body = body.repeat(EVENTS);
    body.push_str(r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#);
    body.push_str("\n\ndata: [DONE]\n\n");
    let body = Bytes::from(body);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        runtime().block_on(async {
            listener.set_nonblocking(true).expect("it can be");
            let listener = tokio::net::TcpListener::from_std(listener).expect("it is one");
            loop {
                let (connection, _) = listener.accept().await.expect("a client");
                let service = service_fn(|_| {
                    let answer = http::Response::builder()
                        .header("content-type", "text/event-stream")
                        .body(Full::new(body.clone()));
                    std::future::ready(answer)
                });
                let http = hyper::server::conn::http1::Builder::new();
                // The client closes the connection after the answer.
                let _ = http
                    .serve_connection(TokioIo::new(connection), service)
                    .await;
            }
        });
    });
    format!("http://{address}/v1")
}

fn sessions() -> Sessions {
    let limits = Limits::default()
        .session_events(u64::MAX)
        .session_bytes(u64::MAX);
    Sessions::builder(Memory::new()).limits(limits).build()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

struct Best {
    without: Duration,
    with: Duration,
    // The ratio of each round, with the layer to without.
    ratios: Vec<f64>,
}

impl Best {
    fn new() -> Self {
        Self {
            without: Duration::MAX,
            with: Duration::MAX,
            ratios: Vec::new(),
        }
    }

    fn add(&mut self, without: Duration, with: Duration) {
        self.without = self.without.min(without);
        self.with = self.with.min(with);
        self.ratios.push(with.as_secs_f64() / without.as_secs_f64());
    }

    fn report(&mut self, what: &str) {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let per_second = |time: Duration| EVENTS as f64 / time.as_secs_f64() / 1e6;
        self.ratios.sort_by(f64::total_cmp);
        println!(
            "{what}: without {:.2} million events/s, with {:.2}; best against best {:.3}, median of pairs {:.3}",
            per_second(self.without),
            per_second(self.with),
            self.with.as_secs_f64() / self.without.as_secs_f64(),
            self.ratios[self.ratios.len() / 2],
        );
    }
}

fn main() {
    let runtime = runtime();
    let url = model();
    let openai = || {
        let openai = OpenAi::builder().base_url(&url).model("m");
        openai.build().expect("a provider")
    };
    let (mut alone, mut through) = (Best::new(), Best::new());
    let (mut whole, mut real) = (Best::new(), Best::new());
    runtime.block_on(async {
        for round in 0..ROUNDS {
            // The first of a pair has colder caches.
            let (without, with);
            if round % 2 == 0 {
                without = read_stream(provider()).await;
                with = read_stream(layer().layer(provider())).await;
            } else {
                with = read_stream(layer().layer(provider())).await;
                without = read_stream(provider()).await;
            }
            alone.add(without, with);
            let (without, with);
            if round % 2 == 0 {
                without = read_session(provider()).await;
                with = read_session(layer().layer(provider())).await;
            } else {
                with = read_session(layer().layer(provider())).await;
                without = read_session(provider()).await;
            }
            through.add(without, with);
            let (without, with);
            if round % 2 == 0 {
                without = read_http(provider());
                with = read_http(layer().layer(provider()));
            } else {
                with = read_http(layer().layer(provider()));
                without = read_http(provider());
            }
            whole.add(without, with);
            let (without, with);
            if round % 2 == 0 {
                without = read_http(openai());
                with = read_http(layer().layer(openai()));
            } else {
                with = read_http(layer().layer(openai()));
                without = read_http(openai());
            }
            real.add(without, with);
        }
    });
    alone.report("the stream alone");
    through.report("through a session and its log");
    whole.report("as a client gets it over a socket");
    real.report("the same, with a model behind another socket");
}
