//! Questions of a session, and answers from any connection and any server.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tower_layer::Layer as _;
use unbroken::{
    chat::{ChatEvent, InputAction, InputAnswer, InputId, InputRequest, InputResolved},
    durable::{ClientFields, DurableLayer, Recovery},
    provider::scripted::{Script, Scripted},
    session::{Limits, Sessions, SessionsBuilder},
    store::{AnswerOutcome, Memory, Store, StoreExt, StoredAnswer},
};
use unbroken_conformance::{Fault, FaultStore, Op};

use crate::{
    client::{With, empty, get, kinds, lsns, ndjson, post, send},
    server::{
        Call, Calls, MOUNT, Server, ask, at, driven_with, follow, id, layer, mounted,
        scripted_with, serve, until,
    },
};

const LEASE: Duration = Duration::from_millis(400);

fn sessions(store: &(impl Store + Clone)) -> SessionsBuilder {
    Sessions::builder(store.clone()).lease(LEASE)
}

/// A server whose provider follows the scripts of its requests.
async fn server(store: &Memory, with: impl FnOnce(DurableLayer) -> DurableLayer) -> Server {
    let sessions = sessions(store).build();
    let layer = with(layer(&sessions).client_fields(ClientFields::nothing().field("script")));
    let provider = Scripted::new(Script::say("Hello"));
    serve(sessions, mounted!(layer, provider)).await
}

/// A server whose provider the test drives.
async fn driven(store: &Memory) -> (Server, Calls) {
    driven_with(sessions(store).build(), |layer| layer).await
}

fn answer(name: &str, input: &str, answer: &Value) -> Request<Full<Bytes>> {
    post(&format!("{}/inputs/{input}", at(&id(name))), answer)
}

fn accept(content: &Value) -> Value {
    json!({"action": "accept", "content": content})
}

async fn give(server: &Server, name: &str, input: &str, what: &Value) -> (u16, Value) {
    let answered = send(server.addr, answer(name, input, what)).await;
    let whole = answered.whole().await;
    (whole.status(), whole.json())
}

async fn status(server: &Server, name: &str) -> String {
    let page = get(&at(&id(name))).with("accept", "application/json");
    let page = send(server.addr, page).await.whole().await.json();
    page["status"].as_str().unwrap().to_owned()
}

/// Lets a driven provider ask a question.
fn asks(call: &Call, input: &str) -> InputId {
    let input: InputId = input.parse().unwrap();
    call.event(InputRequest::question(input.clone(), "Why?").into());
    input
}

fn text(events: &[(u64, Value)]) -> Vec<&str> {
    let texts = events.iter().filter(|(_, event)| event["type"] == "text");
    let texts = texts.filter_map(|(_, event)| event["content"].as_str());
    texts.collect()
}

#[tokio::test]
async fn a_question_is_answered_from_another_server_after_a_reload() {
    let store = Memory::new();
    let here = server(&store, |layer| layer).await;
    let there = server(&store, |layer| layer).await;
    let script = json!({"text": "Well. ", "delayMs": 0, "asks": [
        {"id": "q1", "message": "Which one?", "schema": {"enum": ["red", "blue"]}},
    ]});
    let start = post(MOUNT, &follow(&script)).with("x-session-id", id("reload"));
    let mut before = send(here.addr, start).await;
    before.until("q1").await;
    drop(before);

    let mut reader = send(there.addr, get(&at(&id("reload")))).await;
    reader.until("Which one?").await;
    assert_eq!(status(&there, "reload").await, "waiting");
    assert_eq!(status(&here, "reload").await, "waiting");
    let head = send(there.addr, empty("HEAD", &at(&id("reload")))).await;
    assert_eq!(head.header("x-session-status"), "waiting");

    let (unfit, problem) = give(&there, "reload", "q1", &accept(&json!("green"))).await;
    assert_eq!(
        (unfit, &problem["type"]),
        (422, &json!("urn:unbroken:unfit-answer"))
    );
    let (stored, document) = give(&there, "reload", "q1", &accept(&json!("red"))).await;
    assert_eq!(stored, 202);
    assert_eq!(document["id"], id("reload"));
    assert_eq!(document["inputId"], "q1");

    let whole = reader.whole().await;
    assert!(whole.clean);
    let events = ndjson(whole.text());
    assert_eq!(lsns(&events), (1..=6).collect::<Vec<_>>());
    assert_eq!(
        kinds(&events),
        [
            "session_info",
            "text",
            "input_request",
            "input_resolved",
            "text",
            "complete"
        ]
    );
    assert_eq!(text(&events)[1], accept(&json!("red")).to_string());
    for server in [&here, &there] {
        let (late, problem) = give(server, "reload", "q1", &accept(&json!("red"))).await;
        assert_eq!(
            (late, &problem["type"]),
            (409, &json!("urn:unbroken:input-answered"))
        );
    }
}

#[tokio::test]
async fn of_two_answers_on_two_servers_one_counts_and_may_be_repeated() {
    let store = Memory::new();
    let (here, calls) = driven(&store).await;
    let (there, _) = driven(&store).await;
    let start = post(MOUNT, &ask("Hi")).with("x-session-id", id("twice"));
    let mut reader = send(here.addr, start).await;
    let call = calls.next().await;
    let input = asks(&call, "q");
    reader.until("input_request").await;

    let (yes, no) = (
        accept(&json!({"a": 1, "b": [2]})),
        json!({"action": "decline"}),
    );
    let (one, two) = tokio::join!(
        give(&here, "twice", "q", &yes),
        give(&there, "twice", "q", &no),
    );
    let (winner, loser) = match (one.0, two.0) {
        (202, 409) => (&yes, &no),
        (409, 202) => (&no, &yes),
        other => panic!("{other:?}"),
    };
    let given: InputAnswer = serde_json::from_value(winner.clone()).unwrap();
    assert_eq!(
        call.request.inputs.answer(&input).await,
        Some(given.clone())
    );
    for server in [&here, &there] {
        assert_eq!(give(server, "twice", "q", winner).await.0, 202);
        assert_eq!(give(server, "twice", "q", loser).await.0, 409);
    }
    // Likewise once the provider has received the answer.
    call.event(InputResolved::new(input, given.action).into());
    reader.until("input_resolved").await;
    for server in [&here, &there] {
        assert_eq!(give(server, "twice", "q", winner).await.0, 202);
        assert_eq!(give(server, "twice", "q", loser).await.0, 409);
    }
}

#[tokio::test]
async fn an_answer_to_an_orphan_is_found_by_the_server_that_takes_it_over() {
    let store = Memory::new();
    let resume = |layer: DurableLayer| layer.recovery(Recovery::new().resume());
    let first = server(&store, resume).await;
    let asks = json!([{"id": "a"}, {"id": "b"}]);
    let script = json!({"text": "One. ", "delayMs": 0, "asks": asks});
    let start = post(MOUNT, &follow(&script)).with("x-session-id", id("taken"));
    let mut answer = send(first.addr, start).await;
    answer.until("input_request").await;
    first.sessions.shutdown(Duration::ZERO).await;
    let cut = answer.whole().await;
    assert!(!cut.clean);
    let mut events = ndjson(cut.text());

    let session = id("taken").parse().unwrap();
    let stored = store.answer(&session, StoredAnswer::new("a", r#"{"action":"decline"}"#));
    assert!(matches!(stored.await.unwrap(), AnswerOutcome::Stored(_)));
    let second = server(&store, resume).await;
    let last = events.last().unwrap().0.to_string();
    let rest = get(&at(&id("taken"))).with("x-last-lsn", last);
    let mut rest = send(second.addr, rest).await;
    rest.until(r#""inputId":"b""#).await;
    assert_eq!(give(&second, "taken", "b", &accept(&json!(7))).await.0, 202);
    events.extend(ndjson(rest.whole().await.text()));
    assert_eq!(lsns(&events), (1..=9).collect::<Vec<_>>());
    let resolved = events
        .iter()
        .filter(|(_, event)| event["type"] == "input_resolved");
    let resolved: Vec<_> = resolved
        .map(|(_, event)| {
            (
                event["inputId"].as_str().unwrap(),
                event["action"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(resolved, [("a", "decline"), ("b", "accept")]);
    assert_eq!(events.last().unwrap().1["type"], "complete");
}

#[tokio::test]
async fn a_session_that_waits_is_not_idle_and_keeps_its_lease() {
    let store = Memory::new();
    let idle = Duration::from_millis(500);
    let limited = sessions(&store)
        .limits(Limits::default().idle(idle))
        .build();
    let here = scripted_with(limited).await;
    let there = server(&store, |layer| layer).await;
    let script = json!({"text": "Well. ", "delayMs": 0, "asks": [{"id": "q"}]});
    let start = post(MOUNT, &follow(&script)).with("x-session-id", id("patient"));
    let mut reader = send(here.addr, start).await;
    reader.until("input_request").await;
    // Another server would claim the session if its lease ran out.
    let _follower = send(there.addr, get(&at(&id("patient")))).await;
    tokio::time::sleep(3 * idle).await;
    let state = store.state(&id("patient").parse().unwrap()).await.unwrap();
    assert_eq!(
        (state.epoch.claims(), state.status.as_str()),
        (0, "waiting")
    );
    let (stored, _) = give(&there, "patient", "q", &json!({"action": "cancel"})).await;
    assert_eq!(stored, 202);
    let events = ndjson(reader.whole().await.text());
    assert_eq!(events.last().unwrap().1["type"], "complete");
}

#[tokio::test]
async fn the_age_of_a_waiting_session_is_bounded() {
    let store = Memory::new();
    let limits = Limits::default().age(Duration::from_millis(600));
    let server = scripted_with(sessions(&store).limits(limits).build()).await;
    let script = json!({"text": "Well. ", "delayMs": 0, "asks": [{"id": "q"}]});
    let start = post(MOUNT, &follow(&script)).with("x-session-id", id("old"));
    let events = ndjson(send(server.addr, start).await.whole().await.text());
    assert_eq!(events.last().unwrap().1["code"], "timeout");
    assert_eq!(give(&server, "old", "q", &accept(&json!(1))).await.0, 409);
    assert_eq!(
        give(&server, "old", "other", &accept(&json!(1))).await.0,
        404
    );
}

#[tokio::test]
async fn an_abort_drops_a_provider_that_waits() {
    let store = Memory::new();
    let (here, calls) = driven(&store).await;
    let (there, _) = driven(&store).await;
    let start = post(MOUNT, &ask("Hi")).with("x-session-id", id("stopped"));
    let mut reader = send(here.addr, start).await;
    let call = calls.next().await;
    asks(&call, "q");
    reader.until("input_request").await;
    let abort = empty("POST", &format!("{}/abort", at(&id("stopped"))));
    assert_eq!(send(there.addr, abort).await.status(), 202);
    call.dropped().await;
    let events = ndjson(reader.whole().await.text());
    assert_eq!(kinds(&events), ["session_info", "input_request", "aborted"]);
    assert_eq!(
        give(&there, "stopped", "q", &accept(&json!(1))).await.0,
        409
    );
}

#[tokio::test]
async fn a_question_asked_again_after_a_restart_has_another_id() {
    let store = Memory::new();
    let (server, calls) = driven(&store).await;
    let start = post(MOUNT, &ask("Hi")).with("x-session-id", id("again"));
    let mut reader = send(server.addr, start).await;
    let call = calls.next().await;
    asks(&call, "old");
    call.event(ChatEvent::restarted("again"));
    let input = asks(&call, "new");
    reader.until("\"new\"").await;
    assert_eq!(
        give(&server, "again", "old", &accept(&json!(1))).await.0,
        404
    );
    assert_eq!(
        give(&server, "again", "new", &accept(&json!(1))).await.0,
        202
    );
    let given = call.request.inputs.answer(&input).await.unwrap();
    assert_eq!(given.action, InputAction::Accept);
}

#[tokio::test]
async fn answers_are_limited_in_size_and_in_number() {
    let store = Memory::new();
    let (server, calls) = driven(&store).await;
    let start = post(MOUNT, &ask("Hi")).with("x-session-id", id("bounds"));
    let mut reader = send(server.addr, start).await;
    let call = calls.next().await;
    asks(&call, "q");
    asks(&call, "r");
    reader.until("\"r\"").await;
    let most = |bytes: usize| {
        let frame = accept(&json!("")).to_string().len() + "q".len();
        accept(&json!("x".repeat(bytes - frame)))
    };
    let (refused, problem) = give(&server, "bounds", "q", &most(StoredAnswer::MAX_BYTES + 1)).await;
    assert_eq!(
        (refused, &problem["type"]),
        (413, &json!("urn:unbroken:body-too-large"))
    );
    assert_eq!(
        give(&server, "bounds", "q", &most(StoredAnswer::MAX_BYTES))
            .await
            .0,
        202
    );
    let (full, _) = give(&server, "bounds", "r", &json!({"action": "cancel"})).await;
    assert_eq!(full, 413, "all answers of a session together");
    let (body, _) = give(&server, "bounds", "r", &accept(&json!("x".repeat(2 << 20)))).await;
    assert_eq!(body, 413);
}

#[tokio::test]
async fn an_answer_whose_fate_is_unknown_can_be_repeated() {
    let store = FaultStore::new(Memory::new());
    let (server, calls) = driven_with(sessions(&store).build(), |layer| layer).await;
    let start = post(MOUNT, &ask("Hi")).with("x-session-id", id("lost"));
    let mut reader = send(server.addr, start).await;
    let call = calls.next().await;
    let input = asks(&call, "q");
    reader.until("input_request").await;
    let yes = accept(&json!("yes"));
    for fault in [Fault::LoseBefore, Fault::LoseAfter] {
        store.faults().next(Op::Answer, fault);
        let (lost, problem) = give(&server, "lost", "q", &yes).await;
        let unavailable = json!("urn:unbroken:store-unavailable");
        assert_eq!((lost, &problem["type"]), (503, &unavailable));
    }
    assert_eq!(give(&server, "lost", "q", &yes).await.0, 202);
    // The owner gets it although its first reads fail.
    let heard = call.request.inputs.answer(&input).await;
    assert_eq!(heard.unwrap().content, "yes");
}

#[tokio::test]
async fn an_owner_gets_an_answer_though_wake_ups_are_lost_and_reads_fail() {
    let store = FaultStore::new(Memory::new());
    let (here, calls) = driven_with(sessions(&store).build(), |layer| layer).await;
    // The calls of this server to the store don't fail.
    let (there, _) = driven(store.inner()).await;
    let start = post(MOUNT, &ask("Hi")).with("x-session-id", id("deaf"));
    let mut reader = send(here.addr, start).await;
    let call = calls.next().await;
    let input = asks(&call, "q");
    reader.until("input_request").await;
    for fault in [Fault::LoseBefore, Fault::LoseAfter] {
        store.faults().next(Op::Answers, fault);
    }
    store.faults().next(Op::Changed, Fault::MissWake);
    assert_eq!(
        give(&there, "deaf", "q", &accept(&json!("yes"))).await.0,
        202
    );
    let heard = Arc::new(call);
    let waits = heard.clone();
    let heard = tokio::spawn(async move { waits.request.inputs.answer(&input).await });
    until(async || heard.is_finished()).await;
    assert_eq!(heard.await.unwrap().unwrap().content, "yes");
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_refused() {
    let store = FaultStore::new(Memory::new());
    let (here, calls) = driven_with(sessions(&store).build(), |layer| layer).await;
    let (there, _) = driven(store.inner()).await;
    let start = post(MOUNT, &ask("Hi")).with("x-session-id", id("late"));
    let mut reader = send(here.addr, start).await;
    let call = calls.next().await;
    let (late, last) = (asks(&call, "late"), asks(&call, "last"));
    reader.until("\"last\"").await;
    // The owner has withdrawn the question; the log doesn't hold that yet.
    store.faults().next(Op::Answer, Fault::LoseAfter);
    assert_eq!(call.request.inputs.close(&late).await, None);
    let yes = accept(&json!("yes"));
    for server in [&here, &there] {
        let (status, problem) = give(server, "late", "late", &yes).await;
        let answered = json!("urn:unbroken:input-answered");
        assert_eq!((status, &problem["type"]), (409, &answered));
    }
    // An accepted answer counts, although its owner hasn't received it yet.
    store.faults().next(Op::Changed, Fault::MissWake);
    store.faults().next(Op::Answers, Fault::LoseBefore);
    assert_eq!(give(&there, "late", "last", &yes).await.0, 202);
    let heard = call.request.inputs.close(&last).await;
    assert_eq!(heard.unwrap().content, "yes");
}
