//! What counts as whole, and what waits for somebody else.

use super::*;
use crate::{chat::Transcript, provider::openai_responses::position::StreamPosition};

fn call(status: &str) -> Value {
    json!({"id": "fc", "type": "function_call", "status": status,
        "call_id": "c", "name": "t", "arguments": "{\"a\":1}"})
}

fn arguments_done() -> Value {
    json!({"type": "response.function_call_arguments.done", "output_index": 0, "item_id": "fc",
        "arguments": "{\"a\":1}"})
}

fn added(index: u64, item: &Value) -> Value {
    json!({"type": "response.output_item.added", "output_index": index, "item": item})
}

#[test]
fn a_call_whose_item_was_never_told_whole_does_not_run() {
    let begun =
        json!({"id": "fc", "type": "function_call", "call_id": "c", "name": "t", "arguments": ""});
    let events_before = || vec![added(0, &begun), arguments_done()];
    let completed = |output: Value| {
        ended(
            "completed",
            json!({"id": "r", "status": "completed", "output": output}),
        )
    };
    let of = |last: Vec<Value>| stream(&[events_before(), last].concat());
    assert!(failure(&of(vec![completed(json!([]))])).is_recoverable());
    for last in [
        vec![item_done(0, call("completed")), completed(json!([]))],
        vec![completed(json!([call("completed")]))],
    ] {
        let found = events(&of(last));
        assert!(found.iter().any(|event| event["type"] == "tool_calls"));
    }
    // In the background the server may tell it yet.
    let turn = turn(true);
    let created = ended("created", json!({"id": "r", "status": "in_progress"}));
    let all = [vec![created], events_before(), vec![completed(json!([]))]].concat();
    let (_, error) = decode(&turn, &[stream(&all).as_bytes()]);
    assert!(error.unwrap().is_recoverable());
    assert_eq!(turn.lock().running(), Some("r"));
    turn.lock().reconnect();
    let whole = completed(json!([call("completed")]));
    let (found, error) = decode(&turn, &[format!("data: {whole}\n\n").as_bytes()]);
    assert!(error.is_none(), "{error:?}");
    assert!(found.iter().any(|event| event.kind() == "tool_calls"));
}

#[test]
fn items_that_wait_for_the_client_are_errors_that_name_them() {
    let container = json!({"type": "container_reference", "container_id": "cntr"});
    for (item, waits) in [
        (json!({"type": "custom_tool_call", "call_id": "c"}), true),
        (json!({"type": "computer_call", "call_id": "c"}), true),
        (json!({"type": "local_shell_call", "call_id": "c"}), true),
        (json!({"type": "apply_patch_call", "call_id": "c"}), true),
        (json!({"type": "mcp_approval_request", "id": "m"}), true),
        (
            json!({"type": "shell_call", "call_id": "c", "environment": null}),
            true,
        ),
        (
            json!({"type": "shell_call", "call_id": "c", "environment": {"type": "local"}}),
            true,
        ),
        (
            json!({"type": "shell_call", "call_id": "c", "environment": container}),
            false,
        ),
        (
            json!({"type": "tool_search_call", "call_id": "c", "execution": "client"}),
            true,
        ),
        (
            json!({"type": "tool_search_call", "call_id": null, "execution": "server"}),
            false,
        ),
        (json!({"type": "unheard_of_call", "call_id": "c"}), true),
        (json!({"type": "unheard_of_call", "id": "u"}), false),
        (json!({"type": "web_search_call", "id": "ws"}), false),
        (json!({"type": "shell_call_output", "call_id": "c"}), false),
    ] {
        let class = item["type"].as_str().unwrap();
        let all = stream(&[
            item_done(0, item.clone()),
            ended("completed", json!({"status": "completed"})),
        ]);
        let (_, error) = decode(&turn(false), &[all.as_bytes()]);
        match error {
            Some(error) => {
                assert!(waits, "{item}: {error}");
                // A name that isn't known could say anything.
                let named = match class {
                    "unheard_of_call" => "a call of an unknown type".to_owned(),
                    known => format!("`{known}`"),
                };
                assert!(error.to_string().contains(&named), "{error}");
                assert!(!error.is_recoverable());
            }
            None => assert!(!waits, "{item}"),
        }
    }
}

#[test]
fn an_error_before_a_failure_explains_it_and_one_without_is_no_end() {
    let created = || ended("created", json!({"id": "r", "status": "in_progress"}));
    let error = || json!({"type": "error", "code": "rate_limit_exceeded", "message": "Sekret"});
    let failed = |error: Value| {
        ended(
            "failed",
            json!({"id": "r", "status": "failed", "error": error}),
        )
    };
    for (of_response, says) in [
        (Value::Null, "asked too much"),
        (json!({"code": "server_error"}), "has failed"),
    ] {
        let turn = turn(true);
        let all = stream(&[created(), delta("Hi"), error(), failed(of_response)]);
        let (_, error) = decode(&turn, &[all.as_bytes()]);
        let error = error.unwrap();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(turn.lock().running(), None);
    }
    let turn = turn(true);
    let all = stream(&[created(), delta("Hi"), error()]);
    let (_, cut) = decode(&turn, &[all.as_bytes()]);
    assert!(cut.unwrap().is_recoverable());
    assert_eq!(turn.lock().running(), Some("r"));
    assert_eq!(turn.lock().cursor(), Some(("r".into(), 2)));
}

#[test]
fn a_source_that_the_log_has_is_told_once_by_a_server_that_reads_on() {
    let search = |id: &str| {
        json!({"id": id, "type": "web_search_call", "status": "completed", "action":
            {"sources": [{"type": "url", "url": "https://a.b/c"}]}})
    };
    let all: Vec<_> = [
        ended("created", json!({"id": "r", "status": "in_progress"})),
        item_done(0, search("ws_1")),
        item_done(1, search("ws_2")),
        ended("completed", json!({"id": "r", "status": "completed"})),
    ]
    .into_iter()
    .collect();
    let whole = stream(&all);
    let frames: Vec<_> = whole.split_inclusive("\n\n").collect();
    let first = turn(true);
    let mut out = VecDeque::new();
    let mut decoder = first.decoder(1024);
    for frame in &frames[..2] {
        decoder.push(frame.as_bytes(), &mut out).unwrap();
    }
    let position: StreamPosition = first.lock().position().unwrap();
    let so_far: Transcript = out.iter().collect();
    assert_eq!(so_far.sources().len(), 1);
    let sources = |told: &[_]| {
        let next = ResponsesTurn::new(CallIds::after(&[]), 1024, false, true);
        let next = SharedTurn::new(next.read_on(position.clone(), told));
        let (rest, error) = decode(&next, &[frames[2..].concat().as_bytes()]);
        assert!(error.is_none());
        rest.iter().filter(|event| event.kind() == "source").count()
    };
    assert_eq!(sources(so_far.sources()), 0);
    assert_eq!(sources(&[]), 1, "it would be told again");
}

#[test]
fn items_of_one_index_are_told_apart_by_their_ids() {
    let item = |id: &str| json!({"id": format!("fc_{id}"), "type": "function_call", "call_id": id, "name": "t", "arguments": ""});
    let piece = |id: &str, piece: &str| {
        json!({"type": "response.function_call_arguments.delta", "output_index": 0,
            "item_id": format!("fc_{id}"), "delta": piece})
    };
    let whole = |id: &str| {
        let mut whole = item(id);
        whole["arguments"] = json!({ id: 1 }).to_string().into();
        whole
    };
    let completed = || ended("completed", json!({"status": "completed"}));
    let calls = |all: &[Value]| {
        let found = events(&stream(all));
        let calls = found.iter().find(|event| event["type"] == "tool_calls");
        calls.unwrap()["calls"].clone()
    };
    let expected = json!([
        {"id": "a", "name": "t", "arguments": {"a": 1}},
        {"id": "b", "name": "t", "arguments": {"b": 1}},
    ]);
    // Both at once.
    let interleaved = [
        added(0, &item("a")),
        added(0, &item("b")),
        piece("a", "{\"a\""),
        piece("b", "{\"b\""),
        piece("a", ":1}"),
        piece("b", ":1}"),
        item_done(0, whole("a")),
        item_done(0, whole("b")),
        completed(),
    ];
    assert_eq!(calls(&interleaved), expected);
    // Without beginnings.
    let ends = [
        item_done(0, whole("a")),
        item_done(0, whole("b")),
        completed(),
    ];
    assert_eq!(calls(&ends), expected);
    // An id that changes between the beginning and the end.
    let mut changed = whole("a");
    changed["id"] = "other".into();
    let renamed = [
        added(0, &item("a")),
        piece("a", "{\"a\":1}"),
        item_done(0, changed),
        added(1, &item("b")),
        item_done(1, whole("b")),
        completed(),
    ];
    assert_eq!(calls(&renamed), expected);
}
