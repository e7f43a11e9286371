//! Parts and options, as a server sees them.

use serde_json::json;
use tower::ServiceExt;
use unbroken::{
    chat::{ChatOptions, ChatRequest, Content, Media},
    provider::openai::ReasoningHistory,
};

use super::{KEY, Step, builder, done, finish, ok, serve, text};

fn fine() -> Vec<Step> {
    vec![ok(), text("Hi"), finish("stop"), done(), Step::End]
}

fn with(media: Media) -> ChatRequest {
    ChatRequest::from_user(Content::new().text("This?").media(media))
}

#[tokio::test]
async fn a_picture_reaches_the_server_byte_for_byte() {
    let mut stub = serve(fine()).await;
    let bytes: Vec<u8> = (0..=255).collect();
    let picture = Media::new("image/png", bytes);
    let provider = builder(&stub).build().unwrap();
    provider.oneshot(with(picture.clone())).await.unwrap();
    let body = stub.requests.recv().await.unwrap().body;
    let part = json!({"type": "image_url", "image_url": {"url": picture.url}});
    assert_eq!(body["messages"][0]["content"][1], part);
}

#[tokio::test]
async fn what_can_not_be_sent_is_an_error_before_anything_is_and_no_retry_follows() {
    let mut stub = serve(fine()).await;
    let mut stops = ChatRequest::from_user("Hi");
    stops.options = ChatOptions::new()
        .stop("a")
        .stop("b")
        .stop("c")
        .stop("d")
        .stop("e");
    for (request, word) in [
        (with(Media::new("video/mp4", b"x")), "`video/mp4`"),
        (stops, "`stop`"),
    ] {
        let provider = builder(&stub).retries(2).build().unwrap();
        let error = provider.oneshot(request.clone()).await.unwrap_err();
        assert!(error.message().contains(word), "{error}");
        assert!(!error.is_recoverable());
        assert!(stub.requests.try_recv().is_err());
        let lenient = builder(&stub).lenient().build().unwrap();
        lenient.oneshot(request).await.unwrap();
        stub.requests.recv().await.unwrap();
    }
}

#[tokio::test]
async fn the_field_for_the_most_tokens_is_the_older_one_unless_set() {
    let mut stub = serve(fine()).await;
    let mut request = ChatRequest::from_user("Hi");
    request.options = ChatOptions::new().max_output_tokens(7);
    let (older, newer) = ("max_tokens", "max_completion_tokens");
    for (builder, sent, other) in [
        (builder(&stub), older, newer),
        (builder(&stub).max_completion_tokens(true), newer, older),
    ] {
        let provider = builder.api_key(KEY).build().unwrap();
        provider.oneshot(request.clone()).await.unwrap();
        let body = stub.requests.recv().await.unwrap().body;
        assert_eq!(body[sent], 7);
        assert_eq!(body.get(other), None);
    }
}

#[tokio::test]
async fn reasoning_is_sent_back_in_the_field_that_the_builder_names() {
    use unbroken::chat::{Message, Reasoning};
    let mut stub = serve(fine()).await;
    let turn = Content::new()
        .reasoning(Reasoning::new("Hm."))
        .text("Hello");
    let request = ChatRequest::new([Message::assistant(turn), Message::user("So?")]);
    let provider = builder(&stub)
        .reasoning_history(ReasoningHistory::All)
        .reasoning_field("reasoning");
    provider.build().unwrap().oneshot(request).await.unwrap();
    let body = stub.requests.recv().await.unwrap().body;
    let expected = json!({"role": "assistant", "content": "Hello", "reasoning": "Hm."});
    assert_eq!(body["messages"][0], expected);
}
