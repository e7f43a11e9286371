//! The ends of turns, and what a server must be handed back.

use futures_util::StreamExt;
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt};
use unbroken::{
    chat::{
        ChatEvent, ChatRequest, Complete, FinishReason, ProviderState, ProviderStateEvent, StateOf,
        ToolCall, ToolInput, Transcript, TurnEnd, Usage,
    },
    provider::{Ollama, OpenAi},
    tools::{ToolLayer, Tools, tool_fn},
};

use crate::stub::{Step, Stub, data, delta, done, finish, ok, serve, serve_in_turn, text};

pub(crate) fn openai(stub: &Stub) -> OpenAi {
    let builder = OpenAi::builder().base_url(stub.url("/v1")).model("small");
    builder.build().unwrap()
}

fn state(of: StateOf, data: Value) -> ChatEvent {
    ProviderStateEvent::new(of, ProviderState::new("openai", data)).into()
}

#[tokio::test]
async fn a_turn_ends_with_its_reason_usage_and_model() {
    let stub = serve(vec![
        ok(),
        data(r#"{"model":"small-2026","choices":[{"index":0,"delta":{"content":"Hi"}}]}"#),
        finish("length"),
        data(r#"{"model":"other","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}"#),
        done(),
        Step::End,
    ])
    .await;
    let answer = openai(&stub).oneshot(ChatRequest::from_user("Hi")).await;
    let events: Vec<_> = answer.unwrap().map(Result::unwrap).collect().await;
    let usage = Usage::new(3, 1);
    let turn = TurnEnd::new(FinishReason::Length).usage(usage.clone());
    let end = Complete::new().finish_reason(FinishReason::Length);
    assert_eq!(
        events,
        [
            ChatEvent::text("Hi"),
            turn.model("small-2026").into(),
            end.usage(usage).into(),
        ]
    );

    let line = r#"{"model":"small:1b","message":{"content":"Hi"},"done":true,"done_reason":"stop","eval_count":1}"#;
    let stub = serve(vec![
        ok(),
        Step::Chunk(format!("{line}\n").into()),
        Step::End,
    ])
    .await;
    let ollama = Ollama::builder().base_url(stub.url("")).model("small");
    let answer = ollama
        .build()
        .unwrap()
        .oneshot(ChatRequest::from_user("Hi"));
    let events: Vec<_> = answer.await.unwrap().map(Result::unwrap).collect().await;
    let turn = TurnEnd::new(FinishReason::Stop).usage(Usage::new(0, 1));
    assert_eq!(events[1], turn.model("small:1b").into());
}

#[tokio::test]
async fn what_the_server_must_be_handed_back_follows_what_it_belongs_to() {
    let stub = serve(vec![
        ok(),
        delta(r#"{"reasoning":"Hm.","reasoning_details":[{"type":"reasoning.encrypted","data":"e","index":0}]}"#),
        delta(r#"{"content":"Let me look."}"#),
        delta(r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"now","arguments":"{}"},"extra_content":{"google":{"thought_signature":"s"}}}]}"#),
        finish("tool_calls"),
        done(),
        Step::End,
    ])
    .await;
    let answer = openai(&stub).oneshot(ChatRequest::from_user("Hi")).await;
    let events: Vec<_> = answer.unwrap().map(Result::unwrap).collect().await;
    let details = json!({"reasoning_details":
        [{"type": "reasoning.encrypted", "data": "e", "index": 0}]});
    let signature = json!({"extra_content": {"google": {"thought_signature": "s"}}});
    assert_eq!(
        events[..6],
        [
            ChatEvent::thinking("Hm."),
            ChatEvent::text("Let me look."),
            ToolInput::new("a", "{}").name("now").into(),
            state(StateOf::Turn, details),
            ChatEvent::tool_calls([ToolCall::new("a", "now", json!({}))]),
            state(StateOf::Call("a".into()), signature),
        ]
    );
}

/// A round of the stub: reasoning with a signature, and a call with one.
pub(crate) fn round(number: usize) -> Vec<Step> {
    let call = format!(
        r#"{{"tool_calls":[{{"index":0,"id":"c{number}","function":{{"name":"now","arguments":"{{}}"}},"extra_content":{{"google":{{"thought_signature":"call-{number}"}}}}}}]}}"#
    );
    let details = format!(
        r#"{{"reasoning_details":[{{"type":"reasoning.encrypted","data":"turn-{number}","index":0}}]}}"#
    );
    vec![
        ok(),
        delta(&details),
        delta(&call),
        finish("tool_calls"),
        done(),
        Step::End,
    ]
}

/// Returns the signatures of the turns and of the calls in a request, as a server that demands them
/// would look for them.
pub(crate) fn signatures(body: &Value) -> Vec<(String, String)> {
    let messages = body["messages"].as_array().unwrap().iter();
    let turns = messages.filter(|message| message.get("tool_calls").is_some());
    let text = |value: &Value| value.as_str().unwrap_or("absent").to_owned();
    turns
        .map(|turn| {
            let call = &turn["tool_calls"][0]["extra_content"]["google"]["thought_signature"];
            (text(&turn["reasoning_details"][0]["data"]), text(call))
        })
        .collect()
}

#[tokio::test]
async fn signatures_go_back_over_rounds_of_tools_a_reload_and_a_second_question() {
    let last = vec![ok(), text("Noon."), finish("stop"), done(), Step::End];
    let mut stub = serve_in_turn(vec![round(1), round(2), round(3), last]).await;
    let now = tool_fn("now", "", |_: Value, _| async { Ok("noon") });
    let provider = ServiceBuilder::new()
        .layer(ToolLayer::new(Tools::new().with(now)))
        .service(openai(&stub));
    let answer = provider.clone().oneshot(ChatRequest::from_user("Hi")).await;
    let events: Vec<_> = answer.unwrap().map(Result::unwrap).collect().await;
    let expected: Vec<_> = (1..=3)
        .map(|at| (format!("turn-{at}"), format!("call-{at}")))
        .collect();
    for rounds in 0..=3 {
        let seen = stub.requests.recv().await.unwrap();
        assert_eq!(signatures(&seen.body), expected[..rounds]);
    }

    // The next question, with the conversation as it was stored.
    let stored: Vec<ChatEvent> = events
        .iter()
        .map(|event| serde_json::from_slice(&event.to_json()).unwrap())
        .collect();
    let transcript: Transcript = stored.iter().collect();
    let mut request = ChatRequest::from_user("Hi");
    request.messages.extend(transcript.messages());
    request.messages.push(unbroken::chat::Message::user("And?"));
    let stored = serde_json::to_string(&request).unwrap();
    let request: ChatRequest = serde_json::from_str(&stored).unwrap();
    let answer = provider.oneshot(request).await.unwrap();
    answer.for_each(async |event| drop(event.unwrap())).await;
    let seen = stub.requests.recv().await.unwrap();
    assert_eq!(signatures(&seen.body), expected);
}
