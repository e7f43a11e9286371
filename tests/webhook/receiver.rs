//! A receiver that sends exactly the bytes of a test.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
    time::timeout,
};
use unbroken::{
    chat::{ChatEvent, ChatRequest, Complete, Transcript, Usage},
    durable::{SessionEnded, Webhook, WebhookBuilder},
    log::Outcome,
};

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Only a test that is about to fail waits for so long.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

/// The reply to a delivery.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// These bytes, and the end of the connection.
    Bytes(Vec<u8>),
    /// The first bytes, then the second ones again and again, after this pause each.
    Endless(&'static str, &'static [u8], Duration),
    /// This status, after a pause, and the end of the connection.
    After(Duration, u16),
    /// Nothing, until the sender is gone.
    Nothing,
    /// The end of the connection.
    Close,
    /// The end of the connection before the request was read.
    CloseUnread,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::Bytes(response_of(status))
    }
}

fn response_of(status: u16) -> Vec<u8> {
    format!("HTTP/1.1 {status} As told\r\ncontent-length: 11\r\n\r\nprivate-say").into()
}

/// A delivery as it came.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Delivery {
    pub(crate) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(it, _)| it.eq_ignore_ascii_case(name));
        let (_, value) = found
            .next()
            .unwrap_or_else(|| panic!("{name}: {}", self.head));
        assert!(found.next().is_none(), "{name} twice: {}", self.head);
        value
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A receiver. Its first connections get the first replies, and all further ones the last.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    deliveries: mpsc::UnboundedReceiver<Delivery>,
    closed: mpsc::UnboundedReceiver<usize>,
}

impl Receiver {
    pub(crate) async fn of(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (saw, deliveries) = mpsc::unbounded_channel();
        let (gone, closed) = mpsc::unbounded_channel();
        let count = connections.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let number = count.fetch_add(1, SeqCst).min(replies.len() - 1);
                let (reply, saw, gone) = (replies[number].clone(), saw.clone(), gone.clone());
                tokio::spawn(async move {
                    let sent = serve(socket, reply, &saw).await;
                    let _ = gone.send(sent);
                });
            }
        });
        Self {
            address,
            connections,
            deliveries,
            closed,
        }
    }

    pub(crate) async fn with(reply: Reply) -> Self {
        Self::of(vec![reply]).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/path-key?query-key", self.address)
    }

    /// Returns a builder of a webhook that may call it.
    pub(crate) fn webhook(&self) -> WebhookBuilder {
        let builder = Webhook::builder(self.url(), SECRET).allow_http();
        builder.allow_private_addresses()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    pub(crate) async fn next(&mut self) -> Delivery {
        let next = timeout(GUARD, self.deliveries.recv()).await;
        next.expect("a delivery").unwrap()
    }

    /// Waits for the end of a connection. Returns the number of bytes that were sent on it.
    pub(crate) async fn closed(&mut self) -> usize {
        let closed = timeout(GUARD, self.closed.recv()).await;
        closed.expect("the end of a connection").unwrap()
    }

    pub(crate) fn no_further(&mut self) -> bool {
        self.deliveries.try_recv().is_err()
    }
}

/// Reads a delivery, and replies. Returns the number of bytes that the sender took.
pub(crate) async fn serve(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    reply: Reply,
    saw: &mpsc::UnboundedSender<Delivery>,
) -> usize {
    if matches!(reply, Reply::CloseUnread) {
        return 0;
    }
    let Some(delivery) = read(&mut socket).await else {
        return 0;
    };
    let _ = saw.send(delivery);
    match reply {
        Reply::Bytes(bytes) => answer(socket, &bytes).await,
        Reply::After(pause, status) => {
            tokio::time::sleep(pause).await;
            answer(socket, &response_of(status)).await
        }
        Reply::Endless(first, again, pause) => {
            let mut sent = first.len();
            if socket.write_all(first.as_bytes()).await.is_err() {
                return 0;
            }
            while socket.write_all(again).await.is_ok() {
                sent += again.len();
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
            sent
        }
        Reply::Nothing => {
            let _ = socket.read(&mut [0; 64]).await;
            0
        }
        Reply::Close | Reply::CloseUnread => 0,
    }
}

/// Sends these bytes, and the end of the connection. Returns the number of bytes that the sender took.
async fn answer(mut socket: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> usize {
    let written = socket.write_all(bytes).await;
    let _ = socket.shutdown().await;
    // The rest is read so that no reset overtakes the reply.
    let _ = socket.read(&mut [0; 64]).await;
    if written.is_ok() { bytes.len() } else { 0 }
}

async fn read(socket: &mut (impl AsyncRead + Unpin)) -> Option<Delivery> {
    let mut bytes = Vec::new();
    let end = loop {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        if let Some(at) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let mut body = bytes.split_off(end);
    let head = String::from_utf8(bytes).unwrap();
    let mut delivery = Delivery {
        head,
        body: Vec::new(),
    };
    let length: usize = delivery.header("content-length").parse().unwrap();
    while body.len() < length {
        if socket.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    assert_eq!(body.len(), length);
    delivery.body = body;
    Some(delivery)
}

/// Returns a session that has ended with this text.
pub(crate) fn ended(text: &str) -> SessionEnded {
    let complete = Complete::new().usage(Usage::new(12, 34));
    let events = [ChatEvent::text(text), complete.into()];
    let transcript: Transcript = events.iter().collect();
    let id = "session-0123456789.abcd".parse().unwrap();
    let request = ChatRequest::from_user("Hi");
    SessionEnded::new(id, request, transcript, Outcome::Complete)
}
