//! Values of any nesting, from a provider and from clients: what is written can be read.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use unbroken::{
    chat::{ChatEvent, ToolCall, TranscriptEnd},
    durable::SessionEnded,
    log::{ErrorCode, Outcome},
    session::Sessions,
};

use crate::{
    client::{With, get, kinds, ndjson, post, send, sse},
    server::{
        Call, Calls, MOUNT, Server, ask, at, driven_with, fields, follow, id, scripted, until,
    },
};

const DEPTHS: [usize; 14] = [
    1, 63, 64, 65, 95, 96, 100, 124, 125, 126, 127, 128, 130, 1000,
];

/// A text of nested lists.
fn lists(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

type Ended = Arc<Mutex<Vec<SessionEnded>>>;

async fn hooked() -> (Server, Calls, Ended) {
    let ended = Ended::default();
    let log = ended.clone();
    let (server, calls) = driven_with(Sessions::in_memory(), |layer| {
        layer.client_fields(fields()).on_end(move |it| {
            let log = log.clone();
            async move { log.lock().unwrap().push(it) }
        })
    })
    .await;
    (server, calls, ended)
}

/// Answers with what a provider does, and checks that every reader sees the same events, with one
/// ending. Returns them.
async fn read_by_all(server: &Server, calls: &Calls, act: impl FnOnce(Call)) -> Vec<Value> {
    let answer = send(server.addr, post(MOUNT, &ask("Hi"))).await;
    let id = answer.id();
    act(calls.next().await);
    let live = ndjson(answer.whole().await.text());
    let terminal = |event: &Value| matches!(event["type"].as_str(), Some("complete" | "error"));
    let events: Vec<_> = live.iter().map(|(_, event)| event.clone()).collect();
    let endings = events.iter().filter(|event| terminal(event)).count();
    assert_eq!(endings, 1, "{:?}", kinds(&live));
    assert!(terminal(events.last().unwrap()));

    let replay = send(server.addr, get(&at(&id))).await.whole().await;
    assert_eq!(ndjson(replay.text()), live);
    let compact = get(&format!("{}?replay=compact", at(&id)));
    let compact = send(server.addr, compact).await.whole().await;
    assert_eq!(ndjson(compact.text()), live);
    let by_sse = get(&at(&id)).with("accept", "text/event-stream");
    let by_sse = send(server.addr, by_sse).await.whole().await;
    let by_sse: Vec<_> = sse(by_sse.text()).into_iter().map(|it| it.1).collect();
    assert_eq!(by_sse, events);
    let page = get(&at(&id)).with("accept", "application/json");
    let page = send(server.addr, page).await.whole().await.json();
    let page = page["events"].as_array().unwrap().iter();
    assert_eq!(
        page.map(|it| it["event"].clone()).collect::<Vec<_>>(),
        events
    );
    events
}

#[tokio::test]
async fn arguments_of_any_depth_make_a_log_that_every_reader_reads() {
    let (server, calls, ended) = hooked().await;
    for (at, depth) in DEPTHS.into_iter().enumerate() {
        let text = lists(depth);
        let events = read_by_all(&server, &calls, |call| {
            call.event(ChatEvent::tool_calls([ToolCall::from_text(
                "1", "t", &text,
            )]));
        })
        .await;
        let arguments = &events[1]["calls"][0]["arguments"];
        if depth <= ToolCall::MAX_DEPTH {
            assert_eq!(arguments.to_string(), text, "{depth}");
        } else {
            assert_eq!(*arguments, json!(text), "{depth}");
        }
        until(async || ended.lock().unwrap().len() == at + 1).await;
        let ended = ended.lock().unwrap()[at].clone();
        assert_eq!(ended.outcome, Outcome::Complete);
        assert_eq!(ended.transcript.tool_calls().len(), 1, "{depth}");
    }
}

#[tokio::test]
async fn an_event_nested_deeper_than_a_record_ends_the_session_with_limit() {
    let (server, calls, ended) = hooked().await;
    // The parser of the test stops at 127.
    for (at, depth) in [64, 95, 96, 100, 126].into_iter().enumerate() {
        let data: Value = serde_json::from_str(&lists(depth)).unwrap();
        let events = read_by_all(&server, &calls, |call| {
            call.event(ChatEvent::custom("deep", data));
        })
        .await;
        let fits = depth < ChatEvent::MAX_DEPTH;
        assert_eq!(events[1]["type"], if fits { "custom" } else { "error" });
        until(async || ended.lock().unwrap().len() == at + 1).await;
        let ended = ended.lock().unwrap()[at].clone();
        if fits {
            assert_eq!(ended.outcome, Outcome::Complete);
        } else {
            assert_eq!(ended.outcome, Outcome::Error(ErrorCode::Limit));
            let Some(TranscriptEnd::Error(error)) = ended.transcript.ending() else {
                panic!("{:?}", ended.transcript)
            };
            assert!(error.message.contains("96"), "{}", error.message);
        }
    }
}

#[tokio::test]
async fn values_of_a_client_have_a_limit_on_their_nesting() {
    let (server, calls, _) = hooked().await;
    let bodies = [
        r#"{"messages":[{"role":"user","content":"Hi"}],"script":DEEP}"#,
        r#"{"messages":[{"role":"user","content":"Hi"}],"isomorphicTools":[{"name":"t","parameters":DEEP}]}"#,
        r#"{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","tool_calls":[{"id":"1","name":"t","arguments":DEEP}]},{"role":"user","content":"So?"}]}"#,
        r#"{"messages":[{"role":"user","content":"Hi"}],"isomorphicClientOutputs":[{"callId":"1","toolName":"t","clientOutput":DEEP}]}"#,
    ];
    for (at, body) in bodies.into_iter().enumerate() {
        for depth in [65, 100, 120, 127, 128, 10_000] {
            let mut request = post(MOUNT, &Value::Null);
            *request.body_mut() = body.replace("DEEP", &lists(depth)).into();
            let refused = send(server.addr, request).await.whole().await;
            assert_eq!(refused.status(), 422, "{at}: {depth}: {}", refused.text());
            assert!(
                refused.text().contains("nested deeper"),
                "{}",
                refused.text()
            );
        }
    }
    assert!(calls.none().await, "nothing was started");
    for body in &bodies[..3] {
        let mut request = post(MOUNT, &Value::Null);
        *request.body_mut() = body.replace("DEEP", &lists(64)).into();
        let answer = send(server.addr, request).await;
        assert_eq!(answer.status(), 200);
        drop(calls.next().await);
        answer.whole().await;
    }
}

#[tokio::test]
async fn the_content_of_an_answer_has_a_limit_on_its_nesting() {
    let server = scripted().await;
    for (depth, status) in [(64, 202), (65, 422), (127, 422), (10_000, 422)] {
        let script = json!({"text": "", "delayMs": 0, "asks": [{"id": "q", "message": "?"}]});
        let session = id(&format!("deep-{depth}"));
        let request = post(MOUNT, &follow(&script)).with("x-session-id", &session);
        let mut answer = send(server.addr, request).await;
        answer.until("input_request").await;
        let mut request = post(&format!("{}/inputs/q", at(&session)), &Value::Null);
        let content = lists(depth);
        *request.body_mut() = format!(r#"{{"action":"accept","content":{content}}}"#).into();
        let given = send(server.addr, request).await.whole().await;
        assert_eq!(given.status(), status, "{depth}: {}", given.text());
        if status == 202 {
            assert!(answer.whole().await.text().contains("complete"));
        }
    }
}
