//! A server of background responses, by OpenAI's published rules: events have numbers, a response is read again
//! with `starting_after` or as it is now, is cancelled, is gone, or is queued. What a read doesn't ask for by
//! `include` it doesn't get. Reasoning is handed back encrypted or by the id of what the server keeps.

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
    pub(crate) cut: Option<Cut>,
    /// The refusals of the first reads: the status, and further headers.
    pub(crate) refusals: Vec<(&'static str, &'static str)>,
    /// True if no response can be read again.
    pub(crate) gone: bool,
    /// The response to wait in when it is asked for, until it is cancelled, and the number of events before that.
    /// Reads of it don't wait.
    pub(crate) hold: Option<(Hold, usize)>,
    /// The event in place of the rest of a stream, by the number of the connection, and the events before it.
    pub(crate) breaks: Option<Break>,
    /// The number of the first questions for the whole response that find it running.
    pub(crate) running: usize,
    /// The number of the first requests whose connection is lost before its response.
    pub(crate) lost: usize,
    /// True if responses wait, without a byte, until a cancelled one, or until `go` is set.
    pub(crate) waits: Option<watch::Receiver<bool>>,
    /// The response in place of the one that completes.
    pub(crate) ends: Option<Value>,
}

pub(crate) type Cut = Box<dyn Fn(usize) -> Option<usize> + Send + Sync>;
pub(crate) type Break = Box<dyn Fn(usize) -> Option<(usize, Value)> + Send + Sync>;

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
    /// The number of questions for a whole response.
    pub(crate) wholes: usize,
    pub(crate) cancelled: Vec<String>,
    connections: usize,
    lost: usize,
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

    pub(crate) fn wholes(&self) -> usize {
        self.counts.lock().unwrap().wholes
    }

    pub(crate) fn cancelled(&self) -> Vec<String> {
        self.counts.lock().unwrap().cancelled.clone()
    }

    /// Returns once this many responses are cancelled.
    pub(crate) async fn when_cancelled(&self, most: usize) {
        let mut changed = self.changed.clone();
        changed.wait_for(|count| *count >= most).await.unwrap();
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
                let includes = body["include"].to_string().contains(ENCRYPTED);
                let is_known = knows(&counts.lock().unwrap(), &body["input"]);
                if !is_known {
                    refuse(&mut socket, "400 Bad Request", "").await?;
                    continue;
                }
                let (events, at, number) = {
                    let mut counts = counts.lock().unwrap();
                    counts.posts.push(body);
                    let at = counts.posts.len() - 1;
                    let id = format!("resp_{at}");
                    let events = numbered(&answers[at.min(answers.len() - 1)], &id, rules);
                    counts.responses.insert(id, events.clone());
                    if counts.lost < rules.lost {
                        counts.lost += 1;
                        return None;
                    }
                    counts.connections += 1;
                    (events, at, counts.connections - 1)
                };
                if let Some(go) = &rules.waits {
                    go.clone().wait_for(|go| *go).await.ok()?;
                }
                let hold = rules
                    .hold
                    .filter(|(of, _)| *of == Hold::All || *of == Hold::One(at))
                    .map(|(_, events)| (events, changes.subscribe()));
                let events = included(events, includes);
                send(&mut socket, &events, rules, number, hold).await?;
            }
            ("GET", ["responses", id]) => {
                let mut pairs = query.split('&');
                let after = pairs.find_map(|pair| pair.strip_prefix("starting_after="));
                let includes = query.contains("include%5B%5D=reasoning.encrypted_content");
                let is_whole = !query.contains("stream=true");
                assert_eq!(after.is_none(), is_whole, "{query}");
                let after = after.map_or(0, |after| after.parse().unwrap());
                let (found, number, refusal, wholes) = {
                    let mut counts = counts.lock().unwrap();
                    let reads = counts.reads.len() + counts.wholes;
                    if is_whole {
                        counts.wholes += 1;
                    } else {
                        counts.reads.push(after);
                    }
                    counts.connections += usize::from(!is_whole);
                    let found = counts.responses.get(*id).cloned();
                    let refusal = rules.refusals.get(reads).copied();
                    let number = counts.connections.saturating_sub(1);
                    (found, number, refusal, counts.wholes)
                };
                if let Some((status, headers)) = refusal {
                    refuse(&mut socket, status, headers).await?;
                    continue;
                }
                let Some(events) = found.filter(|_| !rules.gone) else {
                    refuse(&mut socket, "404 Not Found", "").await?;
                    continue;
                };
                let events = included(events, includes);
                if is_whole {
                    let is_running = wholes <= rules.running;
                    let body = whole(&events, is_running).to_string();
                    answer(&mut socket, "200 OK", "", &body).await?;
                    continue;
                }
                let rest: Vec<_> = events
                    .into_iter()
                    .filter(|event| event["sequence_number"].as_u64().unwrap() > after)
                    .collect();
                send(&mut socket, &rest, rules, number, None).await?;
            }
            ("POST", ["responses", id, "cancel"]) => {
                counts.lock().unwrap().cancelled.push((*id).to_owned());
                changes.send_modify(|count| *count += 1);
                answer(&mut socket, "200 OK", "", "{}").await?;
            }
            _ => panic!("{method} {target}"),
        }
    }
}

const USAGE: fn() -> Value = || json!({"input_tokens": 3, "output_tokens": 14});
const ENCRYPTED: &str = "reasoning.encrypted_content";

/// Returns false for reasoning that is neither encrypted nor kept here, and for a call of the server's own whose
/// reasoning isn't handed back with it.
fn knows(counts: &Counts, input: &Value) -> bool {
    let items: Vec<&Value> = input.as_array().into_iter().flatten().collect();
    let kept = |id: &Value| {
        let events = counts.responses.values().flatten();
        events.map(|event| &event["item"]["id"]).any(|it| it == id)
    };
    let is = |item: &Value, class: &str| item["type"] == class;
    let is_known = |item: &&Value| {
        !is(item, "reasoning") || item["encrypted_content"].is_string() || kept(&item["id"])
    };
    let calls = items.iter().enumerate();
    let mut calls = calls.filter(|(_, item)| is(item, "web_search_call"));
    let follows = |(at, _): (usize, &&Value)| at > 0 && is(items[at - 1], "reasoning");
    items.iter().all(is_known) && calls.all(follows)
}

/// Leaves out what isn't asked for.
fn included(mut events: Vec<Value>, encrypted: bool) -> Vec<Value> {
    for event in &mut events {
        if let Some(item) = event["item"].as_object_mut()
            && !encrypted
            && item.contains_key("encrypted_content")
        {
            item.insert("encrypted_content".into(), Value::Null);
        }
    }
    events
}

/// Returns the response as it is now.
fn whole(events: &[Value], is_running: bool) -> Value {
    let mut response = events[0]["response"].clone();
    if !is_running {
        response["status"] = "completed".into();
        response["usage"] = USAGE();
    }
    let done = events.iter().filter(|_| !is_running);
    let done = done.filter(|event| event["type"] == "response.output_item.done");
    response["output"] = done.map(|event| event["item"].clone()).collect();
    response
}

/// Gives the events their numbers, between those that every response begins and ends with.
fn numbered(events: &[Value], id: &str, rules: &Rules) -> Vec<Value> {
    let of = |status: &str| json!({"id": id, "object": "response", "status": status, "model": "m"});
    let created = json!({"type": "response.created", "response": of("in_progress")});
    let mut completed = of("completed");
    completed["usage"] = USAGE();
    let mut completed = json!({"type": "response.completed", "response": completed});
    if let Some(ends) = &rules.ends {
        completed = ends.clone();
    }
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
        let broken = rules.breaks.as_ref().and_then(|breaks| breaks(number));
        if let Some((_, error)) = broken.filter(|(before, _)| *before == at) {
            let event = format!("event: error\ndata: {error}\n\n");
            let frame = format!("{:x}\r\n{event}\r\n0\r\n\r\n", event.len());
            return socket.write_all(frame.as_bytes()).await.ok();
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

async fn refuse(socket: &mut TcpStream, status: &str, headers: &str) -> Option<()> {
    answer(socket, status, headers, r#"{"error":{"message":"Sekret"}}"#).await
}

async fn answer(socket: &mut TcpStream, status: &str, headers: &str, body: &str) -> Option<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
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
