//! Turns with calls that end for a reason that leaves open whether the last call is whole.

use futures_util::{StreamExt, stream};
use serde_json::json;
use tower::{ServiceExt, layer::Layer};
use unbroken::{
    BoxError,
    chat::{
        Aborted, ChatEvent, ChatRequest, Complete, ErrorEvent, FinishReason, IsomorphicTool,
        ProviderError, Role, ToolCall, TurnEnd, Usage, provider_fn,
    },
    log::ErrorCode,
    tools::ToolLayer,
};

use crate::support::{Counted, call, kinds, request};

type Event = Result<ChatEvent, &'static str>;

/// Returns the answer of a model whose first turn has these events, and its error. The second turn says
/// `Done.`.
async fn answer(layer: &ToolLayer, turn: Vec<Event>) -> (Vec<ChatEvent>, Option<BoxError>) {
    let provider = provider_fn(move |request: ChatRequest| {
        let last = request.messages.last().map(|message| message.role);
        let events = match last {
            Some(Role::Tool) => vec![Ok(ChatEvent::text("Done.")), Ok(ChatEvent::complete())],
            _ => turn.clone(),
        };
        stream::iter(events).map(|event| event.map_err(ProviderError::new))
    });
    let mut request = request();
    request.isomorphic_tools = vec![IsomorphicTool::new("map", "A map", json!({}))];
    let stream = layer.layer(provider).oneshot(request).await.unwrap();
    let (mut events, mut failed) = (Vec::new(), None);
    for event in stream.collect::<Vec<_>>().await {
        match event {
            Ok(event) => events.push(event),
            Err(error) => failed = Some(error),
        }
    }
    (events, failed)
}

fn asks() -> [Event; 2] {
    let calls = [
        call("1", "wait", json!({"seconds": 0})),
        call("2", "map", json!({})),
    ];
    [
        Ok(ChatEvent::tool_calls(calls)),
        Ok(ChatEvent::text("Wait. ")),
    ]
}

fn ends(reason: &str) -> ChatEvent {
    let reason = FinishReason::from(reason);
    let complete = Complete::new().finish_reason(reason);
    complete.usage(Usage::new(3, 4)).into()
}

#[tokio::test(start_paused = true)]
async fn no_call_of_a_turn_that_is_not_whole_runs_or_is_handed_over() {
    for reason in ["length", "content_filter", "unknown", "bored"] {
        let counted = Counted::default();
        let layer = ToolLayer::new(counted.tools());
        let turn = [&asks()[..], &[Ok(ends(reason))]].concat();
        let (events, failed) = answer(&layer, turn).await;
        assert!(failed.is_none(), "{failed:?}");
        assert_eq!(kinds(&events), ["text", "complete"], "{reason}");
        assert_eq!(events.last(), Some(&ends(reason)));
        assert_eq!(counted.started(), 0, "{reason}");
    }
}

/// A provider may end its stream without a terminal event. The end of its turn counts then.
#[tokio::test(start_paused = true)]
async fn without_a_terminal_event_the_end_of_the_turn_counts() {
    for (reason, whole) in [("length", false), ("unknown", false), ("tool_calls", true)] {
        let counted = Counted::default();
        let layer = ToolLayer::new(counted.tools());
        let mut end = TurnEnd::new(FinishReason::from(reason));
        end.usage = Some(Usage::new(3, 4));
        let wait = call("1", "wait", json!({"seconds": 0}));
        let turn = vec![Ok(ChatEvent::tool_calls([wait])), Ok(end.into())];
        let (events, failed) = answer(&layer, turn).await;
        assert!(failed.is_none(), "{failed:?}");
        let Some(ChatEvent::Complete(complete)) = events.last() else {
            panic!("{reason}: {events:?}");
        };
        assert_eq!(complete.usage, Some(Usage::new(3, 4)), "{reason}");
        assert_eq!(counted.started(), usize::from(whole), "{reason}");
        if whole {
            assert!(kinds(&events).contains(&"tool_result"));
        } else {
            assert_eq!(kinds(&events), ["turn", "complete"], "{reason}");
            assert_eq!(complete.finish_reason, FinishReason::from(reason));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_call_runs_after_an_error() {
    let ended = [
        Err("no more"),
        Ok(ErrorEvent::new(ErrorCode::Provider, "no more").into()),
        Ok(Aborted::new().into()),
    ];
    for end in ended {
        let counted = Counted::default();
        let layer = ToolLayer::new(counted.tools());
        let turn = [&asks()[..], std::slice::from_ref(&end)].concat();
        let (events, failed) = answer(&layer, turn).await;
        assert_eq!(failed.is_some(), end.is_err());
        let calls = events.iter().filter(|event| event.kind() == "tool_calls");
        assert_eq!(calls.count(), 0, "{end:?}");
        assert_eq!(counted.started(), 0, "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_calls_of_a_whole_turn_run_and_stand_in_the_answer_before_that() {
    for end in [Some(ends("stop")), Some(ends("tool_calls")), None] {
        let counted = Counted::default();
        let layer = ToolLayer::new(counted.tools());
        let wait = call("1", "wait", json!({"seconds": 0}));
        let mut turn = vec![
            Ok(ChatEvent::tool_calls([wait])),
            Ok(ChatEvent::text("Wait. ")),
        ];
        turn.extend(end.map(Ok));
        let (events, failed) = answer(&layer, turn).await;
        assert!(failed.is_none(), "{failed:?}");
        let kinds = kinds(&events);
        let at = |kind| kinds.iter().position(|it| *it == kind).unwrap();
        assert!(at("tool_calls") < at("tool_result"), "{kinds:?}");
        assert_eq!(kinds.last(), Some(&"complete"));
        assert_eq!(counted.started(), 1);
    }
}

/// What the model meant isn't known. It is told, and so may write the call again.
#[tokio::test(start_paused = true)]
async fn a_call_whose_arguments_are_no_json_runs_on_no_side() {
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    for text in ["{\"seconds\": ", "seconds: 0", &deep] {
        let counted = Counted::default();
        let layer = ToolLayer::new(counted.tools());
        let calls = [("1", "wait"), ("2", "map")].map(|(id, name)| {
            let call = ToolCall::from_text(id, name, text);
            assert!(call.is_half());
            call
        });
        let turn = vec![Ok(ChatEvent::tool_calls(calls)), Ok(ends("tool_calls"))];
        let (events, failed) = answer(&layer, turn).await;
        assert!(failed.is_none(), "{failed:?}");
        let told: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                ChatEvent::ToolError(error) => Some((&*error.id, &*error.message)),
                _ => None,
            })
            .collect();
        assert_eq!(told.iter().map(|it| it.0).collect::<Vec<_>>(), ["1", "2"]);
        let word = if text == deep {
            "nest them less"
        } else {
            "JSON"
        };
        assert!(told.iter().all(|it| it.1.contains(word)), "{told:?}");
        assert!(!kinds(&events).contains(&"isomorphic_handoff"));
        assert_eq!(counted.started(), 0);
        assert!(events.contains(&ChatEvent::text("Done.")), "{events:?}");
    }
}
