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
/// The example's, which a server must have seen the store for before it claims anything.
const LEASE: Duration = Duration::from_secs(10);

/// The clock of the engine's host is set by an hour in mid-answer, forward and back, twice: no event is
/// lost or doubled, and a claim that nobody needed is all that comes of it. Then the server dies: what
/// it leaves is found, though its lease was once said to last for an hour more.
pub(crate) fn stepped(engine: &impl Engine) {
    let model = Model::start(1200, 0);
    let here = Example::start(&engine.url(), &model);
    let there = Example::start(&engine.url(), &model);
    // The sweeper of a server looks at the store from its first request on.
    for server in [&here, &there] {
        assert_eq!(server.read("nobody-has-this-id-0000", None).status, 404);
    }
    sleep(LEASE + Duration::from_secs(1));

    let asked = here.ask();
    let id = asked.header("x-session-id").to_owned();
    let readers = [asked, there.read(&id, None)];
    let readers = readers.map(|reader| thread::spawn(move || reader.rest()));
    let mut steps = 0;
    for ahead in [HOUR, 0, -HOUR, 0] {
        sleep(Duration::from_secs(2));
        engine.set_clock(ahead);
        steps += 1;
        let off = engine
            .now()
            .abs_diff(right_time().saturating_add_signed(ahead));
        assert!(off < 60, "control: the engine's clock is {off} seconds off");
    }
    let [one, other] = readers.map(|reader| {
        let (events, end) = reader.join().expect("it ends");
        assert_eq!(end, End::Whole);
        assert_in_order(&events);
        events
    });
    assert_eq!(ids(&one), ids(&other));
    assert!(text(&one) == text(&other));
    let claims = whole(&one, &model);
    println!("{claims} answers begun anew in {steps} steps of the clock");
    assert!(claims <= steps);

    let before = model.calls();
    drop(here.ask());
    sleep(Duration::from_secs(2));
    engine.set_clock(-HOUR);
    sleep(Duration::from_secs(1));
    drop(here);
    let died = Instant::now();
    while model.calls() < before + 2 {
        assert!(died.elapsed() < LEASE * 4, "nobody has found the orphan");
        sleep(Duration::from_millis(50));
    }
    println!("an orphan was found after {:?}", died.elapsed());
}

/// Each answer that a restart cut off is a part of what the model said, and the last is all of it: unless
/// whoever claimed it was told by that clock that it has run for as long as it may. Says how many were
/// cut off.
fn whole(events: &[Event], model: &Model) -> usize {
    let answers = events.split(|event| event.kind() == "restarted");
    let answers: Vec<_> = answers.map(text).collect();
    let (last, cut) = answers.split_last().expect("one at least");
    for (answer, call) in cut.iter().zip(1..) {
        assert!(model.text(call).starts_with(answer));
    }
    let said = model.text(answers.len());
    let ending = events.last().expect("an ending");
    if ending.kind() == "error" {
        assert_eq!(ending.data["code"], "timeout");
        assert!(!cut.is_empty() && said.starts_with(last));
        assert!(model.calls() <= answers.len());
    } else {
        assert_eq!(ending.kind(), "complete");
        assert!(*last == said, "each word once");
        assert_eq!(model.calls(), answers.len());
    }
    cut.len()
}

fn ids(events: &[Event]) -> Vec<Option<&str>> {
    events.iter().map(|event| event.id.as_deref()).collect()
}

fn right_time() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is later").as_secs()
}
