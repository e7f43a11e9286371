use tower::ServiceBuilder;
use unbroken::provider::by_model;

use super::*;
use crate::stub::{Step, done, finish, ok, serve, text};

async fn answering(word: &str) -> Stub {
    serve(vec![ok(), text(word), finish("stop"), done(), Step::End]).await
}

fn asking(model: &str) -> Value {
    let mut request = hello();
    request["model"] = model.into();
    request
}

#[tokio::test]
async fn a_request_goes_to_the_server_that_has_its_model() {
    let (mut here, mut there) = (answering("here").await, answering("there").await);
    let models = by_model()
        .model("large", model(&there))
        .alias("fast", "tiny-2025", model(&here));
    let chat = layer().layer(ServiceBuilder::new().concurrency_limit(4).service(models));
    for (request, word) in [
        (hello(), "there"),
        (asking("large"), "there"),
        (asking("fast"), "here"),
    ] {
        let events = read(start(&chat, &request).await).await;
        assert_eq!(text_of(&events), word);
        assert_eq!(end(&events)["type"], "complete");
    }
    assert_eq!(here.requests.try_recv().unwrap().body["model"], "tiny-2025");
    assert_eq!(there.requests.try_recv().unwrap().body["model"], "large");
    assert_eq!(requests(&mut there), 1);
}

#[tokio::test]
async fn an_unknown_model_ends_the_session_with_the_list_of_models() {
    let mut stub = answering("never").await;
    let chat = layer().layer(
        by_model()
            .model("large", model(&stub))
            .model("small", model(&stub)),
    );
    let events = read(start(&chat, &asking("huge")).await).await;
    assert_eq!(
        *end(&events),
        json!({
            "type": "error",
            "message": "there is no model `huge` here; there are `large`, `small`",
            "recoverable": false,
            "code": "provider",
        })
    );
    assert_eq!(requests(&mut stub), 0);
}

#[tokio::test]
async fn a_server_that_refuses_all_requests_leaves_the_others_alone() {
    let stub = answering("Hi").await;
    let full = ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(0)
        .service(model(&stub));
    let chat = layer().layer(by_model().model("full", full).model("free", model(&stub)));
    let events = read(start(&chat, &asking("full")).await).await;
    assert_eq!(end(&events)["type"], "error");
    let events = read(start(&chat, &asking("free")).await).await;
    assert_eq!(text_of(&events), "Hi");
}
