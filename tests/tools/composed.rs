//! The layer among others.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use tower::{ServiceBuilder, ServiceExt, timeout::error::Elapsed};
use unbroken::{
    BoxError,
    chat::{ChatEvent, ChatRequest, ProviderError},
    tools::{ToolLayer, Tools},
};

use crate::support::{Answer, Counted, Model, call, kinds, request};

async fn ask<S>(provider: S) -> Result<Vec<ChatEvent>, BoxError>
where
    S: tower::Service<ChatRequest, Error: Into<BoxError>>,
    S::Response: futures_util::Stream<Item = Result<ChatEvent, BoxError>> + Send,
{
    let stream = provider.oneshot(request()).await.map_err(Into::into)?;
    let events: Vec<_> = stream.collect().await;
    events.into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn a_concurrency_limit_of_one_is_enough_for_any_number_of_turns() {
    let seconds = |id: &str| call(id, "wait", json!({"seconds": 1}));
    let model = Model::calling(["1", "2"].map(seconds));
    let provider = ServiceBuilder::new()
        .layer(ToolLayer::new(Counted::default().tools()))
        .concurrency_limit(1)
        .service(model.provider());
    for _ in 0..3 {
        let events = ask(provider.clone()).await.unwrap();
        assert_eq!(events.last().unwrap().kind(), "complete");
    }
    assert_eq!(model.times(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_inside_covers_every_turn_and_one_outside_only_the_first() {
    let slow = |turn: usize| {
        tower::service_fn(move |request: ChatRequest| async move {
            let rounds = request.messages.len() / 2;
            if rounds == turn {
                tokio::time::sleep(Duration::from_secs(20)).await;
            }
            let asks = ChatEvent::tool_calls([call("1", "wait", json!({"seconds": 0}))]);
            let event = if rounds == 0 {
                asks
            } else {
                ChatEvent::text("Done.")
            };
            let answer: Answer = futures_util::stream::iter([Ok(event)]).boxed();
            Ok::<_, ProviderError>(answer)
        })
    };
    let limit = Duration::from_secs(10);
    let tools = || ToolLayer::new(Counted::default().tools());
    for turn in [0, 1] {
        let inside = ServiceBuilder::new()
            .layer(tools())
            .timeout(limit)
            .service(slow(turn));
        let error = ask(inside).await.unwrap_err();
        assert!(error.is::<Elapsed>(), "{error}");
        let outside = ServiceBuilder::new()
            .timeout(limit)
            .layer(tools())
            .service(slow(turn));
        assert_eq!(ask(outside).await.is_err(), turn == 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_calls_passes_unchanged() {
    let turn = vec![
        ChatEvent::thinking("Hm."),
        ChatEvent::text("Good "),
        ChatEvent::custom("mood", json!("good")),
        ChatEvent::text("day."),
    ];
    let model = Model::new([turn]);
    let alone: Vec<_> = model
        .provider()
        .oneshot(request())
        .await
        .unwrap()
        .collect()
        .await;
    let alone: Result<Vec<_>, _> = alone.into_iter().collect();
    for tools in [Tools::new(), Counted::default().tools()] {
        let provider = ServiceBuilder::new()
            .layer(ToolLayer::new(tools))
            .service(model.provider());
        let events = ask(provider).await.unwrap();
        assert_eq!(
            kinds(&events),
            ["thinking", "text", "custom", "text", "complete"]
        );
        assert_eq!(&events, alone.as_ref().unwrap());
    }
}
