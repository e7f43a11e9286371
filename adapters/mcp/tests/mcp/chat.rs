//! A chat with tools, and its clients, in one process without sockets.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body};
use futures_util::stream;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};
use unbroken::{
    access::AnyoneWithTheId,
    chat::{ChatEvent, ChatRequest, Role, ToolCall, provider_fn},
    durable::{DurableLayer, Recovery},
    session::Sessions,
    store::Memory,
    tools::{ToolLayer, Tools},
};
use unbroken_mcp::McpTools;

/// The longest wait for a piece of an answer.
const SOON: Duration = Duration::from_secs(60);

/// One of the servers of a chat. Its model asks for the calls in the user's message, and then says
/// what they gave.
#[derive(Clone)]
pub(crate) struct Chat {
    app: Router,
    /// The requests that the model got.
    pub(crate) asked: Arc<Mutex<Vec<ChatRequest>>>,
}

/// A client that reads an answer.
pub(crate) struct Reader {
    body: Body,
    read: String,
}

impl Chat {
    pub(crate) fn new(tools: &McpTools) -> Self {
        Self::on(&Memory::new(), tools, |layer| layer)
    }

    pub(crate) fn on(
        store: &Memory,
        tools: &McpTools,
        with: impl FnOnce(ToolLayer) -> ToolLayer,
    ) -> Self {
        let sessions = Sessions::builder(store.clone());
        let sessions = sessions.lease(Duration::from_millis(400)).build();
        let asked: Arc<Mutex<Vec<ChatRequest>>> = Arc::default();
        let requests = Arc::clone(&asked);
        let model = provider_fn(move |request: ChatRequest| {
            requests.lock().unwrap().push(request.clone());
            let last = request.messages.iter().rev();
            let results: Vec<_> = last.take_while(|it| it.role == Role::Tool).collect();
            let event = if results.is_empty() {
                let calls = request.messages.last().unwrap().text().into_owned();
                let calls: Vec<Value> = serde_json::from_str(&calls).unwrap();
                let calls = calls.iter().zip(1..).map(|(call, id)| {
                    let name = call["name"].as_str().unwrap();
                    ToolCall::new(id.to_string(), name, call["arguments"].clone())
                });
                ChatEvent::tool_calls(calls)
            } else {
                let results = results.iter().rev().map(|it| it.text());
                ChatEvent::text(format!("Got: {}", results.collect::<Vec<_>>().join("|")))
            };
            stream::iter([Ok::<_, Infallible>(event)])
        });
        let layer = with(ToolLayer::new(Tools::new()).source(tools.clone()));
        let durable = DurableLayer::new(sessions, AnyoneWithTheId::new())
            .public_path("/api/chat")
            .recovery(Recovery::new().resume())
            .tools(layer.clone());
        let service = durable.layer(layer.layer(model));
        Self {
            app: Router::new().nest_service("/api/chat", service),
            asked,
        }
    }

    /// Starts a session of this id, whose model makes these calls.
    pub(crate) async fn start(&self, id: &str, calls: &Value) -> Reader {
        let body = json!({"messages": [{"role": "user", "content": calls.to_string()}]});
        self.send("POST", "", &session(id), &body).await.1
    }

    /// Reads a session from its begin.
    pub(crate) async fn read(&self, id: &str) -> Reader {
        let path = format!("/{}", session(id));
        self.send("GET", &path, "", &Value::Null).await.1
    }

    /// Answers a question, and returns the status.
    pub(crate) async fn answer(&self, id: &str, input: &str, answer: &Value) -> u16 {
        let path = format!("/{}/inputs/{input}", session(id));
        self.send("POST", &path, "", answer).await.0
    }

    pub(crate) async fn abort(&self, id: &str) {
        let path = format!("/{}/abort", session(id));
        let (status, _) = self.send("POST", &path, "", &json!({})).await;
        assert_eq!(status, 202);
    }

    /// Returns the events of a session of these calls, to its end.
    pub(crate) async fn whole(&self, id: &str, calls: &Value) -> Vec<Value> {
        self.start(id, calls).await.whole().await
    }

    async fn send(&self, method: &str, path: &str, id: &str, body: &Value) -> (u16, Reader) {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("/api/chat{path}"))
            .header("content-type", "application/json");
        if !id.is_empty() {
            request = request.header("x-session-id", id);
        }
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = request.body(Body::from(body)).unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let reader = Reader {
            body: response.into_body(),
            read: String::new(),
        };
        (status, reader)
    }
}

fn session(id: &str) -> String {
    format!("a-session-of-the-mcp-tests-{id}")
}

impl Reader {
    /// Reads until an event of this type has arrived, and returns it.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let found = self
                .events()
                .into_iter()
                .find(|event| event["type"] == kind);
            if let Some(event) = found {
                return event;
            }
            assert!(self.more().await, "no {kind}: {}", self.read);
        }
    }

    /// Reads to the end, which is clean.
    pub(crate) async fn whole(mut self) -> Vec<Value> {
        while self.more().await {}
        self.events()
    }

    /// Returns the events so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        let whole = self.read.rfind('\n').map_or(0, |at| at + 1);
        let lines = self.read[..whole].lines().filter(|line| !line.is_empty());
        let events = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.map(|mut line| line["event"].take()).collect()
    }

    /// Reads the next piece, and returns false at the end.
    pub(crate) async fn more(&mut self) -> bool {
        let frame = tokio::time::timeout(SOON, self.body.frame()).await;
        let Some(frame) = frame.expect("a piece arrives") else {
            return false;
        };
        let data = frame.expect("the body is not cut").into_data().unwrap();
        self.read.push_str(std::str::from_utf8(&data).unwrap());
        true
    }
}

/// Returns the events of this type.
pub(crate) fn of<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events
        .iter()
        .filter(|event| event["type"] == kind)
        .collect()
}

/// Returns the content of the only result.
pub(crate) fn result(events: &[Value]) -> &str {
    match of(events, "tool_result").as_slice() {
        [result] => result["content"].as_str().unwrap(),
        _ => panic!("not one result: {events:?}"),
    }
}

/// Returns the message of the only error of a tool.
pub(crate) fn error(events: &[Value]) -> &str {
    match of(events, "tool_error").as_slice() {
        [error] => error["message"].as_str().unwrap(),
        _ => panic!("not one error: {events:?}"),
    }
}
