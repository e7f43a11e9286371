//! A client with one connection per request: dropping an answer closes its connection.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::{
    Error, TIMEOUT, in_time,
    received::{Event, Promise, Received},
};

/// The error of a connection that was refused or broke.
#[derive(Debug)]
pub(crate) struct Disconnected;

/// The timeout of a response's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// The answer that a request asks the provider for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnswerSpec {
    pub(crate) tokens: usize,
    pub(crate) delay_ms: u64,
    pub(crate) resume_ms: u64,
    pub(crate) hang_at: Option<usize>,
    /// The kind and the bytes of a record after the first token.
    pub(crate) record: Option<(&'static str, usize)>,
}

impl AnswerSpec {
    pub(crate) const fn tokens(tokens: usize, delay_ms: u64) -> Self {
        Self {
            tokens,
            delay_ms,
            resume_ms: 0,
            hang_at: None,
            record: None,
        }
    }

    fn body(self) -> String {
        let mut spec = json!({
            "tokens": self.tokens, "delayMs": self.delay_ms, "resumeMs": self.resume_ms,
        });
        if let Some(at) = self.hang_at {
            spec["hangAt"] = at.into();
        }
        if let Some((kind, bytes)) = self.record {
            spec["record"] = json!({"kind": kind, "bytes": bytes});
        }
        json!({"messages": [{"role": "user", "content": "Hi"}], "answerSpec": spec}).to_string()
    }
}

/// Returns a request that starts a session under this id, or attaches to it from its beginning.
pub(crate) fn start(id: &str, spec: AnswerSpec) -> Request<Full<Bytes>> {
    request("POST", "/", "text/event-stream")
        .header("x-session-id", id)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(spec.body()))
        .expect("a request")
}

/// Returns a request that starts a session under this id with a question and the server's tools.
pub(crate) fn start_with_tools(id: &str, question: &str) -> Request<Full<Bytes>> {
    let body = json!({"messages": [{"role": "user", "content": question}], "enabledTools": true});
    request("POST", "/", "text/event-stream")
        .header("x-session-id", id)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(body.to_string()))
        .expect("a request")
}

/// Returns the request of [`start`] from a client that has received the events up to this one.
pub(crate) fn start_after(id: &str, spec: AnswerSpec, after: &Event) -> Request<Full<Bytes>> {
    let mut request = start(id, spec);
    let lsn = after.lsn.to_string().parse().expect("a header");
    request.headers_mut().insert("x-last-lsn", lsn);
    request
}

/// Returns a request that reads a session from its beginning or after an event.
pub(crate) fn read(id: &str, after: Option<&Event>) -> Request<Full<Bytes>> {
    let mut request = request("GET", &format!("/{id}"), "text/event-stream");
    if let Some(event) = after {
        request = request.header("last-event-id", &event.cursor);
    }
    request.body(Full::default()).expect("a request")
}

/// Returns a request without a body for a JSON response.
pub(crate) fn plain(method: &str, path: &str) -> Request<Full<Bytes>> {
    let request = request(method, path, "application/json");
    request.body(Full::default()).expect("a request")
}

fn request(method: &str, path: &str, accept: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header("x-owner", "owner")
        .header(header::ACCEPT, accept)
}

/// A response whose body is being read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: http::response::Parts,
    body: Incoming,
    read: BytesMut,
    // No event ends before this place in `read`.
    searched: usize,
}

pub(crate) async fn send(
    addr: SocketAddr,
    mut request: Request<Full<Bytes>>,
) -> Result<Answer, Disconnected> {
    let head = async {
        let io = TcpStream::connect(addr).await.map_err(|_| Disconnected)?;
        io.set_nodelay(true).map_err(|_| Disconnected)?;
        let client = hyper::client::conn::http1::handshake(TokioIo::new(io));
        let (mut sender, connection) = client.await.map_err(|_| Disconnected)?;
        tokio::spawn(connection);
        let host = addr.to_string().parse().map_err(|_| Disconnected)?;
        request.headers_mut().insert(header::HOST, host);
        sender.send_request(request).await.map_err(|_| Disconnected)
    };
    let response = tokio::time::timeout(HEAD_TIMEOUT, head)
        .await
        .map_err(|_| Disconnected)??;
    let (head, body) = response.into_parts();
    Ok(Answer {
        head,
        body,
        read: BytesMut::new(),
        searched: 0,
    })
}

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        self.head.status
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// Returns the next event, or `None` at a clean end.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Disconnected> {
        loop {
            if let Some(event) = self.parse() {
                return Ok(Some(event));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(_)) => return Err(Disconnected),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.read.extend_from_slice(&data);
                    }
                }
            }
        }
    }

    /// Returns the next complete event of the log. Only those have ids.
    fn parse(&mut self) -> Option<Event> {
        loop {
            let unread = &self.read[self.searched..];
            let Some(end) = unread.windows(2).position(|pair| pair == b"\n\n") else {
                self.searched = self.read.len().saturating_sub(1);
                return None;
            };
            let block = self.read.split_to(self.searched + end + 2);
            self.searched = 0;
            let text = String::from_utf8_lossy(&block);
            let field = |name| text.lines().find_map(|line| line.strip_prefix(name));
            if let (Some(cursor), Some(data)) = (field("id: "), field("data: "))
                && let Some(event) = Event::parse(cursor, data)
            {
                return Some(event);
            }
        }
    }

    /// Returns the rest of the body, or an error if the connection breaks.
    pub(crate) async fn rest(mut self) -> Result<Bytes, Disconnected> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(data) = frame.map_err(|_| Disconnected)?.into_data() {
                self.read.extend_from_slice(&data);
            }
        }
        Ok(self.read.freeze())
    }

    pub(crate) async fn json(self) -> Result<Value, Error> {
        let bytes = self
            .rest()
            .await
            .map_err(|Disconnected| "the connection broke in the body")?;
        Ok(serde_json::from_slice(&bytes)?)
    }
}

/// Sends a request until the response is no 503, which a server sends while its store is unavailable.
///
/// # Errors
///
/// Fails if the connection breaks, on any other refusal, and after [`TIMEOUT`].
pub(crate) async fn ask(
    server: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Error> {
    let began = Instant::now();
    loop {
        let answer = send(server, request.clone()).await;
        let answer = answer.map_err(|Disconnected| "a server does not answer")?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let again = answer.status() == StatusCode::SERVICE_UNAVAILABLE;
        if !again || began.elapsed() > TIMEOUT {
            return Err(format!("refused: {:?}", answer.head).into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Reads on in the body until enough is received, or to its clean end. The connection must not break.
pub(crate) async fn read_until(
    answer: &mut Answer,
    received: &mut Received,
    enough: impl Fn(&Received) -> bool,
) -> Result<(), Error> {
    let more = async {
        while !enough(received) {
            match answer.next().await {
                Ok(Some(event)) => received.push_or_compare(event)?,
                Ok(None) if received.has_ended() => break,
                end @ (Ok(None) | Err(Disconnected)) => {
                    let how = format!("the body ended ({end:?}) after {:?}", received.last());
                    return Err(Promise::Ending.violated(how));
                }
            }
        }
        Ok(())
    };
    Ok(in_time("more events", more).await??)
}
