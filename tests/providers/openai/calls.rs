//! The arguments of calls, as they come.

use super::*;

/// Returns the streamed arguments as (id, name, arguments), and the calls.
fn shown(events: &[ChatEvent]) -> (Vec<(String, String, String)>, Vec<ToolCall>) {
    let mut shown: Vec<(String, String, String)> = Vec::new();
    let mut calls = Vec::new();
    for event in events {
        match event {
            ChatEvent::ToolInput(input) => {
                assert!(calls.is_empty(), "a piece after its call");
                if let Some(call) = shown.iter_mut().find(|call| call.0 == input.id) {
                    assert_eq!(input.name, None);
                    call.2.push_str(&input.delta);
                } else {
                    let name = input.name.clone().expect("a name in the first piece");
                    shown.push((input.id.clone(), name, input.delta.clone()));
                }
            }
            ChatEvent::ToolCalls(asked) => calls.extend(asked.calls.iter().cloned()),
            _ => {}
        }
    }
    (shown, calls)
}

async fn of_deltas(deltas: &[&str]) -> (Vec<(String, String, String)>, Vec<ToolCall>) {
    let mut steps = vec![ok()];
    steps.extend(deltas.iter().map(|it| delta(it)));
    steps.extend([finish("tool_calls"), done(), Step::End]);
    shown(&whole(steps).await)
}

fn triple(id: &str, name: &str, arguments: &str) -> (String, String, String) {
    (id.into(), name.into(), arguments.into())
}

#[tokio::test]
async fn pieces_of_arguments_come_while_the_server_writes_on() {
    let stub = serve(vec![
        ok(),
        delta(r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"find","arguments":""}}]}"#),
        delta(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"q\":"}}]}"#),
        Step::Silence,
    ])
    .await;
    let provider = builder(&stub).build().unwrap();
    let mut stream = provider
        .oneshot(ChatRequest::from_user("Hi"))
        .await
        .unwrap();
    let mut next = async || {
        timeout(GUARD, stream.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    };
    assert_eq!(next().await, ToolInput::new("a", "").name("find").into());
    assert_eq!(next().await, ToolInput::new("a", r#"{"q":"#).into());
}

#[tokio::test]
async fn ids_and_names_that_come_late_in_pieces_or_as_numbers_are_those_of_the_call() {
    // A late id: the pieces wait for it.
    let (pieces, calls) = of_deltas(&[
        r#"{"tool_calls":[{"index":0,"function":{"name":"t","arguments":"[1"}}]}"#,
        r#"{"tool_calls":[{"index":1,"id":"b","function":{"name":"u","arguments":"[2]"}}]}"#,
        r#"{"tool_calls":[{"index":0,"id":7,"function":{"arguments":",3"}}]}"#,
        r#"{"tool_calls":[{"index":0,"function":{"arguments":"]"}}]}"#,
    ])
    .await;
    assert_eq!(
        calls,
        [
            ToolCall::new("7", "t", json!([1, 3])),
            ToolCall::new("b", "u", json!([2]))
        ]
    );
    assert_eq!(pieces, [triple("7", "t", "[1,3]"), triple("b", "u", "[2]")]);

    // A late name, of which the first piece counts; then no index, and an id that is repeated.
    let (pieces, calls) = of_deltas(&[
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"arguments":"{"}}]}"#,
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"ti","arguments":""}}]}"#,
        r#"{"tool_calls":[{"id":"a","function":{"name":"me","arguments":"}"}}]}"#,
        r#"{"tool_calls":[{"id":"b","function":{"name":"u","arguments":{"a":1}}}]}"#,
    ])
    .await;
    assert_eq!(
        calls,
        [
            ToolCall::new("a", "ti", json!({})),
            ToolCall::new("b", "u", json!({"a": 1}))
        ]
    );
    assert_eq!(
        pieces,
        [triple("a", "ti", "{}"), triple("b", "u", r#"{"a":1}"#)]
    );

    // The same id for two calls.
    let (pieces, calls) = of_deltas(&[
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"t","arguments":"{}"}}]}"#,
        r#"{"tool_calls":[{"index":1,"id":"a","function":{"name":"t","arguments":"[]"}}]}"#,
    ])
    .await;
    let ids: Vec<_> = calls.iter().map(|call| &*call.id).collect();
    assert_eq!(ids, ["a", "call_2"]);
    assert_eq!(
        pieces,
        [triple("a", "t", "{}"), triple("call_2", "t", "[]")]
    );
}

#[tokio::test]
async fn a_call_without_an_id_comes_whole_and_so_do_those_after_it() {
    let (pieces, calls) = of_deltas(&[
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"t","arguments":"{}"}}]}"#,
        r#"{"tool_calls":[{"index":1,"function":{"name":"t","arguments":"[1]"}}]}"#,
        r#"{"tool_calls":[{"index":2,"id":"call_2","function":{"name":"t","arguments":"[2]"}}]}"#,
    ])
    .await;
    let ids: Vec<_> = calls.iter().map(|call| &*call.id).collect();
    // As if nothing had been streamed.
    assert_eq!(ids, ["a", "call_2", "call_3"]);
    assert_eq!(pieces, [triple("a", "t", "{}")]);
}

#[tokio::test]
async fn characters_that_are_split_come_whole() {
    let (pieces, calls) = of_deltas(&[
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"t","arguments":"{\"a\":\"\ud83d"}}]}"#,
        r#"{"tool_calls":[{"index":0,"function":{"arguments":"\ude00\\ud83d"}}]}"#,
        r#"{"tool_calls":[{"index":0,"function":{"arguments":"\\ude00\"}"}}]}"#,
    ])
    .await;
    assert_eq!(calls, [ToolCall::new("a", "t", json!({"a": "😀😀"}))]);
    assert_eq!(pieces, [triple("a", "t", r#"{"a":"😀\ud83d\ude00"}"#)]);
}

#[tokio::test]
async fn a_turn_that_is_not_whole_shows_pieces_and_has_no_call() {
    for reason in ["length", "content_filter"] {
        let events = whole(vec![
            ok(),
            delta(r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"t","arguments":"{\"a\":"}}]}"#),
            finish(reason),
            done(),
            Step::End,
        ])
        .await;
        let (pieces, calls) = shown(&events);
        assert_eq!(pieces, [triple("a", "t", "{\"a\":")]);
        assert_eq!(calls, []);
    }
}

#[tokio::test]
async fn the_calls_of_a_whole_completion_have_no_pieces() {
    let body = json!({"choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
        "role": "assistant", "content": null,
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "t", "arguments": "{}"}}],
    }}]});
    let json = "content-type: application/json\r\n";
    let (pieces, calls) = shown(&whole(vec![refusal("200 OK", json, &body.to_string())]).await);
    assert_eq!(pieces, []);
    assert_eq!(calls, [ToolCall::new("a", "t", json!({}))]);
}

#[tokio::test]
async fn many_small_pieces_are_joined_the_more_the_longer_the_arguments_are() {
    let arguments = json!({"text": "x\"y\\".repeat(25_000)}).to_string();
    let mut steps = vec![
        ok(),
        delta(r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"t","arguments":""}}]}"#),
    ];
    let mut pieces = 0;
    let mut chunk = Vec::new();
    for piece in arguments.as_bytes().chunks(2) {
        pieces += 1;
        let piece = std::str::from_utf8(piece).unwrap();
        let piece = json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]});
        let event = json!({"choices": [{"index": 0, "delta": piece}]});
        chunk.extend_from_slice(format!("data: {event}\n\n").as_bytes());
    }
    steps.extend(chunk.chunks(100_000).map(|it| Step::Chunk(it.to_vec())));
    steps.extend([finish("tool_calls"), done(), Step::End]);
    let events = whole(steps).await;
    assert!(pieces > 70_000);
    assert!(
        events.len() < 400 + arguments.len() / 128,
        "{}",
        events.len()
    );
    let (shown, calls) = shown(&events);
    assert_eq!(shown, [triple("a", "t", &arguments)]);
    assert_eq!(calls[0].arguments.to_string(), arguments);
    let bytes = |input: bool| -> usize {
        let of = events
            .iter()
            .filter(|it| matches!(it, ChatEvent::ToolInput(_)) == input);
        of.map(|event| event.to_json().len()).sum()
    };
    assert!(
        bytes(true) < 3 * bytes(false), // quotes and backslashes are escaped twice
        "{} {}",
        bytes(true),
        bytes(false)
    );
}
