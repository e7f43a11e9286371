//! A client: one connection per request, over either version.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{Request, Response, Version, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::{
    net::TcpStream,
    sync::mpsc::{UnboundedSender, unbounded_channel},
};

/// The time after which a test has failed; nothing here takes that long.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

pub(crate) type Body = BoxBody<Bytes, Infallible>;

pub(crate) fn empty(method: &str, path: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .body(Full::default().boxed())
        .unwrap()
}

pub(crate) fn get(path: &str) -> Request<Body> {
    empty("GET", path)
}

pub(crate) fn post(path: &str, body: &Value) -> Request<Body> {
    empty("POST", path)
        .map(|_| Full::from(body.to_string()).boxed())
        .with("content-type", "application/json")
}

/// The sender of a body without a length; dropping it ends the body.
pub(crate) struct Rest(UnboundedSender<Bytes>);

impl Rest {
    pub(crate) fn send(&self, data: impl Into<Bytes>) {
        self.0.send(data.into()).unwrap();
    }
}

/// Creates a request whose body is sent piece by piece.
pub(crate) fn open_ended(request: Request<Body>) -> (Rest, Request<Body>) {
    let (rest, mut data) = unbounded_channel();
    let frames = stream::poll_fn(move |cx| {
        data.poll_recv(cx)
            .map(|data| data.map(|data| Ok(Frame::data(data))))
    });
    (
        Rest(rest),
        request.map(|_| BoxBody::new(StreamBody::new(frames))),
    )
}

pub(crate) trait With {
    fn with(self, name: &str, value: impl AsRef<str>) -> Self;
}

impl<B> With for Request<B> {
    fn with(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let name: http::HeaderName = name.parse().unwrap();
        let value = value.as_ref().parse().unwrap();
        self.headers_mut().append(name, value);
        self
    }
}

/// A response that is being read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: http::response::Parts,
    body: Incoming,
    read: BytesMut,
}

/// A body that was read to its end.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) head: http::response::Parts,
    bytes: Bytes,
    /// True if the body ended properly; false if it was cut.
    pub(crate) clean: bool,
}

pub(crate) async fn send(addr: SocketAddr, version: Version, request: Request<Body>) -> Answer {
    let io = TokioIo::new(TcpStream::connect(addr).await.unwrap());
    let response = async move {
        if version == Version::HTTP_2 {
            let mut request = request;
            let absolute = format!("http://{addr}{}", request.uri());
            *request.uri_mut() = absolute.parse().unwrap();
            let executor = TokioExecutor::new();
            let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io)
                .await
                .unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            sender
                .send_request(request.with("host", addr.to_string()))
                .await
        }
    };
    let response: Response<Incoming> = tokio::time::timeout(SOON, response)
        .await
        .expect("the head arrives")
        .unwrap();
    assert_eq!(response.version(), version);
    let (head, body) = response.into_parts();
    Answer {
        head,
        body,
        read: BytesMut::new(),
    }
}

/// Returns the whole response over HTTP/1.1.
pub(crate) async fn ask(addr: SocketAddr, request: Request<Body>) -> Whole {
    send(addr, Version::HTTP_11, request).await.whole().await
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// Returns true if the head announces no body.
    pub(crate) fn is_bare(&self) -> bool {
        hyper::body::Body::is_end_stream(&self.body)
    }

    /// Reads until the data contains `text`.
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
    pub(crate) fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.head.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Returns the status and the name of the problem.
    pub(crate) fn problem(&self) -> (u16, String) {
        let content_type = self.header(header::CONTENT_TYPE.as_str());
        assert_eq!(content_type, "application/problem+json", "{}", self.text());
        let name = self.json()["type"].as_str().unwrap().to_owned();
        (self.status(), name.replace("urn:unbroken:", ""))
    }
}
