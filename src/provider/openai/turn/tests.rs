use serde_json::{Value, json};

use super::*;
use crate::provider::http::CallIds;

/// Returns what the events of these chunks say: the text and the calls, and the reason of the end or the error.
fn said(chunks: &[Value]) -> (String, Vec<Value>, Result<String, ProviderError>) {
    let mut turn = OpenAiTurn::new(CallIds::after(&[]), 10_000, false, None);
    let mut out = VecDeque::new();
    let taken = chunks
        .iter()
        .try_for_each(|chunk| turn.take("", &chunk.to_string(), &mut out));
    let ended = taken.and_then(|()| turn.end(&mut out));
    let (mut text, mut calls, mut reason) = (String::new(), Vec::new(), String::new());
    for event in out {
        match event {
            ChatEvent::Text(piece) => text.push_str(&piece.content),
            ChatEvent::ToolCalls(asked) => calls.extend(
                asked
                    .calls
                    .iter()
                    .map(|call| json!([call.id, call.name, call.arguments])),
            ),
            ChatEvent::Complete(complete) => reason = complete.finish_reason.to_string(),
            _ => {}
        }
    }
    (text, calls, ended.map(|()| reason))
}

fn whole(chunks: &[Value]) -> (String, Vec<Value>, String) {
    let (text, calls, ended) = said(chunks);
    (text, calls, ended.unwrap())
}

fn failure(chunks: &[Value]) -> ProviderError {
    said(chunks).2.expect_err("an error")
}

fn choice(index: impl Into<Value>, text: &str, reason: Option<&str>) -> Value {
    json!({"index": index.into(), "delta": {"content": text}, "finish_reason": reason})
}

fn chunk(choices: impl IntoIterator<Item = Value>) -> Value {
    json!({"choices": choices.into_iter().collect::<Vec<_>>()})
}

#[test]
fn the_answer_is_choice_0_or_else_the_one_that_came_first() {
    let stop = Some("stop");
    let unindexed = |text: &str, reason: Option<&str>| {
        let mut choice = choice(0, text, reason);
        choice.as_object_mut().unwrap().remove("index");
        choice
    };
    for (chunks, text) in [
        (vec![chunk([choice(1, "a", stop)])], "a"),
        (
            vec![chunk([choice(1, "a", None), choice(0, "b", stop)])],
            "b",
        ),
        (
            vec![
                chunk([choice(0, "b", None)]),
                chunk([choice(1, "a", stop), choice(0, "c", stop)]),
            ],
            "bc",
        ),
        // What came is the answer, also if another follows.
        (
            vec![
                chunk([choice(2, "a", None)]),
                chunk([choice(0, "b", stop)]),
                chunk([choice(2, "c", stop)]),
            ],
            "ac",
        ),
        (
            vec![
                chunk([]),
                chunk([choice(1, "a", None)]),
                chunk([choice("1", "b", stop)]),
            ],
            "ab",
        ),
        (
            vec![
                chunk([choice("0", "a", None)]),
                chunk([choice(0, "b", stop)]),
            ],
            "ab",
        ),
        (
            vec![
                chunk([choice(-1, "a", None)]),
                chunk([choice(0, "b", stop)]),
            ],
            "ab",
        ),
        // One without an index is none beside another.
        (
            vec![chunk([unindexed("a", None)]), chunk([unindexed("b", stop)])],
            "ab",
        ),
        (
            vec![chunk([choice(1, "a", None)]), chunk([unindexed("b", stop)])],
            "ab",
        ),
        (
            vec![
                chunk([choice(json!({}), "a", None)]),
                chunk([choice(0, "b", stop)]),
            ],
            "ab",
        ),
    ] {
        let expected = (text.to_owned(), vec![], "stop".to_owned());
        assert_eq!(whole(&chunks), expected, "{chunks:?}");
    }
}

#[test]
fn an_error_in_a_choice_or_of_groq_is_one_unless_it_is_anothers() {
    let with = |index: u32, error: Value| {
        chunk([
            json!({"index": index, "delta": {"content": "a"}, "finish_reason": "stop", "error": error}),
        ])
    };
    let begin = || chunk([choice(0, "", None)]);
    for (error, recoverable) in [
        (json!({"code": 502, "message": "Sekret"}), true),
        (json!({"code": 400, "message": "Sekret"}), false),
        (json!("Sekret words"), true),
        (json!("rate_limit_exceeded"), true),
        (json!(true), true),
        (json!({"type": "invalid_request_error"}), false),
    ] {
        let found = failure(&[begin(), with(0, error.clone())]);
        assert_eq!(found.is_recoverable(), recoverable, "{error}: {found}");
        assert!(!format!("{found:?}").contains("Sekret"), "{found:?}");
        let groq = json!({"choices": [choice(0, "a", Some("stop"))], "x_groq": {"error": error}});
        assert_eq!(failure(&[groq]).is_recoverable(), recoverable, "{error}");
        let others = [
            begin(),
            with(1, error),
            chunk([choice(0, "b", Some("stop"))]),
        ];
        assert_eq!(whole(&others).0, "b");
    }
    for nothing in [json!(null), json!(false), json!("")] {
        assert_eq!(whole(&[with(0, nothing)]).0, "a");
    }
}

#[test]
fn a_reason_that_is_not_whole_stays_whatever_follows() {
    let ends = |reasons: &[&str]| {
        let chunks: Vec<_> = reasons
            .iter()
            .map(|it| chunk([choice(0, "", Some(it))]))
            .collect();
        whole(&chunks).2
    };
    for (reasons, reason) in [
        (&["length", "stop"][..], "length"),
        (
            &["content_filter", "tool_calls", "length"],
            "content_filter",
        ),
        (&["stop", "length"], "length"),
        (&["bored", "stop"], "bored"),
        (&["stop", "stop"], "stop"),
        // The answer is whole, or it is cut: no later word is its error.
        (&["stop", "error"], "stop"),
        (&["length", "network_error", "stop"], "length"),
    ] {
        assert_eq!(ends(reasons), reason, "{reasons:?}");
    }
    let odd = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": 7}]});
    assert_eq!(whole(std::slice::from_ref(&odd)).2, "unknown");
    assert_eq!(
        whole(&[odd.clone(), chunk([choice(0, "", Some("stop"))])]).2,
        "stop"
    );
    assert_eq!(
        whole(&[chunk([choice(0, "", Some("stop"))]), odd]).2,
        "stop"
    );
}

#[test]
fn words_of_failures_are_errors_also_behind_a_gateway() {
    for word in [
        "error",
        "MALFORMED_FUNCTION_CALL",
        "network_error",
        "insufficient_system_resource",
    ] {
        assert!(
            failure(&[chunk([choice(0, "a", Some(word))])]).is_recoverable(),
            "{word}"
        );
    }
    let call = json!({"tool_calls": [{"index": 0, "id": "1", "function": {"name": "t", "arguments": "{}"}}]});
    let ended = |reason: &str, native: Value| {
        vec![
            json!({"choices": [{"index": 0, "delta": call, "finish_reason": reason, "native_finish_reason": native}]}),
        ]
    };
    assert!(said(&ended("error", json!("STOP"))).2.is_err());
    assert!(
        said(&ended("stop", json!("MALFORMED_FUNCTION_CALL")))
            .2
            .is_err()
    );
    for (reason, native, expected, calls) in [
        ("tool_calls", json!("MAX_TOKENS"), "length", 0),
        ("stop", json!("SAFETY"), "content_filter", 0),
        ("stop", json!("completed"), "tool_calls", 1),
        ("stop", json!("who_knows"), "tool_calls", 1),
        ("stop", json!(null), "tool_calls", 1),
        ("stop", json!(7), "tool_calls", 1),
        ("length", json!("STOP"), "length", 0),
    ] {
        let (_, made, found) = whole(&ended(reason, native.clone()));
        assert_eq!(
            (&*found, made.len()),
            (expected, calls),
            "{reason}, {native}"
        );
    }
}

#[test]
fn the_text_of_a_completion_is_text_where_there_is_no_delta() {
    let piece = |text: Value, reason: Option<&str>| {
        json!({"object": "text_completion", "choices": [{"index": 0, "text": text, "logprobs": null,
            "finish_reason": reason}]})
    };
    let found = whole(&[
        piece(json!("Ha"), None),
        piece(json!("llo"), None),
        piece(json!(""), Some("eos")),
    ]);
    assert_eq!(found, ("Hallo".to_owned(), vec![], "stop".to_owned()));
    let both = json!({"choices": [{"index": 0, "text": "Hi", "delta": {"content": "Hi"}, "finish_reason": "stop"}]});
    assert_eq!(whole(&[both]).0, "Hi", "Together says it twice");
}

#[test]
fn calls_of_a_whole_message_are_told_apart_by_their_places() {
    let call = |index: Value, id: Value, name: &str, arguments: &str| json!({"index": index, "id": id, "function": {"name": name, "arguments": arguments}});
    let message = |calls: Value| {
        vec![
            json!({"object": "chat.completion", "choices": [{"index": 0, "finish_reason": "tool_calls",
            "message": {"content": null, "tool_calls": calls,
                "function_call": {"name": "a", "arguments": "{}"}}}]}),
        ]
    };
    for index in [json!(null), json!(0)] {
        for id in [json!(null), json!(""), json!("x"), json!(7)] {
            let calls = json!([
                call(index.clone(), id.clone(), "a", ""),
                null,
                call(index.clone(), id.clone(), "b", "[1]")
            ]);
            let (_, made, _) = whole(&message(calls));
            let made: Vec<_> = made.iter().map(|it| json!([it[1], it[2]])).collect();
            assert_eq!(json!(made), json!([["a", {}], ["b", [1]]]), "{index}, {id}");
        }
    }
    let (_, made, _) = whole(&message(json!(null)));
    assert_eq!(made, [json!(["call_1", "a", {}])]);
}
