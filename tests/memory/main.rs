//! The memory that running and waiting sessions hold, counted by the allocator, against the bytes of
//! their requests.

mod largest;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use axum::body::Body;
use futures_util::{StreamExt as _, stream};
use http::{Request, header::CONTENT_TYPE};
use peak_alloc::PeakAlloc;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::{Service as _, ServiceExt as _};
use tower_layer::Layer as _;
use unbroken::{
    access::AnyoneWithTheId,
    chat::{
        ChatEvent, ChatRequest, Content, Media, Message, Provider, ProviderError, ToolCall,
        provider_fn,
    },
    dialect::RequestLimits,
    durable::{ClientFields, ClientMedia, DurableLayer, SessionEnded, SessionStarted},
    session::Sessions,
    tools::{Call, ToolLayer, Tools, tool_fn},
};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Keeps other tests from running, so that none counts what another allocates.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a part of a test to the end of a runtime of its own.
fn run(part: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(part);
}

const SESSIONS: usize = 4;
/// The multiple of its request that a session holds at most, the copy in the memory store included.
const MOST: f64 = 3.0;

/// Requests of nearly 1 MiB, in which decoded values take many times their bytes.
fn bodies() -> Vec<(&'static str, Value)> {
    let user = |content: String| json!({"role": "user", "content": content});
    let with =
        |data: Value| json!({"messages": [user("Hi".into())], "enabledTools": true, "data": data});
    let objects: Vec<_> = (0..110_000).map(|_| json!({"a": 1})).collect();
    let messages: Vec<_> = (0..200).map(|_| user("m".repeat(5_000))).collect();
    vec![
        (
            "one text",
            json!({"messages": [user("m".repeat(1_000_000))], "enabledTools": true}),
        ),
        (
            "many messages",
            json!({"messages": messages, "enabledTools": true}),
        ),
        ("numbers", with(json!(vec![0; 450_000]))),
        ("small objects", with(Value::Array(objects))),
    ]
}

/// Counts the calls of a provider or a hook, and keeps what a test wants to see.
#[derive(Clone, Default)]
struct Counts {
    calls: Arc<AtomicUsize>,
    started: Arc<Mutex<Vec<SessionStarted>>>,
    ended: Arc<Mutex<Vec<SessionEnded>>>,
}

fn hooked(sessions: &Sessions, counts: &Counts) -> DurableLayer {
    let (started, ended) = (counts.started.clone(), counts.ended.clone());
    DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
        .client_fields(ClientFields::nothing().field("data"))
        .request_limits(RequestLimits::new().values(1_000_000))
        .on_start(move |it| {
            started.lock().unwrap().push(it);
            async {}
        })
        .on_end(move |it| {
            ended.lock().unwrap().push(it);
            async {}
        })
}

/// Starts sessions with this request. Returns how many bytes each of them holds once `hold` says that
/// they run or wait.
async fn held(
    layer: DurableLayer,
    provider: impl Provider,
    body: &str,
    hold: impl Fn() -> bool,
) -> f64 {
    let chat = layer.layer(provider);
    let before = ALLOCATOR.current_usage();
    for _ in 0..SESSIONS {
        let request = Request::post("/").header(CONTENT_TYPE, "application/json");
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = chat.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    while !hold() {
        tokio::task::yield_now().await;
    }
    // The store acknowledges, and what was decoded is dropped.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    let bytes = ALLOCATOR.current_usage() - before;
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    return bytes as f64 / (SESSIONS * body.len()) as f64;
}

#[test]
fn a_running_session_holds_a_small_multiple_of_its_request_and_hooks_get_all_of_it() {
    let _alone = alone();
    for (name, body) in bodies() {
        run(async {
            let (finish, finished) = watch::channel(false);
            let counts = Counts::default();
            let calls = counts.calls.clone();
            let provider = provider_fn(move |_: ChatRequest| {
                calls.fetch_add(1, SeqCst);
                let mut finished = finished.clone();
                stream::once(async move {
                    let _ = finished.wait_for(|it| *it).await;
                    Ok::<_, ProviderError>(ChatEvent::text("done"))
                })
            });
            let sessions = Sessions::in_memory();
            let text = body.to_string();
            let hold = || {
                // Hooks keep what they want; this one is done with it.
                let started = std::mem::take(&mut *counts.started.lock().unwrap());
                for started in &started {
                    assert_eq!(serde_json::to_value(&*started.request).unwrap(), body);
                }
                counts.calls.fetch_add(started.len(), SeqCst);
                counts.calls.load(SeqCst) == 2 * SESSIONS
            };
            let ratio = held(hooked(&sessions, &counts), provider, &text, hold).await;
            assert!(ratio <= MOST, "{name}: {ratio:.2} times the request");
            finish.send(true).unwrap();
            while counts.ended.lock().unwrap().len() < SESSIONS {
                tokio::task::yield_now().await;
            }
            for ended in counts.ended.lock().unwrap().drain(..) {
                assert_eq!(serde_json::to_value(&*ended.request).unwrap(), body);
                assert_eq!(ended.transcript.text(), "done");
            }
        });
    }
}

#[test]
fn a_session_keeps_a_request_with_a_picture_once_beside_the_store_and_not_decoded() {
    let _alone = alone();
    run(async {
        // 4 MiB of base64.
        let picture = Media::new("image/png", vec![7; 3 * 1024 * 1024]);
        let mut part = serde_json::to_value(&picture).unwrap();
        part["type"] = "media".into();
        let body = json!({"messages": [{"role": "user", "content": [part]}]}).to_string();
        let calls = Arc::new(AtomicUsize::new(0));
        let seen = calls.clone();
        let provider = provider_fn(move |request: ChatRequest| {
            assert_eq!(request.messages[0].content, Content::from(picture.clone()));
            seen.fetch_add(1, SeqCst);
            stream::pending::<Result<ChatEvent, ProviderError>>()
        });
        let sessions = Sessions::in_memory();
        let layer = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
            .client_fields(ClientFields::nothing().media(ClientMedia::of(["image/*"])))
            .max_body(5 * 1024 * 1024)
            .on_end(|_| async {});
        let hold = || calls.load(SeqCst) == SESSIONS;
        let ratio = held(layer, provider, &body, hold).await;
        // The copy of the memory store, which the session shares for its hooks.
        assert!((0.9..=1.1).contains(&ratio), "{ratio:.2} times the request");
    });
}

#[test]
fn a_session_that_waits_for_a_person_holds_a_small_multiple_of_its_request() {
    let _alone = alone();
    for (name, mut body) in bodies() {
        run(async {
            body["enabledTools"] = true.into();
            let seat = tool_fn("seat", "Books a seat.", |(): (), call: Call| async move {
                let window: bool = call.ask_for("At the window?").await?;
                Ok(window.to_string())
            });
            let model = provider_fn(|_: ChatRequest| {
                let call = ToolCall::new("c", "seat", Value::Null);
                stream::iter([Ok::<_, ProviderError>(ChatEvent::tool_calls([call]))])
            });
            let tools = ToolLayer::new(Tools::new().with(seat));
            let sessions = Sessions::in_memory();
            let counts = Counts::default();
            let layer = hooked(&sessions, &counts);
            let hold = || {
                counts.started.lock().unwrap().clear();
                sessions.waiting() == SESSIONS
            };
            let ratio = held(layer, tools.layer(model), &body.to_string(), hold).await;
            assert!(ratio <= MOST, "{name}: {ratio:.2} times the request");
        });
    }
}

#[test]
fn tools_hold_the_history_of_calls_as_small_as_it_came() {
    let _alone = alone();
    run(async {
        let arguments: Vec<_> = (0..110_000).map(|_| json!({"a": 1})).collect();
        let call = ToolCall::new("c", "pay", Value::Array(arguments));
        let history = [
            Message::user("Pay"),
            Message::assistant("").tool_calls([call]),
            Message::tool("c", "paid"),
            Message::user("Again"),
        ];
        let bytes = serde_json::to_vec(&history).unwrap().len();
        let model = provider_fn(|request: ChatRequest| {
            let calls = request.messages.iter().map(|it| it.tool_calls.len());
            let text = ChatEvent::text(calls.sum::<usize>().to_string());
            stream::iter([Ok::<_, ProviderError>(text)]).chain(stream::pending())
        });
        let mut service = ToolLayer::new(Tools::new()).layer(model);
        let before = ALLOCATOR.current_usage();
        let request = ChatRequest::new(history.clone());
        let mut answer = Box::pin(service.call(request).await.unwrap());
        let first = answer.next().await.unwrap().unwrap();
        assert_eq!(
            first,
            ChatEvent::text("1"),
            "the model had the whole history"
        );
        let held = ALLOCATOR.current_usage() - before;
        assert!(held <= 2 * bytes, "{held} bytes for {bytes}");
    });
}
