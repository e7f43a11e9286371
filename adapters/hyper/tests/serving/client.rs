//! Clients of both versions.

use std::{net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
};

/// The time after which a test has failed; nothing here takes that long.
pub(crate) const SOON: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

pub(crate) const BOTH: [Version; 2] = [Version::Http1, Version::Http2];

/// A connection.
pub(crate) struct Client {
    sender: Sender,
    task: JoinHandle<Result<(), hyper::Error>>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

pub(crate) async fn connect(addr: SocketAddr, version: Version) -> Client {
    let io = TcpStream::connect(addr).await.unwrap();
    over(io, version).await.unwrap()
}

pub(crate) async fn over<I>(io: I, version: Version) -> Result<Client, hyper::Error>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(io);
    Ok(match version {
        Version::Http1 => {
            let (sender, connection) = http1::handshake(io).await?;
            Client {
                sender: Sender::Http1(sender),
                task: tokio::spawn(connection),
            }
        }
        Version::Http2 => {
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(64 * 1024)
                .handshake(io)
                .await?;
            Client {
                sender: Sender::Http2(sender),
                task: tokio::spawn(connection),
            }
        }
    })
}

impl Client {
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, hyper::Error> {
        let response: Response<Incoming> = match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let (head, body) = response.into_parts();
        Ok(Answer {
            head,
            body,
            read: BytesMut::new(),
        })
    }

    /// Sends a request and returns its response, which must come.
    pub(crate) async fn get(&mut self, request: Request<Full<Bytes>>) -> Answer {
        let answer = tokio::time::timeout(SOON, self.send(request)).await;
        answer.expect("the head arrives").unwrap()
    }

    /// Waits until the connection has ended.
    pub(crate) async fn closed(&mut self) {
        let closed = tokio::time::timeout(SOON, &mut self.task).await;
        let _ = closed.expect("the connection ends");
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.task.is_finished()
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
    pub(crate) text: String,
    /// True if the body ended properly; false if it was cut.
    pub(crate) clean: bool,
    pub(crate) error: Option<hyper::Error>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.head.headers[name].to_str().unwrap()
    }

    pub(crate) async fn frame(&mut self) -> Option<Result<(), hyper::Error>> {
        Some(self.body.frame().await?.map(|frame| {
            if let Ok(data) = frame.into_data() {
                self.read.extend_from_slice(&data);
            }
        }))
    }

    /// Reads until the data contains `text`.
    pub(crate) async fn until(&mut self, text: &str) {
        let more = async {
            while !String::from_utf8_lossy(&self.read).contains(text) {
                self.frame().await.expect("more to come").unwrap();
            }
        };
        tokio::time::timeout(SOON, more).await.expect("it arrives");
    }

    /// Reads to the end, with a pause after each frame.
    pub(crate) async fn whole_slowly(self, pause: Duration) -> Whole {
        self.whole_within(pause, SOON).await
    }

    /// Reads to the end, within a time.
    pub(crate) async fn whole_for(self, time: Duration) -> Whole {
        self.whole_within(Duration::ZERO, time).await
    }

    async fn whole_within(mut self, pause: Duration, time: Duration) -> Whole {
        let all = async {
            loop {
                match self.frame().await {
                    None => break None,
                    Some(Ok(())) if pause.is_zero() => {}
                    Some(Ok(())) => tokio::time::sleep(pause).await,
                    Some(Err(error)) => break Some(error),
                }
            }
        };
        let error = tokio::time::timeout(time, all).await.expect("an end");
        Whole {
            text: String::from_utf8_lossy(&self.read).into_owned(),
            clean: error.is_none(),
            error,
        }
    }

    pub(crate) async fn whole(self) -> Whole {
        self.whole_slowly(Duration::ZERO).await
    }
}

impl Whole {
    /// Returns true if the last record is a terminal event.
    pub(crate) fn is_complete(&self) -> bool {
        let last = self.text.lines().rfind(|line| !line.is_empty());
        last.is_some_and(|line| line.contains(r#""type":"complete""#))
    }

    pub(crate) fn lsns(&self) -> Vec<u64> {
        let lines = self.text.lines().filter(|line| !line.is_empty());
        lines
            .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["lsn"].as_u64())
            .collect()
    }
}

pub(crate) fn post(path: &str, body: &Value) -> Request<Full<Bytes>> {
    Request::post(format!("http://server{path}"))
        .header("host", "server")
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()))
        .unwrap()
}

pub(crate) fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("http://server{path}"))
        .header("host", "server")
        .body(Full::default())
        .unwrap()
}
