//! OpenAI's Responses API as an upstream.

mod background;
mod lost_server;
mod read_again;
mod server;
mod stops;
mod told_of_stream;

use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use tower::ServiceExt;
use unbroken::{
    chat::{ChatEvent, ChatRequest, ProviderError, Transcript},
    provider::{ResponsesUpstream, openai_responses::ResponsesUpstreamBuilder},
};

use crate::stub::{Step, ok, refusal, serve, serve_in_turn};

const TEXT: &[u8] = include_bytes!("../recorded/responses-text.sse");

fn builder(base_url: impl Into<String>) -> ResponsesUpstreamBuilder {
    ResponsesUpstream::builder()
        .base_url(base_url)
        .api_key("k")
        .model("m")
}

async fn ask(
    provider: &ResponsesUpstream,
    request: ChatRequest,
) -> Result<Vec<ChatEvent>, ProviderError> {
    provider.clone().oneshot(request).await?.try_collect().await
}

#[tokio::test]
async fn an_answer_is_streamed_from_the_address_with_the_key() {
    let mut stub = serve(vec![ok(), Step::Chunk(TEXT.to_vec()), Step::End]).await;
    let provider = builder(stub.url("/v1")).build().unwrap();
    let events = ask(&provider, ChatRequest::from_user("Hi")).await.unwrap();
    let answer: Transcript = events.iter().collect();
    assert_eq!(answer.text(), "Hé 😀 it is noon.");
    assert_eq!(answer.thinking(), "**Looking**\n\nDone.");
    let seen = stub.requests.recv().await.unwrap();
    assert!(seen.head.starts_with("POST /v1/responses HTTP/1.1\r\n"));
    assert!(seen.head.contains("authorization: Bearer k\r\n"));
    assert_eq!(
        seen.body["input"],
        json!([{"role": "user", "content": "Hi"}])
    );

    // The next question hands the reasoning back.
    let mut next = answer.messages();
    next.push(unbroken::chat::Message::user("And then?"));
    ask(&provider, ChatRequest::new(next)).await.unwrap();
    let seen = stub.requests.recv().await.unwrap();
    let classes: Vec<_> = seen.body["input"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            item.get("type")
                .or_else(|| item.get("role"))
                .unwrap()
                .clone()
        })
        .collect();
    assert_eq!(
        classes,
        ["reasoning", "web_search_call", "assistant", "user"]
    );
    assert_eq!(seen.body["input"][0]["encrypted_content"], "gAAAA");
    assert_eq!(seen.body["input"][2]["phase"], "final_answer");
}

#[tokio::test]
async fn an_answer_that_is_cut_is_an_error_and_begins_anew_only_before_its_first_event() {
    let cut = |at: usize| vec![ok(), Step::Chunk(TEXT[..at].to_vec()), Step::End];
    let whole = || vec![ok(), Step::Chunk(TEXT.to_vec()), Step::End];
    let first_event = TEXT.windows(9).position(|it| it == b"**Look\",\"").unwrap() + 200;
    let stub = serve(cut(first_event)).await;
    let provider = builder(stub.url("/v1")).build().unwrap();
    let mut answer = provider
        .oneshot(ChatRequest::from_user("Hi"))
        .await
        .unwrap();
    assert!(answer.next().await.unwrap().is_ok());
    let error = answer.next().await.unwrap().unwrap_err();
    assert!(
        error.is_recoverable() && error.to_string().contains("cut off"),
        "{error}"
    );
    assert!(answer.next().await.is_none());

    let overloaded = refusal("503 Service Unavailable", "retry-after-ms: 1\r\n", "{}");
    let mut stub = serve_in_turn(vec![vec![overloaded], whole()]).await;
    let provider = builder(stub.url("/v1")).build().unwrap();
    ask(&provider, ChatRequest::from_user("Hi")).await.unwrap();
    stub.requests.recv().await.unwrap();
    stub.requests.recv().await.unwrap();
}

#[tokio::test]
async fn a_response_in_one_piece_is_read_and_its_failure_is_named() {
    let whole = json!({"id": "resp_1", "object": "response", "status": "completed", "output": [
        {"id": "msg_1", "type": "message", "content": [{"type": "output_text", "text": "Hi", "annotations": []}]},
        {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "t", "arguments": "{}"}]});
    let in_place = |body: &Value| {
        let json = "content-type: application/json\r\n";
        vec![refusal("200 OK", json, &body.to_string())]
    };
    let stub = serve(in_place(&whole)).await;
    let provider = builder(stub.url("/v1")).build().unwrap();
    let events = ask(&provider, ChatRequest::from_user("Hi")).await.unwrap();
    let answer: Transcript = events.iter().collect();
    assert_eq!((answer.text(), answer.tool_calls().len()), ("Hi", 1));
    for (body, says) in [
        (
            json!({"object": "response", "status": "failed", "output": [], "error": {"code": "server_error"}}),
            "has failed",
        ),
        (
            json!({"object": "response", "output": [], "error": {"code": "server_error"}}),
            "has failed",
        ),
        (
            json!({"object": "response", "status": "completed", "output": [], "error": {"code": "server_error"}}),
            "has failed",
        ),
        (
            json!({"object": "response", "status": "queued", "output": []}),
            "no answer",
        ),
        (json!({"output": []}), "no answer"),
        (
            json!({"object": "response", "status": "failed", "error": {"code": "rate_limit_exceeded"}}),
            "asked too much",
        ),
        (
            json!({"error": {"code": "model_not_found", "message": "Sekret"}}),
            "doesn't have this model",
        ),
    ] {
        let stub = serve(in_place(&body)).await;
        let provider = builder(stub.url("/v1")).build().unwrap();
        let error = ask(&provider, ChatRequest::from_user("Hi"))
            .await
            .unwrap_err();
        assert!(error.to_string().contains(says), "{body}: {error}");
        assert!(!format!("{error:?}").contains("Sekret"));
    }
}

#[tokio::test]
async fn a_model_that_begins_anew_does_not_go_on_from_a_part() {
    let stub = serve(vec![ok(), Step::Chunk(TEXT.to_vec()), Step::End]).await;
    let provider = builder(stub.url("/v1")).build().unwrap();
    let mut request = ChatRequest::from_user("Hi");
    let so_far: Transcript = [ChatEvent::text("It ")].iter().collect();
    request.so_far = Some(so_far.into());
    let error = ask(&provider, request.clone()).await.unwrap_err();
    assert!(error.is_cannot_continue());
    request.so_far = Some(Transcript::new().into());
    assert!(
        ask(&provider, request.clone()).await.is_ok(),
        "nothing was said"
    );
    request.reattach = true;
    let error = ask(&provider, request).await.unwrap_err();
    assert!(error.is_cannot_continue(), "{error}");
}
