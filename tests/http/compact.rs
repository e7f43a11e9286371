//! Compacted replay: few events, the same transcript, the same cursors.

use serde_json::Value;
use unbroken::{
    chat::{ChatEvent, Transcript},
    session::{Limits, Sessions},
    store::Memory,
};

use crate::{
    client::{Whole, With, get, lsns, ndjson, post, send, sse},
    server::{MOUNT, Server, ask, at, driven, driven_with},
};

/// Thinking, a tool, and text of `words` pieces.
fn events(words: usize) -> Vec<ChatEvent> {
    let word = |at: usize| format!("{}\"{at}\" \n", "é".repeat(at % 3));
    let mut events: Vec<_> = (0..words / 4)
        .map(|at| ChatEvent::thinking(word(at)))
        .collect();
    events.push(ChatEvent::tool_result("a", "b", "c"));
    events.extend((0..words).map(|at| ChatEvent::text(word(at))));
    events
}

/// Runs a session with these events.
async fn said(server: &Server, calls: &crate::server::Calls, events: Vec<ChatEvent>) -> String {
    let answer = send(server.addr, post(MOUNT, &ask("Hi"))).await;
    let call = calls.next().await;
    for event in events {
        call.event(event);
    }
    drop(call);
    let id = answer.id();
    assert!(answer.whole().await.clean);
    id
}

async fn read(server: &Server, id: &str, query: &str, accept: &str) -> Whole {
    let request = get(&format!("{}?{query}", at(id))).with("accept", accept);
    let whole = send(server.addr, request).await.whole().await;
    assert!(whole.clean);
    whole
}

async fn lines(server: &Server, id: &str, query: &str) -> Vec<(u64, Value)> {
    ndjson(read(server, id, query, "application/x-ndjson").await.text())
}

fn transcript<'a>(events: impl IntoIterator<Item = &'a Value>) -> Transcript {
    let mut transcript = Transcript::new();
    for event in events {
        transcript.push(&serde_json::from_value(event.clone()).unwrap());
    }
    transcript
}

fn of(lines: &[(u64, Value)]) -> Transcript {
    transcript(lines.iter().map(|(_, event)| event))
}

#[tokio::test]
async fn every_encoding_gives_the_same_transcript_in_fewer_events() {
    let (server, calls) = driven().await;
    let id = said(&server, &calls, events(400)).await;
    let whole = lines(&server, &id, "").await;
    assert_eq!(whole.len(), 1 + 100 + 1 + 400 + 1);

    let folded = lines(&server, &id, "replay=compact").await;
    assert_eq!(lsns(&folded), [1, 101, 102, 502, 503]);
    assert_eq!(of(&folded), of(&whole));

    let events = read(&server, &id, "replay=compact", "text/event-stream").await;
    let events = sse(events.text());
    let ids: Vec<u64> = events
        .iter()
        .map(|(id, _)| id.split('.').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(ids, lsns(&folded));
    assert_eq!(
        transcript(events.iter().map(|(_, event)| event)),
        of(&whole)
    );

    let page = read(&server, &id, "replay=compact", "application/json").await;
    let page = page.json();
    let paged: Vec<(u64, Value)> = page["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["lsn"].as_u64().unwrap(), it["event"].clone()))
        .collect();
    assert_eq!(paged, folded);
    assert_eq!((&page["next"], &page["tail"]), (&503.into(), &503.into()));
}

#[tokio::test]
async fn a_resume_after_a_folded_event_misses_and_repeats_nothing() {
    let (server, calls) = driven().await;
    let id = said(&server, &calls, events(3000)).await;
    let whole = lines(&server, &id, "").await;
    let folded = lines(&server, &id, "replay=compact").await;
    assert!(folded.len() < 20, "{} events", folded.len());
    for at in 1..folded.len() {
        let (had, cursor) = (&folded[..at], folded[at - 1].0);
        for query in [
            format!("after={cursor}"),
            format!("after={cursor}&replay=compact"),
        ] {
            let rest = lines(&server, &id, &query).await;
            assert!(rest[0].0 > cursor);
            let joined: Vec<_> = had.iter().cloned().chain(rest).collect();
            assert_eq!(of(&joined), of(&whole), "{query}");
        }
    }
    // Likewise with a cursor in the middle of a folded run.
    let rest = lines(&server, &id, "after=1000&replay=compact").await;
    let joined: Vec<_> = whole[..1000].iter().cloned().chain(rest).collect();
    assert_eq!(of(&joined), of(&whole));
}

#[tokio::test]
async fn folded_events_stay_within_the_limit_of_an_event() {
    let limits = Limits::default().event_bytes(400);
    let sessions = Sessions::builder(Memory::new()).limits(limits).build();
    let (server, calls) = driven_with(sessions, |layer| layer).await;
    let id = said(&server, &calls, events(400)).await;
    let (whole, folded) = (
        lines(&server, &id, "").await,
        lines(&server, &id, "replay=compact").await,
    );
    assert!(folded.len() > 5 && folded.len() < whole.len() / 5);
    let longest = folded
        .iter()
        .map(|(_, event)| event.to_string().len())
        .max();
    assert!((300..=400).contains(&longest.unwrap()), "{longest:?}");
    assert_eq!(of(&folded), of(&whole));
}

#[tokio::test]
async fn a_reader_that_has_caught_up_goes_on_live() {
    let (server, calls) = driven().await;
    let mut plain = send(server.addr, post(MOUNT, &ask("Hi"))).await;
    let call = calls.next().await;
    for word in ["one ", "two ", "three "] {
        call.say(word);
    }
    plain.until("three").await;
    let uri = format!("{}?replay=compact", at(&plain.id()));
    let mut compact = send(server.addr, get(&uri)).await;
    let replayed = compact.until("three").await;
    assert_eq!(lsns(&ndjson(replayed)), [1, 4]);
    // Live readers get the same bytes: a folded encoding is never shared with a plain reader.
    for at in 0..200 {
        call.say(&format!("live {at} "));
        if at % 50 == 0 {
            compact.until(&format!("live {at} ")).await;
        }
    }
    drop(call);
    let (plain, compact) = (plain.whole().await, compact.whole().await);
    let (plain, compact) = (ndjson(plain.text()), ndjson(compact.text()));
    assert_eq!(lsns(&plain), (1..=205).collect::<Vec<_>>());
    assert_eq!(lsns(&compact)[2..], (5..=205).collect::<Vec<_>>());
    assert_eq!(of(&compact), of(&plain));
}

#[tokio::test]
async fn a_replay_of_another_kind_is_refused() {
    let (server, calls) = driven().await;
    let id = said(&server, &calls, events(4)).await;
    for accept in [
        "application/x-ndjson",
        "text/event-stream",
        "application/json",
    ] {
        let request = get(&format!("{}?replay=fast", at(&id))).with("accept", accept);
        let refused = send(server.addr, request).await.whole().await;
        assert_eq!(refused.status(), 400);
        assert_eq!(refused.json()["type"], "urn:unbroken:malformed-parameter");
    }
}
