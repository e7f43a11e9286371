use super::*;
use crate::{chat::Transcript, provider::openai_responses::position::StreamPosition};

#[test]
fn a_server_that_reads_on_from_any_position_has_the_same_answer() {
    let index = |stream: &str| {
        let name = "\"output_index\":";
        let mut parts = stream.split(name);
        let mut same = parts.next().unwrap().to_owned();
        for part in parts {
            same += name;
            same += "0";
            same += part.trim_start_matches(|it: char| it.is_ascii_digit());
        }
        same
    };
    // Some servers give each item the same index.
    for whole in [TEXT.to_owned(), TOOLS.to_owned(), index(TEXT), index(TOOLS)] {
        let all: Vec<&str> = whole.split_inclusive("\n\n").collect();
        let (expected, _) = decode(&turn(true), &[whole.as_bytes()]);
        let expected: Transcript = expected.iter().collect();
        for cut in 1..all.len() {
            // The first server.
            let first = turn(true);
            let mut log: Vec<ChatEvent> = Vec::new();
            let mut out = VecDeque::new();
            let mut decoder = first.decoder(1024 * 1024);
            for (number, event) in all[..cut].iter().enumerate() {
                decoder.push(event.as_bytes(), &mut out).unwrap();
                log.extend(out.drain(..));
                // Positions that weren't stored any more, now and then.
                if number % 3 != 2 {
                    let position = first.lock().position();
                    log.extend(position.map(|it| it.event().into()));
                }
            }
            let so_far: Transcript = log.iter().collect();
            let Some(state) = so_far.stream_state() else {
                panic!("no position after {cut} events");
            };
            let position = StreamPosition::read(state).unwrap();
            // The second one.
            let after = usize::try_from(position.after).unwrap() + 1;
            let next = ResponsesTurn::new(CallIds::after(&[]), 1024 * 1024, false, true);
            let told = so_far.sources();
            let told = &told[..told.len() - so_far.logged_tail().sources()];
            let next = SharedTurn::new(next.read_on(position, told));
            let rest = all[after..].concat();
            let (again, error) = decode(&next, &[rest.as_bytes()]);
            assert!(error.is_none(), "{cut}: {error:?}");
            let mut logged = so_far.logged_tail();
            for mut event in again {
                if !logged.holds(&mut event) {
                    log.push(event);
                }
            }
            let found: Transcript = log.iter().collect();
            assert_eq!(found.text(), expected.text(), "{cut}");
            assert_eq!(found.thinking(), expected.thinking(), "{cut}");
            assert_eq!(found.sources(), expected.sources(), "{cut}");
            assert_eq!(found.custom(), expected.custom(), "{cut}");
            assert_eq!(found.tool_calls(), expected.tool_calls(), "{cut}");
            assert_eq!(found.messages(), expected.messages(), "{cut}");
            assert_eq!(found.ending(), expected.ending(), "{cut}");
            assert_eq!(found.turn_ends(), expected.turn_ends(), "{cut}");
        }
    }
}

#[test]
fn no_position_is_told_while_half_a_character_is_held_or_a_call_has_begun() {
    let turn = turn(true);
    let mut decoder = turn.decoder(1024);
    let mut out = VecDeque::new();
    let mut push = |event: Value| {
        let event = format!("data: {event}\n\n");
        decoder.push(event.as_bytes(), &mut out).unwrap();
        turn.lock().position().map(|position| position.after)
    };
    let mut numbered = |number: u64, mut event: Value| {
        event["sequence_number"] = json!(number);
        push(event)
    };
    assert_eq!(
        numbered(3, ended("created", json!({"id": "resp_1"}))),
        Some(3)
    );
    assert_eq!(numbered(4, delta("Hi")), Some(4));
    let item = json!({"type": "function_call", "call_id": "c", "name": "t"});
    let added = json!({"type": "response.output_item.added", "output_index": 1, "item": item});
    assert_eq!(numbered(5, added), None);
    let created = &values(&out.make_contiguous()[..1])[0];
    assert_eq!(created["of"], "stream");
    assert_eq!(created["data"]["response"], "resp_1");
}

#[test]
fn numbers_that_were_read_on_another_connection_are_skipped() {
    let turn = turn(true);
    let all = stream(&[
        ended("created", json!({"id": "resp_1"})),
        delta("a"),
        delta("b"),
        ended("completed", json!({"id": "resp_1"})),
    ]);
    let cut = all.find("\"b\"").unwrap();
    let (first, error) = decode(&turn, &[&all.as_bytes()[..cut]]);
    assert!(error.unwrap().is_recoverable());
    turn.lock().reconnect();
    // A server that doesn't know `starting_after`.
    let (second, error) = decode(&turn, &[all.as_bytes()]);
    assert!(error.is_none());
    let all: Transcript = first.iter().chain(&second).collect();
    assert_eq!(all.text(), "ab");
}
