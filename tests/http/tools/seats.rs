//! A server whose tool `seat` has two halves with the client in between. It counts calls of the model,
//! second halves, and pages that are read from the store.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
};

use http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};
use tower::{Service, ServiceBuilder};
use tower_layer::Layer as _;
use unbroken::{
    BoxFuture,
    access::OnlyTheOwner,
    chat::{ChatRequest, IsomorphicClientOutput},
    dialect::{Dialect, Native},
    durable::{ClientFields, DurableLayer, SessionEnded},
    log::{Owner, Position, SessionId},
    provider::scripted::{Script, Scripted},
    session::Sessions,
    store::{AbortRequest, Memory, RecordPage, Store, StoreError},
    tools::{Call, ToolFailure, ToolLayer, Tools, client_tool, handoff_fn, tool_fn},
};
use unbroken_conformance::delegate_store;

use super::counted::of;
use crate::{
    client::{Whole, With, ndjson, post, send},
    server::{MOUNT, Server, mounted, serve},
};

/// The seat with which the second half begins and never ends.
pub(super) const HANGING: &str = "hanging";

#[derive(Deserialize, schemars::JsonSchema)]
struct Flight {
    number: String,
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Nothing {}

/// A store that counts the pages that are read.
#[derive(Debug, Clone, Default)]
struct CountingStore(Memory, Arc<AtomicUsize>);

impl Store for CountingStore {
    delegate_store!(
        0: durability, create, claim, renew, append, changed, abort, answer, answers, hold, delete,
        of_chat, list, orphans, endings, postpone_ending, delivered, sweep
    );

    fn read<'a>(
        &'a self,
        id: &'a SessionId,
        after: Position,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<RecordPage, StoreError>> {
        self.1.fetch_add(1, SeqCst);
        self.0.read(id, after, max_bytes)
    }
}

/// A gate before a provider: while it is closed, no call is ready.
#[derive(Default)]
pub(super) struct Gate {
    closed: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

impl Gate {
    pub(super) fn close(&self) {
        self.closed.store(true, SeqCst);
    }

    /// Opens the gate for calls that come from now on.
    pub(super) fn open(&self) {
        self.closed.store(false, SeqCst);
    }

    /// Wakes the calls that wait.
    pub(super) fn wake(&self) {
        self.waiting.lock().unwrap().drain(..).for_each(Waker::wake);
    }

    /// The number of calls that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.lock().unwrap().len()
    }
}

#[derive(Clone)]
struct Gated<S>(S, Arc<Gate>);

impl<S: Service<ChatRequest>> Service<ChatRequest> for Gated<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if self.1.closed.load(SeqCst) {
            self.1.waiting.lock().unwrap().push(cx.waker().clone());
            return Poll::Pending;
        }
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: ChatRequest) -> S::Future {
        self.0.call(request)
    }
}

#[derive(Clone, Default)]
pub(super) struct Seats {
    pub(super) gate: Arc<Gate>,
    store: CountingStore,
    models: Arc<AtomicUsize>,
    given: Arc<Mutex<Vec<IsomorphicClientOutput>>>,
    ended: Arc<Mutex<Vec<SessionEnded>>>,
}

impl Seats {
    /// The number of calls of the model.
    pub(super) fn models(&self) -> usize {
        self.models.load(SeqCst)
    }

    /// The number of pages that were read.
    pub(super) fn pages(&self) -> usize {
        self.store.1.load(SeqCst)
    }

    /// Returns the outputs that second halves were given.
    pub(super) fn given(&self) -> Vec<IsomorphicClientOutput> {
        self.given.lock().unwrap().clone()
    }

    /// The sessions that have ended.
    pub(super) fn ended(&self) -> Vec<SessionEnded> {
        self.ended.lock().unwrap().clone()
    }

    /// Deletes a session, as its client or the store does.
    pub(super) async fn delete(&self, session: &str) {
        let sessions = Sessions::builder(self.store.clone()).build();
        sessions.delete(&session.parse().unwrap()).await.unwrap();
    }

    /// Aborts a session.
    pub(super) async fn abort(&self, session: &str) {
        let sessions = Sessions::builder(self.store.clone()).build();
        let abort = AbortRequest::default();
        sessions
            .abort(&session.parse().unwrap(), abort)
            .await
            .unwrap();
    }

    fn tools(&self) -> Tools {
        let given = self.given.clone();
        let seat = handoff_fn(
            "seat",
            "Lets the user choose a seat.",
            |flight: Flight, _: Call| async move {
                Ok(json!({"flight": flight.number, "free": ["1A", "2C"]}))
            },
            move |output: IsomorphicClientOutput, _: Call| {
                given.lock().unwrap().push(output.clone());
                async move {
                    let seat = output.client_output.as_str().unwrap_or_default();
                    if seat == HANGING {
                        std::future::pending::<()>().await;
                    }
                    let free = output.cached_handoff.unwrap_or_default()["free"].clone();
                    if free
                        .as_array()
                        .is_some_and(|free| free.contains(&json!(seat)))
                    {
                        Ok(format!("booked {seat}"))
                    } else {
                        Err(ToolFailure::new("no such seat").into())
                    }
                }
            },
        );
        let pay = tool_fn("pay", "Pays.", |_: Nothing, _: Call| async { Ok("paid") });
        Tools::new().with(seat).with(pay).with(client_tool(
            "time",
            "The local time.",
            json!({"type": "object"}),
        ))
    }

    /// Serves the tools; sessions belong to the user in the header `x-user`.
    pub(super) async fn serve(&self, open: impl Fn(ClientFields) -> ClientFields) -> Server {
        self.serve_in(Native::new(), open).await
    }

    /// Serves the tools in a dialect; sessions belong to the user in the header `x-user`.
    pub(super) async fn serve_in(
        &self,
        dialect: impl Dialect,
        open: impl Fn(ClientFields) -> ClientFields,
    ) -> Server {
        let who = |head: &mut Parts| {
            let name = head.headers.get("x-user")?.to_str().ok()?;
            Some(Owner::new(name))
        };
        let layer = |sessions| DurableLayer::new(sessions, OnlyTheOwner::new(who)).dialect(dialect);
        self.serve_layer(layer, open).await
    }

    pub(super) async fn serve_layer(
        &self,
        layer: impl FnOnce(Sessions) -> DurableLayer,
        open: impl Fn(ClientFields) -> ClientFields,
    ) -> Server {
        let sessions = Sessions::builder(self.store.clone()).build();
        let ended = self.ended.clone();
        let durable = layer(sessions.clone())
            .public_path(MOUNT)
            .client_fields(open(ClientFields::nothing().field("script")))
            .on_end(move |it| {
                let ended = ended.clone();
                async move { ended.lock().unwrap().push(it) }
            });
        let models = self.models.clone();
        let provider = ServiceBuilder::new()
            .layer(ToolLayer::new(self.tools()))
            .map_request(move |request: ChatRequest| {
                models.fetch_add(1, SeqCst);
                request
            })
            .service(Scripted::new(Script::say("Hello")));
        let provider = Gated(provider, self.gate.clone());
        serve(sessions, mounted!(durable, provider)).await
    }
}

/// A request of the chat `c` whose model makes these calls, then repeats their results.
pub(super) fn calling(calls: Value) -> Value {
    let mut request = json!({
        "chatId": "c",
        "messages": [{"role": "user", "content": "Hi"}],
        "script": {"text": "Let me see. ", "delayMs": 0, "then": [{"results": true}]},
    });
    request["script"]["toolCalls"] = calls;
    request
}

/// The request that hands the call `1` of `seat` over.
pub(super) fn booking() -> Value {
    calling(json!([{"id": "1", "name": "seat", "arguments": {"number": "UN1"}}]))
}

/// A request with this output for the call `1`, and nothing of the conversation.
pub(super) fn choosing(seat: &str) -> Value {
    json!({
        "chatId": "c",
        "messages": [],
        "script": {"delayMs": 0, "then": [{"results": true}]},
        "isomorphicClientOutputs": [{"callId": "1", "toolName": "seat", "clientOutput": seat}],
    })
}

pub(super) async fn ask(server: &Server, user: &str, body: &Value) -> Whole {
    let request = post(MOUNT, body).with("x-user", user);
    send(server.addr, request).await.whole().await
}

/// Hands the call `1` of `seat` over to Ann. Returns the session.
pub(super) async fn hand_over(server: &Server) -> String {
    let whole = ask(server, "ann", &booking()).await;
    let events = ndjson(whole.text());
    assert_eq!(of(&events, "isomorphic_handoff").len(), 1, "{events:?}");
    whole.header("x-session-id").to_owned()
}

/// The results of tools in an answer.
pub(super) fn results(whole: &Whole) -> Vec<Value> {
    assert_eq!(whole.status(), 200, "{}", whole.text());
    let events = ndjson(whole.text());
    of(&events, "tool_result").into_iter().cloned().collect()
}

pub(super) fn refused(whole: &Whole, status: u16, problem: &str, word: &str) {
    assert_eq!(whole.status(), status, "{}", whole.text());
    let document = whole.json();
    assert_eq!(document["type"], format!("urn:unbroken:{problem}"));
    let detail = document["detail"].as_str().unwrap();
    assert!(detail.contains(word), "{detail}");
}
