//! Answers with calls that are cut at every byte: no tool runs on half a call.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tower::ServiceBuilder;
use unbroken::{
    chat::{ChatRequest, ProviderError},
    tools::{Call, ToolLayer, Tools, tool_fn},
};

use crate::{
    claude::{self, CLAUDE},
    gemini::{self, GEMINI},
    responses::{self, GPT_5},
    stub::{Reply, Stub, answer, frames, of_type},
};

const GPT: &str = "gpt-4o-mini";
// With parts that make whole JSON when the rest is cut off.
const ARGUMENTS: [&str; 3] = [r#"{"city":{"#, r#""name":"Oslo"},"#, r#""days":[1,23]}"#];

fn arguments() -> Value {
    serde_json::from_str(&ARGUMENTS.concat()).unwrap()
}

/// Cuts an answer with two calls at each byte. `end` is the first byte after which the turn is whole.
async fn cut_everywhere(model: &str, whole: &str, last: &str, end: usize) {
    let at = Arc::new(AtomicUsize::new(0));
    let breaks = Arc::new(AtomicBool::new(false));
    let (cut_at, is_broken, body) = (Arc::clone(&at), Arc::clone(&breaks), whole.to_owned());
    let last = last.to_owned();
    let stub = Stub::answering(move |asked, _| {
        if asked.body.to_string().contains("snow in Oslo") {
            return Reply::Stream(last.clone());
        }
        let body = body[..cut_at.load(Ordering::SeqCst)].to_owned();
        if is_broken.load(Ordering::SeqCst) {
            Reply::Cut(body)
        } else {
            Reply::Stream(body)
        }
    })
    .await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let weather = tool_fn("weather", "The weather.", move |given: Value, _: Call| {
        assert!(given == arguments() || given == json!({}), "{given}");
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok("snow in Oslo") }
    });
    let provider = ServiceBuilder::new()
        .layer(ToolLayer::new(Tools::new().with(weather)))
        .service(stub.provider(model));
    for cut in 0..=whole.len() {
        // An end as HTTP has it; at every second byte also a connection that breaks.
        let ends: &[bool] = if cut % 2 == 0 {
            &[false]
        } else {
            &[false, true]
        };
        for &broken in ends {
            at.store(cut, Ordering::SeqCst);
            breaks.store(broken, Ordering::SeqCst);
            let (events, error) = answer(provider.clone(), ChatRequest::from_user("Hi")).await;
            let runs = runs.swap(0, Ordering::SeqCst);
            let shown = || format!("{model} cut at {cut} of {}: {events:?}", whole.len());
            if cut < end {
                assert_eq!(
                    (runs, of_type(&events, "tool_calls").len()),
                    (0, 0),
                    "{}",
                    shown()
                );
                assert!(
                    error.as_ref().is_some_and(ProviderError::is_recoverable),
                    "{}",
                    shown()
                );
            } else if error.is_none() {
                assert_eq!(runs, 2, "{}", shown());
                assert_eq!(of_type(&events, "text").last().unwrap()["content"], "Snow.");
            } else {
                // The last bytes may have been lost with the connection.
                assert!(broken && runs == 0, "{}", shown());
            }
        }
    }
    // The control: the whole answer runs both.
    at.store(whole.len(), Ordering::SeqCst);
    breaks.store(false, Ordering::SeqCst);
    let (_, error) = answer(provider, ChatRequest::from_user("Hi")).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn no_tool_runs_on_half_a_call_of_claude() {
    let calls = [
        claude::text(0, &["I look."]),
        claude::tool_use(1, "t1", "weather", &ARGUMENTS),
        claude::tool_use(2, "t2", "weather", &[]),
    ];
    let whole = claude::message(calls, "tool_use");
    let last = claude::message([claude::text(0, &["Snow."])], "end_turn");
    let end = whole.rfind('}').unwrap() + 1;
    cut_everywhere(CLAUDE, &whole, &last, end).await;
}

#[tokio::test]
async fn no_tool_runs_on_half_a_call_of_gemini() {
    let call = |args: Value| json!({"functionCall": {"name": "weather", "args": args}});
    let whole = frames(&[
        gemini::candidate(json!([{"text": "I look."}])),
        gemini::candidate(json!([call(arguments())])),
        gemini::last(json!([call(json!({}))]), "STOP"),
    ]);
    let last = frames(&[gemini::last(json!([{"text": "Snow."}]), "STOP")]);
    let end = whole.rfind('}').unwrap() + 1;
    cut_everywhere(GEMINI, &whole, &last, end).await;
}

#[tokio::test]
async fn no_tool_runs_on_half_a_call_of_chat_completions() {
    let chunk = |delta: Value, reason: Value| json!({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
    let piece = |call: Value| chunk(json!({"tool_calls": [call]}), Value::Null);
    let begin = |index: u32, id: &str| {
        piece(json!({"index": index, "id": id, "function": {"name": "weather", "arguments": ""}}))
    };
    let mut chunks = vec![
        chunk(json!({"content": "I look."}), Value::Null),
        begin(0, "c1"),
    ];
    chunks.extend(ARGUMENTS.map(|it| piece(json!({"index": 0, "function": {"arguments": it}}))));
    chunks.extend([begin(1, "c2"), chunk(json!({}), json!("tool_calls"))]);
    let whole = frames(&chunks) + "data: [DONE]\r\n\r\n";
    let last = frames(&[chunk(json!({"content": "Snow."}), json!("stop"))]);
    let end = whole.rfind('}').unwrap() + 1;
    cut_everywhere(GPT, &whole, &last, end).await;
}

#[tokio::test]
async fn no_tool_runs_on_half_a_call_of_responses() {
    let call = |id: &str, arguments: &str, status: &str| {
        let mut call = responses::call(id, arguments, status);
        call["name"] = "weather".into();
        call
    };
    let first = call("c1", &ARGUMENTS.concat(), "completed");
    let mut events = vec![
        responses::created(),
        responses::delta("output_text", 0, "I look."),
        responses::item("added", 1, call("c1", "", "in_progress")),
    ];
    events.extend(ARGUMENTS.map(|it| responses::delta("function_call_arguments", 1, it)));
    events.push(responses::item("done", 1, first.clone()));
    // The second call comes at the end only.
    events.push(responses::completed(json!([
        {"type": "message", "content": []}, first, call("c2", "{}", "completed"),
    ])));
    let whole = claude::named(&events);
    let last = claude::named(&[
        responses::created(),
        responses::delta("output_text", 0, "Snow."),
        responses::completed(json!([])),
    ]);
    let end = whole.rfind('}').unwrap() + 1;
    cut_everywhere(GPT_5, &whole, &last, end).await;
}
