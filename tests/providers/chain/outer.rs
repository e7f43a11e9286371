//! Our side of the chain: a durable server whose provider is the other one.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;
use tower_layer::Layer;
use unbroken::{
    access::AnyoneWithTheId,
    chat::{ChatEvent, Provider},
    durable::{DurableLayer, Recovery, SessionBody},
    log::{Chunk, Position},
    provider::UnbrokenUpstream,
    session::Sessions,
    store::{Memory, Store},
};

use super::server::InnerServer;

pub(crate) const ID: &str = "4kq8z1m0v7x2c5b9n3h6jr";

pub(crate) fn provider(server: &InnerServer) -> UnbrokenUpstream {
    UnbrokenUpstream::new(server.url()).unwrap()
}

/// One of our servers, on a runtime of its own, which ends without a word when it is dropped.
pub(crate) struct OuterServer {
    runtime: Option<Runtime>,
    pub(crate) sessions: Sessions,
}

impl OuterServer {
    pub(crate) fn new(store: &Memory) -> Self {
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let sessions = {
            let _inside = runtime.enter();
            let sessions = Sessions::builder(store.clone());
            sessions.lease(Duration::from_millis(400)).build()
        };
        Self {
            runtime: Some(runtime),
            sessions,
        }
    }

    /// Sends a request to a server with this provider, and reads the response to its end, if it has one.
    pub(crate) fn send<P: Provider + Sync>(
        &self,
        provider: P,
        recovery: Recovery,
        request: Request<Body>,
    ) -> tokio::task::JoinHandle<String> {
        let sessions = self.sessions.clone();
        self.runtime.as_ref().unwrap().spawn(async move {
            let chat = DurableLayer::new(sessions, AnyoneWithTheId::new())
                .recovery(recovery)
                .layer(provider);
            let response = chat.oneshot(request).await.unwrap();
            body(response).await
        })
    }
}

impl Drop for OuterServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub(crate) async fn body(response: Response<SessionBody>) -> String {
    let body = to_bytes(Body::new(response.into_body()), usize::MAX).await;
    String::from_utf8(body.unwrap_or_default().to_vec()).unwrap()
}

pub(crate) fn start() -> Request<Body> {
    let body = json!({"messages": [{"role": "user", "content": "Hi"}], "enabledTools": true});
    let request = Request::post("/").header("x-session-id", ID);
    let request = request.header("content-type", "application/json");
    request.body(Body::from(body.to_string())).unwrap()
}

pub(crate) fn read() -> Request<Body> {
    Request::get(format!("/{ID}")).body(Body::empty()).unwrap()
}

/// Returns the records of our log.
pub(crate) async fn stored(store: &Memory) -> Vec<Value> {
    let id = ID.parse().unwrap();
    let Ok(page) = store.read(&id, Position::START, usize::MAX).await else {
        return Vec::new();
    };
    let records = page.chunks.iter().flat_map(Chunk::records);
    let values = records.map(|record| serde_json::from_slice(record.bytes).unwrap());
    values.collect()
}

/// Returns once the store has so many events of the answer.
pub(crate) async fn when_stored(store: &Memory, events: usize) {
    while own(stored(store).await).len() < events {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Leaves out what our side writes itself.
pub(crate) fn own(events: Vec<Value>) -> Vec<Value> {
    let ours = |event: &Value| event["type"] == "session_info" || event["of"] == "stream";
    events.into_iter().filter(|event| !ours(event)).collect()
}

/// Returns the events in the lines of a stream.
pub(crate) fn events_of(log: &str) -> Vec<Value> {
    let lines = log.lines().filter(|line| !line.is_empty());
    let event = |line| serde_json::from_str::<Value>(line).unwrap()["event"].clone();
    lines.map(event).collect()
}

/// Returns what clients see of events: texts joined, without what our side writes itself.
pub(crate) fn told(events: &[ChatEvent]) -> Vec<Value> {
    let events = events
        .iter()
        .map(|event| serde_json::to_value(event).unwrap());
    joined(events.collect())
}

pub(crate) fn joined(events: Vec<Value>) -> Vec<Value> {
    let mut joined: Vec<Value> = Vec::new();
    for event in own(events) {
        if let Some(last) = joined.last_mut()
            && ["text", "thinking"].contains(&event["type"].as_str().unwrap())
            && last["type"] == event["type"]
        {
            let both = [&last["content"], &event["content"]].map(|it| it.as_str().unwrap());
            last["content"] = both.concat().into();
            continue;
        }
        joined.push(event);
    }
    joined
}
