use serde_json::{Value, json};

use super::*;
use crate::{
    chat::{ProviderState, Transcript},
    log::ErrorCode,
    provider::{http::fuzz::fuzz, unbroken::position::InnerPosition},
};

const ANSWER: &str = r#"{"lsn":1,"event":{"type":"session_info","capabilities":{"thinking":true,"streaming":true,"tools":["now"]},"persona":null}}

{"lsn":2,"event":{"type":"provider_state","provider":"p","of":"stream","data":null}}
{"lsn":3,"event":{"type":"thinking","content":"Hm."}}
{"lsn":4,"event":{"type":"text","content":"Let me look. "}}
{"lsn":5,"event":{"type":"tool_input","id":"1","name":"now","delta":"{}"}}
{"lsn":6,"event":{"type":"tool_calls","calls":[{"id":"1","name":"now","arguments":{}}]}}
{"lsn":7,"event":{"type":"turn","finishReason":"tool_calls","usage":{"inputTokens":3,"outputTokens":4}}}
{"lsn":8,"event":{"type":"tool_progress","id":"1","name":"now"}}
{"lsn":9,"event":{"type":"tool_result","id":"1","name":"now","content":"noon"}}
{"lsn":10,"event":{"type":"text","content":"It is noon."}}
{"lsn":11,"event":{"type":"source","id":"u","url":"https://a.b"}}
{"lsn":12,"event":{"type":"custom","name":"mood","data":7}}
{"lsn":13,"event":{"type":"telepathy","from":"afar"}}
{"lsn":14,"event":{"type":"turn","finishReason":"stop","usage":{"inputTokens":5,"outputTokens":6}}}
{"lsn":15,"event":{"type":"complete","finishReason":"stop","usage":{"inputTokens":8,"outputTokens":10}}}
"#;

const FAILED: &str = r#"{"lsn":1,"event":{"type":"session_info","capabilities":{}}}
{"lsn":2,"event":{"type":"text","content":"Hel"}}
{"lsn":3,"event":{"type":"input_request","inputId":"a.1","kind":"approval","message":"Pay?"}}
{"lsn":4,"event":{"type":"input_resolved","inputId":"a.1","action":"accept"}}
{"lsn":5,"event":{"type":"turn","finishReason":"stop","usage":{"inputTokens":3,"outputTokens":4}}}
{"lsn":6,"event":{"type":"error","message":"Sekret of 10.0.0.7","recoverable":true,"code":"provider","usage":{"inputTokens":5,"outputTokens":4}}}
"#;

const RESTARTED: &str = r#"{"lsn":1,"event":{"type":"session_info","capabilities":{}}}
{"lsn":2,"event":{"type":"text","content":"Hel"}}
{"lsn":3,"event":{"type":"restarted","reason":"again"}}
{"lsn":4,"event":{"type":"text","content":"Hello"}}
{"lsn":5,"event":{"type":"aborted","reason":"Sekret"}}
"#;

fn answer(tail: u64) -> SharedInnerAnswer {
    let mut answer = InnerAnswer::new();
    answer.ask("u0123456789abcdefghjkmnpqrs".into());
    answer.begin_log(tail);
    SharedInnerAnswer::new(answer)
}

type Decoded = (Vec<ChatEvent>, Result<(), ProviderError>);

fn decoded(answer: &SharedInnerAnswer, text: &str) -> Decoded {
    let mut decoder = answer.decoder(10_000);
    let mut out = VecDeque::new();
    let pushed = decoder.push(text.as_bytes(), &mut out);
    let ended = pushed.and_then(|_| decoder.end(&mut out));
    (out.into(), ended)
}

/// Returns the events of a log as the other server wrote them, but for those that it keeps.
fn told(text: &str) -> Vec<Value> {
    let lines = text.lines().filter(|line| !line.is_empty());
    let events = lines.map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone());
    let of_server = |event: &Value| event["type"] == "session_info" || event["of"] == "stream";
    events.filter(|event| !of_server(event)).collect()
}

fn values(events: &[ChatEvent]) -> Vec<Value> {
    let values = events
        .iter()
        .map(|event| serde_json::to_value(event).unwrap());
    values.filter(|event| event["of"] != "stream").collect()
}

#[test]
fn every_event_of_the_log_is_passed_on_and_the_place_comes_first() {
    let shared = answer(0);
    let (events, ended) = decoded(&shared, ANSWER);
    ended.unwrap();
    assert_eq!(values(&events), told(ANSWER));
    let ChatEvent::ProviderState(first) = &events[0] else {
        panic!("{events:?}")
    };
    assert!(first.spans_turns);
    let position = InnerPosition::read(&first.state).unwrap();
    assert_eq!(
        (position.after, &*position.session),
        (1, "u0123456789abcdefghjkmnpqrs")
    );
    assert!(shared.lock().position(Vec::new()).is_none(), "it is over");
}

#[test]
fn the_place_after_any_event_is_that_of_the_last_one_and_the_rest_follows_it() {
    let lines: Vec<_> = ANSWER.split_inclusive('\n').collect();
    let (whole, _) = decoded(&answer(0), ANSWER);
    for at in 1..lines.len() - 1 {
        let shared = answer(0);
        let (begin, ended) = decoded(&shared, &lines[..at].concat());
        assert!(ended.is_err(), "a body without an end is a cut");
        let position = shared.lock().position(Vec::new()).unwrap();
        let rest = SharedInnerAnswer::new(InnerAnswer::read_on(&position, true));
        // What came before is left out, should it come again.
        let (rest, ended) = decoded(&rest, ANSWER);
        ended.unwrap();
        assert_eq!([begin, rest].concat(), whole, "{at}");
    }
}

#[test]
fn an_error_keeps_its_code_and_none_of_the_servers_words_and_has_the_usage_of_its_turn() {
    let (events, ended) = decoded(&answer(0), FAILED);
    let error = ended.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("Sekret"));
    assert!(error.is_recoverable());
    assert_eq!(
        error.usage().map(|it| (it.input_tokens, it.output_tokens)),
        Some((2, 0))
    );
    assert_eq!(events.len(), 5, "{events:?}");
    for (code, recoverable, expected) in [
        ("provider", false, ErrorCode::Provider),
        ("timeout", true, ErrorCode::Timeout),
        ("interrupted", true, ErrorCode::Interrupted),
        ("limit", false, ErrorCode::Limit),
        ("internal", true, ErrorCode::Provider),
    ] {
        let event =
            json!({"type": "error", "message": "Sekret", "recoverable": recoverable, "code": code});
        let line = format!("{}\n", json!({"lsn": 1, "event": event}));
        let error = decoded(&answer(0), &line).1.unwrap_err();
        assert_eq!(
            (error.code(), error.is_recoverable()),
            (expected, recoverable),
            "{code}"
        );
    }
}

#[test]
fn a_restart_drops_what_was_not_passed_on_and_declines_otherwise() {
    // What the log had when it was attached to.
    let (events, ended) = decoded(&answer(4), RESTARTED);
    ended.unwrap();
    let answer_of = |events: &[ChatEvent]| events.iter().collect::<Transcript>();
    assert_eq!(answer_of(&events).text(), "Hello");
    assert_eq!(values(&events).last(), Some(&json!({"type": "aborted"})));
    for tail in [0, 1, 2] {
        let (events, ended) = decoded(&answer(tail), RESTARTED);
        let error = ended.unwrap_err();
        assert!(error.is_cannot_continue(), "{error}");
        assert_eq!(answer_of(&events).text(), "Hel");
    }
}

/// An answer that another server of ours had read until its first event.
fn taken_over(tail: u64, shown: bool) -> SharedInnerAnswer {
    let mut position = answer(0).lock().position(Vec::new()).unwrap();
    position.after = 1;
    let mut answer = InnerAnswer::read_on(&position, shown);
    answer.begin_log(tail);
    SharedInnerAnswer::new(answer)
}

#[test]
fn after_a_takeover_nothing_is_passed_on_of_an_answer_that_may_be_declined() {
    let text = |events: &[ChatEvent]| events.iter().collect::<Transcript>().text().to_owned();
    for (tail, said) in [(3, ""), (2, "Hel")] {
        let (events, ended) = decoded(&taken_over(tail, true), RESTARTED);
        assert!(ended.unwrap_err().is_cannot_continue());
        assert_eq!(text(&events), said, "{tail}");
    }
    // Nobody has anything of the one that was dropped.
    let (events, ended) = decoded(&taken_over(3, false), RESTARTED);
    ended.unwrap();
    assert_eq!(text(&events), "Hello");
    let failed_for_good = FAILED.replace("true", "false");
    for (tail, log, said) in [
        (6, FAILED, ""),
        (5, FAILED, "Hel"),
        (6, &*failed_for_good, "Hel"),
    ] {
        let (events, ended) = decoded(&taken_over(tail, true), log);
        assert!(!ended.unwrap_err().is_cannot_continue());
        assert_eq!(text(&events), said, "{tail}");
    }
}

#[test]
fn a_log_longer_than_what_is_held_is_passed_on_as_it_comes() {
    let text = "a".repeat(1000);
    let line = |lsn: u64| {
        format!(r#"{{"lsn":{lsn},"event":{{"type":"text","content":"{text}"}}}}"#) + "\n"
    };
    let info = r#"{"lsn":1,"event":{"type":"session_info","capabilities":{}}}"#;
    // The server says that its log has more than it has.
    let shared = answer(u64::MAX);
    let mut decoder = shared.decoder(10_000);
    let mut out = VecDeque::new();
    decoder
        .push(format!("{info}\n").as_bytes(), &mut out)
        .unwrap();
    let at_most = super::super::answer::MAX_HELD as u64 / 1000;
    let shown = (2..at_most + 100).find(|lsn| {
        decoder.push(line(*lsn).as_bytes(), &mut out).unwrap();
        out.len() > 1
    });
    let shown = shown.unwrap();
    assert!(shown > at_most / 10 * 9 && shown < at_most, "{shown}");
    assert_eq!(out.len() as u64, shown, "the place, and all events");
    let restarted = format!(
        r#"{{"lsn":{},"event":{{"type":"restarted","reason":"again"}}}}"#,
        shown + 1
    );
    let error = decoder.push(format!("{restarted}\n").as_bytes(), &mut out);
    assert!(error.unwrap_err().is_cannot_continue());
}

#[test]
fn what_is_no_next_event_is_an_error_of_the_connection() {
    let info = r#"{"lsn":1,"event":{"type":"session_info","capabilities":{}}}"#;
    for line in [
        r#"{"lsn":3,"event":{"type":"text","content":"Hi"}}"#,
        r#"{"event":{"type":"text","content":"Hi"}}"#,
        r#"{"lsn":2,"event":{"type":"text"}}"#,
        r#"{"lsn":2,"event":{"content":"Hi"}}"#,
        r#"{"lsn":2}"#,
        "Hi",
        r#"{"lsn":2,"event":{"type":"custom","name":"n","data":{"$serde_json::private::Number":"1"}}}"#,
    ] {
        let (_, ended) = decoded(&answer(0), &format!("{info}\n{line}\n"));
        let error = ended.unwrap_err();
        assert!(
            crate::provider::http::is_of_the_connection(&error),
            "{line}: {error}"
        );
        assert!(
            error.message().contains("can't be understood"),
            "{line}: {error}"
        );
    }
    let notice = r#"{"event":{"type":"unavailable"}}"#;
    let (events, ended) = decoded(&answer(0), &format!("{info}\n\n{notice}\n"));
    assert!(ended.unwrap_err().message().contains("cut off"));
    assert_eq!(events.len(), 1);
}

#[test]
fn the_state_of_the_other_servers_stream_is_not_ours() {
    let (events, _) = decoded(&answer(0), ANSWER);
    let of_p = |event: &&ChatEvent| matches!(event, ChatEvent::ProviderState(it) if it.state.provider == "p");
    assert_eq!(events.iter().find(of_p), None);
    let kept = ProviderState::new("p", json!(1));
    assert_eq!(InnerPosition::read(&kept), None);
}

#[test]
fn any_bytes_give_an_answer_or_an_error() {
    const SEEDS: [&[u8]; 3] = [ANSWER.as_bytes(), FAILED.as_bytes(), RESTARTED.as_bytes()];
    fuzz(&SEEDS, |max| {
        let tail = max as u64 % 5;
        Box::new(answer(tail).decoder(max))
    });
}
