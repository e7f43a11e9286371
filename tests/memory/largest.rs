//! As many sessions of the largest requests as may run, and two thousand readers that read nothing, in one
//! process.

use std::{env, fs, process::Command, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::{io::duplex, time::sleep};
use tower::ServiceExt as _;
use tower_layer::Layer as _;
use unbroken::{
    access::AnyoneWithTheId,
    chat::{ChatEvent, ChatRequest, ProviderError, provider_fn},
    dialect::RequestLimits,
    durable::{ClientFields, DurableLayer},
    session::{Limits, Sessions},
    store::Memory,
};
use unbroken_hyper::{ServerLimits, serve_connection};

use super::{ALLOCATOR, alone};

const RUNNING: usize = 1024;
const CONNECTIONS: usize = 20;
const READERS: usize = 2000;
/// The tokens of the answer, more than a connection takes at once.
const TOKENS: usize = 5000;
/// The most bytes of a session beside three times its request.
const SESSION: usize = 16 * 1024;
/// The most bytes of a stream of HTTP/2 and its reader beside what the connection holds. The client's half
/// is in this process too.
const READER: usize = 16 * 1024;

/// Returns the bytes of the largest request that a mount admits: `UNBROKEN_REQUEST_BYTES`, else 16 KiB.
fn max_body() -> usize {
    let set = env::var("UNBROKEN_REQUEST_BYTES").ok();
    set.map_or(16 * 1024, |bytes| bytes.parse().expect("a number of bytes"))
}

/// Returns the resident memory of this process, where the system tells it.
fn resident() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"))?;
    let kib: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// Runs a test of this file again in a process of its own, whose resident memory is that of the test.
fn in_own_process(test: &str) -> bool {
    const CHILD: &str = "UNBROKEN_IN_OWN_PROCESS";
    if env::var_os(CHILD).is_some() {
        return true;
    }
    let mut child = Command::new(env::current_exe().unwrap());
    let child = child.args(["--exact", test, "--nocapture"]).env(CHILD, "1");
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(said.contains("1 passed"), "{said}");
    false
}

/// Every request has as many bytes as its mount admits, most of them small numbers. The readers open streams
/// of HTTP/2 on a long answer, and their windows stay closed.
///
/// `UNBROKEN_REQUEST_BYTES` sets the bytes of a request. For the default of
/// [`max_body`](DurableLayer::max_body), where the bound is about 3 GiB:
///
/// ```sh
/// UNBROKEN_REQUEST_BYTES=1048576 cargo test --release -p unbroken --all-features --test memory largest -- --nocapture
/// ```
#[test]
fn the_largest_requests_that_may_run_and_idle_readers_hold_the_bound_of_the_docs() {
    let _alone = alone();
    if !in_own_process(
        "largest::the_largest_requests_that_may_run_and_idle_readers_hold_the_bound_of_the_docs",
    ) {
        return;
    }
    // The time of a stuck reader doesn't pass, however slow the machine is.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(hold(max_body()));
}

async fn hold(max_body: usize) {
    let limits = Limits::default().running(RUNNING);
    let sessions = Sessions::builder(Memory::new()).limits(limits).build();
    let layer = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
        .client_fields(ClientFields::nothing().field("data"))
        .request_limits(RequestLimits::new().values(1_000_000))
        .max_body(max_body)
        .on_end(|_| async {});
    let provider = provider_fn(|request: ChatRequest| {
        let tokens = if request.extra.contains_key("data") {
            0
        } else {
            TOKENS
        };
        let text = (0..tokens).map(|n| Ok::<_, ProviderError>(ChatEvent::text(format!("{n} "))));
        let end = stream::pending().take(usize::from(tokens == 0));
        stream::iter(text).chain(end)
    });
    let chat = layer.layer(provider);
    let ask = |body: String| {
        let request = Request::post("/").header(CONTENT_TYPE, "application/json");
        chat.clone()
            .oneshot(request.body(Body::from(body)).unwrap())
    };

    let question = json!({"messages": [{"role": "user", "content": "Hi"}]});
    let answer = ask(question.to_string()).await.unwrap();
    let id = answer.headers()["x-session-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let whole = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(whole.len() > 4 * 64 * 1024, "{}", whole.len());
    let session = sessions.attach(&id.parse().unwrap()).await.unwrap();
    let before = (ALLOCATOR.current_usage(), resident());

    let body = largest_body(max_body);
    for _ in 0..RUNNING {
        assert_eq!(ask(body.clone()).await.unwrap().status(), 200);
    }
    let server = ServerLimits::default();
    let mut responses = Vec::new();
    for _ in 0..CONNECTIONS {
        let (client, connection) = duplex(64 * 1024);
        tokio::spawn(serve_connection(connection, chat.clone(), &server));
        let (mut client, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(0)
            .handshake::<_, Full<Bytes>>(TokioIo::new(client))
            .await
            .unwrap();
        tokio::spawn(connection);
        for _ in 0..READERS / CONNECTIONS {
            client.ready().await.unwrap();
            let read = Request::get(format!("http://localhost/{id}"));
            let read = client.send_request(read.body(Full::default()).unwrap());
            let response: Response<Incoming> = read.await.unwrap();
            assert_eq!(response.status(), 200);
            responses.push(response);
        }
    }
    sleep(Duration::from_millis(1)).await;
    let here = "the sessions run, and the readers are there";
    assert_eq!(
        (sessions.running(), session.clients()),
        (RUNNING, READERS + 1),
        "{here}"
    );

    let connections = CONNECTIONS * server.connection_buffer;
    let bound = RUNNING * (3 * max_body + SESSION) + connections + READERS * READER;
    let held = ALLOCATOR.current_usage() - before.0;
    println!(
        "{RUNNING} requests of {max_body} bytes and {READERS} readers hold {held}, and at most {bound} \
         by the docs"
    );
    assert!(held <= bound, "{held} bytes are more than {bound}");
    if let (Some(before), Some(resident)) = (before.1, resident()) {
        let resident = resident.saturating_sub(before);
        println!("the resident memory has grown by {resident} bytes");
        assert!(resident >= held / 2, "it counts what is held");
        assert!(resident <= bound, "{resident} bytes are more than {bound}");
    }
    assert_eq!(ask(body.clone()).await.unwrap().status(), 429);
    let longer = ask(format!("{body} ")).await.unwrap();
    assert_eq!(longer.status(), 413, "it is the largest");
    assert_eq!(
        (sessions.running(), session.clients()),
        (RUNNING, READERS + 1),
        "{here}"
    );
}

fn largest_body(bytes: usize) -> String {
    let mut body = json!({
        "messages": [{"role": "user", "content": ""}],
        "data": vec![0; bytes * 7 / 16],
    });
    let padding = bytes - body.to_string().len();
    body["messages"][0]["content"] = "m".repeat(padding).into();
    let body = body.to_string();
    assert_eq!(body.len(), bytes);
    body
}
