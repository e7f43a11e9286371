use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use unbroken::chat::ChatEvent;

use super::fixture::{Fixture, NEVER_TWICE, SESSION, check};
use crate::support::{call, start};

async fn length() -> usize {
    let fixture = Fixture::new();
    let (events, _) = fixture.read(fixture.request(), usize::MAX).await;
    check(&events, "without a fault");
    assert_eq!(fixture.runs.times("pay a"), 2, "two calls of their own");
    assert_eq!(
        (fixture.runs.times("pay b"), fixture.runs.times("look a")),
        (1, 1)
    );
    events.len()
}

// Returns the number of times that a tool may run: once for each call of the model.
fn may_run(what: &str) -> usize {
    if what == "pay a" { 2 } else { 1 }
}

#[tokio::test(start_paused = true)]
async fn resumed_at_every_event_no_tool_runs_twice_that_must_not() {
    for read in 0..length().await {
        let fixture = Fixture::new();
        let (events, stored) = fixture.read(fixture.request(), read).await;
        for stored in stored..=events.len() {
            let fixture = Fixture::new();
            let (mut log, _) = fixture.read(fixture.request(), read).await;
            log.truncate(stored);
            let what = format!("{read} read and {stored} stored");
            let (rest, _) = fixture.read(fixture.resumed(&log), usize::MAX).await;
            log.extend(rest);
            check(&log, &what);
            for never in NEVER_TWICE {
                assert!(
                    fixture.runs.times(never) <= may_run(never),
                    "{what}: {never}"
                );
            }
            assert!(fixture.runs.times("look a") >= 1, "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn resumed_twice_no_tool_runs_twice_that_must_not() {
    let length = length().await;
    for read in 0..length {
        for more in 0..length - read {
            let fixture = Fixture::new();
            let (mut log, _) = fixture.read(fixture.request(), read).await;
            for most in [more, usize::MAX] {
                let (rest, _) = fixture.read(fixture.resumed(&log), most).await;
                log.extend(rest);
                if log.last().is_some_and(ChatEvent::is_terminal) {
                    break;
                }
            }
            let what = format!("{read} and {more} read");
            check(&log, &what);
            for never in NEVER_TWICE {
                assert!(
                    fixture.runs.times(never) <= may_run(never),
                    "{what}: {never}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn restarted_at_every_event_no_tool_runs_twice_that_must_not() {
    let length = length().await;
    for read in 0..length {
        for more in [0, 1, 3, 6, length] {
            let fixture = Fixture::new();
            let (mut log, _) = fixture.read(fixture.request(), read).await;
            for most in [more, usize::MAX] {
                log.push(ChatEvent::restarted("again"));
                let (rest, _) = fixture.read(fixture.restarted(&log), most).await;
                log.extend(rest);
                if log.last().is_some_and(ChatEvent::is_terminal) {
                    break;
                }
            }
            let what = format!("{read} and {more} read");
            let last = log.iter().rposition(|it| it.kind() == "restarted").unwrap();
            check(&log[last + 1..], &what);
            for never in NEVER_TWICE {
                assert!(
                    fixture.runs.times(never) <= may_run(never),
                    "{what}: {never}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_idempotent_call_is_repeated_with_its_key_and_any_other_has_an_unknown_outcome() {
    let fixture = Fixture::new();
    let calls = [
        call("1", "pay", json!({"of": "a"})),
        call("2", "look", json!({"of": "a"})),
    ];
    // Both run, and only their calls are stored.
    let (log, _) = fixture.read(fixture.request(), 2).await;
    let ChatEvent::ToolCalls(asked) = &log[1] else {
        panic!("{log:?}");
    };
    assert_eq!(asked.calls, calls);
    assert_eq!(asked.repeatable, ["2"]);
    let mut stream = start(&fixture.layer, &fixture.model, fixture.request()).await;
    for _ in ["pay begins", "tool_calls", "turn"] {
        stream.next().await;
    }
    let waits = tokio::time::timeout(Duration::from_millis(500), stream.next()).await;
    assert!(waits.is_err());
    drop(stream);
    assert_eq!(
        (fixture.runs.times("pay a"), fixture.runs.times("look a")),
        (1, 1)
    );

    let (rest, _) = fixture.read(fixture.resumed(&log), 3).await;
    let ChatEvent::ToolError(error) = &rest[0] else {
        panic!("{rest:?}");
    };
    assert_eq!(error.id, "1");
    assert!(error.message.contains("unknown"), "{}", error.message);
    assert_eq!(rest[1], ChatEvent::tool_result("2", "look", "look a"));
    assert_eq!(rest[2], ChatEvent::text("Two. "));
    assert_eq!(
        (fixture.runs.times("pay a"), fixture.runs.times("look a")),
        (1, 2)
    );
    let keys = fixture.runs.keys.lock().unwrap();
    assert_eq!(
        keys["look a"],
        [format!("{SESSION}/1"), format!("{SESSION}/1")]
    );
    assert_eq!(keys["pay a"], [format!("{SESSION}/0")]);
}
