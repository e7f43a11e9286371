use std::{
    collections::HashMap,
    convert::Infallible,
    future::{pending, ready},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use tower_layer::Layer;
use unbroken::{
    access::AnyoneWithTheId,
    dialect::{AgUi, AiSdk, Dialect, DurableStreams, Native, OpenAiResponses, ai_sdk::UiMessage},
    durable::{ClientFields, DurableLayer, Recovery},
    provider::OpenAi,
    session::Sessions,
    store::Memory,
    tools::{Call, ToolLayer, Tools, tool_fn},
};

const LEASE: Duration = Duration::from_secs(1);

/// Scenes of two servers over one store, the first of which dies.
#[derive(Clone)]
struct Restarts {
    main: SocketAddr,
    scenes: Arc<Mutex<HashMap<String, Scene>>>,
    next: Arc<AtomicUsize>,
    asked: Arc<Mutex<HashMap<String, usize>>>,
    kept: Arc<Mutex<HashMap<String, Value>>>,
}

/// A front that leads to the first server while that lives, and then to the second.
struct Scene {
    first: Option<Runtime>,
    _second: Runtime,
    behind: Arc<AtomicU16>,
    second: SocketAddr,
}

/// Returns the stub of a model's server, and the routes that make scenes and end them.
pub(crate) fn app(main: SocketAddr) -> Router {
    let restarts = Restarts {
        main,
        scenes: Arc::default(),
        next: Arc::default(),
        asked: Arc::default(),
        kept: Arc::default(),
    };
    Router::new()
        .route("/restarts/model/chat/completions", post(complete))
        .route("/restarts/scenes", post(begin))
        .route("/restarts/scenes/{scene}/kill", post(kill))
        .route("/restarts/asked/{word}", get(asked))
        .route("/restarts/kept/{id}", get(kept))
        .with_state(restarts)
}

async fn begin(State(restarts): State<Restarts>) -> String {
    let name = restarts.next.fetch_add(1, Ordering::Relaxed).to_string();
    let store = Memory::new();
    let (first, at_first) = server(restarts.clone(), store.clone()).await;
    let (second, at_second) = server(restarts.clone(), store).await;
    let behind = Arc::new(AtomicU16::new(at_first.port()));
    let front = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at_front = front.local_addr().expect("it has an address");
    tokio::spawn(lead(front, behind.clone()));
    let scene = Scene {
        first: Some(first),
        _second: second,
        behind,
        second: at_second,
    };
    let mut scenes = restarts.scenes.lock().expect("nothing panics");
    scenes.insert(name.clone(), scene);
    let at = |addr: SocketAddr| format!("http://{addr}");
    json!({"name": name, "front": at(at_front), "second": at(at_second)}).to_string()
}

async fn lead(front: TcpListener, behind: Arc<AtomicU16>) {
    while let Ok((mut client, _)) = front.accept().await {
        let port = behind.load(Ordering::SeqCst);
        tokio::spawn(async move {
            let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
            copy_bidirectional(&mut client, &mut server).await
        });
    }
}

/// Ends the first server at once, with all that runs on it.
async fn kill(State(restarts): State<Restarts>, Path(scene): Path<String>) -> StatusCode {
    let mut scenes = restarts.scenes.lock().expect("nothing panics");
    let Some(scene) = scenes.get_mut(&scene) else {
        return StatusCode::NOT_FOUND;
    };
    scene.behind.store(scene.second.port(), Ordering::SeqCst);
    if let Some(first) = scene.first.take() {
        first.shutdown_background();
    }
    StatusCode::NO_CONTENT
}

/// Starts a server with a runtime of its own.
async fn server(restarts: Restarts, store: Memory) -> (Runtime, SocketAddr) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let serving = runtime.spawn(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("it has an address");
        let app = dialects(&restarts, store);
        tokio::spawn(async move { axum::serve(listener, app).await });
        addr
    });
    let addr = serving.await.expect("nothing panics");
    (runtime, addr)
}

type SetDialect = Box<dyn FnOnce(DurableLayer) -> DurableLayer>;

fn of(dialect: impl Dialect) -> SetDialect {
    Box::new(move |layer| layer.dialect(dialect))
}

/// Returns each dialect as it is, and those of clients that can drop an answer with their option.
fn dialects(restarts: &Restarts, store: Memory) -> Router {
    let sessions = Sessions::builder(store).lease(LEASE).build();
    let model = OpenAi::builder()
        .base_url(format!("http://{}/restarts/model", restarts.main))
        .api_key("none")
        .model("stub")
        .retries(0)
        .build()
        .expect("the settings are whole");
    let now = tool_fn("now", "The time.", |_: Value, _: Call| ready(Ok("noon")));
    let provider = ToolLayer::new(Tools::new().with(now)).layer(model);
    let mut app = Router::new();
    let mut mount = |name: &str, dialect: SetDialect| {
        let kept = restarts.kept.clone();
        let path = format!("/{name}");
        let layer = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
            .service_name(path.clone())
            .public_path(&path)
            .secret_chat_ids()
            .client_fields(ClientFields::nothing().history(1024 * 1024))
            .recovery(Recovery::new().restart())
            .on_end(move |ended| {
                let message = UiMessage::from_transcript(ended.id.as_str(), &ended.transcript);
                let mut kept = kept.lock().expect("nothing panics");
                kept.insert(ended.id.to_string(), json!(message));
                ready(())
            });
        let service = dialect(layer).layer(provider.clone());
        app = std::mem::take(&mut app).nest_service(&path, service);
    };
    let resets = AiSdk::new().any_content_type(true).restarts(true);
    mount("native", of(Native::new()));
    mount("ai", of(AiSdk::new().any_content_type(true)));
    mount("ai-7", of(resets.clone()));
    mount("streams-ai-7", of(DurableStreams::ui_messages(resets)));
    mount("ag-ui", of(AgUi::new()));
    mount("ag-ui-restarts", of(AgUi::new().restarts(true)));
    let responses = OpenAiResponses::new().model("stub");
    mount("v1", of(responses.clone()));
    mount("v1-restarts", of(responses.restarts(true)));
    app
}

/// Returns how often the model was asked by this question.
async fn asked(State(restarts): State<Restarts>, Path(word): Path<String>) -> String {
    let asked = restarts.asked.lock().expect("nothing panics");
    asked.get(&word).copied().unwrap_or_default().to_string()
}

/// Returns the message that the application keeps of an answer.
async fn kept(
    State(restarts): State<Restarts>,
    Path(id): Path<String>,
) -> Result<String, StatusCode> {
    let kept = restarts.kept.lock().expect("nothing panics");
    kept.get(&id)
        .map(Value::to_string)
        .ok_or(StatusCode::NOT_FOUND)
}

/// A turn of the stub.
struct Turn {
    thought: Option<&'static str>,
    said: &'static str,
    /// The id of a call of the tool.
    call: Option<&'static str>,
    /// True if the turn never ends.
    held: bool,
}

/// Returns the turn for a question that was asked so often. Questions begin with the name of their course:
///
/// * `text`: the first turn stays open.
/// * `early`: the same, and the next answer has a round of a tool.
/// * `late`: the turn after the round stays open, and the next answer has a round too.
fn turn(course: &str, number: usize) -> Turn {
    let held = |said| Turn {
        thought: Some("Old thought."),
        said,
        call: None,
        held: true,
    };
    let look = |said, call| Turn {
        thought: Some("I need the time."),
        said,
        call: Some(call),
        held: false,
    };
    let whole = Turn {
        thought: None,
        said: "The whole answer.",
        call: None,
        held: false,
    };
    match (course, number) {
        ("text" | "early", 1) | ("late", 2) => held("Old words"),
        ("early", 2) | ("late", 3) => look("I look.", "c1"),
        ("late", 1) => look("Old look.", "c1"),
        _ => whole,
    }
}

async fn complete(State(restarts): State<Restarts>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).expect("the provider writes JSON");
    let messages = body["messages"].as_array().expect("there are messages");
    let user = messages.iter().rfind(|it| it["role"] == "user");
    let word = user.and_then(|it| it["content"].as_str()).unwrap_or("");
    let number = {
        let mut asked = restarts.asked.lock().expect("nothing panics");
        let asked = asked.entry(word.to_owned()).or_default();
        *asked += 1;
        *asked
    };
    let turn = turn(word.split('-').next().unwrap_or(""), number);
    let mut deltas = Vec::new();
    if let Some(thought) = turn.thought {
        deltas.push(json!({"reasoning_content": thought}));
    }
    deltas.push(json!({"content": turn.said}));
    if let Some(id) = turn.call {
        let function = json!({"name": "now", "arguments": "{}"});
        let call = json!({"index": 0, "id": id, "type": "function", "function": function});
        deltas.push(json!({"tool_calls": [call]}));
    }
    let chunk = |delta: Value, reason: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
        format!(
            "data: {}\n\n",
            json!({"object": "chat.completion.chunk", "choices": [choice]})
        )
    };
    let mut frames: Vec<_> = deltas
        .into_iter()
        .map(|delta| chunk(delta, Value::Null))
        .collect();
    if !turn.held {
        let reason = if turn.call.is_some() {
            "tool_calls"
        } else {
            "stop"
        };
        frames.push(chunk(json!({}), reason.into()));
        frames.push("data: [DONE]\n\n".to_owned());
    }
    let held = turn.held;
    let rest = stream::once(async move {
        if held {
            pending::<()>().await;
        }
        String::new()
    });
    let frames = stream::iter(frames).chain(rest).map(Ok::<_, Infallible>);
    (
        [(CONTENT_TYPE, "text/event-stream")],
        Body::from_stream(frames),
    )
        .into_response()
}
