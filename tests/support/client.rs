//! A client with one connection per request, so that dropping a response cuts it.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// The longest wait of a test; a wait that lasts so long is a failure.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) fn post(path: &str, body: &Value) -> Request<Full<Bytes>> {
    Request::post(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(body.to_string()))
        .unwrap()
}

pub(crate) fn empty(method: &str, path: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .body(Full::default())
        .unwrap()
}

pub(crate) fn get(path: &str) -> Request<Full<Bytes>> {
    empty("GET", path)
}

pub(crate) trait With {
    fn with(self, name: &str, value: impl AsRef<str>) -> Self;
}

impl<B> With for Request<B> {
    fn with(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let name: http::HeaderName = name.parse().unwrap();
        self.headers_mut()
            .insert(name, value.as_ref().parse().unwrap());
        self
    }
}

/// A response whose body is being read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: http::response::Parts,
    body: Incoming,
    read: BytesMut,
}

/// A response whose body was read to its end.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) head: http::response::Parts,
    pub(crate) bytes: Bytes,
    /// True if the body ended cleanly, false if it was cut.
    pub(crate) clean: bool,
}

pub(crate) async fn send(addr: SocketAddr, mut request: Request<Full<Bytes>>) -> Answer {
    let io = TcpStream::connect(addr).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io))
        .await
        .unwrap();
    tokio::spawn(connection);
    request
        .headers_mut()
        .insert(header::HOST, addr.to_string().parse().unwrap());
    let response: Response<Incoming> = tokio::time::timeout(SOON, sender.send_request(request))
        .await
        .expect("the head arrives")
        .unwrap();
    let (head, body) = response.into_parts();
    Answer {
        head,
        body,
        read: BytesMut::new(),
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        header(&self.head, name)
    }

    pub(crate) fn id(&self) -> String {
        self.header("x-session-id").to_owned()
    }

    pub(crate) fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// Reads until `text` has arrived.
    pub(crate) async fn until(&mut self, text: &str) -> &str {
        let more = async {
            while !String::from_utf8_lossy(&self.read).contains(text) {
                let frame = self.body.frame().await.expect("more to come").unwrap();
                self.read.extend_from_slice(&frame.into_data().unwrap());
            }
        };
        tokio::time::timeout(SOON, more).await.expect("it arrives");
        std::str::from_utf8(&self.read).unwrap()
    }

    /// Returns what has arrived after this time, for bytes that should not arrive.
    pub(crate) async fn for_a_while(&mut self, time: Duration) -> &[u8] {
        let _ = tokio::time::timeout(time, async {
            while let Some(Ok(frame)) = self.body.frame().await {
                self.read.extend_from_slice(&frame.into_data().unwrap());
            }
        })
        .await;
        &self.read
    }

    pub(crate) async fn whole(mut self) -> Whole {
        let all = async {
            loop {
                match self.body.frame().await {
                    None => break true,
                    Some(Ok(frame)) => self.read.extend_from_slice(&frame.into_data().unwrap()),
                    Some(Err(_)) => break false,
                }
            }
        };
        let clean = tokio::time::timeout(SOON, all).await.expect("an end");
        Whole {
            head: self.head,
            bytes: self.read.freeze(),
            clean,
        }
    }
}

impl Whole {
    pub(crate) fn header(&self, name: &str) -> &str {
        header(&self.head, name)
    }

    pub(crate) fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

fn header<'a>(head: &'a http::response::Parts, name: &str) -> &'a str {
    head.headers
        .get(name)
        .unwrap_or_else(|| panic!("a header {name} in {head:?}"))
        .to_str()
        .unwrap()
}

/// The events of an NDJSON body, by LSN.
pub(crate) fn ndjson(text: &str) -> Vec<(u64, Value)> {
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            (line["lsn"].as_u64().unwrap(), line["event"].clone())
        })
        .collect()
}

/// The events of an SSE body, by id.
pub(crate) fn sse(text: &str) -> Vec<(String, Value)> {
    text.split("\n\n")
        .filter_map(|event| {
            let mut id = None;
            let mut data = None;
            for line in event.lines() {
                if let Some(value) = line.strip_prefix("id: ") {
                    id = Some(value.to_owned());
                } else if let Some(value) = line.strip_prefix("data: ") {
                    data = Some(serde_json::from_str(value).unwrap());
                }
            }
            Some((id?, data?))
        })
        .collect()
}

pub(crate) fn kinds(events: &[(u64, Value)]) -> Vec<&str> {
    events
        .iter()
        .map(|(_, event)| event["type"].as_str().unwrap())
        .collect()
}

pub(crate) fn lsns(events: &[(u64, Value)]) -> Vec<u64> {
    events.iter().map(|(lsn, _)| *lsn).collect()
}
