//! Tools of the other server, of the client, and of ours.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use http::Request;
use tokio::sync::watch;
use tower::Layer;
use unbroken::{
    BoxError,
    access::AnyoneWithTheId,
    chat::Message,
    durable::{ClientFields, DurableLayer, Recovery},
    store::Memory,
    tools::{ToolLayer, Tools, tool_fn},
};

use super::{
    outer::{OuterServer, body, events_of, joined, own, provider, read, start, stored},
    *,
};

const CHAT: &str = "a-secret-name-of-a-chat-0123456789";

/// A layer with one tool that counts how often it runs, and ends once it may.
fn layer(runs: &Arc<AtomicUsize>, gate: &watch::Sender<bool>) -> ToolLayer {
    let (runs, gate) = (Arc::clone(runs), gate.clone());
    let tool = tool_fn("weather", "A tool.", move |_: Value, _| {
        runs.fetch_add(1, Ordering::Relaxed);
        let mut gate = gate.subscribe();
        async move {
            gate.wait_for(|is_open| *is_open).await?;
            Ok::<_, BoxError>("snow".to_owned())
        }
    });
    ToolLayer::new(Tools::new().with(tool))
}

fn call(id: &str, name: &str) -> ToolCall {
    ToolCall::new(id, name, json!({}))
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let kinds = events.iter().map(|event| event["type"].as_str().unwrap());
    kinds.filter(|kind| *kind != "tool_progress").collect()
}

struct Chain {
    model: GatedModel,
    /// True if the other server's tool may end.
    gate: watch::Sender<bool>,
    server: InnerServer,
    runs: Arc<AtomicUsize>,
}

impl Chain {
    /// Starts a server whose model calls this tool, and then answers.
    async fn start(id: &str, tool: &str) -> Self {
        let model = GatedModel::in_turns(vec![
            vec![
                ChatEvent::text("Let me look. "),
                ChatEvent::tool_calls([call(id, tool)]),
            ],
            vec![ChatEvent::text("Done.")],
        ]);
        let (runs, gate) = (Arc::default(), watch::Sender::new(true));
        let inner = layer(&runs, &gate).layer(model.provider());
        let server = InnerServer::start(mounted(Sessions::in_memory(), inner)).await;
        Self {
            model,
            gate,
            server,
            runs,
        }
    }
}

const ROUND: [&str; 6] = [
    "text",
    "tool_calls",
    "turn",
    "tool_result",
    "text",
    "complete",
];

#[tokio::test]
async fn a_tool_of_the_other_server_runs_there_once_and_is_shown() {
    let chain = Chain::start("w1", "weather").await;
    let ours = OuterServer::new(&Memory::new());
    let log = ours.send(provider(&chain.server), Recovery::new(), start());
    let events = joined(events_of(&log.await.unwrap()));
    assert_eq!(kinds(&events), ROUND, "{events:?}");
    let result = events.iter().find(|event| event["type"] == "tool_result");
    assert_eq!(result.unwrap()["content"], "snow");
    assert_eq!(chain.runs.load(Ordering::Relaxed), 1);
    // Two turns at the other server, by one request.
    assert_eq!((chain.model.calls(), chain.server.seen().len()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_of_the_other_server_runs_on_while_our_server_is_lost() {
    let chain = Chain::start("w1", "weather").await;
    chain.gate.send_replace(false);
    let store = Memory::new();
    let (first, second) = (OuterServer::new(&store), OuterServer::new(&store));
    let recovery = Recovery::new().reattach();
    let send = |server: &OuterServer, request| {
        server.send(provider(&chain.server), recovery.clone(), request)
    };
    send(&first, start());
    while chain.runs.load(Ordering::Relaxed) == 0 || own(stored(&store).await).len() < 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(first);
    let log = send(&second, read());
    while chain.server.reads().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    chain.gate.send_replace(true);
    let log = log.await.unwrap();
    assert_eq!(kinds(&joined(events_of(&log))), ROUND, "{log}");
    assert_eq!(chain.runs.load(Ordering::Relaxed), 1);
    assert_eq!(chain.model.calls(), 2);
}

#[tokio::test]
async fn a_tool_layer_of_ours_is_refused_before_the_first_event() {
    let chain = Chain::start("w1", "weather").await;
    for tools in [
        ToolLayer::new(Tools::new()),
        layer(&chain.runs, &watch::Sender::new(true)),
    ] {
        let ours = OuterServer::new(&Memory::new());
        let provider = tools.layer(provider(&chain.server));
        let log = ours.send(provider, Recovery::new(), start()).await.unwrap();
        let events = own(events_of(&log));
        assert_eq!(kinds(&events), ["error"], "{log}");
        let message = events[0]["message"].as_str().unwrap();
        assert!(message.contains("tools of this server"), "{message}");
    }
    assert_eq!((chain.model.calls(), chain.server.seen().len()), (0, 0));
}

/// Posts to a server of ours that opens the client's tools.
async fn posted(sessions: &Sessions, chain: &Chain, wire: Value) -> Vec<Value> {
    let fields = ClientFields::nothing().client_tools(10, 10_000);
    let chat = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
        .client_fields(fields)
        .secret_chat_ids()
        .layer(provider(&chain.server));
    let request = Request::post("/").header("content-type", "application/json");
    let request = request.body(Body::from(wire.to_string())).unwrap();
    let log = body(chat.oneshot(request).await.unwrap()).await;
    events_of(&log)
}

#[tokio::test]
async fn a_tool_of_the_client_is_handed_over_by_both_and_its_output_reaches_the_model() {
    let chain = Chain::start("m1", "map").await;
    let sessions = Sessions::in_memory();
    let mut wire = json!({
        "messages": [{"role": "user", "content": "Where?"}],
        "chatId": CHAT,
        "isomorphicTools": [{"name": "map", "description": "Shows.", "parameters": {"type": "object"}}],
    });
    let events = own(posted(&sessions, &chain, wire.clone()).await);
    let expected = [
        "text",
        "tool_calls",
        "turn",
        "isomorphic_handoff",
        "conversation_state",
        "complete",
    ];
    assert_eq!(kinds(&joined(events.clone())), expected, "{events:?}");
    assert_eq!(events.last().unwrap()["finishReason"], "tool_calls");

    wire["isomorphicClientOutputs"] =
        json!([{"callId": "m1", "toolName": "map", "params": {}, "clientOutput": "seen"}]);
    let events = own(posted(&sessions, &chain, wire).await);
    assert_eq!(events.last().unwrap()["type"], "complete", "{events:?}");
    let requests = chain.model.requests();
    let expected = [
        Message::user("Where?"),
        Message::assistant("Let me look. ").tool_calls([call("m1", "map")]),
        Message::tool("m1", "seen"),
    ];
    assert_eq!(requests.last().unwrap().messages, expected);
    assert_eq!((requests.len(), chain.server.seen().len()), (2, 2));
}
