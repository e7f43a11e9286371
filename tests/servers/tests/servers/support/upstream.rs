//! A server of background responses, by the published rules of `OpenAI`. A response goes on whether it is read or
//! not, up to where the test holds it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, RawQuery, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::stream;
use http::{StatusCode, header};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, time::sleep};

use super::Error;

/// The time between two events.
const PACE: Duration = Duration::from_millis(2);

#[derive(Debug, Clone)]
pub(crate) struct ModelServer {
    pub(crate) addr: SocketAddr,
    state: Arc<Mutex<ModelState>>,
}

#[derive(Debug, Default)]
struct ModelState {
    responses: Vec<Arc<BackgroundResponse>>,
    /// The numbers of events that the next responses have until they are released.
    held: Vec<usize>,
    reads: usize,
    cancelled: usize,
}

#[derive(Debug)]
struct BackgroundResponse {
    events: Vec<Value>,
    /// The number of events that it has.
    most: watch::Sender<usize>,
}

type Shared = State<Arc<Mutex<ModelState>>>;

impl ModelServer {
    pub(crate) async fn start() -> Result<Self, Error> {
        let state = Arc::<Mutex<ModelState>>::default();
        let app = Router::new()
            .route("/v1/responses", post(ask))
            .route("/v1/responses/{id}", get(read))
            .route("/v1/responses/{id}/cancel", post(cancel))
            .with_state(Arc::clone(&state));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { addr, state })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Begins an answer, whose responses are held after these numbers of events.
    pub(crate) fn begin(&self, held: Vec<usize>) {
        let mut state = lock(&self.state);
        state.responses.clear();
        state.held = held;
        state.reads = 0;
    }

    /// Lets a response of the answer go on up to a number of events.
    pub(crate) fn release(&self, turn: usize, most: usize) {
        let state = lock(&self.state);
        if let Some(response) = state.responses.get(turn) {
            response.most.send_replace(most);
        }
    }

    /// Returns the number of requests of the answer for a response.
    pub(crate) fn posts(&self) -> usize {
        lock(&self.state).responses.len()
    }

    /// Returns the number of reads of the answer's responses.
    pub(crate) fn reads(&self) -> usize {
        lock(&self.state).reads
    }

    /// Returns the number of cancelled responses of all answers.
    pub(crate) fn cancelled(&self) -> usize {
        lock(&self.state).cancelled
    }
}

/// Returns the events of a turn: words, and the pieces of a call if it `calls`.
pub(crate) fn turn(name: char, calls: bool) -> Vec<Value> {
    let delta = |at: usize| {
        json!({"type": "response.output_text.delta", "output_index": 0, "item_id": "msg", "content_index": 0,
            "delta": format!("{name}{at} ")})
    };
    let mut events = vec![json!({"type": "response.created"})];
    events.extend((0..90).map(delta));
    let text: String = events[1..].iter().map(said).collect();
    events.push(json!({"type": "response.output_item.done", "output_index": 0, "item":
        {"id": "msg", "type": "message", "content": [{"type": "output_text", "text": text, "annotations": []}]}}));
    if calls {
        let arguments = json!({"zone": "x".repeat(60)}).to_string();
        let mut call = json!({"id": "fc", "type": "function_call", "call_id": "call", "name": "now", "arguments": ""});
        events.push(
            json!({"type": "response.output_item.added", "output_index": 1, "item": call.clone()}),
        );
        events.extend(arguments.as_bytes().chunks(2).map(|piece| {
            json!({"type": "response.function_call_arguments.delta", "output_index": 1, "item_id": "fc",
                "delta": String::from_utf8_lossy(piece)})
        }));
        call["arguments"] = arguments.into();
        events.push(json!({"type": "response.output_item.done", "output_index": 1, "item": call}));
    }
    events.push(json!({"type": "response.completed"}));
    events
}

/// Returns the text or the piece of arguments of an event.
pub(crate) fn said(event: &Value) -> &str {
    event["delta"].as_str().unwrap_or_default()
}

fn lock(state: &Mutex<ModelState>) -> MutexGuard<'_, ModelState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn ask(State(state): Shared, Json(body): Json<Value>) -> Response {
    let response = {
        let mut state = lock(&state);
        let at = state.responses.len();
        let input = body["input"].to_string();
        let is_second = input.contains("function_call_output");
        let calls = input.contains("with a tool") && !is_second;
        let mut events = turn(if is_second { 'b' } else { 'a' }, calls);
        let last = events.len() - 1;
        let of = |status: &str| json!({"id": format!("resp_{at}"), "object": "response", "status": status, "model": "m"});
        events[0]["response"] = of("in_progress");
        events[last]["response"] = of("completed");
        events[last]["response"]["usage"] = json!({"input_tokens": 3, "output_tokens": 100});
        for (number, event) in (0..).zip(&mut events) {
            event["sequence_number"] = Value::from(number);
        }
        let held = state.held.get(at).copied().unwrap_or(usize::MAX);
        let response = Arc::new(BackgroundResponse {
            events,
            most: watch::Sender::new(held),
        });
        state.responses.push(Arc::clone(&response));
        response
    };
    follow(response, 0)
}

async fn read(State(state): Shared, Path(id): Path<String>, RawQuery(query): RawQuery) -> Response {
    let found = {
        let mut state = lock(&state);
        state.reads += 1;
        let at = id.strip_prefix("resp_").and_then(|at| at.parse().ok());
        at.and_then(|at: usize| state.responses.get(at).cloned())
    };
    let Some(response) = found else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let query = query.unwrap_or_default();
    let mut pairs = query.split('&');
    let after = pairs.find_map(|pair| pair.strip_prefix("starting_after=")?.parse().ok());
    match after {
        Some(after) => follow(response, usize::saturating_add(after, 1)),
        None => Json(response.events[0]["response"].clone()).into_response(),
    }
}

async fn cancel(State(state): Shared, Path(_): Path<String>) -> StatusCode {
    lock(&state).cancelled += 1;
    StatusCode::OK
}

/// Streams the events of a response from one on, as they come.
fn follow(response: Arc<BackgroundResponse>, from: usize) -> Response {
    let events = stream::unfold(from, move |at| {
        let response = Arc::clone(&response);
        async move {
            let event = response.events.get(at)?;
            response
                .most
                .subscribe()
                .wait_for(|most| *most > at)
                .await
                .ok()?;
            sleep(PACE).await;
            let frame = format!("data: {event}\n\n");
            Some((Ok::<_, std::convert::Infallible>(frame), at + 1))
        }
    });
    let kind = [(header::CONTENT_TYPE, "text/event-stream")];
    (kind, Body::from_stream(events)).into_response()
}
