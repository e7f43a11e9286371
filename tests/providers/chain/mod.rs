//! Another server of this library as an upstream: a chain of two, durable end to end.

mod cuts;
mod failures;
mod lost_both;
mod lost_inner;
mod lost_outer;
mod model;
mod outer;
mod questions;
mod refusals;
mod server;
mod stops;
mod tools;

use futures_util::TryStreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use unbroken::{
    chat::{
        ChatEvent, ChatOptions, ChatRequest, Citation, Complete, FinishReason, Media,
        ProviderError, ProviderState, ProviderStateEvent, StateOf, ToolCall, ToolInput,
        ToolProgress, TurnEnd, Usage,
    },
    log::SessionId,
    provider::UnbrokenUpstream,
    session::Sessions,
};

use self::{
    model::{GatedModel, mounted},
    outer::told,
    server::InnerServer,
};

async fn ask(
    provider: &UnbrokenUpstream,
    request: ChatRequest,
) -> Result<Vec<ChatEvent>, ProviderError> {
    provider.clone().oneshot(request).await?.try_collect().await
}

/// An answer with an event of each kind.
fn all_kinds() -> Vec<ChatEvent> {
    let state = |of| ProviderStateEvent::new(of, ProviderState::new("p", json!({"signed": 1})));
    let turn = |reason, tokens| TurnEnd::new(reason).usage(Usage::new(tokens, 1)).model("m");
    let unknown = json!({"type": "telepathy", "from": "afar"});
    vec![
        ChatEvent::thinking("Hm. "),
        state(StateOf::Turn).into(),
        ChatEvent::text("Let me "),
        ChatEvent::text("look. "),
        ToolInput::new("1", "{").name("now").into(),
        ToolInput::new("1", "}").into(),
        ChatEvent::tool_calls([
            ToolCall::new("1", "now", json!({})),
            ToolCall::new("2", "pay", json!({})),
        ]),
        state(StateOf::Call("1".into())).into(),
        turn(FinishReason::ToolCalls, 3).into(),
        ToolProgress::new("1", "now").into(),
        ToolProgress::new("1", "now")
            .progress(1.0, Some(2.0))
            .into(),
        ChatEvent::tool_result("1", "now", "noon"),
        ChatEvent::tool_error("2", "pay", "no money"),
        ChatEvent::text("It is "),
        ChatEvent::text("noon 😀."),
        Citation::link("u", "https://a.b").into(),
        Media::new("image/png", "data:image/png;base64,AAAA").into(),
        ChatEvent::custom("mood", json!(7)),
        serde_json::from_value(unknown).unwrap(),
        turn(FinishReason::Stop, 5).into(),
        Complete::new().usage(Usage::new(8, 2)).into(),
    ]
}

#[tokio::test]
async fn an_answer_is_passed_on_event_for_event_from_one_call_of_the_model() {
    let model = GatedModel::new(all_kinds());
    let server = InnerServer::start(mounted(Sessions::in_memory(), model.provider())).await;
    let provider = UnbrokenUpstream::builder(server.url())
        .api_key("k")
        .build()
        .unwrap();
    let mut request = ChatRequest::from_user("Hi");
    request.session_id = Some(SessionId::random());
    request.options = ChatOptions::new().temperature(0.5);
    request.system_prompt = Some("Be brief.".into());
    let events = ask(&provider, request.clone()).await.unwrap();
    assert_eq!(told(&events), told(&all_kinds()));
    let got = &model.requests()[0];
    assert_eq!(
        (&got.messages, &got.options),
        (&request.messages, &request.options)
    );
    assert_eq!(got.system_prompt, request.system_prompt);
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(
        (seen[0].method.as_str(), &*seen[0].path),
        ("POST", "/api/chat")
    );
    assert_eq!(seen[0].headers["accept"], "application/x-ndjson");
    assert_eq!(seen[0].headers["authorization"], "Bearer k");

    // The same call again attaches, and another turn or session is another one.
    let again = ask(&provider, request.clone()).await.unwrap();
    assert_eq!(told(&again), told(&events));
    assert_eq!(model.calls(), 1);
    request.options = ChatOptions::new();
    ask(&provider, request.clone()).await.unwrap();
    request.session_id = Some(SessionId::random());
    ask(&provider, request.clone()).await.unwrap();
    request.session_id = None;
    for _ in 0..2 {
        ask(&provider, request.clone()).await.unwrap();
    }
    assert_eq!(model.calls(), 5);
    let ids: std::collections::HashSet<_> = server
        .seen()
        .iter()
        .map(|it| it.headers["x-session-id"].clone())
        .collect();
    assert_eq!(ids.len(), 5);
}

#[tokio::test]
async fn an_answer_that_was_stopped_at_the_other_server_is_one() {
    let model = GatedModel::new(vec![ChatEvent::text("Hel"), ChatEvent::text("lo")]);
    model.open(1);
    let sessions = Sessions::in_memory();
    let server = InnerServer::start(mounted(sessions.clone(), model.provider())).await;
    let provider = UnbrokenUpstream::new(server.url()).unwrap();
    let asked = tokio::spawn(async move { ask(&provider, ChatRequest::from_user("Hi")).await });
    while model.calls() == 0 {
        tokio::task::yield_now().await;
    }
    let id: SessionId = server.seen()[0].headers["x-session-id"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let reason = unbroken::store::AbortRequest::default();
    sessions.abort(&id, reason).await.unwrap();
    let events = asked.await.unwrap().unwrap();
    let last: Value = serde_json::to_value(events.last().unwrap()).unwrap();
    assert_eq!(last, json!({"type": "aborted"}));
    assert_eq!(server.count("POST", "/abort"), 0);
}
