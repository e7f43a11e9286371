use serde_json::{Value, json};
use unbroken::{
    chat::{ChatRequest, ProviderError},
    log::ErrorCode,
};

use crate::stub::{Reply, Stub, answer, frames, of_type, shown};

const GPT: &str = "gpt-4o-mini";

fn choice(delta: Value, reason: Value) -> Value {
    json!({"id": "c", "object": "chat.completion.chunk", "model": "gpt-4o-mini-2024-07-18",
           "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
}

fn done(chunks: &[Value]) -> String {
    frames(chunks) + "data: [DONE]\n\n"
}

async fn said(model: &str, stream: String) -> (Vec<Value>, Option<ProviderError>) {
    let stub = Stub::new([Reply::Stream(stream)]).await;
    answer(stub.provider(model), ChatRequest::from_user("Hi")).await
}

#[tokio::test]
async fn an_answer_has_reasoning_text_usage_model_and_reason() {
    let chunks = [
        choice(json!({"role": "assistant", "content": ""}), Value::Null),
        choice(json!({"reasoning_content": "Hm."}), Value::Null),
        choice(json!({"content": "Hel"}), Value::Null),
        choice(json!({"content": "lo."}), Value::Null),
        choice(json!({}), json!("stop")),
        json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14,
               "prompt_tokens_details": {"cached_tokens": 4},
               "completion_tokens_details": {"reasoning_tokens": 2}}}),
    ];
    let (events, error) = said(GPT, done(&chunks)).await;
    assert!(error.is_none(), "{error:?}");
    let usage =
        json!({"inputTokens": 9, "outputTokens": 5, "cachedInputTokens": 4, "reasoningTokens": 2});
    assert_eq!(
        events,
        [
            json!({"type": "thinking", "content": "Hm."}),
            json!({"type": "text", "content": "Hel"}),
            json!({"type": "text", "content": "lo."}),
            json!({"type": "turn", "finishReason": "stop", "usage": usage,
                   "model": "gpt-4o-mini-2024-07-18"}),
            json!({"type": "complete", "usage": usage, "finishReason": "stop"}),
        ]
    );
}

#[tokio::test]
async fn arguments_come_in_pieces_and_whole() {
    let call = |index: u32, id: Option<&str>, name: &str, piece: &str| {
        let mut call =
            json!({"index": index, "type": "function", "function": {"arguments": piece}});
        if let Some(id) = id {
            call["id"] = id.into();
            call["function"]["name"] = name.into();
        }
        choice(json!({"tool_calls": [call]}), Value::Null)
    };
    let chunks = [
        call(0, Some("c1"), "weather", ""),
        call(0, None, "", r#"{"city":"#),
        call(0, None, "", r#""Oslo"}"#),
        call(1, Some("c2"), "now", ""),
        choice(json!({}), json!("tool_calls")),
    ];
    let (events, error) = said(GPT, done(&chunks)).await;
    assert!(error.is_none(), "{error:?}");
    let pieces = of_type(&events, "tool_input");
    let of_first = pieces.iter().filter(|it| it["id"] == "c1");
    let joined: String = of_first.map(|it| it["delta"].as_str().unwrap()).collect();
    assert_eq!(joined, r#"{"city":"Oslo"}"#);
    assert_eq!(
        of_type(&events, "tool_calls")[0]["calls"],
        json!([
            {"id": "c1", "name": "weather", "arguments": {"city": "Oslo"}},
            {"id": "c2", "name": "now", "arguments": {}},
        ])
    );
    assert_eq!(events.last().unwrap()["finishReason"], "tool_calls");
}

fn piece(index: u64, id: &str, name: &str, arguments: Value) -> Value {
    let function = json!({"name": name, "arguments": arguments});
    json!({"index": index, "id": id, "type": "function", "function": function})
}

fn calling(calls: &[Value]) -> Value {
    choice(json!({"tool_calls": calls}), Value::Null)
}

#[tokio::test]
async fn the_number_of_a_call_is_only_a_number() {
    for index in [0, 7, u64::from(u32::MAX), u64::MAX] {
        let chunks = [
            calling(&[piece(index, "c1", "weather", json!(r#"{"city":"#))]),
            calling(&[piece(1, "c2", "now", json!(""))]),
            calling(&[piece(index, "", "", json!(r#""Oslo"}"#))]),
            choice(json!({}), json!("tool_calls")),
        ];
        let (events, error) = said(GPT, done(&chunks)).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(
            of_type(&events, "tool_calls")[0]["calls"],
            json!([
                {"id": "c1", "name": "weather", "arguments": {"city": "Oslo"}},
                {"id": "c2", "name": "now", "arguments": {}},
            ]),
            "{index}"
        );
    }
}

#[tokio::test]
async fn calls_with_one_number_are_told_apart_by_their_ids() {
    let chunks = [
        choice(
            json!({"content": "I look.", "tool_calls": [
                piece(0, "c1", "weather", json!(r#"{"city":"Oslo"}"#)),
                piece(0, "c2", "weather", json!({"city": "Bern"})),
            ]}),
            Value::Null,
        ),
        choice(json!({}), json!("tool_calls")),
    ];
    let (events, error) = said(GPT, done(&chunks)).await;
    assert!(error.is_none(), "{error:?}");
    // The text of their frame stays before them.
    assert_eq!(events[0], json!({"type": "text", "content": "I look."}));
    assert_eq!(events[1]["type"], "tool_input");
    assert_eq!(
        of_type(&events, "tool_calls")[0]["calls"],
        json!([
            {"id": "c1", "name": "weather", "arguments": {"city": "Oslo"}},
            {"id": "c2", "name": "weather", "arguments": {"city": "Bern"}},
        ])
    );
}

#[tokio::test]
async fn calls_without_end_are_stopped() {
    for (count, fails) in [(256, false), (257, true)] {
        let call = |index| piece(index, &format!("c{index}"), "now", json!("{}"));
        let calls: Vec<_> = (0..count).map(call).collect();
        let chunks = [calling(&calls), choice(json!({}), json!("tool_calls"))];
        let (events, error) = said(GPT, done(&chunks)).await;
        assert_eq!(of_type(&events, "tool_calls").is_empty(), fails);
        assert_eq!(
            error.map(|error| error.code()),
            fails.then_some(ErrorCode::Limit)
        );
    }
    let nameless = calling(&[piece(0, "c1", "", json!("{}"))]);
    let (_, error) = said(GPT, done(&[nameless])).await;
    assert!(error.unwrap().message().contains("can't be understood"));
}

#[tokio::test]
async fn what_genai_leaves_out_is_there_or_an_error() {
    let refusal = [
        choice(json!({"refusal": "I can't."}), Value::Null),
        choice(json!({}), json!("content_filter")),
    ];
    let (events, error) = said(GPT, done(&refusal)).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(events[0], json!({"type": "text", "content": "I can't."}));
    assert_eq!(events.last().unwrap()["finishReason"], "content_filter");

    let called = json!([{"id": "c1", "name": "now", "arguments": {"a": 1}}]);
    let unnumbered = json!({"tool_calls": [{"id": "c1", "function": {"name": "now", "arguments": r#"{"a":1}"#}}]});
    let (events, error) = said(GPT, done(&[choice(unnumbered, json!("tool_calls"))])).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(of_type(&events, "tool_calls")[0]["calls"], called);
    let old = |function: Value| choice(json!({ "function_call": function }), Value::Null);
    let pieces = [
        old(json!({"name": "now", "arguments": r#"{"a""#})),
        old(json!({"arguments": ":1}"})),
        choice(json!({}), json!("function_call")),
    ];
    let (events, error) = said(GPT, done(&pieces)).await;
    assert!(error.is_none(), "{error:?}");
    let calls = &of_type(&events, "tool_calls")[0]["calls"];
    assert_eq!(calls[0]["arguments"], called[0]["arguments"]);
}

#[tokio::test]
async fn a_reason_or_a_frame_that_reports_an_error_is_no_end() {
    for reason in ["error", "network_error", "ERROR"] {
        let chunks = [
            choice(json!({"content": "Hel"}), Value::Null),
            choice(json!({"content": "lo."}), json!(reason)),
        ];
        let (events, error) = said(GPT, done(&chunks)).await;
        let error = error.expect(reason);
        assert!(error.message().contains("reported an error"), "{error}");
        assert!(error.is_recoverable());
        let texts = events.iter().map(|event| &event["content"]);
        assert!(texts.eq(["Hel", "lo."]), "{events:?}");
    }
    for (frame, message, recoverable) in [
        (json!({"detail": "SAID"}), "reported an error", true),
        (
            json!({"type": "error", "code": "insufficient_quota"}),
            "quota",
            false,
        ),
        (
            json!({"errors": [{"code": "invalid_api_key", "message": "SAID"}]}),
            "credentials",
            false,
        ),
        (
            json!({"message": "SAID", "error_code": 429}),
            "asked too much",
            true,
        ),
        (json!({"status": "503", "choices": []}), "has failed", true),
        (json!({"success": false}), "reported an error", true),
        (json!([{"error": {"code": 401}}]), "credentials", false),
        (json!("SAID"), "reported an error", true),
        (json!(7), "can't be understood", true),
    ] {
        let (events, error) = said(GPT, done(std::slice::from_ref(&frame))).await;
        assert!(events.is_empty(), "{frame}: {events:?}");
        let error = error.unwrap_or_else(|| panic!("{frame}"));
        assert!(error.message().contains(message), "{frame}: {error}");
        assert!(!shown(&error).contains("SAID"), "{frame}");
        assert_eq!(error.is_recoverable(), recoverable, "{frame}");
    }
    let named = "event: error\ndata: {\"id\": 1}\n\ndata: [DONE]\n\n";
    let (_, error) = said(GPT, named.to_owned()).await;
    assert!(error.unwrap().message().contains("reported an error"));
}

#[tokio::test]
async fn media_of_the_model_are_passed_on_or_errors_that_name_them() {
    let url = "data:image/png;base64,UE5H";
    let picture = json!([{"type": "image_url", "image_url": {"url": url}}]);
    let chunk = choice(json!({ "images": picture }), json!("stop"));
    let (events, error) = said(GPT, done(&[chunk])).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(
        events[0],
        json!({"type": "media", "mediaType": "image/png", "url": url})
    );
    // The format is the one that the request asks for.
    let sound = json!({"id": "a", "data": "UE5H", "transcript": "Hello."});
    let chunks = done(&[choice(json!({ "audio": sound }), json!("stop"))]);
    let (_, error) = said(GPT, chunks.clone()).await;
    let error = error.expect("a format that nobody knows");
    assert!(error.message().contains("a sound"), "{error}");
    let mut request = ChatRequest::from_user("Hi");
    let asked = json!({"voice": "alloy", "format": "opus"});
    request
        .options
        .provider_fields
        .insert("audio".into(), asked);
    let stub = Stub::new([Reply::Stream(chunks)]).await;
    let (events, error) = answer(stub.provider(GPT), request).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(events[0], json!({"type": "text", "content": "Hello."}));
    assert_eq!(
        events[1],
        json!({"type": "media", "mediaType": "audio/opus", "url": "data:audio/opus;base64,UE5H"})
    );
    for name in ["images", "audio"] {
        for nothing in [json!(null), json!([]), json!({}), json!("")] {
            let chunk = choice(json!({ name: nothing, "content": "Hi." }), json!("stop"));
            let (events, error) = said(GPT, done(&[chunk])).await;
            assert!(error.is_none(), "{error:?}");
            assert_eq!(events.last().unwrap()["finishReason"], "stop");
        }
    }
}

#[tokio::test]
async fn what_says_nothing_is_dropped() {
    let call = piece(0, "c1", "now", json!("{}"));
    for nothing in [
        json!(null),
        json!({}),
        json!(7),
        json!({"index": 0, "function": null}),
    ] {
        let chunks = [
            calling(&[nothing.clone(), call.clone()]),
            choice(json!({"tool_calls": [nothing]}), json!("tool_calls")),
        ];
        let (events, error) = said(GPT, done(&chunks)).await;
        assert!(error.is_none(), "{nothing}: {error:?}");
        assert_eq!(
            of_type(&events, "tool_calls")[0]["calls"],
            json!([{"id": "c1", "name": "now", "arguments": {}}])
        );
    }
    let pings = format!(
        "data: ping\n\n{}data: null\n\ndata: [DONE] now\n\n",
        frames(&[choice(json!({"content": "Hi."}), Value::Null)])
    );
    let (events, error) = said(GPT, pings).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(events[0], json!({"type": "text", "content": "Hi."}));
    assert_eq!(events.last().unwrap()["finishReason"], "unknown");
}

#[tokio::test]
async fn frames_that_genai_does_not_read_are_read() {
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 5});
    for nothing in [json!(null), json!(false), json!("")] {
        let with_error = |mut chunk: Value| {
            chunk["error"] = nothing.clone();
            chunk
        };
        let mut last = choice(json!({}), json!("tool_calls"));
        last["usage"] = usage.clone();
        let call = piece(0, "c1", "now", json!("{}"));
        let chunks = [
            choice(json!({"reasoning": "Hm.", "content": "Hel"}), Value::Null),
            choice(json!({"content": "lo.", "tool_calls": [call]}), Value::Null),
            last,
        ];
        let (events, error) = said(GPT, done(&chunks.clone().map(with_error))).await;
        assert!(error.is_none(), "{error:?}");
        // As without the member.
        let (expected, _) = said(GPT, done(&chunks)).await;
        assert_eq!(events, expected);
        assert_eq!(
            events.last().unwrap()["usage"],
            json!({"inputTokens": 9, "outputTokens": 5})
        );
    }
    let mut whole = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."},
                           "finish_reason": "stop"}], "usage": usage});
    // Nothing follows that genai could count at.
    let (events, error) = said(GPT, frames(std::slice::from_ref(&whole))).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(events[0], json!({"type": "text", "content": "Hi."}));
    assert_eq!(
        events.last().unwrap()["usage"],
        json!({"inputTokens": 9, "outputTokens": 5})
    );
    whole["choices"][0]["message"]["content"] = json!([{"type": "text", "text": "Hi."}]);
    let (events, error) = said(GPT, done(&[whole])).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(events[0], json!({"type": "text", "content": "Hi."}));
}

#[tokio::test]
async fn an_end_needs_a_reason_or_done() {
    let text = choice(json!({"content": "Hel"}), Value::Null);
    let stopped = [text.clone(), choice(json!({}), json!("stop"))];
    let (events, error) = said(GPT, frames(&stopped)).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(events.last().unwrap()["finishReason"], "stop");
    let (events, error) = said(GPT, done(std::slice::from_ref(&text))).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(events.last().unwrap()["finishReason"], "unknown");
    let (events, error) = said(GPT, frames(&[text])).await;
    assert_eq!(events.len(), 1);
    assert!(error.unwrap().is_recoverable());
}

#[tokio::test]
async fn an_answer_of_ollama_is_cut_without_its_end_and_fails_as_it_says() {
    let line = |said: &str, done: bool| {
        let mut line = json!({"model": "qwen3", "message": {"role": "assistant", "content": said}, "done": done});
        if done {
            line["done_reason"] = "stop".into();
            line["prompt_eval_count"] = 3.into();
            line["eval_count"] = 4.into();
        }
        line.to_string() + "\n"
    };
    let (events, error) = said("ollama::qwen3", line("Hel", false) + &line("lo.", true)).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(
        events.last().unwrap()["usage"],
        json!({"inputTokens": 3, "outputTokens": 4})
    );
    let (events, error) = said("ollama::qwen3", line("Hel", false)).await;
    assert_eq!(events, [json!({"type": "text", "content": "Hel"})]);
    let error = error.unwrap();
    assert!(error.message().contains("cut off") && error.is_recoverable());
    let failed = line("Hel", false) + &json!({"error": "SAID"}).to_string() + "\n";
    let (events, error) = said("ollama::qwen3", failed).await;
    assert_eq!(events.len(), 1);
    let error = error.unwrap();
    assert!(error.message().contains("reported an error"), "{error}");
    assert!(!shown(&error).contains("SAID"));
}

#[tokio::test]
async fn annotations_and_citations_are_sources_once_for_each_place() {
    let cited = |start: u64, end: u64| {
        json!({"type": "url_citation", "url_citation": {
            "url": "https://a.b/c", "title": "A page", "content": "words", "start_index": start, "end_index": end}})
    };
    let flat = json!({"type": "url_citation", "url": "https://a.b/d", "title": null});
    let odd = json!({"type": "file_citation"});
    let annotated = |list: Value| choice(json!({"annotations": list}), Value::Null);
    let mut addresses = choice(json!({"content": "Hi"}), Value::Null);
    addresses["citations"] = json!(["https://a.b/d", "https://a.b/e"]);
    let chunks = [
        annotated(json!([cited(0, 0), cited(1, 4), flat, odd, 7])),
        annotated(json!([cited(1, 4)])),
        annotated(Value::Null),
        addresses.clone(),
        addresses,
        choice(json!({}), json!("stop")),
    ];
    let (events, error) = said(GPT, done(&chunks)).await;
    assert!(error.is_none(), "{error:?}");
    let page = |at: Option<Value>| {
        let mut page = json!({"type": "source", "id": "https://a.b/c", "url": "https://a.b/c",
                              "title": "A page", "quote": "words"});
        if let Some(at) = at {
            page["at"] = at;
        }
        page
    };
    let link = |url: &str| json!({"type": "source", "id": url, "url": url});
    assert_eq!(
        of_type(&events, "source"),
        [
            &page(None),
            &page(Some(json!({"start": 1, "end": 4}))),
            &link("https://a.b/d"),
            &link("https://a.b/e"),
        ]
    );

    let whole = json!({"choices": [{"index": 0, "finish_reason": "stop",
        "message": {"content": "Hi", "annotations": [cited(1, 4)]}}]});
    let (events, error) = said(GPT, done(&[whole])).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(of_type(&events, "source").len(), 1);
}

#[tokio::test]
async fn a_signature_that_can_not_be_handed_back_is_an_error_that_names_it() {
    let mut call = piece(0, "c1", "weather", json!("{}"));
    call["extra_content"] = json!({"google": {"thought_signature": "s"}});
    let (events, error) = said(GPT, done(&[calling(&[call.clone()])])).await;
    assert_eq!(of_type(&events, "tool_calls").len(), 0);
    let error = error.expect("an error");
    assert!(error.message().contains("`extra_content`"), "{error}");
    assert!(!error.is_recoverable());
    call["extra_content"] = json!({});
    let (events, error) = said(
        GPT,
        done(&[calling(&[call]), choice(json!({}), json!("stop"))]),
    )
    .await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(of_type(&events, "tool_calls").len(), 1);
}
