use serde_json::{Value, json};
use unbroken::chat::{ChatRequest, ProviderError};

use crate::{
    claude::named,
    stub::{Reply, Stub, answer, of_type},
};

pub(crate) const GPT_5: &str = "gpt-5-mini";

async fn said(events: &[Value]) -> (Vec<Value>, Option<ProviderError>) {
    let stub = Stub::new([Reply::Stream(named(events))]).await;
    answer(stub.provider(GPT_5), ChatRequest::from_user("Hi")).await
}

pub(crate) fn created() -> Value {
    json!({"type": "response.created", "response": {"id": "r", "model": "gpt-5-mini-2025-08-07",
           "status": "in_progress", "output": []}})
}

pub(crate) fn ended(kind: &str, response: Value) -> Value {
    json!({"type": format!("response.{kind}"), "response": response})
}

pub(crate) fn completed(output: Value) -> Value {
    let usage = json!({"input_tokens": 3, "output_tokens": 4, "total_tokens": 7});
    ended(
        "completed",
        json!({"id": "r", "model": "gpt-5-mini", "status": "completed", "output": output, "usage": usage}),
    )
}

pub(crate) fn delta(kind: &str, index: u32, said: &str) -> Value {
    json!({"type": format!("response.{kind}.delta"), "output_index": index, "content_index": 0,
           "summary_index": 0, "delta": said})
}

pub(crate) fn item(kind: &str, index: u32, item: Value) -> Value {
    json!({"type": format!("response.output_item.{kind}"), "output_index": index, "item": item})
}

pub(crate) fn call(id: &str, arguments: &str, status: &str) -> Value {
    json!({"type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": "now",
           "arguments": arguments, "status": status})
}

fn message(said: &str) -> Value {
    json!({"type": "message", "id": "msg_1", "role": "assistant",
           "content": [{"type": "output_text", "text": said, "annotations": []}]})
}

fn texts(events: &[Value], kind: &str) -> String {
    let pieces = of_type(events, kind);
    pieces
        .iter()
        .map(|it| it["content"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn responses_of_openai_keep_encrypted_reasoning_and_know_a_cut() {
    let reasoning =
        json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "enc-1"});
    let call = json!({"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "now", "arguments": "{}",
                      "status": "completed"});
    let mut added = call.clone();
    added["arguments"] = "".into();
    let completed = json!({"type": "response.completed", "response": {"id": "r", "model": "gpt-5-mini", "status": "completed",
        "output": [reasoning, call],
        "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}}});
    let events = [
        created(),
        json!({"type": "response.output_item.added", "output_index": 0, "item": reasoning}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": reasoning}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": added}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 1, "item_id": "fc_1",
               "delta": "{}"}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": call}),
        completed,
    ];
    let stub = Stub::new([
        Reply::Stream(named(&events)),
        Reply::Stream(named(&events[..6])),
    ])
    .await;
    let (said, error) = answer(stub.provider(GPT_5), ChatRequest::from_user("Hi")).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(
        of_type(&said, "provider_state"),
        [
            &json!({"type": "provider_state", "provider": "openai_resp", "data": {"signature": "enc-1"},
                 "of": "turn"})
        ]
    );
    assert_eq!(
        of_type(&said, "tool_calls")[0]["calls"],
        json!([{"id": "c1", "name": "now", "arguments": {}}])
    );
    let (said, error) = answer(stub.provider(GPT_5), ChatRequest::from_user("Hi")).await;
    assert_eq!(of_type(&said, "tool_calls").len(), 0);
    assert!(error.unwrap().is_recoverable());
}

#[tokio::test]
async fn what_only_the_whole_output_has_is_said_once() {
    let reasoning = json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}, {"type": "summary_text", "text": "So."}],
                           "content": [{"type": "reasoning_text", "text": "Deep."}], "encrypted_content": "e"});
    let picture = json!({"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "UE5H", "output_format": "png"});
    let mut cited = message("Hello.");
    cited["content"][0]["annotations"] =
        json!([{"type": "url_citation", "url": "https://a.b", "start_index": 0, "end_index": 5}]);
    let output = [reasoning, cited, picture];
    let streamed = |index: u32, item_of: &Value| {
        let mut begun = item_of.clone();
        for whole in ["summary", "content", "encrypted_content", "result"] {
            begun.as_object_mut().unwrap().remove(whole);
        }
        [
            item("added", index, begun),
            item("done", index, item_of.clone()),
        ]
    };
    let mut pieces = vec![created()];
    pieces.extend(streamed(0, &output[0]));
    pieces.extend([
        streamed(1, &output[1])[0].clone(),
        delta("output_text", 1, "Hel"),
        delta("output_text", 1, "lo."),
        json!({"type": "response.output_text.done", "output_index": 1, "content_index": 0, "text": "Hello."}),
        json!({"type": "response.output_text.annotation.added", "output_index": 1, "content_index": 0,
               "annotation": output[1]["content"][0]["annotations"][0]}),
        streamed(1, &output[1])[1].clone(),
    ]);
    pieces.extend(streamed(2, &output[2]));
    pieces.push(completed(json!(output)));
    let alone = [created(), completed(json!(output))];
    let half = [
        created(),
        delta("reasoning_summary_text", 0, "H"),
        streamed(0, &output[0])[1].clone(),
        delta("output_text", 1, "Hel"),
        completed(json!(output)),
    ];
    for events in [&alone[..], &pieces, &half] {
        let (events, error) = said(events).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(texts(&events, "thinking"), "Hm.\n\nSo.Deep.");
        assert_eq!(texts(&events, "text"), "Hello.");
        let state = of_type(&events, "provider_state");
        assert_eq!(
            (state.len(), &state[0]["data"]),
            (1, &json!({"signature": "e"}))
        );
        let media = of_type(&events, "media");
        assert_eq!(
            (media.len(), &media[0]["url"]),
            (1, &json!("data:image/png;base64,UE5H"))
        );
        let sources = of_type(&events, "source");
        assert_eq!(
            (sources.len(), &sources[0]["at"]),
            (1, &json!({"start": 0, "end": 5}))
        );
        let end = events.last().unwrap();
        assert_eq!(end["finishReason"], "stop");
        assert_eq!(end["usage"], json!({"inputTokens": 3, "outputTokens": 4}));
    }
}

#[tokio::test]
async fn calls_may_come_at_the_end_only_and_are_run_once() {
    let whole = call("c1", r#"{"a":1}"#, "completed");
    let begun = call("c1", "", "in_progress");
    let done = completed(json!([whole]));
    let arguments = |piece: &str| json!({"type": "response.function_call_arguments.delta", "output_index": 0, "item_id": "fc_c1", "delta": piece});
    let shapes = [
        vec![created(), done.clone()],
        vec![created(), item("done", 0, whole.clone()), done.clone()],
        vec![created(), item("added", 0, begun.clone()), done.clone()],
        vec![
            created(),
            item("added", 0, begun.clone()),
            arguments(r#"{"a":"#),
            done.clone(),
        ],
        vec![
            created(),
            arguments(r#"{"a":"#),
            item("done", 0, whole.clone()),
            done.clone(),
        ],
        vec![
            created(),
            item("added", 0, begun.clone()),
            arguments(r#"{"b":2}"#),
            json!({"type": "response.function_call_arguments.done", "output_index": 0, "arguments": r#"{"a":1}"#}),
            item("done", 0, whole.clone()),
            done.clone(),
        ],
    ];
    for events in &shapes {
        let (said, error) = said(events).await;
        assert!(error.is_none(), "{error:?} {events:?}");
        let calls = of_type(&said, "tool_calls");
        assert_eq!(calls.len(), 1);
        assert_eq!(
            calls[0]["calls"],
            json!([{"id": "c1", "name": "now", "arguments": {"a": 1}}]),
            "{events:?}"
        );
    }
    // A call that isn't told whole, though the response is.
    for events in [
        vec![
            created(),
            item("added", 0, begun.clone()),
            arguments("{}"),
            completed(json!([])),
        ],
        vec![created(), arguments("{}"), completed(json!([]))],
        vec![created(), completed(json!([call("c1", "{", "incomplete")]))],
    ] {
        let (said, error) = said(&events).await;
        assert_eq!(of_type(&said, "tool_calls").len(), 0);
        assert!(error.expect("the call is cut").is_recoverable());
    }
    let waits =
        json!({"type": "computer_call", "id": "cu", "call_id": "c2", "status": "completed"});
    let (_, error) = said(&[created(), completed(json!([waits]))]).await;
    assert!(error.unwrap().message().contains("computer_call"));
}

#[tokio::test]
async fn each_end_is_the_one_that_it_says() {
    let output = json!([message("Hi."), call("c1", "{}", "completed")]);
    let with = |kind: &str, response: Value| {
        let mut response = response;
        response["output"] = output.clone();
        [created(), ended(kind, response)]
    };
    let incomplete =
        |reason: Value| json!({"status": "incomplete", "incomplete_details": {"reason": reason}});
    for (events, finish, calls) in [
        (
            with("completed", json!({"status": "completed"})),
            "tool_calls",
            1,
        ),
        (with("completed", json!({})), "tool_calls", 1),
        (
            with("done", json!({"status": "completed"})),
            "tool_calls",
            1,
        ),
        (
            with("done", incomplete(json!("max_output_tokens"))),
            "length",
            0,
        ),
        (
            with("completed", incomplete(json!("content_filter"))),
            "content_filter",
            0,
        ),
        (
            with("incomplete", incomplete(json!("max_output_tokens"))),
            "length",
            0,
        ),
        (with("incomplete", incomplete(json!("stop"))), "unknown", 0),
        (with("incomplete", json!({})), "unknown", 0),
        (
            with(
                "completed",
                json!({"status": "completed", "incomplete_details": {"reason": "max_output_tokens"}}),
            ),
            "length",
            0,
        ),
        (with("incomplete", incomplete(json!(7))), "unknown", 0),
    ] {
        let (said, error) = said(&events).await;
        assert!(error.is_none(), "{error:?} {events:?}");
        assert_eq!(said.last().unwrap()["finishReason"], finish, "{events:?}");
        assert_eq!(of_type(&said, "tool_calls").len(), calls, "{events:?}");
        assert_eq!(texts(&said, "text"), "Hi.");
    }
    let error = json!({"code": "invalid_prompt", "message": "SAID"});
    for (events, message, recoverable) in [
        (
            with("cancelled", json!({"status": "cancelled"})),
            "told to stop",
            true,
        ),
        (
            with("done", json!({"status": "cancelled"})),
            "told to stop",
            true,
        ),
        (with("failed", json!({"error": error})), "refused", false),
        (with("completed", json!({"error": error})), "refused", false),
        (
            with("done", json!({"status": "failed"})),
            "reported an error",
            true,
        ),
        (
            with("done", json!({"status": "in_progress"})),
            "cut off",
            true,
        ),
        (
            with("completed", json!({"status": "in_progress"})),
            "cut off",
            true,
        ),
        (
            with("incomplete", incomplete(json!("server_error"))),
            "reported an error",
            true,
        ),
        (
            [created(), json!({"type": "response.error", "error": error})],
            "refused",
            false,
        ),
        (
            [
                created(),
                json!({"type": "error", "code": "invalid_prompt", "message": "SAID"}),
            ],
            "refused",
            false,
        ),
        (
            [created(), json!({"type": "response.completed"})],
            "cut off",
            true,
        ),
        (
            [created(), json!({"type": "odd", "detail": "SAID"})],
            "reported an error",
            true,
        ),
    ] {
        let (said, error) = said(&events).await;
        let error = error.unwrap_or_else(|| panic!("{events:?}"));
        assert!(error.message().contains(message), "{events:?}: {error}");
        assert_eq!(error.is_recoverable(), recoverable, "{events:?}");
        assert!(!crate::stub::shown(&error).contains("SAID"), "{events:?}");
        assert_eq!(of_type(&said, "tool_calls").len(), 0);
    }
}

#[tokio::test]
async fn bookkeeping_in_odd_types_does_not_decide() {
    let mut end = completed(json!([]));
    end["response"]["usage"] = json!({"input_tokens": "3", "output_tokens": 4.0,
        "input_tokens_details": [], "output_tokens_details": {"reasoning_tokens": "2"}});
    let events = [
        json!({"type": "response.created", "response": 7}),
        json!({"type": "response.something.new", "delta": {"a": [1]}}),
        json!({"type": "response.output_text.delta", "output_index": "0", "content_index": null, "delta": "Hel"}),
        json!({"type": "response.output_text.delta", "output_index": 0, "delta": ["x"]}),
        json!({"type": "response.output_item.added", "output_index": 1}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": {"type": "new_thing", "id": 7}}),
        json!({"type": "response.refusal.delta", "output_index": 0, "content_index": 0, "delta": "lo."}),
        json!({"type": "codex.rate_limits"}),
        end,
    ];
    let (said, error) = said(&events).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(texts(&said, "text"), "Hello.");
    assert_eq!(
        said.last().unwrap()["usage"],
        json!({"inputTokens": 3, "outputTokens": 4, "reasoningTokens": 2})
    );
}

#[tokio::test]
async fn items_with_one_index_are_told_apart_by_their_ids() {
    let whole = |id: &str, a: u32| call(id, &json!({ "a": a }).to_string(), "completed");
    let mut events = vec![created()];
    for (id, a) in [("c1", 1), ("c2", 2)] {
        events.push(item("added", 0, call(id, "", "in_progress")));
        events.push(item("done", 0, whole(id, a)));
    }
    events.push(completed(json!([whole("c1", 1), whole("c2", 2)])));
    let (said, error) = said(&events).await;
    assert!(error.is_none(), "{error:?}");
    let calls = of_type(&said, "tool_calls")[0]["calls"].as_array().unwrap();
    let found: Vec<_> = calls
        .iter()
        .map(|call| (&call["id"], &call["arguments"]["a"]))
        .collect();
    assert_eq!(
        found,
        [(&json!("c1"), &json!(1)), (&json!("c2"), &json!(2))]
    );
}
