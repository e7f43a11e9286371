//! A rolling restart of two servers, ten times within one answer, with ten readers of each dialect.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::body::Body;
use futures_util::stream;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};
use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_layer::Layer;
use unbroken::{
    access::AnyoneWithTheId,
    chat::{ChatEvent, ChatRequest, Provider, ProviderError, provider_fn},
    dialect::{AgUi, AiSdk, DurableStreams, Native, OpenAiResponses},
    durable::{DurableLayer, Recovery, SessionBody},
    log::{SessionId, Status},
    session::Sessions,
    store::{Memory, StoreExt},
};

type Chat = BoxCloneSyncService<Request<Body>, Response<SessionBody>, Infallible>;

const RESTARTS: usize = 10;
/// The words that the model says between two restarts.
const WORDS: usize = 30;
const READERS: usize = 10;
const LEASE: Duration = Duration::from_secs(10);
const DIALECTS: [&str; 5] = ["native", "ai-sdk", "ag-ui", "responses", "durable-streams"];

fn word(number: usize) -> String {
    format!("{number} ")
}

fn words(count: usize) -> String {
    (1..=count).map(word).collect()
}

/// A model that goes on where an answer was interrupted, and says no more words than are allowed.
#[derive(Clone)]
struct Model {
    allowed: watch::Sender<usize>,
    calls: Arc<AtomicUsize>,
}

impl Model {
    fn provider(&self) -> impl Provider + Sync + use<> {
        let (calls, allowed) = (self.calls.clone(), self.allowed.clone());
        provider_fn(move |request: ChatRequest| {
            calls.fetch_add(1, SeqCst);
            let said = request.so_far.as_ref().map(|it| it.text().to_owned());
            let said = said.map_or(0, |text| text.split_whitespace().count());
            let state = (said, allowed.subscribe());
            Box::pin(stream::try_unfold(
                state,
                |(said, mut allowed)| async move {
                    let total = (RESTARTS + 1) * WORDS;
                    if said == total {
                        return Ok::<_, ProviderError>(None);
                    }
                    let _ = allowed.wait_for(|&allowed| allowed > said).await;
                    let event = ChatEvent::text(word(said + 1));
                    Ok(Some((event, (said + 1, allowed))))
                },
            ))
        })
    }
}

/// One server: a chat in each dialect over one registry.
#[derive(Clone)]
struct Server {
    sessions: Sessions,
    chats: HashMap<&'static str, Chat>,
}

impl Server {
    fn start(store: &Memory, model: &Model) -> Self {
        let sessions = Sessions::builder(store.clone()).lease(LEASE).build();
        let layer = || {
            DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
                .recovery(Recovery::new().resume())
                .secret_chat_ids()
        };
        let provider = || model.provider();
        let responses = OpenAiResponses::new().model("m");
        let chats = HashMap::from([
            (
                "native",
                BoxCloneSyncService::new(layer().dialect(Native::new()).layer(provider())),
            ),
            (
                "ai-sdk",
                BoxCloneSyncService::new(layer().dialect(AiSdk::new()).layer(provider())),
            ),
            (
                "ag-ui",
                BoxCloneSyncService::new(layer().dialect(AgUi::new()).layer(provider())),
            ),
            (
                "responses",
                BoxCloneSyncService::new(layer().dialect(responses).layer(provider())),
            ),
            (
                "durable-streams",
                BoxCloneSyncService::new(layer().dialect(DurableStreams::new()).layer(provider())),
            ),
        ]);
        Self { sessions, chats }
    }

    async fn send(&self, dialect: &str, request: Request<Body>) -> Response<SessionBody> {
        self.chats[dialect].clone().oneshot(request).await.unwrap()
    }
}

/// Two servers, each of which is replaced at a restart.
type Servers = Arc<Mutex<[Server; 2]>>;

/// Starts an answer in a dialect. The durable streams read one of the native dialect.
fn start(dialect: &str) -> (&str, Request<Body>) {
    let user = json!({"id": "1", "role": "user", "content": "Hi"});
    let name = "a-name-that-is-long-enough";
    let (dialect, path, body) = match dialect {
        "ai-sdk" => (
            dialect,
            "/",
            json!({"id": name, "trigger": "submit-message", "messages": [
                {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}]}),
        ),
        "ag-ui" => (
            dialect,
            "/",
            json!({"threadId": "t", "runId": name, "messages": [user], "tools": []}),
        ),
        "responses" => (
            dialect,
            "/responses",
            json!({"model": "m", "input": "Hi", "stream": true}),
        ),
        _ => (
            "native",
            "/",
            json!({"messages": [{"role": "user", "content": "Hi"}]}),
        ),
    };
    let request = Request::post(path)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    (dialect, request)
}

/// What a reader has got.
#[derive(Default)]
struct Got {
    text: String,
    events: usize,
    cursor: Option<String>,
    connections: usize,
}

impl Got {
    fn request(&self, dialect: &str, id: &str) -> Request<Body> {
        let cursor = self.cursor.as_deref();
        let request = match dialect {
            "native" => Request::get(format!("/{id}")).header("accept", "text/event-stream"),
            "ai-sdk" => Request::get(format!("/{id}/stream?startIndex={}", self.events)),
            "ag-ui" => Request::get(format!("/?offset=-1&runId={id}")),
            "responses" => {
                let after = cursor.map_or(String::new(), |it| format!("&starting_after={it}"));
                Request::get(format!("/responses/{id}?stream=true{after}"))
            }
            _ => {
                let offset = cursor.unwrap_or("-1");
                Request::get(format!("/{id}?offset={offset}&live=sse"))
            }
        };
        let request = match cursor {
            Some(cursor) if matches!(dialect, "native" | "ag-ui") => {
                request.header("last-event-id", cursor)
            }
            _ => request,
        };
        request.body(Body::empty()).unwrap()
    }

    /// Takes one event of a stream.
    fn take(&mut self, dialect: &str, event: &str) {
        let field = |name: &str| {
            let mut lines = event.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.map(|value| value.strip_prefix(' ').unwrap_or(value))
        };
        let Some(data) = field("data").filter(|&data| data != "[DONE]") else {
            return;
        };
        let data: Value = serde_json::from_str(data).unwrap();
        self.events += 1;
        let say = |value: &Value| value.as_str().unwrap().to_owned();
        match dialect {
            "native" if data["type"] == "text" => self.text += &say(&data["content"]),
            "ai-sdk" if data["type"] == "text-delta" => self.text += &say(&data["delta"]),
            "ag-ui" if data["type"] == "TEXT_MESSAGE_CONTENT" => self.text += &say(&data["delta"]),
            "responses" if data["type"] == "response.output_text.delta" => {
                self.text += &say(&data["delta"]);
            }
            "durable-streams" if field("event") == Some("control") => {
                self.cursor = Some(say(&data["streamNextOffset"]));
            }
            "durable-streams" => {
                for event in data.as_array().unwrap() {
                    if event["type"] == "text" {
                        self.text += &say(&event["content"]);
                    }
                }
            }
            _ => {}
        }
        match dialect {
            "responses" => self.cursor = Some(data["sequence_number"].to_string()),
            "native" | "ag-ui" => {
                let id = field("id").map(str::to_owned);
                self.cursor = id.or(self.cursor.take());
            }
            _ => {}
        }
    }
}

/// Reads a session to its end. After each cut it asks the other server, with the cursor that it has.
async fn read(servers: Servers, dialect: &str, id: String, first: usize) -> Got {
    let mut got = Got::default();
    loop {
        let server = servers.lock().unwrap()[(first + got.connections) % 2].clone();
        got.connections += 1;
        let response = server.send(dialect, got.request(dialect, &id)).await;
        if response.status() == 503 {
            continue;
        }
        assert_eq!(response.status(), 200, "{dialect}");
        let (mut body, mut bytes) = (response.into_body(), Vec::new());
        let cut = loop {
            match body.frame().await {
                None => break false,
                Some(Err(_)) => break true,
                Some(Ok(frame)) => bytes.extend(frame.into_data().unwrap_or_default()),
            }
        };
        let text = String::from_utf8(bytes).unwrap();
        // The last piece is what no empty line ends.
        let events: Vec<_> = text.split("\n\n").collect();
        for event in &events[..events.len() - 1] {
            got.take(dialect, event);
        }
        let ends_later = dialect == "durable-streams" && !text.contains("streamClosed");
        if !cut && !ends_later {
            return got;
        }
    }
}

async fn rolling_restart(dialect: &'static str) {
    let store = Memory::new();
    let model = Model {
        allowed: watch::Sender::new(0),
        calls: Arc::default(),
    };
    let server = || Server::start(&store, &model);
    let servers: Servers = Arc::new(Mutex::new([server(), server()]));
    let first = servers.lock().unwrap()[0].clone();
    let (starts_in, request) = start(dialect);
    let started = first.send(starts_in, request).await;
    assert_eq!(started.status(), 200, "{dialect}");
    let id = started.headers()["x-session-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let session: SessionId = id.parse().unwrap();
    drop((started, first));
    let readers: Vec<_> = (0..READERS)
        .map(|at| tokio::spawn(read(servers.clone(), dialect, id.clone(), at)))
        .collect();
    let mut longest = Duration::ZERO;
    for restart in 0..=RESTARTS {
        let until = (restart + 1) * WORDS;
        let began = Instant::now();
        model.allowed.send_replace(until);
        let is_said = async || {
            let log = store.state(&session).await.unwrap();
            log.tail.get() > until as u64
        };
        while !is_said().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        longest = longest.max(began.elapsed());
        if restart < RESTARTS {
            let both = servers.lock().unwrap().clone();
            // Either may have been faster to take it over.
            let at = both.iter().position(|it| it.sessions.running() == 1);
            let at = at.unwrap_or_else(|| panic!("{dialect}: nobody runs it"));
            both[at].sessions.shutdown(Duration::ZERO).await;
            servers.lock().unwrap()[at] = server();
        }
    }
    for reader in readers {
        let got = reader.await.unwrap();
        assert_eq!(got.text, words((RESTARTS + 1) * WORDS), "{dialect}");
        assert!(got.connections > 1, "control: it was cut");
    }
    let state = store.state(&session).await.unwrap();
    assert_eq!(
        state.status,
        Status::Ended(unbroken::log::Outcome::Complete)
    );
    assert_eq!(state.attempts, 0, "{dialect}");
    assert_eq!(state.epoch.claims(), RESTARTS as u64, "{dialect}");
    assert_eq!(model.calls.load(SeqCst), RESTARTS + 1, "{dialect}");
    // The successor doesn't wait for a lease, nor for its next look at the store.
    assert!(
        longest < Duration::from_millis(200),
        "{dialect}: {longest:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn ten_restarts_of_two_servers_within_one_answer_cost_no_attempt_and_no_word() {
    for dialect in DIALECTS {
        rolling_restart(dialect).await;
    }
}
