//! A server that breaks off at every byte of its answer.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tower::{Service, ServiceExt};
use unbroken::{
    chat::{ChatEvent, ChatRequest, ProviderError},
    log::ErrorCode,
    provider::http::{AnswerFuture, AnswerStream},
};

// Only a test that is about to fail waits for so long.
const GUARD: Duration = Duration::from_secs(60);
const AT_ONCE: usize = 32;

/// A recording of a server, and the events it decodes to.
pub(crate) struct Recording {
    pub(crate) name: &'static str,
    pub(crate) body: &'static [u8],
    /// The number of bytes after which only the usage is missing.
    pub(crate) whole_at: usize,
    pub(crate) events: Vec<ChatEvent>,
}

/// A response, and the number of bytes of the body in each prefix of it.
struct Response {
    bytes: Vec<u8>,
    delivered: Vec<usize>,
}

impl Response {
    fn new(head: &[u8]) -> Self {
        Self {
            bytes: head.to_vec(),
            delivered: vec![0; head.len() + 1],
        }
    }

    fn frame(&mut self, bytes: &[u8]) {
        let so_far = self.delivered.last().copied().unwrap();
        self.bytes.extend_from_slice(bytes);
        self.delivered.extend(bytes.iter().map(|_| so_far));
    }

    fn body(&mut self, bytes: &[u8]) {
        let so_far = self.delivered.last().copied().unwrap();
        self.bytes.extend_from_slice(bytes);
        self.delivered
            .extend((1..=bytes.len()).map(|more| so_far + more));
    }

    /// A body with a marked end.
    fn chunked(body: &[u8]) -> Self {
        let mut response = Self::new(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        for chunk in body.chunks(199) {
            response.frame(format!("{:x}\r\n", chunk.len()).as_bytes());
            response.body(chunk);
            response.frame(b"\r\n");
        }
        response.frame(b"0\r\n\r\n");
        response
    }

    /// A body that ends with the connection, so that every cut looks like an end.
    fn until_closed(body: &[u8]) -> Self {
        let mut response = Self::new(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
        response.body(body);
        response
    }
}

/// Asks for `recording`, cut at every byte, and looks at what comes.
pub(crate) async fn never_a_clean_success<P>(
    recording: &Recording,
    provider: impl Fn(SocketAddr) -> P,
) where
    P: Service<ChatRequest, Response = AnswerStream, Error = ProviderError, Future = AnswerFuture>
        + Clone,
{
    let (mut cut, mut whole) = (0, 0);
    for response in [
        Response::chunked(recording.body),
        Response::until_closed(recording.body),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = provider(listener.local_addr().unwrap());
        let server = tokio::spawn(serve(listener, response.bytes));
        let answers = stream::iter(response.delivered.iter().enumerate()).map(|(at, delivered)| {
            let provider = provider.clone();
            async move {
                let answer = timeout(GUARD, ask(provider, at)).await.unwrap();
                (at, *delivered, answer)
            }
        });
        let mut answers = std::pin::pin!(answers.buffer_unordered(AT_ONCE));
        while let Some((at, delivered, (events, error))) = answers.next().await {
            let place = format!("{} cut at byte {at}: {events:?} {error:?}", recording.name);
            let full = &recording.events;
            if delivered < recording.whole_at {
                let error = error.expect(&place);
                assert!(error.is_recoverable(), "{place}");
                assert_eq!(error.code(), ErrorCode::Provider, "{place}");
                assert_eq!(events, full[..events.len()], "{place}");
                assert!(!events.iter().any(ChatEvent::is_terminal), "{place}");
                cut += 1;
            } else {
                assert!(error.is_none(), "{place}");
                let events: Vec<_> = events.iter().map(without_usage).collect();
                let full: Vec<_> = full.iter().map(without_usage).collect();
                assert_eq!(events, full, "{place}");
                whole += 1;
            }
        }
        server.abort();
    }
    assert!(cut > recording.body.len() && whole > 1, "{cut} {whole}");
}

fn without_usage(event: &ChatEvent) -> ChatEvent {
    let mut event = event.clone();
    if let ChatEvent::Complete(complete) = &mut event {
        complete.usage = None;
    }
    event
}

async fn ask<P>(provider: P, at: usize) -> (Vec<ChatEvent>, Option<ProviderError>)
where
    P: Service<ChatRequest, Response = AnswerStream, Error = ProviderError>,
{
    let mut request = ChatRequest::from_user("Hi");
    // Tells the server where to cut.
    request.model = Some(format!("cut-{at}-"));
    let mut answer = match provider.oneshot(request).await {
        Ok(answer) => answer,
        Err(error) => return (vec![], Some(error)),
    };
    let mut events = Vec::new();
    while let Some(event) = answer.next().await {
        match event {
            Ok(ChatEvent::Turn(_)) => {} // `turns.rs` has those
            Ok(event) => events.push(event),
            Err(error) => {
                assert!(answer.next().await.is_none(), "something after an error");
                return (events, Some(error));
            }
        }
    }
    (events, None)
}

async fn serve(listener: TcpListener, response: Vec<u8>) {
    let response: Arc<[u8]> = response.into();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        tokio::spawn(answer(socket, Arc::clone(&response)));
    }
}

async fn answer(mut socket: TcpStream, response: Arc<[u8]>) {
    let mut request = Vec::new();
    // The body of a request is JSON whose last bracket closes it.
    while !(request.ends_with(b"}") && request.contains(&b'{')) {
        if socket.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let request = String::from_utf8(request).unwrap();
    let (_, after) = request.split_once("cut-").unwrap();
    let (at, _) = after.split_once('-').unwrap();
    let cut = &response[..at.parse().unwrap()];
    // The client may have disconnected after the end.
    let _ = socket.write_all(cut).await;
}
