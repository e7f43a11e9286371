//! Our server is lost, and the answer at the other server fails, or begins anew, before another one of ours reads on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use futures_util::{FutureExt, StreamExt, stream};
use http::Request;
use tokio::sync::watch;
use unbroken::{
    chat::provider_fn,
    durable::Recovery,
    log::{Chunk, Position},
    store::{Memory, Store},
};

use super::{
    lost_inner::on_own_runtime,
    model::mounted_with,
    outer::{OuterServer, events_of, joined, own, provider, read, start, stored, when_stored},
    *,
};

const WORDS: [&str; 5] = ["One, ", "two, ", "three, ", "four, ", "five."];

fn words() -> Vec<ChatEvent> {
    WORDS.map(ChatEvent::text).to_vec()
}

/// The id of the session of the first request.
fn inner_id(server: &InnerServer) -> String {
    let id = &server.seen()[0].headers["x-session-id"];
    id.to_str().unwrap().to_owned()
}

/// Returns once the log of the other server has so many events of this kind.
async fn when_inner_has(store: &Memory, id: &str, kind: &str, events: usize) {
    let (id, kind) = (id.parse().unwrap(), format!("{{\"type\":\"{kind}\""));
    loop {
        let page = store.read(&id, Position::START, usize::MAX).await.unwrap();
        let records = page.chunks.iter().flat_map(Chunk::records);
        if records
            .filter(|it| it.bytes.starts_with(kind.as_bytes()))
            .count()
            >= events
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Returns the texts before and after the `restarted` of a log; without one, all is before it.
fn texts(events: &[Value]) -> (String, Option<String>) {
    let text = |events: &[Value]| -> String {
        let texts = events.iter().filter(|event| event["type"] == "text");
        texts
            .map(|event| event["content"].as_str().unwrap())
            .collect()
    };
    match events
        .iter()
        .rposition(|event| event["type"] == "restarted")
    {
        Some(at) => (text(&events[..at]), Some(text(&events[at..]))),
        None => (text(events), None),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_begun_anew_there_is_attached_to_and_shows_nothing_of_the_dead_one() {
    // The words that we had of the three that the other server's log has.
    for had in [0, 1, 3] {
        let inner_store = Memory::new();
        let inner = |store: &Memory| {
            let sessions = Sessions::builder(store.clone());
            sessions.lease(Duration::from_millis(300)).build()
        };
        let model = GatedModel::new(words());
        model.open(had);
        let again = || Recovery::new().restart();
        let app = mounted_with(inner(&inner_store), model.provider(), again());
        let (app, runtime) = on_own_runtime(app);
        let server = InnerServer::start(app).await;
        let store = Memory::new();
        let (first, second) = (OuterServer::new(&store), OuterServer::new(&store));
        let ways = Recovery::new().reattach().restart();
        first.send(provider(&server), ways.clone(), start());
        when_stored(&store, had).await;
        while stored(&store).await.len() < 2 + had {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(first);

        model.open(3);
        let id = inner_id(&server);
        when_inner_has(&inner_store, &id, "text", 3).await;
        runtime.shutdown_background();
        let app = mounted_with(inner(&inner_store), model.provider(), again());
        let read_there = Request::get(format!("/api/chat/{id}"));
        let read_there = read_there.body(Body::empty()).unwrap();
        let reader = tokio::spawn(app.clone().oneshot(read_there));
        // It is written with the first event of the new answer.
        model.open(4);
        when_inner_has(&inner_store, &id, "restarted", 1).await;
        server.replace(Some(app));

        let log = second.send(provider(&server), ways, read());
        while server.reads().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        model.open(usize::MAX);
        let log = log.await.unwrap();
        let events = events_of(&log);
        let whole = WORDS.concat();
        let expected = match had {
            0 => (whole, None),
            had => (WORDS[..had].concat(), Some(whole)),
        };
        assert_eq!(texts(&events), expected, "{had}: {log}");
        assert_eq!(events.last().unwrap()["type"], "complete", "{had}: {log}");
        assert_eq!(
            (model.calls(), server.count("POST", "/abort")),
            (2, 0),
            "{had}"
        );
        drop(reader);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_has_failed_there_is_declined_if_another_try_may_do_better() {
    for recoverable in [true, false] {
        let calls = Arc::new(AtomicUsize::new(0));
        let gate = watch::Sender::new(false);
        let (counted, gated) = (Arc::clone(&calls), gate.clone());
        let model = provider_fn(move |_| {
            let fails = counted.fetch_add(1, Ordering::Relaxed) == 0;
            let mut gate = gated.subscribe();
            let opened = async move {
                gate.wait_for(|is_open| *is_open).await.unwrap();
                let end = if fails {
                    Err(ProviderError::new("no").recoverable(recoverable))
                } else {
                    Ok(ChatEvent::complete())
                };
                stream::iter([Ok(ChatEvent::text("lo")), end])
            };
            let begin = stream::iter([Ok(ChatEvent::text("Hel"))]);
            begin.chain(opened.into_stream().flatten()).boxed()
        });
        let inner_store = Memory::new();
        let sessions = Sessions::builder(inner_store.clone()).build();
        let server = InnerServer::start(mounted(sessions, model)).await;
        let store = Memory::new();
        let (first, second) = (OuterServer::new(&store), OuterServer::new(&store));
        let ways = Recovery::new().reattach().restart();
        first.send(provider(&server), ways.clone(), start());
        when_stored(&store, 1).await;
        drop(first);
        gate.send_replace(true);
        when_inner_has(&inner_store, &inner_id(&server), "error", 1).await;

        let log = second.send(provider(&server), ways, read()).await.unwrap();
        let events = events_of(&log);
        let (ending, expected) = if recoverable {
            ("complete", ("Hel".to_owned(), Some("Hello".to_owned())))
        } else {
            ("error", ("Hello".to_owned(), None))
        };
        assert_eq!(texts(&events), expected, "{log}");
        assert_eq!(events.last().unwrap()["type"], ending, "{log}");
        assert_eq!(calls.load(Ordering::Relaxed), 1 + usize::from(recoverable));
        assert_eq!(server.count("POST", "/abort"), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_fails_after_a_part_was_read_on_keeps_that_part() {
    let calls = Arc::new(AtomicUsize::new(0));
    let gate = watch::Sender::new(0);
    let (counted, gated) = (Arc::clone(&calls), gate.clone());
    let model = provider_fn(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        stream::unfold((0, gated.subscribe()), |(at, mut gate)| async move {
            gate.wait_for(|open| *open > at).await.ok()?;
            let event = match WORDS.get(at) {
                Some(word) if at < 3 => Ok(ChatEvent::text(*word)),
                _ if at == 3 => Err(ProviderError::new("no").recoverable(true)),
                _ => return None,
            };
            Some((event, (at + 1, gate)))
        })
        .boxed()
    });
    let server = InnerServer::start(mounted(Sessions::in_memory(), model)).await;
    let store = Memory::new();
    let (first, second) = (OuterServer::new(&store), OuterServer::new(&store));
    let ways = Recovery::new().reattach().restart();
    gate.send_replace(1);
    first.send(provider(&server), ways.clone(), start());
    when_stored(&store, 1).await;
    drop(first);
    gate.send_replace(2);
    let log = second.send(provider(&server), ways, read());
    when_stored(&store, 2).await;
    gate.send_replace(usize::MAX);
    let log = log.await.unwrap();
    let events = joined(own(events_of(&log)));
    let kinds: Vec<_> = events.iter().map(|event| &event["type"]).collect();
    assert_eq!(kinds, ["text", "error"], "{log}");
    assert_eq!(events[0]["content"], WORDS[..3].concat());
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}
