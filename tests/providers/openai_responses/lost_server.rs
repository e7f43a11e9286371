//! Another server of ours reads on after one that is lost, by the log alone.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::{Body, to_bytes};
use http::Request;
use tokio::runtime::{Builder, Runtime};
use tower_layer::Layer;
use unbroken::{
    access::AnyoneWithTheId,
    durable::{DurableLayer, Recovery},
    log::{Chunk, Position},
    session::Sessions,
    store::{Memory, Store},
    tools::{ToolLayer, Tools, tool_fn},
};

use super::{
    background::{ALL, call, done, provider, text},
    server::{Hold, Rules, Server},
    *,
};

const ID: &str = "4kq8z1m0v7x2c5b9n3h6jr";

/// One of our servers, on a runtime of its own, which ends without a word when it is dropped.
struct Ours {
    runtime: Option<Runtime>,
    store: Memory,
    runs: Arc<AtomicUsize>,
    recovery: Recovery,
}

impl Ours {
    fn new(store: &Memory, runs: &Arc<AtomicUsize>, recovery: Recovery) -> Self {
        let mut runtime = Builder::new_multi_thread();
        Self {
            runtime: Some(runtime.worker_threads(1).enable_all().build().unwrap()),
            store: store.clone(),
            runs: Arc::clone(runs),
            recovery,
        }
    }

    /// Sends a request, and reads the response to its end, if it has one.
    fn send(&self, model: &Server, request: Request<Body>) -> tokio::task::JoinHandle<String> {
        let runs = Arc::clone(&self.runs);
        let now = tool_fn("now", "The time.", move |_: Value, _| {
            runs.fetch_add(1, Ordering::Relaxed);
            async { Ok::<_, unbroken::BoxError>("noon") }
        });
        let model = ToolLayer::new(Tools::new().with(now)).layer(provider(model));
        let (store, recovery) = (self.store.clone(), self.recovery.clone());
        self.runtime.as_ref().unwrap().spawn(async move {
            let sessions = Sessions::builder(store)
                .lease(Duration::from_millis(400))
                .build();
            let chat = DurableLayer::new(sessions, AnyoneWithTheId::new())
                .recovery(recovery)
                .layer(model);
            let response = chat.oneshot(request).await.unwrap();
            let body = to_bytes(Body::new(response.into_body()), usize::MAX).await;
            String::from_utf8(body.unwrap_or_default().to_vec()).unwrap()
        })
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn start() -> Request<Body> {
    let body = json!({"messages": [{"role": "user", "content": "Hi"}], "enabledTools": true});
    let request = Request::post("/").header("x-session-id", ID);
    let request = request.header("content-type", "application/json");
    request.body(Body::from(body.to_string())).unwrap()
}

/// Returns when the store has a record with these words.
async fn stored(store: &Memory, words: &str) {
    let id = ID.parse().unwrap();
    loop {
        if let Ok(page) = store.read(&id, Position::START, usize::MAX).await {
            let records = page.chunks.iter().flat_map(Chunk::records);
            let mut records = records.map(|it| String::from_utf8_lossy(it.bytes).into_owned());
            if records.any(|record| record.contains(words)) {
                return;
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Returns the text of a log in the native encoding, and its last event.
fn read(log: &str) -> (String, Value) {
    let lines = log.lines().filter(|line| !line.is_empty());
    let events: Vec<Value> = lines
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone())
        .collect();
    let texts = events.iter().filter(|event| event["type"] == "text");
    let text = texts
        .map(|event| event["content"].as_str().unwrap())
        .collect();
    (text, events.last().unwrap().clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_goes_on_from_where_a_lost_server_stored_it() {
    // The turn in which the first server is lost, its events before that, and the last words.
    for (turn, events, words) in [(0, 5, "look. "), (1, 3, ", Paris")] {
        let rules = Rules {
            hold: Some((Hold::One(turn), events)),
            ..Rules::default()
        };
        let model = Server::start(vec![call(), text()], rules).await;
        let (store, runs) = (Memory::new(), Arc::default());
        let recovery = Recovery::new().reattach();
        let first = Ours::new(&store, &runs, recovery.clone());
        let second = Ours::new(&store, &runs, recovery);
        first.send(&model, start());
        stored(&store, words).await;
        drop(first);
        let request = Request::get(format!("/{ID}")).body(Body::empty()).unwrap();
        let log = second.send(&model, request).await.unwrap();
        let (said, last) = read(&log);
        assert_eq!(said, format!("Let me look. {ALL}"), "{log}");
        assert_eq!(last["type"], "complete", "{log}");
        assert_eq!(model.posts(), 2, "one for each turn");
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        assert_eq!(model.reads().len(), 1);
        assert!(model.counts.lock().unwrap().cancelled.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_gone_begins_anew_by_the_next_way() {
    let rules = Rules {
        hold: Some((Hold::One(0), 3)),
        gone: true,
        ..Rules::default()
    };
    let model = Server::start(vec![text()], rules).await;
    let (store, runs) = (Memory::new(), Arc::default());
    let recovery = Recovery::new().reattach().restart();
    let first = Ours::new(&store, &runs, recovery.clone());
    let second = Ours::new(&store, &runs, recovery);
    first.send(&model, start());
    stored(&store, ", Paris").await;
    drop(first);
    let request = Request::get(format!("/{ID}")).body(Body::empty()).unwrap();
    let log = second.send(&model, request).await.unwrap();
    let restarted = log.rfind(r#""type":"restarted""#).expect(&log);
    let (_, rest) = log[restarted..].split_once('\n').unwrap();
    let (said, last) = read(rest);
    assert_eq!((&*said, &last["type"]), (ALL, &json!("complete")), "{log}");
    assert_eq!((model.posts(), model.reads().len()), (2, 1));
}

/// A turn with reasoning between two calls.
fn two_calls() -> Vec<Value> {
    let call = |id: &str| {
        json!({"id": format!("fc_{id}"), "type": "function_call", "call_id": id, "name": "now",
            "arguments": "{}"})
    };
    let reasoning =
        json!({"id": "rs_1", "type": "reasoning", "encrypted_content": "gA", "summary": []});
    let items = [call("a"), reasoning, call("b")];
    let ends = (0..).zip(items).map(|(index, item)| {
        let mut event = done(item);
        event["output_index"] = json!(index);
        event
    });
    ends.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_begins_once_all_that_belongs_to_its_turn_is_stored() {
    let model = Server::start(vec![two_calls(), text()], Rules::default()).await;
    let store = Memory::new();
    let found = Arc::new(Mutex::new(Vec::new()));
    let now = {
        let (store, found) = (store.clone(), Arc::clone(&found));
        tool_fn("now", "The time.", move |_: Value, _| {
            let (store, found) = (store.clone(), Arc::clone(&found));
            async move {
                let kinds = kinds(&store).await;
                found.lock().unwrap().push(kinds);
                Ok::<_, unbroken::BoxError>("noon")
            }
        })
    };
    let model = ToolLayer::new(Tools::new().with(now)).layer(provider(&model));
    let sessions = Sessions::builder(store.clone()).build();
    let chat = DurableLayer::new(sessions, AnyoneWithTheId::new()).layer(model);
    let response = chat.oneshot(start()).await.unwrap();
    let log = to_bytes(Body::new(response.into_body()), usize::MAX);
    let log = String::from_utf8(log.await.unwrap().to_vec()).unwrap();
    assert_eq!(read(&log).0, ALL, "{log}");
    let found = found.lock().unwrap().clone();
    assert_eq!(found.len(), 2);
    for kinds in &found {
        let at = kinds.iter().position(|kind| kind == "tool_calls").unwrap();
        assert_eq!(
            kinds[at..at + 3],
            ["tool_calls", "state of b", "turn"],
            "{kinds:?}"
        );
    }
    let all = kinds(&store).await;
    let count = |kind: &str| all.iter().filter(|it| *it == kind).count();
    let counts = ["tool_calls", "state of b", "turn"].map(count);
    assert_eq!(counts, [1, 1, 2], "{all:?}");
}

/// Returns the kinds of the events in the store.
async fn kinds(store: &Memory) -> Vec<String> {
    let id = ID.parse().unwrap();
    let page = store.read(&id, Position::START, usize::MAX).await.unwrap();
    let records = page.chunks.iter().flat_map(Chunk::records);
    let kinds = records.map(|record| {
        let event: Value = serde_json::from_slice(record.bytes).unwrap();
        event["of"].as_str().map_or_else(
            || event["type"].as_str().unwrap().to_owned(),
            |of| format!("state of {of}"),
        )
    });
    kinds.collect()
}
