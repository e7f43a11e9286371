//! The usage of a turn that isn't over.

use futures_util::StreamExt;
use serde_json::json;
use tower::ServiceExt;
use unbroken::{
    chat::{ChatEvent, ChatRequest, TurnUsage, Usage},
    provider::{Ollama, OpenAi},
};

use crate::stub::{Step, Stub, data, finish, ok, serve, serve_in_turn, text};

fn openai(stub: &Stub) -> OpenAi {
    let builder = OpenAi::builder().base_url(stub.url("/v1")).model("small");
    builder.retries(1).build().unwrap()
}

fn counted(input: u64, output: u64) -> Step {
    data(&format!(
        r#"{{"choices":[],"usage":{{"prompt_tokens":{input},"completion_tokens":{output}}}}}"#
    ))
}

fn request() -> ChatRequest {
    let mut request = ChatRequest::from_user("Hi");
    request.turn_usage = TurnUsage::new();
    request
}

#[tokio::test]
async fn each_piece_of_an_answer_may_tell_the_usage_so_far() {
    let piece = |said: &str, output: u64| {
        data(&format!(
            r#"{{"choices":[{{"index":0,"delta":{{"content":"{said}"}}}}],"usage":{{"prompt_tokens":7,"completion_tokens":{output}}}}}"#
        ))
    };
    let stub = serve(vec![
        ok(),
        text("a"),
        piece("b", 1),
        data(r#"{"choices":[{"index":0,"delta":{"content":"c"}}],"usage":null}"#),
        piece("d", 3),
        Step::Silence,
    ])
    .await;
    let request = request();
    let usage = request.turn_usage.clone();
    let mut answer = openai(&stub).oneshot(request).await.unwrap();
    for (said, known) in [
        ("a", None),
        ("b", Some(Usage::new(7, 1))),
        ("c", Some(Usage::new(7, 1))),
        ("d", Some(Usage::new(7, 3))),
    ] {
        assert_eq!(answer.next().await.unwrap().unwrap(), ChatEvent::text(said));
        // Several pieces may have come as one.
        let output = |usage: Option<Usage>| usage.map(|it| it.output_tokens);
        assert!(output(usage.known()) >= output(known), "{said}: {usage:?}");
    }
    drop(answer);
    assert_eq!(usage.known(), Some(Usage::new(7, 3)));
}

#[tokio::test]
async fn a_usage_before_the_first_event_is_known_and_that_of_a_failed_try_is_not() {
    let mut stub = serve_in_turn(vec![
        vec![ok(), counted(7, 0), Step::Cut],
        vec![ok(), Step::Silence],
    ])
    .await;
    let request = request();
    let usage = request.turn_usage.clone();
    let asking = tokio::spawn(openai(&stub).oneshot(request));
    stub.requests.recv().await.unwrap();
    stub.requests.recv().await.unwrap();
    assert_eq!(usage.known(), None, "of the second try");
    asking.abort();

    let stub = serve(vec![ok(), counted(7, 0), Step::Cut]).await;
    let error = openai(&stub).oneshot(self::request()).await.unwrap_err();
    assert_eq!(error.usage(), Some(&Usage::new(7, 0)));
}

#[tokio::test]
async fn the_usage_of_a_whole_answer_is_known_before_its_events_are_read() {
    let line = json!({"message": {"content": "Hi"}, "done": true, "done_reason": "stop",
                      "prompt_eval_count": 5, "eval_count": 2});
    let ollama = serve(vec![
        ok(),
        Step::Chunk(format!("{line}\n").into()),
        Step::End,
    ])
    .await;
    let builder = Ollama::builder().base_url(ollama.url("")).model("small");
    let of_ollama = request();
    let usage = of_ollama.turn_usage.clone();
    let answer = builder.build().unwrap().oneshot(of_ollama).await.unwrap();
    assert_eq!(usage.known(), Some(Usage::new(5, 2)));
    drop(answer);

    let whole = json!({"object": "chat.completion", "usage": {"prompt_tokens": 5, "completion_tokens": 2},
        "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]});
    let openai_stub = serve(vec![
        ok(),
        data(&whole.to_string()),
        finish("stop"),
        Step::End,
    ])
    .await;
    let of_openai = request();
    let usage = of_openai.turn_usage.clone();
    let answer = openai(&openai_stub).oneshot(of_openai).await.unwrap();
    assert_eq!(usage.known(), Some(Usage::new(5, 2)));
    drop(answer);
}

#[tokio::test]
async fn a_server_can_be_asked_for_the_usage_of_each_piece() {
    let mut stub = serve(vec![ok(), text("a"), finish("stop"), Step::End]).await;
    let builder = OpenAi::builder().base_url(stub.url("/v1")).model("small");
    let builder = builder.field("stream_options", json!({"continuous_usage_stats": true}));
    let answer = builder.build().unwrap().oneshot(request()).await.unwrap();
    answer.for_each(async |event| drop(event.unwrap())).await;
    let seen = stub.requests.recv().await.unwrap();
    assert_eq!(
        seen.body["stream_options"],
        json!({"continuous_usage_stats": true, "include_usage": true})
    );
}
