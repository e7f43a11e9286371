//! What is stored with the calls of a turn.

use std::future::poll_fn;

use futures_util::stream;
use serde_json::json;
use tower_layer::Layer;

use super::*;
use crate::{
    chat::{
        FinishReason, ProviderState, ProviderStateEvent, StateOf, ToolCall, TurnEnd, provider_fn,
    },
    tools::{Call, ToolLayer, Tools, tool_fn},
};

#[tokio::test]
async fn a_tool_begins_after_the_end_of_its_turn_is_acknowledged() {
    let provider = provider_fn(|request: ChatRequest| {
        let is_first = request.messages.len() == 1;
        let state = ProviderState::new("p", json!(7));
        let first = vec![
            ChatEvent::tool_calls([ToolCall::new("1", "now", json!({}))]),
            ProviderStateEvent::new(StateOf::Call("1".into()), state).into(),
            TurnEnd::new(FinishReason::ToolCalls).into(),
            ChatEvent::complete(),
        ];
        let events = if is_first {
            first
        } else {
            vec![ChatEvent::complete()]
        };
        stream::iter(events.into_iter().map(Ok::<_, BoxError>))
    });
    let now = tool_fn("now", "The time.", |_: serde_json::Value, _: Call| async {
        Ok::<_, BoxError>("noon")
    });
    let provider = ToolLayer::new(Tools::new().with(now)).layer(provider);
    let request = ChatRequest::from_user("Hi");
    let mut source = Box::pin(ProviderSource::new(provider, request));
    let (mut found, mut out) = (Vec::new(), BytesMut::new());
    while let Some(mark) = poll_fn(|cx| source.as_mut().poll_record(cx, &mut out)).await {
        let event: serde_json::Value = serde_json::from_slice(&out.split()).unwrap();
        found.push((event["type"].as_str().unwrap().to_owned(), mark));
    }
    let found: Vec<_> = found.iter().map(|(kind, mark)| (&**kind, *mark)).collect();
    assert_eq!(
        found,
        [
            ("tool_calls", Mark::Event),
            ("provider_state", Mark::Event),
            ("turn", Mark::Barrier),
            ("tool_result", Mark::Barrier),
            ("complete", Mark::Terminal(Outcome::Complete)),
        ]
    );
}
