use serde_json::{Value, json};

use super::*;
use crate::provider::http::{CallIds, Decode, fuzz::fuzz};

mod ends;
mod odd_json;
mod reading_on;
mod whole;

const TEXT: &str = include_str!("../../../../tests/providers/recorded/responses-text.sse");
const TOOLS: &str = include_str!("../../../../tests/providers/recorded/responses-tools.sse");

fn turn(background: bool) -> SharedTurn {
    SharedTurn::new(ResponsesTurn::new(
        CallIds::after(&[]),
        1024 * 1024,
        false,
        background,
    ))
}

/// Returns the events of these bytes, and the error that ended them.
fn decode(turn: &SharedTurn, pieces: &[&[u8]]) -> (Vec<ChatEvent>, Option<ProviderError>) {
    let mut decoder = turn.decoder(1024 * 1024);
    let mut out = VecDeque::new();
    for piece in pieces {
        if let Err(error) = decoder.push(piece, &mut out) {
            return (out.into(), Some(error));
        }
        if decoder.is_done() {
            break;
        }
    }
    let error = decoder.end(&mut out).err();
    (out.into(), error)
}

fn events(stream: &str) -> Vec<Value> {
    let (events, error) = decode(&turn(false), &[stream.as_bytes()]);
    assert!(error.is_none(), "{error:?}");
    values(&events)
}

fn values(events: &[ChatEvent]) -> Vec<Value> {
    let values = events.iter().map(serde_json::to_value);
    values.map(Result::unwrap).collect()
}

fn failure(stream: &str) -> ProviderError {
    decode(&turn(false), &[stream.as_bytes()]).1.expect(stream)
}

/// Returns a stream of these events, with their numbers.
fn stream(events: &[Value]) -> String {
    let numbered = (0..).zip(events).map(|(number, event)| {
        let mut event = event.clone();
        event["sequence_number"] = json!(number);
        format!("data: {event}\n\n")
    });
    numbered.collect()
}

fn delta(text: &str) -> Value {
    json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": text})
}

#[allow(clippy::needless_pass_by_value, reason = "the callers are shorter")]
fn ended(class: &str, response: Value) -> Value {
    json!({"type": format!("response.{class}"), "response": response})
}

#[allow(clippy::needless_pass_by_value, reason = "the callers are shorter")]
fn item_done(index: u64, item: Value) -> Value {
    json!({"type": "response.output_item.done", "output_index": index, "item": item})
}

#[allow(clippy::needless_pass_by_value, reason = "the callers are shorter")]
fn state(items: Value) -> Value {
    json!({"type": "provider_state", "provider": "openai-responses", "of": "turn", "data": {"items": items}})
}

#[test]
fn an_answer_has_its_thinking_sources_text_and_state_in_order() {
    let expected = [
        json!({"type": "thinking", "content": "**Look"}),
        json!({"type": "thinking", "content": "ing**"}),
        json!({"type": "thinking", "content": "\n\n"}),
        json!({"type": "thinking", "content": "Done."}),
        state(
            json!([{"id": "rs_1", "type": "reasoning", "encrypted_content": "gAAAA", "summary": [
            {"type": "summary_text", "text": "**Looking**"}, {"type": "summary_text", "text": "Done."}]}]),
        ),
        json!({"type": "custom", "name": "web_search_call",
               "data": {"id": "ws_1", "status": "in_progress", "action": {"type": "search", "query": "noon"}}}),
        json!({"type": "custom", "name": "web_search_call", "data": {"id": "ws_1", "status": "completed",
               "action": {"type": "search", "query": "noon", "sources": [{"type": "url", "url": "https://a.b/c"}]}}}),
        json!({"type": "source", "id": "https://a.b/c", "url": "https://a.b/c"}),
        state(
            json!([{"id": "ws_1", "type": "web_search_call", "status": "completed",
               "action": {"type": "search", "query": "noon", "sources": [{"type": "url", "url": "https://a.b/c"}]}}]),
        ),
        json!({"type": "text", "content": "Hé "}),
        json!({"type": "text", "content": "😀 it is"}),
        json!({"type": "text", "content": " noon."}),
        json!({"type": "source", "id": "https://a.b/c", "url": "https://a.b/c", "title": "A page",
               "at": {"start": 5, "end": 10}}),
        state(json!([{"type": "message", "phase": "final_answer"}])),
        json!({"type": "turn", "finishReason": "stop", "model": "gpt-5-mini", "usage":
               {"inputTokens": 7, "outputTokens": 9, "cachedInputTokens": 3, "reasoningTokens": 4}}),
        json!({"type": "complete", "finishReason": "stop", "usage":
               {"inputTokens": 7, "outputTokens": 9, "cachedInputTokens": 3, "reasoningTokens": 4}}),
    ];
    assert_eq!(events(TEXT), expected);
}

#[test]
fn calls_come_with_the_reasoning_between_them() {
    let found = events(TOOLS);
    let kinds: Vec<_> = found
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "text",
            "tool_input",
            "tool_input",
            "tool_input",
            "tool_input",
            "tool_calls",
            "provider_state",
            "turn",
            "complete"
        ]
    );
    assert_eq!(
        found[5]["calls"],
        json!([
            {"id": "call_a", "name": "now", "arguments": {"zone": "UTC"}},
            {"id": "call_b", "name": "now", "arguments": {}},
        ])
    );
    assert_eq!(found[6]["of"], "call_b");
    assert_eq!(found[6]["data"]["items"][0]["id"], "rs_2");
    assert_eq!(found[7]["finishReason"], "tool_calls");
}

#[test]
fn the_events_do_not_depend_on_where_bytes_are_split_and_a_cut_is_no_success() {
    for whole in [TEXT, TOOLS] {
        let expected = events(whole);
        let bytes = whole.as_bytes();
        let last = whole.rfind("data: ").unwrap();
        let end = whole.trim_end().len();
        for at in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(at);
            let (found, error) = decode(&turn(false), &[head, tail]);
            assert!(error.is_none(), "{at}: {error:?}");
            assert_eq!(values(&found), expected, "{at}");
            let (found, error) = decode(&turn(false), &[head]);
            let is_whole = error.is_none();
            assert_eq!(is_whole, at >= end, "cut at {at} of {last} to {end}");
            if is_whole {
                assert_eq!(values(&found), expected);
            } else {
                assert!(error.unwrap().is_recoverable());
                assert!(!found.iter().any(ChatEvent::is_terminal));
            }
        }
    }
}

#[test]
fn what_was_not_streamed_is_taken_from_the_whole_items() {
    let message = json!({"id": "msg_1", "type": "message", "content": [
        {"type": "output_text", "text": "Hello there", "annotations": [
            {"type": "file_citation", "file_id": "file_1", "filename": "a.txt", "index": 3}]},
        {"type": "refusal", "refusal": " No."}]});
    let response = json!({"id": "resp_1", "status": "completed", "output": [message]});
    let text = |events: Vec<Value>| -> String {
        let texts = events.iter().filter(|event| event["type"] == "text");
        texts
            .map(|event| event["content"].as_str().unwrap())
            .collect()
    };
    for before in [
        vec![],
        vec![delta("Hello")],
        vec![delta("Hello"), delta(" there")],
        vec![delta("Hello"), item_done(0, message.clone())],
        vec![item_done(0, message.clone())],
    ] {
        let all = [before, vec![ended("completed", response.clone())]].concat();
        let found = events(&stream(&all));
        let sources = found.iter().filter(|event| event["type"] == "source");
        let sources: Vec<_> = sources.collect();
        assert_eq!(sources.len(), 1, "{found:?}");
        assert_eq!(
            *sources[0],
            json!({"type": "source", "id": "file_1", "title": "a.txt"})
        );
        assert_eq!(text(found), "Hello there No.");
    }
}

#[test]
fn calls_run_only_whole_and_in_a_whole_turn() {
    let item = |status: &str| {
        json!({"id": "fc", "type": "function_call", "status": status,
        "call_id": "c", "name": "t", "arguments": "{\"a\":1}"})
    };
    let added = json!({"type": "response.output_item.added", "output_index": 0,
        "item": {"id": "fc", "type": "function_call", "call_id": "c", "name": "t", "arguments": ""}});
    let piece = json!({"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{\"a\":"});
    let completed = || ended("completed", json!({"status": "completed"}));
    let calls = |found: Vec<Value>| {
        let calls = found
            .into_iter()
            .find(|event| event["type"] == "tool_calls");
        calls.map(|event| event["calls"].clone())
    };
    let whole = json!([{"id": "c", "name": "t", "arguments": {"a": 1}}]);
    for before in [
        vec![
            added.clone(),
            piece.clone(),
            item_done(0, item("completed")),
        ],
        vec![item_done(0, item("completed"))],
        vec![item_done(0, item("in_progress"))],
    ] {
        let found = events(&stream(&[before, vec![completed()]].concat()));
        assert_eq!(calls(found), Some(whole.clone()));
    }
    let in_output = ended("completed", json!({"output": [item("completed")]}));
    let found = events(&stream(&[added.clone(), piece.clone(), in_output]));
    assert_eq!(calls(found), Some(whole));
    // Half a call.
    for before in [
        vec![added.clone(), piece.clone()],
        vec![
            added.clone(),
            piece.clone(),
            item_done(0, item("incomplete")),
        ],
    ] {
        let error = failure(&stream(&[before.clone(), vec![completed()]].concat()));
        assert!(error.is_recoverable());
        let incomplete = ended(
            "incomplete",
            json!({"incomplete_details": {"reason": "max_output_tokens"}}),
        );
        let found = events(&stream(&[before, vec![incomplete]].concat()));
        assert_eq!(found.last().unwrap()["finishReason"], "length");
        assert_eq!(calls(found), None);
    }
}

#[test]
fn items_that_all_have_the_index_0_are_told_apart() {
    let call = |id: &str| {
        json!({"id": format!("fc_{id}"), "type": "function_call", "call_id": id,
        "name": "t", "arguments": "{}"})
    };
    let added = |id: &str| json!({"type": "response.output_item.added", "output_index": 0, "item": call(id)});
    let output = json!({"output": [call("a"), call("b")]});
    let found = events(&stream(&[
        added("a"),
        item_done(0, call("a")),
        added("b"),
        item_done(0, call("b")),
        ended("completed", output),
    ]));
    let calls = found.iter().find(|event| event["type"] == "tool_calls");
    let calls = calls.unwrap()["calls"].as_array().unwrap();
    let ids: Vec<_> = calls
        .iter()
        .map(|call| call["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["a", "b"]);
}

#[test]
fn a_picture_is_a_medium_whose_item_is_kept_without_it() {
    let item = json!({"id": "ig_1", "type": "image_generation_call", "status": "completed",
        "output_format": "png", "result": "iVBORw0KGgo="});
    let partial = json!({"type": "response.image_generation_call.partial_image", "output_index": 0,
        "partial_image_b64": "AAAA"});
    let found = events(&stream(&[
        partial,
        item_done(0, item.clone()),
        ended("completed", json!({"output": [item]})),
    ]));
    assert_eq!(
        found[..2],
        [
            json!({"type": "media", "mediaType": "image/png", "url": "data:image/png;base64,iVBORw0KGgo="}),
            state(
                json!([{"id": "ig_1", "type": "image_generation_call", "status": "completed", "output_format": "png"}])
            ),
        ]
    );
    assert_eq!(found.len(), 4);
}

#[test]
fn bookkeeping_of_odd_types_decides_nothing() {
    let odd = [
        json!({"type": "response.created", "response": 7}),
        json!({"type": "response.in_progress"}),
        json!({"type": "response.output_item.added", "output_index": "0", "item": null}),
        json!({"type": "response.output_item.added", "output_index": -1, "item": []}),
        json!({"type": "response.output_text.delta", "output_index": 0, "content_index": {}, "delta": "Hi"}),
        json!({"type": "response.output_text.delta", "output_index": 0, "delta": null}),
        json!({"type": "response.output_text.annotation.added", "output_index": 0, "annotation": "x"}),
        json!({"type": "response.web_search_call.searching", "item_id": []}),
        json!({"type": 7, "sequence_number": "x"}),
        json!({}),
        ended("completed", json!({"usage": [], "output": {}, "model": 7})),
    ];
    let found = events(&stream(&odd));
    assert_eq!(found[0], json!({"type": "text", "content": "Hi"}));
    assert_eq!(
        found.last().unwrap(),
        &json!({"type": "complete", "finishReason": "stop"})
    );
    let pings = ": ping\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\ndata: \n\n";
    let found = events(&format!(
        "{pings}{}",
        stream(&[delta("Hi"), ended("completed", json!({}))])
    ));
    assert_eq!(found.len(), 3);
}

/// Events that reach a limit, and the words of the error past it.
type Limit<'a> = (u64, &'a dyn Fn(u64) -> Value, &'a str);

#[test]
fn each_limit_is_an_error_that_names_it() {
    let ended = || ended("completed", json!({"status": "completed"}));
    let call = |index: u64| {
        let id = format!("c{index}");
        let call = json!({"type": "function_call", "call_id": id, "name": "t", "arguments": "{}"});
        item_done(index, call)
    };
    let message = |index: u64| item_done(index, json!({"type": "message"}));
    let kept = |_| {
        let data = "x".repeat(1024 * 1024 / 4 - 1000);
        item_done(0, json!({"type": "reasoning", "encrypted_content": data}))
    };
    let of = |count: u64, item: &dyn Fn(u64) -> Value| -> Vec<Value> {
        (0..count).map(item).chain([ended()]).collect()
    };
    let reasoning = |index: u64| {
        let mut event = kept(index);
        event["output_index"] = json!(index);
        event
    };
    let limits: [Limit<'_>; 3] = [
        (256, &call, "256 tools"),
        (4096, &message, "4096 items"),
        (4, &reasoning, "1048576 bytes"),
    ];
    for (most, item, says) in limits {
        let found = events(&stream(&of(most, item)));
        assert_eq!(found.last().unwrap()["type"], "complete", "{says}");
        let error = failure(&stream(&of(most + 1, item)));
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.code(), crate::log::ErrorCode::Limit);
    }
}

#[test]
fn any_bytes_give_an_answer_or_an_error() {
    const SEEDS: [&[u8]; 2] = [TEXT.as_bytes(), TOOLS.as_bytes()];
    fuzz(&SEEDS, |max| {
        let turn = ResponsesTurn::new(CallIds::after(&[]), max, max % 3 == 0, max % 2 == 0);
        Box::new(SharedTurn::new(turn).decoder(max))
    });
}
