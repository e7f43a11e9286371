//! Interrupted answers that a provider is asked to go on with.

use std::sync::Arc;

use serde_json::{Value, json};
use tower::ServiceExt;
use unbroken::{
    chat::{
        ChatEvent, ChatRequest, Message, Provider, ProviderError, ProviderState,
        ProviderStateEvent, StateOf,
    },
    provider::{Ollama, OpenAi},
};

use crate::stub::{Step, Stub, data, done, finish, ok, serve, text};

/// The request of a server that took an answer over which had said this.
fn continued(said: &[ChatEvent]) -> ChatRequest {
    let mut request = ChatRequest::from_user("Hi");
    request.messages.push(Message::assistant("Hel"));
    request.so_far = Some(Arc::new(said.iter().collect()));
    request
}

fn reattached() -> ChatRequest {
    let state = ProviderState::new("another", json!({"at": 1}));
    let state = ProviderStateEvent::new(StateOf::Stream, state).into();
    let mut request = continued(&[ChatEvent::text("Hel"), state]);
    request.messages.pop();
    request.reattach = true;
    request
}

async fn whole_answer() -> Stub {
    let ollama = r#"{"message":{"content":"lo"},"done":true,"done_reason":"stop"}"#;
    let end = [text("lo"), finish("stop"), done(), data(ollama), Step::End];
    serve([ok()].into_iter().chain(end).collect()).await
}

fn openai(stub: &Stub, continues: bool) -> OpenAi {
    let builder = OpenAi::builder().base_url(stub.url("/v1")).model("m");
    builder.continue_final_message(continues).build().unwrap()
}

fn ollama(stub: &Stub, continues: bool) -> Ollama {
    let builder = Ollama::builder().base_url(stub.url("")).model("m");
    builder.continue_final_message(continues).build().unwrap()
}

/// Returns the error of a provider that sends nothing.
async fn declined<P>(provider: P, request: ChatRequest, stub: &mut Stub) -> ProviderError
where
    P: Provider<Error = ProviderError>,
{
    let Err(error) = provider.oneshot(request).await else {
        panic!("it goes on");
    };
    assert!(stub.requests.try_recv().is_err(), "nothing was sent");
    error
}

async fn sent<P>(provider: P, request: ChatRequest, stub: &mut Stub) -> Value
where
    P: Provider<Error = ProviderError>,
{
    let answer = provider.oneshot(request).await;
    drop(answer);
    stub.requests.recv().await.unwrap().body
}

#[tokio::test]
async fn a_model_that_does_not_go_on_from_a_partial_answer_declines() {
    let mut stub = whole_answer().await;
    let partial = || continued(&[ChatEvent::text("Hel")]);
    let error = declined(openai(&stub, false), partial(), &mut stub).await;
    assert!(error.is_cannot_continue(), "{error}");
    let error = declined(ollama(&stub, false), partial(), &mut stub).await;
    assert!(error.is_cannot_continue(), "{error}");
}

#[tokio::test]
async fn a_model_that_goes_on_gets_the_partial_answer_last() {
    let mut stub = whole_answer().await;
    let partial = || continued(&[ChatEvent::text("Hel")]);
    let last = |body: &Value| body["messages"].as_array().unwrap().last().unwrap().clone();
    let body = sent(openai(&stub, true), partial(), &mut stub).await;
    assert_eq!(last(&body), json!({"role": "assistant", "content": "Hel"}));
    assert_eq!(body["continue_final_message"], true);
    let body = sent(ollama(&stub, true), partial(), &mut stub).await;
    assert_eq!(last(&body), json!({"role": "assistant", "content": "Hel"}));
}

#[tokio::test]
async fn a_turn_of_which_only_thoughts_came_is_begun_by_every_model() {
    let mut stub = whole_answer().await;
    let thought = || {
        let mut request = continued(&[ChatEvent::thinking("Hm.")]);
        request.messages.pop();
        request
    };
    let body = sent(openai(&stub, false), thought(), &mut stub).await;
    assert!(body.get("continue_final_message").is_none(), "{body}");
    sent(ollama(&stub, false), thought(), &mut stub).await;
}

#[tokio::test]
async fn an_answer_with_calls_that_no_layer_runs_is_declined() {
    let mut stub = whole_answer().await;
    let asked = || {
        let call = unbroken::chat::ToolCall::new("c", "now", json!({}));
        continued(&[ChatEvent::text("Hel"), ChatEvent::tool_calls([call])])
    };
    let error = declined(openai(&stub, true), asked(), &mut stub).await;
    assert!(error.is_cannot_continue(), "{error}");
    let error = declined(ollama(&stub, true), asked(), &mut stub).await;
    assert!(error.is_cannot_continue(), "{error}");
}

#[tokio::test]
async fn a_provider_without_a_stream_to_read_on_declines() {
    let mut stub = whole_answer().await;
    let error = declined(openai(&stub, true), reattached(), &mut stub).await;
    assert!(error.is_cannot_continue(), "{error}");
    let error = declined(ollama(&stub, true), reattached(), &mut stub).await;
    assert!(error.is_cannot_continue(), "{error}");
}
