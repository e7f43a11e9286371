//! A model's server on a real socket, whose answers are written by hand.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::TryStream as _;
use genai::{
    Client, ServiceTarget,
    resolver::{AuthData, Endpoint},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
};
use tower::ServiceExt;
use unbroken::chat::{ChatEvent, ChatRequest, Provider, ProviderError};
use unbroken_genai::GenAi;

/// The key that no message of an error may show.
pub(crate) const KEY: &str = "sk-secret-0123456789";

/// A request that the server got.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// A response of the server.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Any status, with headers and a body.
    Status(u16, &'static str, String),
    /// A stream that ends as HTTP has it.
    Stream(String),
    /// A stream that breaks off.
    Cut(String),
    /// A stream that halts in its middle until it is told to go on.
    Halted(String, Arc<Notify>, String),
    /// A stream that stays open until the client closes it.
    Held(String),
}

/// The server.
#[derive(Clone)]
pub(crate) struct Stub {
    base: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    closed: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<()>>>,
    answer: Arc<Answer>,
}

type Answer = dyn Fn(&Asked, usize) -> Reply + Send + Sync;

impl Stub {
    /// Starts a server that answers each request by the function.
    pub(crate) async fn answering(
        answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/v1/", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (ended, closed) = mpsc::unbounded_channel();
        let answer: Arc<Answer> = Arc::new(answer);
        let (answers, kept) = (Arc::clone(&answer), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (answer, kept, ends_here) =
                    (Arc::clone(&answers), Arc::clone(&kept), ended.clone());
                tokio::spawn(async move {
                    let Some((asked, socket)) = read(socket).await else {
                        return;
                    };
                    let number = {
                        let mut kept = kept.lock().unwrap();
                        kept.push(asked.clone());
                        kept.len()
                    };
                    write(socket, answer(&asked, number), ends_here).await;
                });
            }
        });
        Self {
            base,
            asked,
            closed: Arc::new(tokio::sync::Mutex::new(closed)),
            answer,
        }
    }

    /// Starts a server with these answers, one a request.
    pub(crate) async fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies = Mutex::new(replies.into_iter().collect::<VecDeque<_>>());
        Self::answering(move |_, _| {
            let next = replies.lock().unwrap().pop_front();
            next.unwrap_or(Reply::Status(500, "", "no answer is left".into()))
        })
        .await
    }

    /// Returns the answer to a request, for another server that answers as this one.
    pub(crate) fn reply(&self, asked: &Asked, number: usize) -> Reply {
        (self.answer)(asked, number)
    }

    /// Returns the requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits until a client has closed the connection of an answer that is held.
    pub(crate) async fn is_closed(&self) {
        let mut closed = self.closed.lock().await;
        let wait = tokio::time::timeout(Duration::from_secs(30), closed.recv());
        wait.await.expect("the connection stays open").unwrap();
    }

    /// Returns a client whose models are all here.
    pub(crate) fn client(&self) -> Client {
        client_of(self.base.clone().into())
    }

    /// Returns a provider of a model here.
    pub(crate) fn provider(&self, model: &str) -> GenAi {
        GenAi::new(self.client()).model(model)
    }
}

fn client_of(base: Arc<str>) -> Client {
    Client::builder()
        .with_service_target_resolver_fn(move |mut target: ServiceTarget| {
            target.endpoint = Endpoint::from_owned(Arc::clone(&base));
            target.auth = AuthData::from_single(KEY);
            Ok(target)
        })
        .build()
        .unwrap()
}

/// Returns a provider of a model at an address.
pub(crate) fn provider_at(address: SocketAddr, model: &str) -> GenAi {
    GenAi::new(client_of(format!("http://{address}/v1/").into())).model(model)
}

/// Reads a request.
pub(crate) async fn read(socket: TcpStream) -> Option<(Asked, TcpStream)> {
    let mut socket = BufReader::new(socket);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    socket.read_exact(&mut body).await.ok()?;
    let asked = Asked {
        path: head.split(' ').nth(1).unwrap_or_default().to_owned(),
        head,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    Some((asked, socket.into_inner()))
}

async fn write(mut socket: TcpStream, reply: Reply, ends_here: mpsc::UnboundedSender<()>) {
    let mut halt = None;
    let (body, ends) = match reply {
        Reply::Status(status, headers, body) => {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-type: application/json\r\n{headers}\
                 content-length: {length}\r\n\r\n{body}"
            );
            let _ = socket.write_all(head.as_bytes()).await;
            return;
        }
        Reply::Stream(body) => (body, Some(true)),
        Reply::Cut(body) => (body, Some(false)),
        Reply::Halted(body, go_on, rest) => {
            halt = Some((go_on, rest));
            (body, Some(true))
        }
        Reply::Held(body) => (body, None),
    };
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\
                transfer-encoding: chunked\r\n\r\n";
    let mut bytes = head.as_bytes().to_vec();
    if !body.is_empty() {
        bytes.extend(format!("{:x}\r\n{body}\r\n", body.len()).into_bytes());
    }
    if let Some((go_on, rest)) = halt {
        let _ = socket.write_all(&bytes).await;
        go_on.notified().await;
        bytes = format!("{:x}\r\n{rest}\r\n", rest.len()).into_bytes();
    }
    if ends == Some(true) {
        bytes.extend(b"0\r\n\r\n");
    }
    let _ = socket.write_all(&bytes).await;
    if ends.is_none() {
        let mut rest = [0; 16];
        while matches!(socket.read(&mut rest).await, Ok(1..)) {}
        let _ = ends_here.send(());
    }
}

/// Returns the events of an answer, and its error.
pub(crate) async fn answer(
    provider: impl Provider,
    request: ChatRequest,
) -> (Vec<Value>, Option<ProviderError>) {
    let public =
        |error: unbroken::BoxError| *error.downcast::<ProviderError>().expect("a public error");
    let answer = match provider.oneshot(request).await {
        Ok(answer) => answer,
        Err(error) => return (Vec::new(), Some(public(error.into()))),
    };
    let mut answer = std::pin::pin!(answer);
    let mut events = Vec::new();
    while let Some(next) = std::future::poll_fn(|cx| answer.as_mut().try_poll_next(cx)).await {
        match next {
            Ok(event) => events.push(json_of(&event)),
            Err(error) => return (events, Some(public(error.into()))),
        }
    }
    (events, None)
}

/// Returns the JSON of an event.
pub(crate) fn json_of(event: &ChatEvent) -> Value {
    serde_json::to_value(event).unwrap()
}

/// Returns the events of a type.
pub(crate) fn of_type<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events
        .iter()
        .filter(|event| event["type"] == kind)
        .collect()
}

/// Returns an error with all that it shows, for a search.
pub(crate) fn shown(error: &ProviderError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(next) = source {
        text = format!("{text} {next} {next:?}");
        source = next.source();
    }
    text
}

/// Returns frames without names, as Gemini and OpenAI send them.
pub(crate) fn frames(data: &[Value]) -> String {
    let one = |data: &Value| format!("data: {data}\r\n\r\n");
    data.iter().map(one).collect::<Vec<_>>().concat()
}
