//! Answers that another server resumes, with models that go on, repeat themselves, or begin anew.

mod rounds;
mod texts;

use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::{Service, ServiceExt};
use tower_layer::Layer as _;
use unbroken::{
    access::AnyoneWithTheId,
    chat::Provider,
    durable::{DurableLayer, Recovery, SessionBody},
    provider::{Ollama, OpenAi, by_model, by_model::ByModel},
    session::Sessions,
    store::Memory,
};

use crate::stub::{Step, Stub, delta, done, finish, ok, serve_by};

const ID: &str = "4kq8z1m0v7x2c5b9n3h6jr";

/// A family of model servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    ChatCompletions,
    Ollama,
}

const FAMILIES: [Family; 2] = [Family::ChatCompletions, Family::Ollama];

impl Family {
    /// Returns a provider whose model goes on from a partial answer, or not.
    fn provider(self, stub: &Stub, continues: bool) -> ByModel {
        match self {
            Self::ChatCompletions => {
                let openai = OpenAi::builder().base_url(stub.url("/v1")).model("m");
                let openai = openai.continue_final_message(continues).retries(0);
                by_model().model("m", openai.build().unwrap())
            }
            Self::Ollama => {
                let ollama = Ollama::builder().base_url(stub.url("")).model("m");
                let ollama = ollama.continue_final_message(continues).retries(0);
                by_model().model("m", ollama.build().unwrap())
            }
        }
    }

    fn said(self, text: &str) -> Step {
        match self {
            Self::ChatCompletions => delta(&json!({"content": text}).to_string()),
            Self::Ollama => line(&json!({"message": {"content": text}, "done": false})),
        }
    }

    fn thought(self, text: &str) -> Step {
        match self {
            Self::ChatCompletions => delta(&json!({"reasoning_content": text}).to_string()),
            Self::Ollama => {
                line(&json!({"message": {"content": "", "thinking": text}, "done": false}))
            }
        }
    }

    /// Returns a call of `now`.
    fn called(self, id: &str) -> Step {
        match self {
            Self::ChatCompletions => {
                let function = json!({"name": "now", "arguments": "{}"});
                let call = json!({"index": 0, "id": id, "type": "function", "function": function});
                delta(&json!({"tool_calls": [call]}).to_string())
            }
            Self::Ollama => {
                let call = json!({"function": {"name": "now", "arguments": {}}});
                line(&json!({"message": {"content": "", "tool_calls": [call]}, "done": false}))
            }
        }
    }

    fn end(self, reason: &str) -> Vec<Step> {
        match self {
            Self::ChatCompletions => vec![finish(reason), done(), Step::End],
            Self::Ollama => {
                let end = json!({"message": {"content": ""}, "done": true, "done_reason": "stop"});
                vec![line(&end), Step::End]
            }
        }
    }

    /// Returns a whole answer of these pieces.
    fn answer<'a>(self, pieces: impl IntoIterator<Item = &'a str>) -> Vec<Step> {
        let said = pieces.into_iter().map(|piece| self.said(piece));
        [ok()]
            .into_iter()
            .chain(said)
            .chain(self.end("stop"))
            .collect()
    }

    /// Returns the beginning of an answer, after which nothing comes.
    fn partial<'a>(self, pieces: impl IntoIterator<Item = &'a str>) -> Vec<Step> {
        let said = pieces.into_iter().map(|piece| self.said(piece));
        [ok()]
            .into_iter()
            .chain(said)
            .chain([Step::Silence])
            .collect()
    }
}

fn line(value: &Value) -> Step {
    Step::Chunk(format!("{value}\n").into())
}

/// Starts a model's server that answers its requests by their number, from 0.
async fn numbered(answer: impl Fn(usize, &Value) -> Vec<Step> + Send + Sync + 'static) -> Stub {
    let number = AtomicUsize::new(0);
    serve_by(move |body| answer(number.fetch_add(1, SeqCst), body)).await
}

/// Returns the bodies of all requests so far.
fn asked(stub: &mut Stub) -> Vec<Value> {
    std::iter::from_fn(|| stub.requests.try_recv().ok())
        .map(|seen| seen.body)
        .collect()
}

/// Loses a server once a client has this of the answer. Returns the events in the log that another server ends.
async fn taken_over<P>(providers: [P; 2], recovery: Recovery, lost_after: &str) -> Vec<Value>
where
    P: Provider + Sync,
{
    taken_over_when(providers, recovery, lost_after, || true).await
}

/// Loses a server once a client has this of the answer, and the condition holds.
async fn taken_over_when<P>(
    [first_provider, provider]: [P; 2],
    recovery: Recovery,
    lost_after: &str,
    holds: impl Fn() -> bool,
) -> Vec<Value>
where
    P: Provider + Sync,
{
    let store = Memory::new();
    let sessions = || {
        let sessions = Sessions::builder(store.clone());
        sessions.lease(Duration::from_millis(400)).build()
    };
    let layer = |sessions: &Sessions| {
        DurableLayer::new(sessions.clone(), AnyoneWithTheId::new()).recovery(recovery.clone())
    };
    let (first, second) = (sessions(), sessions());
    let service = layer(&first).layer(first_provider);
    let body = json!({"messages": [{"role": "user", "content": "Hi"}], "enabledTools": true});
    let request = Request::post("/").header("x-session-id", ID);
    let request = request.header("content-type", "application/json");
    let mut body = sent(service, request.body(body.to_string()).unwrap()).await;
    let mut seen = String::new();
    while !seen.contains(lost_after) {
        let frame = body.frame().await.expect("more of the answer").unwrap();
        seen.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    while !holds() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    first.shutdown(Duration::ZERO).await;
    let service = layer(&second).layer(provider);
    let request = Request::get(format!("/{ID}")).body(String::new()).unwrap();
    let whole = sent(service, request)
        .await
        .collect()
        .await
        .unwrap()
        .to_bytes();
    let lines = whole
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice::<Value>(line).unwrap()["event"].take())
        .collect()
}

async fn sent<S>(service: S, request: Request<String>) -> SessionBody
where
    S: Service<Request<String>, Response = http::Response<SessionBody>, Error = Infallible>,
{
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|it| it["type"].as_str().unwrap())
        .collect()
}

/// Returns the text, or the thinking, that a client has at the end.
fn content(events: &[Value], kind: &str) -> String {
    let restarted = events.iter().rposition(|it| it["type"] == "restarted");
    let events = events[restarted.unwrap_or(0)..].iter();
    let of_kind = events.filter(|it| it["type"] == kind);
    of_kind.map(|it| it["content"].as_str().unwrap()).collect()
}
