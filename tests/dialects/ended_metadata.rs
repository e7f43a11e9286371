//! The metadata of a Responses request, for the application that is told of the end.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use axum::body::{Body, to_bytes};
use http::Request;
use serde_json::json;
use tokio::sync::mpsc;
use tower::ServiceExt;
use tower_layer::Layer;
use unbroken::{
    access::AnyoneWithTheId,
    dialect::OpenAiResponses,
    durable::{DurableLayer, Outbox, SessionEnded},
    provider::{Scripted, scripted::Script},
    session::Sessions,
};

#[tokio::test(start_paused = true)]
async fn hooks_and_outboxes_get_the_metadata_of_a_request() {
    let (told, mut ended) = mpsc::unbounded_channel::<SessionEnded>();
    let by_outbox = told.clone();
    let outbox = Outbox::new(move |ended| {
        let by_outbox = by_outbox.clone();
        async move {
            let _ = by_outbox.send(ended);
            Ok::<_, Infallible>(())
        }
    });
    let layer = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new())
        .dialect(OpenAiResponses::new())
        .outbox(outbox)
        .on_end(move |ended| {
            let told = told.clone();
            async move { drop(told.send(ended)) }
        });
    let chat = layer.layer(Scripted::new(Script::count(3).delay(Duration::ZERO)));
    let body = json!({
        "input": "Hi", "stream": true, "metadata": {"order": "17"}
    });
    let request = Request::post("/responses").header("content-type", "application/json");
    let request = request.body(Body::from(body.to_string())).unwrap();
    let response = chat.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    to_bytes(Body::new(response.into_body()), usize::MAX)
        .await
        .unwrap();
    for _ in 0..2 {
        let ended = ended.recv().await.unwrap();
        let expected = BTreeMap::from([("order".to_owned(), "17".to_owned())]);
        assert_eq!(ended.metadata, expected);
    }
}
