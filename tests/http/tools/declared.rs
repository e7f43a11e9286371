//! The tools that a session declares while those of the server change.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_layer::Layer as _;
use unbroken::{
    chat::{ChatEvent, ChatRequest, EnabledTools, ProviderError, ToolCall, provider_fn},
    durable::Recovery,
    session::Sessions,
    store::Memory,
    tools::{Call, ToolLayer, ToolSource, Tools, tool_fn},
};

use super::counted::{after, answer, of};
use crate::{
    client::{With, ndjson, post, send},
    server::{MOUNT, Server, fields, id, layer, mounted, serve},
};

#[derive(Deserialize, schemars::JsonSchema)]
struct Nothing {}

/// A source whose tools the test changes.
#[derive(Clone, Default)]
struct Changing(Arc<Mutex<Tools>>);

impl ToolSource for Changing {
    fn tools(&self) -> Tools {
        self.0.lock().unwrap().clone()
    }
}

impl Changing {
    fn of(names: &[&str]) -> Self {
        let source = Self::default();
        source.set(names);
        source
    }

    fn set(&self, names: &[&str]) {
        *self.0.lock().unwrap() = tools(names);
    }
}

fn tools(names: &[&str]) -> Tools {
    let tool = |tools: Tools, name: &&str| {
        let run = |_: Nothing, _: Call| async { Ok("ran on the server") };
        tools.with(tool_fn(*name, "", run).idempotent())
    };
    names.iter().fold(Tools::new(), tool)
}

/// A server whose model says a text, and then calls these tools or says nothing more.
async fn server(
    sessions: Sessions,
    source: &Changing,
    calls: Option<&'static [&'static str]>,
) -> Server {
    let model = provider_fn(move |request: ChatRequest| {
        let begins = request
            .messages
            .last()
            .is_none_or(|it| it.tool_call_id.is_none());
        let text = request
            .so_far
            .is_none()
            .then(|| ChatEvent::text("Let me see. "));
        let calls = calls.filter(|_| begins);
        let asked = calls.map(|names| {
            ChatEvent::tool_calls(
                names
                    .iter()
                    .map(|name| ToolCall::new(*name, *name, json!({}))),
            )
        });
        let events = stream::iter(text.into_iter().chain(asked).map(Ok::<_, ProviderError>));
        match calls {
            None if begins => events.chain(stream::pending()).boxed(),
            _ => events.boxed(),
        }
    });
    let tools = ToolLayer::new(tools(&["own"])).source(source.clone());
    let durable = layer(&sessions)
        .client_fields(fields())
        .enabled_tools(EnabledTools::All)
        .recovery(Recovery::new().resume())
        .tools(tools.clone());
    serve(sessions, mounted!(durable, tools.layer(model))).await
}

fn bringing(names: &[&str]) -> Value {
    let tools: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
    json!({"messages": [{"role": "user", "content": "Hi"}], "isomorphicTools": tools})
}

#[tokio::test]
async fn a_session_declares_the_tools_that_a_source_has_when_it_begins() {
    let source = Changing::of(&["a"]);
    let server = server(Sessions::in_memory(), &source, Some(&["b", "map"])).await;
    let declared = |events: &[(u64, Value)]| {
        let capabilities = &events[0].1["capabilities"];
        (
            capabilities["tools"].clone(),
            capabilities["clientTools"].clone(),
        )
    };
    let events = answer(&server, &bringing(&[])).await;
    assert_eq!(declared(&events), (json!(["own", "a"]), Value::Null));

    source.set(&["b", "own"]);
    let events = answer(&server, &bringing(&["map", "b"])).await;
    assert_eq!(
        declared(&events),
        (json!(["own", "b", "map"]), json!(["map"]))
    );
    let result = of(&events, "tool_result");
    assert_eq!(result.len(), 1, "{events:?}");
    assert_eq!(
        (&result[0]["name"], &result[0]["content"]),
        (&json!("b"), &json!("ran on the server"))
    );
    let handed = of(&events, "isomorphic_handoff");
    assert_eq!(handed.len(), 1, "{events:?}");
    assert_eq!(handed[0]["toolName"], "map");

    let mut some = bringing(&[]);
    some["enabledTools"] = json!(["b"]);
    assert_eq!(
        declared(&answer(&server, &some).await),
        (json!(["b"]), Value::Null)
    );
}

#[tokio::test]
async fn a_tool_stays_on_the_side_that_it_was_declared_for_also_after_a_takeover() {
    let store = Memory::new();
    let sessions = || {
        let sessions = Sessions::builder(store.clone());
        sessions.lease(Duration::from_millis(400)).build()
    };
    let first = server(sessions(), &Changing::of(&["a"]), None).await;
    let calls: &[_] = &["map", "a"];
    let second = server(sessions(), &Changing::of(&["map"]), Some(calls)).await;
    let start = post(MOUNT, &bringing(&["map", "a"])).with("x-session-id", id("declared"));
    let mut stream = send(first.addr, start).await;
    stream.until("Let me see").await;
    first.sessions.shutdown(Duration::ZERO).await;
    let mut events = ndjson(stream.whole().await.text());
    let last = events.last().unwrap().0;
    events.extend(after(&second, &id("declared"), last).await);
    let capabilities = &events[0].1["capabilities"];
    assert_eq!(capabilities["tools"], json!(["own", "a", "map"]));
    assert_eq!(capabilities["clientTools"], json!(["map"]));
    let handed = of(&events, "isomorphic_handoff");
    assert_eq!(handed.len(), 1, "{events:?}");
    assert_eq!(
        handed[0]["toolName"], "map",
        "also if the server has one since"
    );
    let failed = of(&events, "tool_error");
    assert_eq!(failed.len(), 1, "{events:?}");
    assert_eq!(
        failed[0]["name"], "a",
        "not the client's, also if the server has none any more"
    );
}
