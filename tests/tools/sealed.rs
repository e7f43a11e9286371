//! The end of answers with tools, as records of a session.

use std::{future::poll_fn, time::Duration};

use serde_json::{Value, json};
use tower::layer::Layer;
use unbroken::{
    chat::{ChatEvent, Usage, provider_fn},
    durable::ProviderSource,
    log::ErrorCode,
    session::{Mark, Source},
    tools::ToolLayer,
};

use crate::support::{Counted, Model, call, request};

fn failed() -> ChatEvent {
    ChatEvent::error(ErrorCode::Provider, "overloaded")
}

async fn records(source: impl Source) -> Vec<Value> {
    let (mut source, mut out) = (Box::pin(source), bytes::BytesMut::new());
    let mut records = Vec::new();
    while let Some(mark) = poll_fn(|cx| source.as_mut().poll_record(cx, &mut out)).await {
        records.push(serde_json::from_slice(&out.split()).unwrap());
        if let Mark::Terminal(_) = mark {
            break;
        }
    }
    records
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_model_ends_the_session_despite_usage_of_earlier_turns() {
    let calls = ChatEvent::tool_calls([call("1", "wait", json!({"seconds": 0}))]);
    let end = unbroken::chat::Complete::new().usage(Usage::new(10, 2));
    for ending in [failed(), ChatEvent::aborted()] {
        // Unlike `Model`, it says nothing after its end.
        let mut turns = [
            vec![calls.clone(), end.clone().into()],
            vec![ending.clone()],
        ]
        .into_iter();
        let turns = std::sync::Arc::new(std::sync::Mutex::new(turns.by_ref().collect::<Vec<_>>()));
        let provider = provider_fn(move |_| {
            let turn = turns.lock().unwrap().remove(0);
            futures_util::stream::iter(turn.into_iter().map(Ok::<_, unbroken::BoxError>))
        });
        let layer = ToolLayer::new(Counted::default().tools());
        let records = records(ProviderSource::new(layer.layer(provider), request())).await;
        let kinds: Vec<_> = records.iter().map(|it| it["type"].clone()).collect();
        assert_eq!(kinds, ["tool_calls", "turn", "tool_result", ending.kind()]);
        let mut last = serde_json::to_value(&ending).unwrap();
        last["usage"] = serde_json::json!({"inputTokens": 10, "outputTokens": 2});
        assert_eq!(records[3], last);
    }
}

#[tokio::test(start_paused = true)]
async fn no_tool_begins_after_an_error_of_the_model() {
    let calls = ChatEvent::tool_calls([call("1", "wait", json!({"seconds": 0}))]);
    let counted = Counted::default();
    let layer = ToolLayer::new(counted.tools());
    for ending in [failed(), ChatEvent::aborted()] {
        let model = Model::new([vec![calls.clone(), ending.clone()]]);
        let source = ProviderSource::new(layer.layer(model.provider()), request());
        let records = records(source).await;
        assert_eq!(records.last().unwrap()["type"], ending.kind());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(counted.started(), 0);
    }
}
