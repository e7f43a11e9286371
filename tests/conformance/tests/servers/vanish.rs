//! Clients whose connections are reset at random points of their requests and answers.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    runtime::Handle,
    task::JoinSet,
};
use unbroken::{
    log::{Outcome, SessionId, Status},
    session::Sessions,
    store::StoreError,
};

use crate::chat::{OPEN, Server};

/// The number of concurrent clients.
const AT_ONCE: usize = 50;
/// The number of tokens of each answer.
const TOKENS: u64 = 60;
/// The other records of an answer: the first one and the terminal event.
const OTHERS: u64 = 2;

/// The numbers of clients by their end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Vanished {
    /// Clients whose request began a session.
    pub(crate) began: usize,
    /// Clients that vanished before.
    pub(crate) not_begun: usize,
    /// Clients that read the whole answer before the point at which they vanish.
    pub(crate) read_to_end: usize,
}

/// Runs clients, one half over HTTP/1.1 and the other over HTTP/2, and checks that each answer that
/// began is complete in the log.
pub(crate) async fn clients_that_vanish(server: &Server, clients: usize, seed: u64) -> Vanished {
    let mut random = Random(seed);
    let mut vanished = Vanished::default();
    let mut ids = Vec::new();
    let mut running = JoinSet::new();
    for n in 0..clients {
        if running.len() == AT_ONCE {
            let ended: Option<Result<bool, _>> = running.join_next().await;
            vanished.read_to_end += usize::from(ended.unwrap().unwrap());
        }
        let id = format!("vanishing-client-{seed:x}-{n:06}");
        ids.push(id.parse::<SessionId>().unwrap());
        // A request has some 350 bytes, an answer some 3,000.
        let (written, read) = if random.below(3) == 0 {
            (random.below(400), usize::MAX)
        } else {
            (usize::MAX, random.below(4000))
        };
        let body = json!({
            "messages": [{"role": "user", "content": "Hi"}],
            "script": {"tokens": TOKENS, "delayMs": random.below(4)},
        });
        let request = Request::post(format!("http://server{OPEN}"))
            .header("host", "server")
            .header("content-type", "application/json")
            .header("x-session-id", id)
            .body(Full::from(body.to_string()))
            .unwrap();
        running.spawn(client(server.addr, n % 2 == 0, written, read, request));
    }
    while let Some(ended) = running.join_next().await {
        vanished.read_to_end += usize::from(ended.unwrap());
    }

    eventually(|| server.sessions.running() == 0).await;
    for id in &ids {
        match server.sessions.state(id).await {
            Ok(state) => {
                assert_eq!(state.status, Status::Ended(Outcome::Complete), "{id}");
                assert_eq!(state.tail.get(), TOKENS + OTHERS, "{id}");
                vanished.began += 1;
            }
            Err(StoreError::NotFound) => vanished.not_begun += 1,
            Err(error) => panic!("{id}: {error}"),
        }
    }
    vanished
}

/// Waits until no session runs, none is in memory, and this runtime has no more tasks than before.
/// Returns false if that takes too long.
pub(crate) async fn nothing_remains(sessions: &Sessions, tasks_before: usize) -> bool {
    eventually(|| {
        sessions.running() == 0
            && sessions.loaded() == 0
            && Handle::current().metrics().num_alive_tasks() <= tasks_before
    })
    .await
}

/// Waits until the condition holds. Returns false if that takes too long.
async fn eventually(holds: impl Fn() -> bool) -> bool {
    for _ in 0..2000 {
        if holds() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    false
}

/// Returns true if the client read its answer to the end.
async fn client(
    addr: SocketAddr,
    first_version: bool,
    written: usize,
    read: usize,
    request: Request<Full<Bytes>>,
) -> bool {
    let stream = TcpStream::connect(addr).await.unwrap();
    // Makes the close a reset.
    let linger = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    linger.unwrap();
    let io = TokioIo::new(Fragile {
        stream: Some(stream),
        written,
        read,
    });
    let seen = if first_version {
        answer_over_http1(io, request).await
    } else {
        answer_over_http2(io, request).await
    };
    let Ok(seen) = seen else { return false };
    let last = seen.lines().rfind(|line| !line.is_empty()).unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["event"]["type"], "complete");
    assert_eq!(last["lsn"], TOKENS + OTHERS);
    true
}

type Io = TokioIo<Fragile>;

async fn answer_over_http1(io: Io, request: Request<Full<Bytes>>) -> hyper::Result<String> {
    let (mut sender, connection) = http1::handshake(io).await?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    assert_eq!(response.status(), 200);
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn answer_over_http2(io: Io, request: Request<Full<Bytes>>) -> hyper::Result<String> {
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    assert_eq!(response.status(), 200);
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A connection that is reset after a number of bytes.
#[derive(Debug)]
struct Fragile {
    stream: Option<TcpStream>,
    written: usize,
    read: usize,
}

impl Fragile {
    fn broken(&mut self) -> io::Error {
        self.stream = None;
        io::ErrorKind::BrokenPipe.into()
    }
}

impl AsyncRead for Fragile {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = self.read.min(buf.remaining());
        let Some(stream) = self.stream.as_mut().filter(|_| most > 0) else {
            return Poll::Ready(Err(self.broken()));
        };
        let mut part = vec![0; most];
        let mut part = ReadBuf::new(&mut part);
        ready!(Pin::new(stream).poll_read(cx, &mut part))?;
        buf.put_slice(part.filled());
        self.read -= part.filled().len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Fragile {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let most = self.written.min(buf.len());
        let Some(stream) = self.stream.as_mut().filter(|_| most > 0) else {
            return Poll::Ready(Err(self.broken()));
        };
        let written = ready!(Pin::new(stream).poll_write(cx, &buf[..most]))?;
        self.written -= written;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream = None;
        Poll::Ready(Ok(()))
    }
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).expect("below a usize")
    }
}
