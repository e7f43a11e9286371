//! A client: one connection per request, so that dropping an answer cuts it.

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
    Error, SOON,
    log::{Event, Promise, Seen},
    soon,
};

/// The connection broke, or never was.
#[derive(Debug)]
pub(crate) struct Cut;

/// For how long a head may be awaited.
const HEAD: Duration = Duration::from_secs(15);

/// What a request asks the provider for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Say {
    pub(crate) tokens: usize,
    pub(crate) delay_ms: u64,
    pub(crate) resume_ms: u64,
    pub(crate) hang_at: Option<usize>,
}

impl Say {
    pub(crate) const fn tokens(tokens: usize, delay_ms: u64) -> Self {
        Self {
            tokens,
            delay_ms,
            resume_ms: 0,
            hang_at: None,
        }
    }

    fn body(self) -> String {
        let mut say = json!({
            "tokens": self.tokens, "delayMs": self.delay_ms, "resumeMs": self.resume_ms,
        });
        if let Some(at) = self.hang_at {
            say["hangAt"] = at.into();
        }
        json!({"messages": [{"role": "user", "content": "Hi"}], "say": say}).to_string()
    }
}

/// Starts a session under this id, or attaches to it from its beginning.
pub(crate) fn start(id: &str, say: Say) -> Request<Full<Bytes>> {
    request("POST", "/")
        .header("x-session-id", id)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(say.body()))
        .expect("a request")
}

/// The same request, of somebody who has read so far.
pub(crate) fn restart(id: &str, say: Say, after: &Event) -> Request<Full<Bytes>> {
    let mut request = start(id, say);
    let lsn = after.lsn.to_string().parse().expect("a header");
    request.headers_mut().insert("x-last-lsn", lsn);
    request
}

/// Reads a session, from the start or after an event.
pub(crate) fn read(id: &str, after: Option<&Event>) -> Request<Full<Bytes>> {
    let mut request = request("GET", &format!("/{id}"));
    if let Some(event) = after {
        request = request.header("last-event-id", &event.cursor);
    }
    request.body(Full::default()).expect("a request")
}

pub(crate) fn plain(method: &str, path: &str) -> Request<Full<Bytes>> {
    let request = request(method, path).header(header::ACCEPT, "application/json");
    request.body(Full::default()).expect("a request")
}

fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header("x-owner", "somebody")
        .header(header::ACCEPT, "text/event-stream")
}

/// An answer whose body is being read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: http::response::Parts,
    body: Incoming,
    read: BytesMut,
}

pub(crate) async fn send(
    addr: SocketAddr,
    mut request: Request<Full<Bytes>>,
) -> Result<Answer, Cut> {
    let head = async {
        let io = TcpStream::connect(addr).await.map_err(|_| Cut)?;
        io.set_nodelay(true).map_err(|_| Cut)?;
        let client = hyper::client::conn::http1::handshake(TokioIo::new(io));
        let (mut sender, connection) = client.await.map_err(|_| Cut)?;
        tokio::spawn(connection);
        let host = addr.to_string().parse().map_err(|_| Cut)?;
        request.headers_mut().insert(header::HOST, host);
        sender.send_request(request).await.map_err(|_| Cut)
    };
    let response = tokio::time::timeout(HEAD, head).await.map_err(|_| Cut)??;
    let (head, body) = response.into_parts();
    Ok(Answer {
        head,
        body,
        read: BytesMut::new(),
    })
}

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        self.head.status
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// The next event; `None` at a clean end.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Cut> {
        loop {
            if let Some(event) = self.parse() {
                return Ok(Some(event));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(_)) => return Err(Cut),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.read.extend_from_slice(&data);
                    }
                }
            }
        }
    }

    /// An event that has arrived whole. What has no id is no event of the log.
    fn parse(&mut self) -> Option<Event> {
        loop {
            let end = self.read.windows(2).position(|pair| pair == b"\n\n")?;
            let block = self.read.split_to(end + 2);
            let text = String::from_utf8_lossy(&block);
            let field = |name| text.lines().find_map(|line| line.strip_prefix(name));
            if let (Some(cursor), Some(data)) = (field("id: "), field("data: "))
                && let Some(event) = Event::parse(cursor, data)
            {
                return Some(event);
            }
        }
    }

    /// The rest of the body; an error if it is cut.
    pub(crate) async fn rest(mut self) -> Result<Bytes, Cut> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(data) = frame.map_err(|_| Cut)?.into_data() {
                self.read.extend_from_slice(&data);
            }
        }
        Ok(self.read.freeze())
    }

    pub(crate) async fn json(self) -> Result<Value, Error> {
        let bytes = self.rest().await.map_err(|Cut| "the body was cut")?;
        Ok(serde_json::from_slice(&bytes)?)
    }
}

/// An answer that is no refusal. Who is told that the store is out of reach asks again.
pub(crate) async fn ask(
    server: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Error> {
    let began = Instant::now();
    loop {
        let answer = send(server, request.clone()).await;
        let answer = answer.map_err(|Cut| "a server doesn't answer")?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let again = answer.status() == StatusCode::SERVICE_UNAVAILABLE;
        if !again || began.elapsed() > SOON {
            return Err(format!("refused: {:?}", answer.head).into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Reads on in the same body until this was seen, or to its clean end. It must not be cut.
pub(crate) async fn take_until(
    answer: &mut Answer,
    seen: &mut Seen,
    enough: impl Fn(&Seen) -> bool,
) -> Result<(), Error> {
    let more = async {
        while !enough(seen) {
            match answer.next().await {
                Ok(Some(event)) => seen.take_again(event)?,
                Ok(None) if seen.is_over() => break,
                end @ (Ok(None) | Err(Cut)) => {
                    let how = format!("the body ended ({end:?}) after {:?}", seen.last());
                    return Err(Promise::Ending.broken(how));
                }
            }
        }
        Ok(())
    };
    Ok(soon("more events", more).await??)
}
