//! A server that counts the runs of its tools.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Value, json};
use tower_layer::Layer as _;
use unbroken::{
    BoxError,
    chat::IsomorphicClientOutput,
    durable::DurableLayer,
    log::SessionId,
    provider::scripted::{Script, Scripted},
    session::Sessions,
    tools::{Call, Question, ToolFailure, ToolLayer, Tools, client_tool, handoff_fn, tool_fn},
};

use crate::{
    client::{Answer, With, get, ndjson, post, send},
    server::{MOUNT, Server, at, fields, layer, mounted, serve},
};

/// The number of runs of tools, by their arguments, and of those that were dropped.
#[derive(Clone, Default)]
pub(super) struct Counted {
    begun: Arc<Mutex<HashMap<String, usize>>>,
    gone: Arc<Mutex<usize>>,
}

struct Gone(Arc<Mutex<usize>>);

impl Drop for Gone {
    fn drop(&mut self) {
        *self.0.lock().unwrap() += 1;
    }
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Wait {
    of: String,
    #[serde(default)]
    millis: u64,
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Pay {
    sum: u64,
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Nothing {}

impl Counted {
    /// Returns the number of runs with this argument.
    pub(super) fn times(&self, what: &str) -> usize {
        self.begun.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    pub(super) fn begun(&self) -> usize {
        self.begun.lock().unwrap().values().sum()
    }

    pub(super) fn gone(&self) -> usize {
        *self.gone.lock().unwrap()
    }

    fn count(&self, what: String) -> Gone {
        *self.begun.lock().unwrap().entry(what).or_default() += 1;
        Gone(Arc::clone(&self.gone))
    }

    async fn wait(self, wait: Wait) -> Result<String, BoxError> {
        let _gone = self.count(wait.of.clone());
        tokio::time::sleep(Duration::from_millis(wait.millis)).await;
        Ok(wait.of)
    }

    pub(super) fn tools(&self) -> Tools {
        let (wait, look, pay) = (self.clone(), self.clone(), self.clone());
        let asking = self.clone();
        let ask = move |_: Nothing, call: Call| {
            let gone = asking.count("ask".to_owned());
            async move {
                let _gone = gone;
                let mut message = "Which seat?";
                loop {
                    let seat = json!({"type": "string", "pattern": "^[0-9]+[A-F]$"});
                    let question = Question::new(message).schema(seat);
                    match call.ask(question).await?.as_str() {
                        Some("13A") => message = "There is no row 13. Which seat?",
                        seat => return Ok(json!({"seat": seat})),
                    }
                }
            }
        };
        let fail = |_: Nothing, _: Call| async {
            Err::<(), _>(ToolFailure::new("there is no such thing").into())
        };
        let panics = |nothing: Nothing, _: Call| async move {
            let Nothing {} = nothing;
            Ok(std::hint::black_box(None::<u8>).expect("the test wants a panic"))
        };
        let seat = handoff_fn(
            "seat",
            "Lets the user choose a seat.",
            |_: Nothing, _: Call| async { Ok(json!({"free": ["1A"]})) },
            |given: IsomorphicClientOutput, _: Call| async move {
                Ok(format!("booked {}", given.client_output))
            },
        );
        Tools::new()
            .with(tool_fn("wait", "", move |args, _| wait.clone().wait(args)))
            .with(tool_fn("look", "", move |args, _| look.clone().wait(args)).idempotent())
            .with(
                tool_fn("pay", "", move |args: Pay, _: Call| {
                    let gone = pay.count(format!("pay {}", args.sum));
                    async move {
                        let _gone = gone;
                        Ok(format!("paid {}", args.sum))
                    }
                })
                .approved("May I pay?"),
            )
            .with(tool_fn("ask", "", ask))
            .with(tool_fn("fail", "", fail))
            .with(tool_fn("panics", "", panics))
            .with(seat)
            .with(client_tool("time", "", json!({"type": "object"})))
    }

    pub(super) async fn server(&self) -> Server {
        let layer = |tools: ToolLayer| tools;
        self.serve(Sessions::in_memory(), layer, |layer| layer)
            .await
    }

    /// Serves a scripted provider with these tools.
    pub(super) async fn serve(
        &self,
        sessions: Sessions,
        tools: impl FnOnce(ToolLayer) -> ToolLayer,
        with: impl FnOnce(DurableLayer) -> DurableLayer,
    ) -> Server {
        let durable = layer(&sessions).client_fields(fields());
        let durable = with(durable.secret_chat_ids());
        let tools = tools(ToolLayer::new(self.tools()));
        let provider = tools.layer(Scripted::new(Script::say("Hello")));
        serve(sessions, mounted!(durable, provider)).await
    }
}

/// A request whose model makes these calls, then repeats their results.
pub(super) fn calling(calls: Value) -> Value {
    let mut request = json!({
        "chatId": SessionId::random().as_str(),
        "messages": [{"role": "user", "content": "Hi"}],
        "enabledTools": true,
        "script": {"text": "Let me see. ", "delayMs": 0, "then": [{"results": true}]},
    });
    request["script"]["toolCalls"] = calls;
    request
}

pub(super) async fn start(server: &Server, request: &Value) -> Answer {
    send(server.addr, post(MOUNT, request)).await
}

/// Reads a whole answer.
pub(super) async fn answer(server: &Server, request: &Value) -> Vec<(u64, Value)> {
    let whole = start(server, request).await.whole().await;
    assert_eq!(whole.status(), 200, "{}", whole.text());
    assert!(whole.clean);
    ndjson(whole.text())
}

/// Reads a session after an LSN, to its end.
pub(super) async fn after(server: &Server, id: &str, lsn: u64) -> Vec<(u64, Value)> {
    let request = get(&at(id)).with("x-last-lsn", lsn.to_string());
    let whole = send(server.addr, request).await.whole().await;
    assert!(whole.clean, "{whole:?}");
    ndjson(whole.text())
}

/// Answers a question. Returns the status of the response.
pub(super) async fn give(server: &Server, id: &str, input: &str, body: Value) -> u16 {
    let request = post(&format!("{}/inputs/{input}", at(id)), &body);
    send(server.addr, request).await.whole().await.status()
}

pub(super) fn text(events: &[(u64, Value)]) -> String {
    let texts = events.iter().filter(|(_, event)| event["type"] == "text");
    let texts = texts.filter_map(|(_, event)| event["content"].as_str());
    texts.collect()
}

/// The events of one type.
pub(super) fn of<'a>(events: &'a [(u64, Value)], kind: &str) -> Vec<&'a Value> {
    let events = events.iter().map(|(_, event)| event);
    events.filter(|event| event["type"] == kind).collect()
}
