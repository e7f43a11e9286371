//! A client with one connection per request, so that a dropped answer is cut.

use std::{net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// The time after which a read counts as failed.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) type Call = Request<Full<Bytes>>;

pub(crate) fn call(method: &str, path: &str) -> Call {
    Request::builder()
        .method(method)
        .uri(path)
        .body(Full::default())
        .unwrap()
}

pub(crate) fn get(path: &str) -> Call {
    call("GET", path)
}

pub(crate) fn post(path: &str, body: &Value) -> Call {
    call("POST", path)
        .with("content-type", "application/json")
        .map(|_| body.to_string().into())
}

pub(crate) trait With: Sized {
    fn with(self, name: &'static str, value: &str) -> Self;

    fn by(self, user: &str) -> Self {
        self.with("authorization", &format!("Bearer {user}-token"))
    }
}

impl With for Call {
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers_mut().insert(name, value.parse().unwrap());
        self
    }
}

/// An answer that is being read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: http::response::Parts,
    body: Incoming,
    read: BytesMut,
}

/// A body that was read to its end.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) text: String,
    /// True if the body ended cleanly, false if it was cut.
    pub(crate) clean: bool,
}

/// Sends a request. Fails if the connection ends before a head.
pub(crate) async fn try_send(addr: SocketAddr, mut call: Call) -> hyper::Result<Answer> {
    let io = TcpStream::connect(addr).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    let host = addr.to_string().parse().unwrap();
    call.headers_mut().insert(header::HOST, host);
    let response = tokio::time::timeout(READ_TIMEOUT, sender.send_request(call));
    let (head, body) = response.await.expect("the head arrives")?.into_parts();
    Ok(Answer {
        head,
        body,
        read: BytesMut::new(),
    })
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// Returns the value of a header, empty if it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.head.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// Reads until the body so far contains `text`.
    pub(crate) async fn until(&mut self, text: &str) {
        let more = async {
            while !String::from_utf8_lossy(&self.read).contains(text) {
                let frame = self.body.frame().await.expect("more to come").unwrap();
                self.read.extend_from_slice(&frame.into_data().unwrap());
            }
        };
        tokio::time::timeout(READ_TIMEOUT, more)
            .await
            .expect("it arrives");
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
        let clean = tokio::time::timeout(READ_TIMEOUT, all)
            .await
            .expect("an end");
        Whole {
            text: String::from_utf8_lossy(&self.read).into_owned(),
            clean,
        }
    }

    pub(crate) async fn json(self) -> Value {
        serde_json::from_str(&self.whole().await.text).unwrap()
    }
}

impl Whole {
    /// Returns the LSNs of complete lines.
    pub(crate) fn lsns(&self) -> Vec<u64> {
        let lines = self.text.lines().filter(|line| !line.is_empty());
        let lsn = |line| serde_json::from_str::<Value>(line).ok()?["lsn"].as_u64();
        lines.map_while(lsn).collect()
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.clean && self.text.contains(r#""type":"complete""#)
    }
}
