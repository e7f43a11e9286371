//! A server of background responses, by OpenAI's published rules: events have numbers, a response is read again
//! with `starting_after`, is cancelled, is gone, or is queued.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// The treatment of connections.
#[derive(Default)]
pub(crate) struct Rules {
    /// The bytes of the body after which a connection breaks, by its number.
    pub(crate) cut: Option<Box<dyn Fn(usize) -> Option<usize> + Send + Sync>>,
    /// The number of reads that are refused since the response is queued.
    pub(crate) queued: usize,
    /// True if no response can be read again.
    pub(crate) gone: bool,
    /// The response to wait in when it is asked for, until it is cancelled, and the number of events before that.
    /// Reads of it don't wait.
    pub(crate) hold: Option<(Hold, usize)>,
}

/// The responses that wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    All,
    /// By its number.
    One(usize),
}

/// The requests that the server got.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) posts: Vec<Value>,
    /// The value of `starting_after` of each.
    pub(crate) reads: Vec<u64>,
    pub(crate) cancelled: Vec<String>,
    connections: usize,
    responses: HashMap<String, Vec<Value>>,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) counts: Arc<Mutex<Counts>>,
    /// Changes with each response that is cancelled.
    pub(crate) changed: watch::Receiver<usize>,
}

impl Server {
    /// Starts a server whose responses are these lists of events, one after the other.
    pub(crate) async fn start(answers: Vec<Vec<Value>>, rules: Rules) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Mutex::new(Counts::default()));
        let (sender, changed) = watch::channel(0);
        let shared = Arc::new((answers, rules, Arc::clone(&counts), sender));
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                socket.set_nodelay(true).unwrap();
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let (answers, rules, counts, sender) = &*shared;
                    serve(socket, answers, rules, counts, sender).await;
                });
            }
        });
        Self {
            address,
            counts,
            changed,
        }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(crate) fn posts(&self) -> usize {
        self.counts.lock().unwrap().posts.len()
    }

    pub(crate) fn reads(&self) -> Vec<u64> {
        self.counts.lock().unwrap().reads.clone()
    }
}

async fn serve(
    mut socket: TcpStream,
    answers: &[Vec<Value>],
    rules: &Rules,
    counts: &Mutex<Counts>,
    changes: &watch::Sender<usize>,
) -> Option<()> {
    loop {
        let (method, target, body) = request(&mut socket).await?;
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let path: Vec<_> = path.trim_start_matches("/v1/").split('/').collect();
        match (&*method, &*path) {
            ("POST", ["responses"]) => {
                let (events, at, number) = {
                    let mut counts = counts.lock().unwrap();
                    counts.posts.push(body);
                    let at = counts.posts.len() - 1;
                    let id = format!("resp_{at}");
                    let events = numbered(&answers[at.min(answers.len() - 1)], &id);
                    counts.responses.insert(id, events.clone());
                    counts.connections += 1;
                    (events, at, counts.connections - 1)
                };
                let hold = rules
                    .hold
                    .filter(|(of, _)| *of == Hold::All || *of == Hold::One(at))
                    .map(|(_, events)| (events, changes.subscribe()));
                send(&mut socket, &events, rules, number, hold).await?;
            }
            ("GET", ["responses", id]) => {
                let after: u64 = query
                    .split('&')
                    .find_map(|pair| pair.strip_prefix("starting_after="))
                    .unwrap()
                    .parse()
                    .unwrap();
                assert!(query.contains("stream=true"), "{query}");
                let (found, reads, number) = {
                    let mut counts = counts.lock().unwrap();
                    counts.reads.push(after);
                    counts.connections += 1;
                    let found = counts.responses.get(*id).cloned();
                    (found, counts.reads.len(), counts.connections - 1)
                };
                if reads <= rules.queued {
                    refuse(&mut socket, "409 Conflict").await?;
                    continue;
                }
                let Some(events) = found.filter(|_| !rules.gone) else {
                    refuse(&mut socket, "404 Not Found").await?;
                    continue;
                };
                let rest: Vec<_> = events
                    .into_iter()
                    .filter(|event| event["sequence_number"].as_u64().unwrap() > after)
                    .collect();
                send(&mut socket, &rest, rules, number, None).await?;
            }
            ("POST", ["responses", id, "cancel"]) => {
                counts.lock().unwrap().cancelled.push((*id).to_owned());
                changes.send_modify(|count| *count += 1);
                refuse(&mut socket, "200 OK").await?;
            }
            _ => panic!("{method} {target}"),
        }
    }
}

/// Gives the events their numbers, between those that every response begins and ends with.
fn numbered(events: &[Value], id: &str) -> Vec<Value> {
    let of = |status: &str| json!({"id": id, "object": "response", "status": status, "model": "m"});
    let created = json!({"type": "response.created", "response": of("in_progress")});
    let mut completed = of("completed");
    completed["usage"] = json!({"input_tokens": 3, "output_tokens": 14});
    let completed = json!({"type": "response.completed", "response": completed});
    let all = [&[created], events, &[completed]].concat();
    let numbered = (0..).zip(all).map(|(number, mut event)| {
        event["sequence_number"] = json!(number);
        event
    });
    numbered.collect()
}

async fn send(
    socket: &mut TcpStream,
    events: &[Value],
    rules: &Rules,
    number: usize,
    mut hold: Option<(usize, watch::Receiver<usize>)>,
) -> Option<()> {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await.ok()?;
    let mut left = rules.cut.as_ref().and_then(|cut| cut(number));
    for (at, event) in events.iter().enumerate() {
        if let Some((_, changed)) = hold.as_mut().filter(|(held, _)| *held == at) {
            changed.changed().await.ok()?;
        }
        let bytes = format!(
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().unwrap()
        );
        let part = &bytes.as_bytes()[..left.map_or(bytes.len(), |left| left.min(bytes.len()))];
        if !part.is_empty() {
            let frame = [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
            socket.write_all(&frame).await.ok()?;
            tokio::task::yield_now().await;
        }
        if let Some(left) = &mut left {
            *left -= part.len();
            if *left == 0 {
                return None;
            }
        }
    }
    socket.write_all(b"0\r\n\r\n").await.ok()
}

async fn refuse(socket: &mut TcpStream, status: &str) -> Option<()> {
    let body = r#"{"error":{"message":"Sekret"}}"#;
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.ok()
}

async fn request(socket: &mut TcpStream) -> Option<(String, String, Value)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.ok()?;
    let mut words = head.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    assert!(head.contains("authorization: Bearer k\r\n"), "{head}");
    let body = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&body).unwrap()
    };
    Some((method, target, body))
}
