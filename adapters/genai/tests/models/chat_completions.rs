//! What servers of Chat Completions send, beyond the shapes.

use std::time::Duration;

use serde_json::{Value, json};
use unbroken::chat::{ChatRequest, ProviderError};

use crate::stub::{Reply, Stub, answer, frames, of_type, shown};

const GPT: &str = "gpt-4o-mini";

fn choice(delta: Value, reason: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
}

fn text(said: &str) -> Value {
    choice(json!({ "content": said }), Value::Null)
}

async fn said(chunks: &[Value]) -> (Vec<Value>, Option<ProviderError>) {
    let body = frames(chunks) + "data: [DONE]\n\n";
    let stub = Stub::new([Reply::Stream(body)]).await;
    answer(stub.provider(GPT), ChatRequest::from_user("Hi")).await
}

fn joined(events: &[Value]) -> String {
    let texts = of_type(events, "text");
    texts
        .iter()
        .map(|it| it["content"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_piece_goes_on_with_the_call_that_it_belongs_to() {
    let piece = |index: Value, id: Value, name: Value, arguments: Value| {
        let function = json!({"name": name, "arguments": arguments});
        json!({"index": index, "id": id, "function": function})
    };
    let calls = |list: &[Value]| choice(json!({ "tool_calls": list }), Value::Null);
    let begin = piece(json!(0), json!("a"), json!("now"), json!(r#"{"x":"#));
    let found = json!([{"id": "a", "name": "now", "arguments": {"x": 1}}]);
    for rest in [
        // Another id and no name.
        piece(json!(0), json!("b"), Value::Null, json!("1}")),
        piece(json!(0), json!("b"), json!(""), json!("1}")),
        piece(json!(0), json!(""), json!("now"), json!("1}")),
        piece(json!("0"), json!("a"), json!("now"), json!("1}")),
        piece(Value::Null, Value::Null, Value::Null, json!("1}")),
        piece(json!([]), json!({}), json!([]), json!("1}")),
        piece(json!(0.0), Value::Null, Value::Null, json!("1}")),
    ] {
        let chunks = [
            calls(std::slice::from_ref(&begin)),
            calls(std::slice::from_ref(&rest)),
            choice(json!({}), json!("stop")),
        ];
        let (events, error) = said(&chunks).await;
        assert!(error.is_none(), "{rest}: {error:?}");
        assert_eq!(of_type(&events, "tool_calls")[0]["calls"], found, "{rest}");
        let shown = of_type(&events, "tool_input");
        let shown: String = shown
            .iter()
            .map(|it| it["delta"].as_str().unwrap())
            .collect();
        assert_eq!(shown, r#"{"x":1}"#, "{rest}");
    }
    // Names that come later, numbers as ids, and calls without an id of which each is whole.
    let later = [
        calls(&[piece(json!(0), json!(7), Value::Null, json!("{"))]),
        calls(&[piece(json!(0), Value::Null, json!("now"), json!("}"))]),
        choice(json!({}), json!("stop")),
    ];
    let (events, error) = said(&later).await;
    assert!(error.is_none(), "{error:?}");
    let found = json!([{"id": "7", "name": "now", "arguments": {}}]);
    assert_eq!(of_type(&events, "tool_calls")[0]["calls"], found);
    let shown: Vec<_> = of_type(&events, "tool_input");
    assert_eq!(
        (&shown[0]["name"], &shown[0]["delta"]),
        (&json!("now"), &json!("{"))
    );
    let whole = |x: u32| piece(json!(0), json!(""), json!("now"), json!({ "x": x }));
    let (events, error) = said(&[
        calls(&[whole(1), whole(2)]),
        calls(&[whole(3)]),
        choice(json!({}), json!("stop")),
    ])
    .await;
    assert!(error.is_none(), "{error:?}");
    let calls = of_type(&events, "tool_calls")[0]["calls"]
        .as_array()
        .unwrap();
    let found: Vec<_> = calls.iter().map(|call| &call["arguments"]["x"]).collect();
    assert_eq!(found, [1, 2, 3]);
    let ids: std::collections::HashSet<_> =
        calls.iter().map(|call| call["id"].to_string()).collect();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn an_error_in_any_place_is_one() {
    let error = json!({"message": "SAID", "code": "invalid_api_key"});
    let beside = |error: &Value| {
        let mut chunk = text("lo.");
        chunk["choices"][0]["error"] = error.clone();
        chunk
    };
    for (chunk, recoverable) in [
        (
            json!({"x_groq": {"id": "r", "error": error}, "choices": []}),
            false,
        ),
        (json!({"x_groq": {"error": "SAID"}}), true),
        (beside(&error), false),
        (beside(&json!("SAID")), true),
        (json!({"choices": [], "error": error}), false),
        (
            json!({"choices": null, "code": 401, "message": "SAID"}),
            false,
        ),
        (choice(json!({}), json!("failed")), true),
        (choice(json!({}), json!("internal_error")), true),
        (choice(json!({}), json!("INTERNAL ERROR")), true),
    ] {
        let (events, error) = said(&[text("Hel"), chunk.clone()]).await;
        let error = error.unwrap_or_else(|| panic!("{chunk}: {events:?}"));
        assert_eq!(error.is_recoverable(), recoverable, "{chunk}: {error}");
        assert!(!shown(&error).contains("SAID"), "{chunk}");
        // What the answer has is told before.
        assert!(joined(&events).starts_with("Hel"), "{chunk}");
    }
    for nothing in [json!(null), json!(""), json!(false)] {
        let stop = choice(json!({}), json!("stop"));
        let (events, error) = said(&[
            beside(&nothing),
            json!({"x_groq": {"error": nothing}}),
            stop,
        ])
        .await;
        assert!(error.is_none(), "{nothing}: {error:?}");
        assert_eq!(joined(&events), "lo.");
    }
}

#[tokio::test]
async fn a_turn_that_is_not_whole_does_not_become_so() {
    let call = json!([{"index": 0, "id": "a", "function": {"name": "now", "arguments": "{}"}}]);
    for (reasons, finish, calls) in [
        (["length", "stop"], "length", 0),
        (["content_filter", "tool_calls"], "content_filter", 0),
        (["bored", "stop"], "bored", 0),
        (["stop", "length"], "length", 0),
        (["stop", "tool_calls"], "tool_calls", 1),
    ] {
        let mut chunks = vec![choice(json!({ "tool_calls": call }), Value::Null)];
        chunks.extend(reasons.map(|reason| choice(json!({}), json!(reason))));
        let (events, error) = said(&chunks).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(
            events.last().unwrap()["finishReason"],
            finish,
            "{reasons:?}"
        );
        assert_eq!(of_type(&events, "tool_calls").len(), calls, "{reasons:?}");
    }
}

#[tokio::test]
async fn one_choice_is_read() {
    let of = |index: Value, said: &str, reason: Value| json!({"index": index, "delta": {"content": said}, "finish_reason": reason});
    let chunk = |choices: Value| json!({ "choices": choices });
    for (chunks, text) in [
        (vec![chunk(json!([of(json!(1), "b", json!("stop"))]))], "b"),
        (
            vec![
                chunk(json!([of(json!(2), "c", Value::Null)])),
                chunk(json!([of(json!(1), "b", json!("length"))])),
                chunk(json!([of(json!(2), "d", json!("stop"))])),
            ],
            "cd",
        ),
        (
            vec![chunk(json!([
                of(json!(1), "b", json!("length")),
                of(json!(0), "a", json!("stop"))
            ]))],
            "a",
        ),
        (
            vec![chunk(json!([
                of(json!("0"), "a", Value::Null),
                of(json!([]), "b", Value::Null),
                of(json!(-1), "c", json!("stop"))
            ]))],
            "abc",
        ),
    ] {
        let (events, error) = said(&chunks).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(joined(&events), text, "{chunks:?}");
        assert_eq!(events.last().unwrap()["finishReason"], "stop", "{chunks:?}");
    }
}

#[tokio::test]
async fn usage_is_read_wherever_it_stands() {
    let counts = json!({"prompt_tokens": "9", "completion_tokens": 5.0,
                        "completion_tokens_details": {"reasoning_tokens": "2"}});
    let mut beside = text("Hi");
    beside["usage"] = counts.clone();
    let mut of_choice = text("Hi");
    of_choice["choices"][0]["usage"] = counts.clone();
    let of_groq = json!({"choices": [], "x_groq": {"id": "r", "usage": counts}, "usage": null});
    for chunk in [beside, of_choice, of_groq, json!({ "usage": counts })] {
        let (events, error) = said(&[chunk.clone(), choice(json!({}), json!("stop"))]).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(
            events.last().unwrap()["usage"],
            json!({"inputTokens": 9, "outputTokens": 5, "reasoningTokens": 2}),
            "{chunk}"
        );
    }
    // xAI counts reasoning beside the output.
    let of_xai = json!({"usage": {"prompt_tokens": 9, "completion_tokens": 35,
                        "completion_tokens_details": {"reasoning_tokens": 192}}});
    let (events, _) = said(&[of_xai, choice(json!({}), json!("stop"))]).await;
    assert_eq!(events.last().unwrap()["usage"]["outputTokens"], 227);
}

#[tokio::test]
async fn a_whole_answer_stays_whole_whatever_follows() {
    let whole = frames(&[text("Hi"), choice(json!({}), json!("stop"))]);
    let usage = r#"data: {"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
    let stub = Stub::new([
        Reply::Cut(format!("{whole}{usage}\n\ndata: {{\"choices\"")),
        Reply::Stream(format!("{whole}{usage}\n\nevent: error\n\n")),
        Reply::Held(format!("{whole}{usage}\n\n")),
    ])
    .await;
    let provider = stub.provider(GPT).idle_timeout(Duration::from_secs(3600));
    for _ in 0..3 {
        let answer = answer(provider.clone(), ChatRequest::from_user("Hi"));
        // A server that leaves its stream open is left after a second.
        let answer = tokio::time::timeout(Duration::from_secs(60), answer).await;
        let (events, error) = answer.expect("the answer ends");
        assert!(error.is_none(), "{error:?}");
        let end = events.last().unwrap();
        assert_eq!(
            (&end["finishReason"], &end["usage"]["outputTokens"]),
            (&json!("stop"), &json!(2))
        );
    }
    stub.is_closed().await;
    // The control: what is wrong with these bytes before the finish reason.
    let begun = frames(&[text("Hi")]);
    let stub = Stub::new([
        Reply::Cut(format!("{begun}{usage}\n\ndata: {{\"choices\"")),
        Reply::Stream(format!("{begun}{usage}\n\nevent: error\n\n")),
    ])
    .await;
    for _ in 0..2 {
        let (_, error) = answer(stub.provider(GPT), ChatRequest::from_user("Hi")).await;
        assert_eq!(error.unwrap().usage().unwrap().output_tokens, 2);
    }
}
