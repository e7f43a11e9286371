//! A small server of a model that sends exactly the bytes of a test.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::sleep,
};

/// One thing that the stub does with a connection.
#[derive(Clone)]
pub(crate) enum Step {
    /// Sends these bytes as one chunk of the body.
    Chunk(Vec<u8>),
    /// Sends these bytes as they are.
    Raw(Vec<u8>),
    /// Ends the body.
    End,
    /// Closes the connection without ending the body.
    Cut,
    /// Sends nothing for this time.
    Pause(Duration),
    /// Sends nothing more until the client disconnects.
    Silence,
}

/// A request to the stub.
pub(crate) struct Seen {
    /// The request's head.
    pub(crate) head: String,
    /// Its body.
    pub(crate) body: Value,
}

type AnswerFn = dyn Fn(&Value) -> Vec<Step> + Send + Sync;

pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    pub(crate) requests: mpsc::UnboundedReceiver<Seen>,
    /// Receives a message for each connection that a client has closed.
    pub(crate) closed: mpsc::UnboundedReceiver<()>,
}

impl Stub {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Starts a stub that answers every request with these steps.
pub(crate) async fn serve(steps: Vec<Step>) -> Stub {
    serve_in_turn(vec![steps]).await
}

/// Starts a stub that answers the first request with the first of these, the next with the next, and
/// every further one with the last.
pub(crate) async fn serve_in_turn(answers: Vec<Vec<Step>>) -> Stub {
    let answers = Mutex::new(VecDeque::from(answers));
    serve_by(move |_| next(&answers)).await
}

/// Starts a stub that answers each request with the steps that `answer` picks by its body.
pub(crate) async fn serve_by(answer: impl Fn(&Value) -> Vec<Step> + Send + Sync + 'static) -> Stub {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (saw, requests) = mpsc::unbounded_channel();
    let (gone, closed) = mpsc::unbounded_channel();
    let answer: Arc<AnswerFn> = Arc::new(answer);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let (saw, gone, answer) = (saw.clone(), gone.clone(), Arc::clone(&answer));
            tokio::spawn(async move {
                connection(socket, &*answer, &saw).await;
                let _ = gone.send(());
            });
        }
    });
    Stub {
        address,
        requests,
        closed,
    }
}

fn next(answers: &Mutex<VecDeque<Vec<Step>>>) -> Vec<Step> {
    let mut answers = answers.lock().unwrap();
    if answers.len() > 1 {
        answers.pop_front().unwrap()
    } else {
        answers[0].clone()
    }
}

async fn connection(mut socket: TcpStream, answer: &AnswerFn, saw: &mpsc::UnboundedSender<Seen>) {
    socket.set_nodelay(true).unwrap();
    while let Some(seen) = request(&mut socket).await {
        let steps = answer(&seen.body);
        let _ = saw.send(seen);
        for step in &steps {
            let sent = match step {
                Step::Chunk(bytes) => {
                    let head = format!("{:x}\r\n", bytes.len());
                    let frame = [head.as_bytes(), bytes, b"\r\n"].concat();
                    let sent = socket.write_all(&frame).await;
                    // So that each chunk is a frame of its own at the other end.
                    tokio::task::yield_now().await;
                    sent
                }
                Step::Raw(bytes) => socket.write_all(bytes).await,
                Step::End => socket.write_all(b"0\r\n\r\n").await,
                Step::Pause(pause) => {
                    sleep(*pause).await;
                    Ok(())
                }
                Step::Cut => return,
                Step::Silence => {
                    // A client that goes ends this; nothing else comes from it meanwhile.
                    let _ = socket.read_u8().await;
                    return;
                }
            };
            if sent.is_err() {
                return;
            }
        }
    }
}

async fn request(socket: &mut TcpStream) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    socket.read_exact(&mut body).await.ok()?;
    Some(Seen {
        head,
        body: serde_json::from_slice(&body).unwrap(),
    })
}

/// The head of a streamed answer.
pub(crate) fn ok() -> Step {
    Step::Raw(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec(),
    )
}

/// A whole response that is no stream.
pub(crate) fn refusal(status: &str, headers: &str, body: &str) -> Step {
    let length = body.len();
    Step::Raw(
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}")
            .into_bytes(),
    )
}

/// A chunk with one event of this data.
pub(crate) fn data(data: &str) -> Step {
    Step::Chunk(format!("data: {data}\n\n").into_bytes())
}

/// A chunk with one event of this delta.
pub(crate) fn delta(delta: &str) -> Step {
    data(&format!(
        r#"{{"id":"1","object":"chat.completion.chunk","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#
    ))
}

/// A chunk with one event of this text.
pub(crate) fn text(text: &str) -> Step {
    delta(&format!(r#"{{"content":"{text}"}}"#))
}

/// A chunk with one event of this finish reason.
pub(crate) fn finish(reason: &str) -> Step {
    data(&format!(
        r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}]}}"#
    ))
}

/// The customary last event.
pub(crate) fn done() -> Step {
    data("[DONE]")
}
