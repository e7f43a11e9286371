//! The turns of an answer with tools: their ends, and what the provider is handed back.

use futures_util::{StreamExt, stream};
use serde_json::json;
use tower::{ServiceExt, layer::Layer};
use unbroken::{
    chat::{
        Aborted, ChatEvent, ChatOptions, ChatRequest, Content, ErrorEvent, FinishReason, Message,
        ProviderError, ProviderState, ProviderStateEvent, Reasoning, Role, StateOf, ToolChoice,
        ToolInput, Transcript, TurnEnd, TurnUsage, Usage, provider_fn,
    },
    log::ErrorCode,
    tools::ToolLayer,
};

use crate::support::{Counted, Model, answer, answer_with_turns, call, kinds, request, start};

fn state(of: StateOf, data: u32) -> ChatEvent {
    ProviderStateEvent::new(of, ProviderState::new("p", json!(data))).into()
}

#[tokio::test(start_paused = true)]
async fn a_turn_with_calls_ends_before_its_tools_run() {
    let model = Model::calling([call("1", "wait", json!({"seconds": 1}))]);
    let layer = ToolLayer::new(Counted::default().tools());
    let events = answer_with_turns(&layer, &model, request()).await.unwrap();
    let turn = TurnEnd::new(FinishReason::ToolCalls).usage(Usage::new(10, 2));
    assert_eq!(events[1], turn.into());
    assert_eq!(
        kinds(&events),
        ["tool_calls", "turn", "tool_result", "text", "complete"]
    );
    let interrupted: Transcript = events[..3].iter().collect();
    assert_eq!(interrupted.usage(), Some(Usage::new(10, 2)));
    let whole: Transcript = events.iter().collect();
    assert_eq!(whole.usage(), Some(Usage::new(20, 4)));
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_the_provider_ends_is_ended_once() {
    let end = TurnEnd::new(FinishReason::ToolCalls).model("m-2");
    let model = Model::new([
        vec![
            ChatEvent::tool_calls([call("1", "wait", json!({"seconds": 1}))]),
            end.clone().into(),
        ],
        vec![ChatEvent::text("Done.")],
    ]);
    let layer = ToolLayer::new(Counted::default().tools());
    let events = answer_with_turns(&layer, &model, request()).await.unwrap();
    let ends: Vec<_> = events
        .iter()
        .filter(|event| matches!(event, ChatEvent::Turn(_)))
        .collect();
    assert_eq!(ends, [&ChatEvent::from(end)]);
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_round_too_many_has_the_usage_of_its_turn() {
    let model = Model::new([vec![ChatEvent::tool_calls([call(
        "1",
        "wait",
        json!({"seconds": 1}),
    )])]]);
    let layer = ToolLayer::new(Counted::default().tools()).max_iterations(2);
    let mut stream = start(&layer, &model, request()).await;
    let mut turns = 0;
    let error = loop {
        match stream.next().await.unwrap() {
            Ok(event) => turns += usize::from(matches!(event, ChatEvent::Turn(_))),
            Err(error) => break error,
        }
    };
    assert_eq!(turns, 1);
    let error = error.downcast::<ProviderError>().unwrap();
    assert_eq!(error.code(), ErrorCode::Limit);
    assert_eq!(error.usage(), Some(&Usage::new(10, 2)));
}

#[tokio::test(start_paused = true)]
async fn a_usage_that_is_only_reported_is_that_of_its_turn() {
    let usage = TurnUsage::new();
    let model = provider_fn(|request: ChatRequest| {
        let asks = request.messages.last().unwrap().role == Role::User;
        let (input, event) = if asks {
            let calls = [call("1", "wait", json!({"seconds": 1}))];
            (3, ChatEvent::tool_calls(calls))
        } else {
            assert_eq!(request.turn_usage.known(), None, "of the turn before");
            (5, ChatEvent::text("Done."))
        };
        request.turn_usage.report(&Usage::new(input, 1));
        stream::iter([Ok::<_, ProviderError>(event), Ok(ChatEvent::complete())])
    });
    let layer = ToolLayer::new(Counted::default().tools());
    let mut request = request();
    request.turn_usage = usage;
    let stream = layer.layer(model).oneshot(request).await.unwrap();
    let events: Vec<_> = stream.map(Result::unwrap).collect().await;
    let transcript: Transcript = events.iter().collect();
    assert_eq!(transcript.turn_ends()[0].usage, Some(Usage::new(3, 1)));
    assert_eq!(transcript.usage(), Some(Usage::new(8, 2)));
}

#[tokio::test(start_paused = true)]
async fn what_a_turn_must_be_handed_back_goes_to_the_model_again() {
    let model = Model::new([
        vec![
            ChatEvent::thinking("H"),
            ChatEvent::thinking("m."),
            state(StateOf::Turn, 1),
            ChatEvent::text("Let me see."),
            ChatEvent::tool_calls([call("1", "wait", json!({"seconds": 1}))]),
            state(StateOf::Call("1".into()), 2),
            state(StateOf::Stream, 3),
        ],
        vec![ChatEvent::text("Done.")],
    ]);
    let layer = ToolLayer::new(Counted::default().tools());
    let events = answer(&layer, &model, request()).await.unwrap();
    let mut asked = call("1", "wait", json!({"seconds": 1}));
    asked.provider_state = Some(ProviderState::new("p", json!(2)));
    let hm = Reasoning::new("Hm.").provider_state(ProviderState::new("p", json!(1)));
    let turn = Message::assistant(Content::new().reasoning(hm).text("Let me see."));
    let turn = turn.tool_calls([asked]);
    let result = Message::tool("1", r#"{"waited":1}"#);
    assert_eq!(model.last().messages[1..], [turn.clone(), result.clone()]);
    let transcript: Transcript = events.iter().collect();
    let messages = transcript.messages();
    assert_eq!(messages[..2], [turn, result]);
    assert_eq!(messages[2..], [Message::assistant("Done.")]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_gets_another_id_keeps_its_arguments_and_its_state() {
    let round = |seconds: u32| {
        vec![
            ToolInput::new("x", "{").name("wait").into(),
            ToolInput::new("x", "}").into(),
            ChatEvent::tool_calls([call("x", "wait", json!({"seconds": seconds}))]),
            state(StateOf::Call("x".into()), seconds),
        ]
    };
    let model = Model::new([round(1), round(2), vec![ChatEvent::text("Done.")]]);
    let layer = ToolLayer::new(Counted::default().tools());
    let events = answer(&layer, &model, request()).await.unwrap();
    let ids: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            ChatEvent::ToolInput(input) => Some(input.id.clone()),
            ChatEvent::ToolCalls(asked) => Some(asked.calls[0].id.clone()),
            ChatEvent::ProviderState(state) => match &state.of {
                StateOf::Call(id) => Some(id.clone()),
                _ => None,
            },
            _ => None,
        })
        .collect();
    assert_eq!(ids, ["x", "x", "x", "x", "x-2", "x-2", "x-2", "x-2"]);
    let states: Vec<_> = model
        .last()
        .messages
        .iter()
        .flat_map(|message| message.tool_calls.clone())
        .map(|call| call.provider_state.unwrap().data)
        .collect();
    assert_eq!(states, [json!(1), json!(2)]);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_was_only_announced_before_a_takeover_is_not_used_again() {
    let announced = || ToolInput::new("x", "{").name("wait").into();
    let wait = || call("x", "wait", json!({"seconds": 1}));
    let model = Model::new([
        vec![announced(), ChatEvent::tool_calls([wait()])],
        vec![ChatEvent::text("Done.")],
    ]);
    let before = |more: Vec<ChatEvent>| {
        let log: Vec<_> = std::iter::once(announced()).chain(more).collect();
        let mut request = request();
        request.runs = std::sync::Arc::new(log.iter().collect());
        if !log.iter().any(|event| event.kind() == "restarted") {
            request.so_far = Some(std::sync::Arc::new(log.iter().collect()));
        }
        request
    };
    for more in [vec![], vec![ChatEvent::restarted("again")]] {
        let layer = ToolLayer::new(Counted::default().tools());
        let events = answer(&layer, &model, before(more)).await.unwrap();
        let ids: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                ChatEvent::ToolInput(input) => Some(&*input.id),
                ChatEvent::ToolCalls(asked) => Some(&*asked.calls[0].id),
                ChatEvent::ToolResult(result) => Some(&*result.id),
                _ => None,
            })
            .collect();
        assert_eq!(ids, ["x-2", "x-2", "x-2"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_must_be_called_must_be_called_in_the_first_turn_only() {
    let forced = || ToolChoice::Tool("wait".into());
    let mut asked = request();
    asked.options = ChatOptions::new().tool_choice(forced()).seed(7);
    let model = Model::calling([call("1", "wait", json!({"seconds": 1}))]);
    let layer = ToolLayer::new(Counted::default().tools());
    answer(&layer, &model, asked.clone()).await.unwrap();
    let options: Vec<_> = {
        let requests = model.asked.lock().unwrap();
        requests.iter().map(|it| it.options.clone()).collect()
    };
    let released = asked.options.clone().tool_choice(ToolChoice::Auto);
    assert_eq!(options, [asked.options.clone(), released.clone()]);

    // The outputs of the client's tools come in a request of their own, with the same options.
    let outcome = Message::tool("1", "noon");
    let turn = Message::assistant("").tool_calls([call("1", "wait", json!({"seconds": 1}))]);
    asked.messages.extend([turn, outcome]);
    let model = Model::new([vec![ChatEvent::text("Done.")]]);
    answer(&layer, &model, asked).await.unwrap();
    assert_eq!(model.last().options, released);
}

/// Returns the events of a model that reports a usage in each turn (a call first, then `last`), and whose streams just
/// end.
async fn reporting(last: ChatEvent, before: Option<Transcript>) -> Vec<ChatEvent> {
    let model = provider_fn(move |request: ChatRequest| {
        let asks = request.messages.last().unwrap().role == Role::User;
        let (input, event) = if asks {
            let calls = [call("1", "wait", json!({"seconds": 1}))];
            (20, ChatEvent::tool_calls(calls))
        } else {
            (5, last.clone())
        };
        request.turn_usage.report(&Usage::new(input, 2));
        stream::iter([Ok::<_, ProviderError>(event)])
    });
    let layer = ToolLayer::new(Counted::default().tools());
    let mut request = request();
    request.turn_usage = TurnUsage::new();
    request.so_far = before.map(std::sync::Arc::new);
    let stream = layer.layer(model).oneshot(request).await.unwrap();
    stream.map(Result::unwrap).collect().await
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_without_a_terminal_event_counts_what_it_reported() {
    let events = reporting(ChatEvent::text("Done."), None).await;
    assert_eq!(
        kinds(&events),
        ["tool_calls", "turn", "tool_result", "text", "complete"]
    );
    let transcript: Transcript = events.iter().collect();
    assert_eq!(transcript.turn_ends()[0].usage, Some(Usage::new(20, 2)));
    assert_eq!(transcript.usage(), Some(Usage::new(25, 4)));
    // After a takeover, in which the model answers at once.
    let turn = TurnEnd::new(FinishReason::ToolCalls).usage(Usage::new(100, 1));
    let before = [ChatEvent::text("Once."), turn.into()];
    let events = reporting(ChatEvent::text("Done."), Some(before.iter().collect())).await;
    let transcript: Transcript = events.iter().collect();
    assert_eq!(transcript.usage(), Some(Usage::new(105, 3)));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_an_event_of_the_model_has_the_usage_of_the_turns_before() {
    let error = |usage: Option<Usage>| {
        let mut error = ErrorEvent::new(ErrorCode::Provider, "no");
        error.usage = usage;
        error
    };
    for (last, usage) in [
        (
            error(Some(Usage::new(7, 1))).into(),
            Some(Usage::new(27, 3)),
        ),
        (
            Aborted::new().usage(Usage::new(7, 1)).into(),
            Some(Usage::new(27, 3)),
        ),
        // The source of the session adds what was reported.
        (error(None).into(), Some(Usage::new(20, 2))),
    ] {
        let events = reporting(last, None).await;
        let transcript: Transcript = events.iter().collect();
        assert!(transcript.ending().is_some());
        assert_eq!(transcript.usage(), usage);
    }
}

#[tokio::test(start_paused = true)]
async fn the_turns_of_a_model_that_tells_no_sum_are_added() {
    let turn = |input| TurnEnd::new(FinishReason::Stop).usage(Usage::new(input, 1));
    let model = provider_fn(move |_: ChatRequest| {
        let (one, two) = (turn(3), turn(4));
        stream::iter([
            Ok::<_, ProviderError>(ChatEvent::text("a")),
            Ok(one.into()),
            Ok(ChatEvent::text("b")),
            Ok(two.into()),
            Ok(ChatEvent::complete()),
        ])
    });
    let layer = ToolLayer::new(Counted::default().tools());
    let stream = layer.layer(model).oneshot(request()).await.unwrap();
    let events: Vec<_> = stream.map(Result::unwrap).collect().await;
    let transcript: Transcript = events.iter().collect();
    assert_eq!(transcript.usage(), Some(Usage::new(7, 2)));
}
