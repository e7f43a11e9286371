//! Answers whose server shuts down before their end, and another server with the same store.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tower_layer::Layer as _;
use unbroken::{
    chat::{ChatEvent, Message, ToolCall, ToolInput},
    durable::{ChatFormat, ClientFields, DurableLayer, Recovery, RecoveryWay, SessionEnded},
    log::{Digest, Outcome, Position, ServiceName},
    provider::scripted::{Script, Scripted},
    session::{Format as _, Limits, Sessions},
    store::{Created, Memory, NewSession, SessionMeta, Store as _, StoreExt, Token},
};

use crate::{
    client::{With, get, kinds, lsns, ndjson, post, send},
    server::{MOUNT, Server, ask, at, driven_with, follow, id, layer, mounted, serve, until},
};

/// One of several servers, whose provider follows the scripts of the requests.
async fn server(store: &Memory, with: impl FnOnce(DurableLayer) -> DurableLayer) -> Server {
    let sessions = Sessions::builder(store.clone())
        .lease(Duration::from_millis(400))
        .build();
    let layer = with(layer(&sessions).client_fields(ClientFields::nothing().field("script")));
    serve(
        sessions,
        mounted!(layer, Scripted::new(Script::say("Hello"))),
    )
    .await
}

/// Starts an answer of 30 tokens, shuts the server down after a few, and returns the events so far.
/// The bodies of the server are cut.
async fn interrupted(server: &Server, name: &str) -> Vec<(u64, Value)> {
    let script = json!({"tokens": 30, "delayMs": 20});
    let request = post(MOUNT, &follow(&script)).with("x-session-id", id(name));
    let mut answer = send(server.addr, request).await;
    answer.until("\"4 \"").await;
    server.sessions.shutdown(Duration::ZERO).await;
    let cut = answer.whole().await;
    assert!(!cut.clean, "no clean end without a terminal event");
    ndjson(cut.text())
}

/// Reads the rest of the session from another server.
async fn rest(server: &Server, name: &str, after: &[(u64, Value)]) -> Vec<(u64, Value)> {
    let last = after.last().unwrap().0.to_string();
    let request = get(&at(&id(name))).with("x-last-lsn", last);
    let rest = send(server.addr, request).await.whole().await;
    assert!(rest.clean, "{rest:?}");
    ndjson(rest.text())
}

fn text(events: &[(u64, Value)]) -> String {
    let texts = events.iter().filter(|(_, event)| event["type"] == "text");
    texts
        .filter_map(|(_, event)| event["content"].as_str())
        .collect()
}

fn counted(tokens: u32) -> String {
    let numbers: Vec<_> = (1..=tokens).map(|n| n.to_string()).collect();
    numbers.join(" ") + " "
}

#[tokio::test]
async fn without_a_policy_an_interrupted_answer_ends_as_interrupted() {
    let store = Memory::new();
    let first = server(&store, |layer| layer).await;
    let second = server(&store, |layer| layer).await;
    let mut events = interrupted(&first, "fail").await;
    events.extend(rest(&second, "fail", &events).await);
    assert_eq!(lsns(&events), (1..=events.len() as u64).collect::<Vec<_>>());
    let (_, ending) = events.last().unwrap();
    assert_eq!(
        (&ending["code"], &ending["recoverable"]),
        (&json!("interrupted"), &json!(true))
    );
}

#[tokio::test]
async fn a_restarted_answer_starts_again_in_the_same_log() {
    let store = Memory::new();
    let restart = |layer: DurableLayer| layer.recovery(Recovery::new().restart());
    let first = server(&store, restart).await;
    let second = server(&store, restart).await;
    let mut events = interrupted(&first, "restart").await;
    let before = events.len();
    events.extend(rest(&second, "restart", &events).await);
    assert_eq!(lsns(&events), (1..=events.len() as u64).collect::<Vec<_>>());
    let at = kinds(&events).iter().position(|kind| *kind == "restarted");
    let at = at.expect("clients are told to drop what they have");
    assert!(at >= before, "after what the first server has shown");
    assert_eq!(text(&events[at..]), counted(30));
    assert_eq!(events.last().unwrap().1["type"], "complete");
}

/// A dialect without `restarted`: its clients would show the old words and the new ones.
#[tokio::test]
async fn a_dialect_without_restarted_is_never_restarted() {
    let store = Memory::new();
    let first = server(&store, |layer| layer.recovery(Recovery::new().restart())).await;
    let second = server(&store, |layer| {
        let layer = layer
            .dialect(unbroken::dialect::AiSdk::new())
            .secret_chat_ids();
        layer.recovery(Recovery::new().restart())
    })
    .await;
    let before = interrupted(&first, "restart").await;
    let id = id("restart").parse().unwrap();
    let session = second.sessions.attach(&id).await.unwrap();
    let mut reader = session.reader(Position::START).await.unwrap();
    let mut events = Vec::new();
    while let Some(batch) = reader.next().await {
        for record in batch.unwrap().chunk().records() {
            events.push(serde_json::from_slice::<Value>(record.bytes).unwrap());
        }
    }
    let ending = events.pop().unwrap();
    assert_eq!(
        (&ending["type"], &ending["code"]),
        (&json!("error"), &json!("interrupted"))
    );
    assert!(events.len() >= before.len());
    assert!(events.iter().all(|event| event["type"] != "restarted"));
}

#[tokio::test]
async fn a_takeover_in_the_middle_of_arguments_begins_no_call_twice() {
    let piece = |id: &str, delta: &str| ToolInput::new(id, delta).name("map").into();
    for (recovery, between) in [
        (Recovery::new().resume(), &["tool_input"][..]),
        (Recovery::new().restart(), &["restarted"]),
    ] {
        let store = Memory::new();
        let sessions = || {
            let sessions = Sessions::builder(store.clone());
            sessions.lease(Duration::from_millis(400)).build()
        };
        let recovered = |layer: DurableLayer| layer.recovery(recovery.clone());
        let (first, calls) = driven_with(sessions(), recovered).await;
        let (second, successors) = driven_with(sessions(), recovered).await;
        let request = post(MOUNT, &ask("Where?")).with("x-session-id", id("arguments"));
        let mut answer = send(first.addr, request).await;
        let call = calls.next().await;
        call.event(piece("a", "{\"zo"));
        answer.until("{\\\"zo").await;
        first.sessions.shutdown(Duration::ZERO).await;
        let mut events = ndjson(answer.whole().await.text());

        let last = events.last().unwrap().0.to_string();
        let request = get(&at(&id("arguments"))).with("x-last-lsn", last);
        let rest = send(second.addr, request).await;
        let call = successors.next().await;
        call.event(piece("a", "{\"zoom\""));
        call.event(ToolInput::new("a", ":3}").into());
        call.event(ChatEvent::tool_calls([ToolCall::new(
            "a",
            "map",
            json!({"zoom": 3}),
        )]));
        call.event(ChatEvent::complete());
        events.extend(ndjson(rest.whole().await.text()));

        let kinds = kinds(&events);
        let before = ["session_info", "tool_input"];
        let after = ["tool_input", "tool_input", "tool_calls", "complete"];
        assert_eq!(kinds, [&before[..], between, &after].concat());
        let ids: Vec<_> = events
            .iter()
            .filter_map(|(_, event)| event["id"].as_str())
            .collect();
        let cut = events
            .iter()
            .filter(|(_, event)| event["cut"] == true)
            .count();
        let expected = [&["a"][..], &["a"][..cut], &["a-2", "a-2"]].concat();
        assert_eq!(
            (ids, cut),
            (expected, usize::from(between == ["tool_input"]))
        );
        assert_eq!(events[events.len() - 2].1["calls"][0]["id"], "a-2");
    }
}

#[tokio::test]
async fn a_resumed_answer_continues_in_the_same_log() {
    let store = Memory::new();
    let resume = |layer: DurableLayer| layer.recovery(Recovery::new().resume());
    let first = server(&store, resume).await;
    let second = server(&store, resume).await;
    let mut events = interrupted(&first, "resume").await;
    events.extend(rest(&second, "resume", &events).await);
    assert_eq!(lsns(&events), (1..=32).collect::<Vec<_>>());
    assert_eq!(
        text(&events),
        counted(30),
        "nothing twice and nothing missing"
    );
    assert_eq!(events.last().unwrap().1["type"], "complete");
}

/// Creates the session of a server that died before the first record, or that refused the start.
async fn never_begun(store: &Memory, name: &str, digest: Digest) -> String {
    let new = NewSession {
        meta: Arc::new(SessionMeta {
            owner: None,
            chat: None,
            service: ServiceName::new("native"),
            digest,
            format: ChatFormat::new().number(),
            outbox: None,
        }),
        request: follow(&json!({"tally": "begun"})).to_string().into(),
        token: Token::random(),
        lease: Duration::from_millis(300),
        tombstone: Duration::from_secs(60),
    };
    let id = id(name);
    let created = store.create(&id.parse().unwrap(), new).await;
    assert!(matches!(created, Ok(Created::Created(_))));
    id
}

#[tokio::test]
async fn an_answer_that_never_began_is_interrupted_for_a_reader_under_every_policy() {
    for recovery in [
        Recovery::new(),
        Recovery::new().restart(),
        Recovery::new().resume(),
    ] {
        let store = Memory::new();
        let id = never_begun(&store, "never-begun", Digest([7; 32])).await;
        let policy = recovery.clone();
        let server = server(&store, |layer| layer.recovery(policy)).await;
        let whole = send(server.addr, get(&at(&id))).await.whole().await;
        assert!(whole.clean, "{whole:?}");
        let events = ndjson(whole.text());
        assert_eq!(kinds(&events), ["error"], "{recovery:?}");
        let (_, ending) = events.last().unwrap();
        assert_eq!(
            (&ending["code"], &ending["recoverable"]),
            (&json!("interrupted"), &json!(true))
        );
        let tell = follow(&json!({"tell": "begun"}));
        let told = send(server.addr, post(MOUNT, &tell)).await.whole().await;
        let told = text(&ndjson(told.text()));
        assert!(!told.contains("\"calls\":1"), "{recovery:?}: {told}");
    }
}

#[tokio::test]
async fn an_answer_that_never_began_starts_for_a_client_that_sends_its_request_again() {
    let store = Memory::new();
    let body = follow(&json!({"tokens": 3, "delayMs": 1}));
    // The digest of a request under this layer, from a session that it started.
    let server = server(&store, |layer| layer).await;
    let request = |name: &str| post(MOUNT, &body).with("x-session-id", name);
    send(server.addr, request(&id("known"))).await.whole().await;
    let known = store.state(&id("known").parse().unwrap()).await.unwrap();
    let id = never_begun(&store, "never-begun", known.meta.digest).await;
    let answer = send(server.addr, request(&id)).await;
    assert_eq!(answer.status(), 200);
    let events = ndjson(answer.whole().await.text());
    let expected = ["session_info", "text", "text", "text", "complete"];
    assert_eq!(kinds(&events), expected);
}

#[tokio::test]
async fn the_decide_hook_gets_the_request_the_answer_so_far_and_the_attempt() {
    let store = Memory::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let first = server(&store, |layer| layer).await;
    let second = server(&store, |layer| {
        let seen = seen.clone();
        layer.recovery(Recovery::new().decide(move |interrupted| {
            seen.lock().unwrap().push(interrupted);
            async { [RecoveryWay::Resume] }
        }))
    })
    .await;
    let mut events = interrupted(&first, "decide").await;
    events.extend(rest(&second, "decide", &events).await);
    assert_eq!(text(&events), counted(30));
    let seen = seen.lock().unwrap();
    let [interrupted] = &seen[..] else {
        panic!("asked once: {seen:?}");
    };
    assert_eq!(interrupted.id.as_str(), id("decide"));
    assert_eq!(interrupted.request.messages[0].content, "Hi");
    assert!(interrupted.transcript.text().starts_with("1 2 3 4 "));
    assert_eq!((interrupted.attempts, interrupted.claims), (0, 1));
}

#[tokio::test]
async fn the_number_of_takeovers_is_bounded() {
    let store = Memory::new();
    let resume = |layer: DurableLayer| layer.recovery(Recovery::new().resume().claims(1));
    let first = server(&store, resume).await;
    let second = server(&store, resume).await;
    let mut events = interrupted(&first, "attempts").await;
    let session = id("attempts").parse().unwrap();
    until(async || second.sessions.running() == 1).await;
    second.sessions.shutdown(Duration::ZERO).await;
    let third = server(&store, resume).await;
    events.extend(rest(&third, "attempts", &events).await);
    assert_eq!(events.last().unwrap().1["code"], "interrupted");
    assert_eq!(store.state(&session).await.unwrap().epoch.claims(), 2);
}

#[tokio::test]
async fn on_end_of_a_taken_over_answer_runs_once_with_the_whole_transcript() {
    let store = Memory::new();
    let ended: Arc<Mutex<Vec<SessionEnded>>> = Arc::default();
    let begun = Arc::new(Mutex::new(0));
    let booked = |layer: DurableLayer| {
        let (ended, begun) = (ended.clone(), begun.clone());
        layer
            .recovery(Recovery::new().resume())
            .on_start(move |_| {
                *begun.lock().unwrap() += 1;
                async {}
            })
            .on_end(move |it| {
                ended.lock().unwrap().push(it);
                async {}
            })
    };
    let first = server(&store, booked).await;
    let second = server(&store, booked).await;
    let events = interrupted(&first, "hooked").await;
    rest(&second, "hooked", &events).await;
    until(async || !ended.lock().unwrap().is_empty()).await;
    let ended = ended.lock().unwrap();
    assert_eq!((ended.len(), *begun.lock().unwrap()), (1, 1));
    assert_eq!(ended[0].transcript.text(), counted(30));
    assert_eq!(ended[0].outcome, Outcome::Complete);
}

#[tokio::test]
async fn a_server_without_the_service_only_ends_orphans() {
    let store = Memory::new();
    let first = server(&store, |layer| layer.recovery(Recovery::new().resume())).await;
    let other = server(&store, |layer| {
        layer
            .service_name("other")
            .recovery(Recovery::new().resume())
    })
    .await;
    let mut events = interrupted(&first, "other").await;
    events.extend(rest(&other, "other", &events).await);
    assert_eq!(events.last().unwrap().1["code"], "interrupted");
}

#[tokio::test]
async fn a_server_at_its_limit_ends_sessions_that_it_would_not_continue() {
    let store = Memory::new();
    let first = server(&store, |layer| layer).await;
    let sessions = Sessions::builder(store.clone())
        .limits(Limits::default().running(0))
        .lease(Duration::from_millis(400))
        .build();
    let full = serve(
        sessions.clone(),
        mounted!(layer(&sessions), Scripted::new(Script::say("Hello"))),
    )
    .await;
    let mut events = interrupted(&first, "no-room").await;
    events.extend(rest(&full, "no-room", &events).await);
    assert_eq!(events.last().unwrap().1["code"], "interrupted");
}

#[tokio::test]
async fn a_resumed_request_has_no_tool_calls_without_their_results() {
    let store = Memory::new();
    let sessions = || {
        Sessions::builder(store.clone())
            .lease(Duration::from_millis(400))
            .build()
    };
    let resume = |layer: DurableLayer| layer.recovery(Recovery::new().resume());
    let (first, calls) = driven_with(sessions(), resume).await;
    let (_second, resumed) = driven_with(sessions(), resume).await;
    let request = post(MOUNT, &ask("What time is it?")).with("x-session-id", id("tools"));
    let mut answer = send(first.addr, request).await;
    let call = calls.next().await;
    call.say("Let me see. ");
    let asked = ToolCall::new("c1", "now", json!({}));
    call.event(ChatEvent::tool_calls([asked.clone()]));
    answer.until("c1").await;
    first.sessions.shutdown(Duration::ZERO).await;
    let request = resumed.next().await.request;
    let last = request.messages.last().unwrap();
    assert_eq!(*last, Message::assistant("Let me see. "));
    assert_eq!(request.so_far.unwrap().tool_calls(), [asked]);
}
