use futures_util::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use unbroken::chat::{ChatOptions, ChatRequest, ReasoningEffort};

use crate::stub::{KEY, Reply, Stub, answer, of_type};

pub(crate) const CLAUDE: &str = "claude-sonnet-4-5";

/// Returns events with their names, as Anthropic sends them.
pub(crate) fn named(events: &[Value]) -> String {
    let one = |data: &Value| {
        format!(
            "event: {}\ndata: {data}\n\n",
            data["type"].as_str().unwrap()
        )
    };
    events.iter().map(one).collect::<Vec<_>>().concat()
}

pub(crate) fn begin() -> Value {
    json!({"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude-sonnet-4-5-20250929",
        "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 20, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 100,
                  "output_tokens": 1},
    }})
}

pub(crate) fn start(index: u32, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

pub(crate) fn delta(index: u32, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

pub(crate) fn stop(index: u32) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

pub(crate) fn end(reason: &str) -> [Value; 2] {
    let delta = json!({"stop_reason": reason, "stop_sequence": null});
    [
        json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 42}}),
        json!({"type": "message_stop"}),
    ]
}

pub(crate) fn text(index: u32, said: &[&str]) -> Vec<Value> {
    let pieces = said
        .iter()
        .map(|said| delta(index, json!({"type": "text_delta", "text": said})));
    let mut events = vec![start(index, json!({"type": "text", "text": ""}))];
    events.extend(pieces);
    events.push(stop(index));
    events
}

pub(crate) fn thinking(index: u32, thought: &str, signature: [&str; 2]) -> Vec<Value> {
    vec![
        start(
            index,
            json!({"type": "thinking", "thinking": "", "signature": ""}),
        ),
        delta(
            index,
            json!({"type": "thinking_delta", "thinking": thought}),
        ),
        delta(
            index,
            json!({"type": "signature_delta", "signature": signature[0]}),
        ),
        delta(
            index,
            json!({"type": "signature_delta", "signature": signature[1]}),
        ),
        stop(index),
    ]
}

pub(crate) fn redacted(index: u32, data: &str) -> Vec<Value> {
    let block = json!({"type": "redacted_thinking", "data": data});
    vec![start(index, block), stop(index)]
}

pub(crate) fn tool_use(index: u32, id: &str, name: &str, pieces: &[&str]) -> Vec<Value> {
    let block = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
    let mut events = vec![start(index, block)];
    let piece = |json: &&str| {
        delta(
            index,
            json!({"type": "input_json_delta", "partial_json": json}),
        )
    };
    events.extend(pieces.iter().map(piece));
    events.push(stop(index));
    events
}

pub(crate) fn message(blocks: impl IntoIterator<Item = Vec<Value>>, reason: &str) -> String {
    let mut events = vec![begin(), json!({"type": "ping"})];
    events.extend(blocks.into_iter().flatten());
    events.extend(end(reason));
    named(&events)
}

fn signed(data: Value) -> Value {
    json!({"type": "provider_state", "provider": "anthropic", "data": data, "of": "turn"})
}

async fn said(reply: Reply) -> (Vec<Value>, Option<unbroken::chat::ProviderError>) {
    let stub = Stub::new([reply]).await;
    answer(stub.provider(CLAUDE), ChatRequest::from_user("Hi")).await
}

#[tokio::test]
async fn an_answer_is_its_text_with_usage_model_and_reason() {
    let stub = Stub::new([Reply::Stream(message(
        [text(0, &["Hel", "lo."])],
        "end_turn",
    ))])
    .await;
    let (events, error) = answer(stub.provider(CLAUDE), ChatRequest::from_user("Hi")).await;
    assert!(error.is_none(), "{error:?}");
    let usage = json!({"inputTokens": 125, "outputTokens": 42, "cachedInputTokens": 100,
                       "cacheWriteInputTokens": 5});
    assert_eq!(
        events,
        [
            json!({"type": "text", "content": "Hel"}),
            json!({"type": "text", "content": "lo."}),
            json!({"type": "turn", "finishReason": "stop", "usage": usage,
                   "model": "claude-sonnet-4-5-20250929"}),
            json!({"type": "complete", "usage": usage, "finishReason": "stop"}),
        ]
    );
    let asked = stub.asked();
    assert_eq!(asked[0].path, "/v1/messages");
    assert!(asked[0].head.contains(&format!("x-api-key: {KEY}")));
    assert_eq!(
        asked[0].body["messages"],
        json!([{"role": "user", "content": "Hi"}])
    );
}

#[tokio::test]
async fn reasoning_keeps_its_signatures_and_encrypted_blocks_in_their_order() {
    let blocks = [
        redacted(0, "first"),
        thinking(1, "Hm.", ["sig", "-1"]),
        redacted(2, "second"),
        // The text of this one isn't shown.
        vec![
            start(
                3,
                json!({"type": "thinking", "thinking": "", "signature": "sig-2"}),
            ),
            stop(3),
        ],
        thinking(4, "So.", ["sig-", "3"]),
        text(5, &["Yes."]),
        thinking(6, "But.", ["sig-4", ""]),
        text(7, &["No."]),
    ];
    let (events, error) = said(Reply::Stream(message(blocks, "end_turn"))).await;
    assert!(error.is_none(), "{error:?}");
    let block = |data: &str| signed(json!({"block": {"type": "redacted_thinking", "data": data}}));
    let thought = |said: &str| json!({"type": "thinking", "content": said});
    let signature = |data: &str| signed(json!({"signature": data}));
    assert_eq!(
        events[..11],
        [
            block("first"),
            thought("Hm."),
            signature("sig-1"),
            block("second"),
            signature("sig-2"),
            thought("So."),
            signature("sig-3"),
            json!({"type": "text", "content": "Yes."}),
            thought("But."),
            signature("sig-4"),
            json!({"type": "text", "content": "No."}),
        ]
    );
}

#[tokio::test]
async fn calls_come_whole_after_the_pieces_of_their_arguments() {
    let blocks = [
        text(0, &["I look."]),
        tool_use(1, "toolu_1", "weather", &["", r#"{"city": "#, r#""Oslo"}"#]),
        tool_use(2, "toolu_2", "now", &[]),
    ];
    let (events, error) = said(Reply::Stream(message(blocks, "tool_use"))).await;
    assert!(error.is_none(), "{error:?}");
    let inputs: Vec<_> = of_type(&events, "tool_input")
        .iter()
        .map(|it| (it["id"].as_str().unwrap(), it["delta"].as_str().unwrap()))
        .collect();
    assert_eq!(
        inputs,
        [
            ("toolu_1", ""),
            ("toolu_1", r#"{"city": "#),
            ("toolu_1", r#""Oslo"}"#),
            ("toolu_2", ""),
        ]
    );
    assert_eq!(
        of_type(&events, "tool_calls")[0]["calls"],
        json!([
            {"id": "toolu_1", "name": "weather", "arguments": {"city": "Oslo"}},
            {"id": "toolu_2", "name": "now", "arguments": {}},
        ])
    );
    assert_eq!(events.last().unwrap()["finishReason"], "tool_calls");
}

#[tokio::test]
async fn a_turn_that_is_not_whole_calls_nothing() {
    let mut cut = tool_use(0, "toolu_1", "delete", &[r#"{"what": "a"#]);
    cut.pop();
    let whole = tool_use(0, "toolu_1", "delete", &["{}"]);
    for (block, word, reason) in [
        (cut.clone(), "max_tokens", "length"),
        (whole.clone(), "max_tokens", "length"),
        (whole.clone(), "model_context_window_exceeded", "length"),
        (whole.clone(), "refusal", "content_filter"),
        (whole.clone(), "pause_turn", "pause_turn"),
        (whole.clone(), "bored", "bored"),
    ] {
        let (events, error) = said(Reply::Stream(message([block], word))).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(of_type(&events, "tool_calls"), [&Value::Null; 0], "{word}");
        assert_eq!(events.last().unwrap()["finishReason"], reason);
    }
    // The control: the same block of a turn that is whole.
    let (events, _) = said(Reply::Stream(message([whole], "tool_use"))).await;
    assert_eq!(of_type(&events, "tool_calls").len(), 1);
}

#[tokio::test]
async fn a_call_without_the_end_of_its_block_is_cut() {
    let mut open = tool_use(0, "toolu_1", "delete", &[r#"{"what": "a"}"#]);
    open.pop();
    for blocks in [
        vec![open.clone()],
        // The next block doesn't end it.
        vec![open.clone(), text(1, &["Done."])],
        vec![open, tool_use(1, "toolu_2", "now", &[])],
    ] {
        let (events, error) = said(Reply::Stream(message(blocks, "tool_use"))).await;
        assert_eq!(of_type(&events, "tool_calls"), [&Value::Null; 0]);
        assert_eq!(of_type(&events, "complete"), [&Value::Null; 0]);
        assert!(error.expect("the call is cut").is_recoverable());
    }
}

#[tokio::test]
async fn a_thought_without_the_end_of_its_block_keeps_its_signature() {
    let mut open = thinking(0, "Hm.", ["sig", "-1"]);
    open.pop();
    let (events, error) = said(Reply::Stream(message(
        [open, text(1, &["Yes."])],
        "end_turn",
    )))
    .await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(events[1], signed(json!({"signature": "sig-1"})));
    assert_eq!(events[2], json!({"type": "text", "content": "Yes."}));
}

#[tokio::test]
async fn an_end_without_a_reason_is_no_success() {
    let mut events = vec![begin()];
    events.extend(tool_use(0, "toolu_1", "delete", &["{}"]));
    events.push(json!({"type": "message_stop"}));
    let (events, error) = said(Reply::Stream(named(&events))).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(of_type(&events, "tool_calls"), [&Value::Null; 0]);
    assert_eq!(events.last().unwrap()["finishReason"], "unknown");
}

#[tokio::test]
async fn citations_and_searches_of_the_server_are_not_lost() {
    let mut cited = text(2, &["Snow."]);
    let source = json!({"type": "web_search_result_location", "url": "https://example.com/", "title": "Oslo",
                        "cited_text": "It snows", "encrypted_index": "e"});
    cited.insert(
        2,
        delta(2, json!({"type": "citations_delta", "citation": source})),
    );
    let mut search = tool_use(
        0,
        "srvtoolu_1",
        "web_search",
        &[r#"{"query": "#, r#""Oslo"}"#],
    );
    search[0]["content_block"]["type"] = "server_tool_use".into();
    let found =
        json!({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []});
    let blocks = [search, vec![start(1, found.clone()), stop(1)], cited];
    let (events, error) = said(Reply::Stream(message(blocks, "end_turn"))).await;
    assert!(error.is_none(), "{error:?}");
    let search = json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search",
                        "input": {"query": "Oslo"}});
    assert_eq!(
        events[..4],
        [
            signed(json!({"block": search})),
            signed(json!({"block": found})),
            json!({"type": "text", "content": "Snow."}),
            json!({"type": "source", "id": "https://example.com/", "url": "https://example.com/", "title": "Oslo",
                   "quote": "It snows"}),
        ]
    );
}

#[tokio::test]
async fn a_piece_of_an_unknown_kind_is_an_error_that_names_it() {
    let mut block = text(0, &["Hm."]);
    block.insert(2, delta(0, json!({"type": "smell_delta", "smell": "KEY"})));
    let (events, error) = said(Reply::Stream(message([block], "end_turn"))).await;
    assert_eq!(events, [json!({"type": "text", "content": "Hm."})]);
    let error = error.unwrap();
    assert!(error.message().contains("smell_delta"), "{error}");
}

#[tokio::test]
async fn thoughts_are_asked_for_by_the_effort() {
    let stub = Stub::new([
        Reply::Stream(message([], "end_turn")),
        Reply::Stream(message([], "end_turn")),
    ])
    .await;
    let mut request = ChatRequest::from_user("Hi");
    answer(stub.provider(CLAUDE), request.clone()).await;
    request.options = ChatOptions::new().reasoning_effort(ReasoningEffort::Medium);
    answer(stub.provider(CLAUDE), request).await;
    let asked = stub.asked();
    assert_eq!(asked[0].body["thinking"], Value::Null);
    assert_eq!(
        asked[1].body["thinking"],
        json!({"type": "enabled", "budget_tokens": 8000})
    );
}

#[tokio::test]
async fn dropping_the_answer_or_its_future_closes_the_connection() {
    let begun = named(&[[begin()].to_vec(), text(0, &["Hel"])].concat());
    let stub = Stub::new([Reply::Held(begun), Reply::Held(String::new())]).await;
    let provider = stub.provider(CLAUDE);
    let mut answer = provider
        .clone()
        .oneshot(ChatRequest::from_user("Hi"))
        .await
        .unwrap();
    assert!(answer.next().await.unwrap().is_ok());
    drop(answer);
    stub.is_closed().await;

    let future = tokio::spawn(provider.oneshot(ChatRequest::from_user("Hi")));
    while stub.asked().len() < 2 {
        tokio::task::yield_now().await;
    }
    future.abort();
    stub.is_closed().await;
}
