use std::{
    thread::{self, sleep},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    client::{End, Event, assert_in_order, text},
    engine::Engine,
    example::Example,
    model::Model,
};

const HOUR: i64 = 3600;
/// The lease of the example. A server must have reached the store for that long before it claims.
const LEASE: Duration = Duration::from_secs(10);

/// Sets the clock of the engine's host by an hour during an answer, forward and back, twice. No event is
/// lost or doubled; at worst a session is claimed needlessly. Then the server dies, and its orphan is
/// found in time, although the clock was set back.
pub(crate) fn stepped(engine: &impl Engine) {
    let model = Model::start(1200, 0);
    let first = Example::start(&engine.url(), &model);
    let second = Example::start(&engine.url(), &model);
    // The sweeper of a server starts with its first request.
    for server in [&first, &second] {
        assert_eq!(server.read("nobody-has-this-id-0000", None).status, 404);
    }
    sleep(LEASE + Duration::from_secs(1));

    let started = first.ask();
    let id = started.header("x-session-id").to_owned();
    let readers = [started, second.read(&id, None)];
    let readers = readers.map(|reader| thread::spawn(move || reader.rest()));
    let mut steps = 0;
    for ahead in [HOUR, 0, -HOUR, 0] {
        sleep(Duration::from_secs(2));
        engine.set_clock(ahead);
        steps += 1;
        let off = engine
            .now()
            .abs_diff(real_time().saturating_add_signed(ahead));
        assert!(off < 60, "control: the engine's clock is {off} seconds off");
    }
    let [one, other] = readers.map(|reader| {
        let (events, end) = reader.join().expect("it ends");
        assert_eq!(end, End::Clean);
        assert_in_order(&events);
        events
    });
    assert_eq!(ids(&one), ids(&other));
    assert!(text(&one) == text(&other));
    let claims = count_restarts(&one, &model);
    let calls = model.calls();
    println!("{claims} restarts, {calls} calls of the model in {steps} steps of the clock");
    assert!(calls <= 1 + steps, "at most one call a claim");

    let before = model.calls();
    drop(first.ask());
    sleep(Duration::from_secs(2));
    engine.set_clock(-HOUR);
    sleep(Duration::from_secs(1));
    drop(first);
    let died = Instant::now();
    while model.calls() < before + 2 {
        assert!(died.elapsed() < LEASE * 4, "the orphan was not found");
        sleep(Duration::from_millis(50));
    }
    println!("an orphan was found after {:?}", died.elapsed());
}

/// Returns the number of restarts that the log tells of.
///
/// Checks that each answer is a prefix of one of the model's, each of a later call, and that the last is
/// complete. The last may end with a timeout instead, after a claim, since the wrong clock makes a session
/// seem too old. A restart whose call said nothing before the next claim leaves no trace.
fn count_restarts(events: &[Event], model: &Model) -> usize {
    let answers = events.split(|event| event.kind() == "restarted");
    let answers: Vec<_> = answers.map(text).collect();
    let (last, cut) = answers.split_last().expect("one at least");
    let mut calls = 1..=model.calls();
    for answer in cut {
        assert!(
            calls.any(|call| model.text(call).starts_with(answer)),
            "each answer is a later call's"
        );
    }
    let ending = events.last().expect("an ending");
    if ending.kind() == "error" {
        assert_eq!(ending.data["code"], "timeout");
        assert_ne!(
            epoch(ending),
            epoch(&events[0]),
            "its owner knows its age by its own clock"
        );
        assert!(calls.any(|call| model.text(call).starts_with(last)));
    } else {
        assert_eq!(ending.kind(), "complete");
        assert!(
            calls.any(|call| model.text(call) == *last),
            "each word once"
        );
        assert_eq!(calls.next(), None, "nothing was asked after the answer");
    }
    cut.len()
}

/// Returns the tag of the epoch that wrote an event.
fn epoch(event: &Event) -> Option<&str> {
    let (_, tag) = event.id.as_deref()?.split_once('.')?;
    Some(tag)
}

fn ids(events: &[Event]) -> Vec<Option<&str>> {
    events.iter().map(|event| event.id.as_deref()).collect()
}

fn real_time() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is later").as_secs()
}
