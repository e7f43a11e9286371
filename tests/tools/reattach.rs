//! Answers whose provider reads on after the loss of a server, turn by turn.

use std::sync::Arc;

use serde_json::json;
use unbroken::{
    chat::{
        ChatEvent, ChatRequest, IsomorphicClientOutput, Message, ProviderState, ProviderStateEvent,
        StateOf, ToolInput, ToolRuns, Transcript,
    },
    tools::ToolLayer,
};

use crate::support::{Counted, Model, answer, call, request};

fn cursor(turn: u64) -> ChatEvent {
    let state = ProviderState::new("test", json!({"turn": turn}));
    ProviderStateEvent::new(StateOf::Stream, state).into()
}

/// The request of a server that took the session over with this log.
fn reattached(log: &[ChatEvent]) -> ChatRequest {
    let mut request = request();
    request.so_far = Some(Arc::new(log.iter().collect::<Transcript>()));
    request.runs = Arc::new(log.iter().collect::<ToolRuns>());
    request.reattach = true;
    request
}

fn stream_state(request: &ChatRequest) -> Option<serde_json::Value> {
    let so_far = request.so_far.as_ref()?;
    Some(so_far.stream_state()?.of("test")?.clone())
}

fn first_turn() -> Vec<ChatEvent> {
    vec![
        cursor(1),
        ChatEvent::text("I look. "),
        ChatEvent::tool_calls([call("c1", "wait", json!({"seconds": 0}))]),
        ChatEvent::tool_result("c1", "wait", "done"),
    ]
}

#[tokio::test]
async fn only_the_turn_that_was_cut_is_read_on() {
    for said in [false, true] {
        let counted = Counted::default();
        let layer = ToolLayer::new(counted.tools());
        let mut log = first_turn();
        log.push(cursor(2));
        log.extend(said.then(|| ChatEvent::text("It ")));
        let second = vec![ChatEvent::text("It "), ChatEvent::text("is noon.")];
        let model = Model::new([vec![], second]);
        answer(&layer, &model, reattached(&log)).await.unwrap();
        assert_eq!((model.times(), counted.started()), (1, 0));
        let asked = model.last();
        assert!(asked.reattach);
        assert_eq!(stream_state(&asked), Some(json!({"turn": 2})));
        let text = asked.so_far.as_ref().unwrap().text().to_owned();
        assert_eq!(text, if said { "It " } else { "" }, "of this turn alone");
        assert_eq!(
            asked.messages.last(),
            Some(&Message::tool("c1", "done")),
            "no part of the answer"
        );
    }
}

#[tokio::test]
async fn between_two_turns_the_model_is_called_for_the_next() {
    for results in [false, true] {
        let counted = Counted::default();
        let layer = ToolLayer::new(counted.tools());
        let mut log = first_turn();
        if !results {
            log.pop();
        }
        let model = Model::new([vec![], vec![ChatEvent::text("Noon.")]]);
        answer(&layer, &model, reattached(&log)).await.unwrap();
        assert_eq!(model.times(), 1);
        let asked = model.last();
        assert!(!asked.reattach, "that stream is over");
        assert!(asked.so_far.is_none());
    }
}

#[tokio::test]
async fn the_turns_after_one_that_was_read_on_are_calls_as_others() {
    let counted = Counted::default();
    let layer = ToolLayer::new(counted.tools());
    let log = [cursor(1), ChatEvent::text("I ")];
    let model = Model::new([
        vec![
            ChatEvent::text("I "),
            ChatEvent::text("look."),
            ChatEvent::tool_calls([call("c1", "wait", json!({"seconds": 0}))]),
        ],
        vec![ChatEvent::text("Noon.")],
    ]);
    answer(&layer, &model, reattached(&log)).await.unwrap();
    let asked = model.asked.lock().unwrap();
    let ways: Vec<_> = asked
        .iter()
        .map(|it| (it.reattach, it.so_far.is_some()))
        .collect();
    assert_eq!(ways, [(true, true), (false, false)]);
    let said = asked[1]
        .messages
        .iter()
        .find(|it| !it.tool_calls.is_empty());
    assert_eq!(said.unwrap().text(), "I look.", "the whole turn");
}

#[tokio::test]
async fn arguments_of_a_turn_that_begins_anew_are_not_added_to_those_before() {
    let mut log = first_turn();
    let input = |id: &str| ChatEvent::from(ToolInput::new(id, "{").name("wait"));
    log.push(input("c2"));
    let layer = ToolLayer::new(Counted::default().tools());
    let model = Model::new([vec![], vec![input("c2"), ChatEvent::text("Noon.")]]);
    let events = answer(&layer, &model, reattached(&log)).await.unwrap();
    assert!(!model.last().reattach, "there is nothing to read on from");
    let ChatEvent::ToolInput(again) = &events[0] else {
        panic!("{events:?}");
    };
    assert_ne!(again.id, "c2");
}

#[tokio::test]
async fn no_tool_runs_for_a_stream_that_has_the_whole_answer() {
    for (spans_turns, output) in [(true, false), (true, true), (false, false)] {
        let counted = Counted::default();
        let layer = ToolLayer::new(counted.tools());
        let state = ProviderState::new("test", json!({"turn": 7}));
        let place = ProviderStateEvent::new(StateOf::Stream, state).spans_turns(spans_turns);
        let log = [
            place.into(),
            ChatEvent::text("I look. "),
            ChatEvent::tool_calls([call("c1", "wait", json!({"seconds": 0}))]),
        ];
        let mut request = reattached(&log);
        if output {
            let output = IsomorphicClientOutput::new("m1", "wait", json!("seen"));
            request.isomorphic_client_outputs.push(output);
        }
        let model = Model::new([
            vec![ChatEvent::text("Noon.")],
            vec![ChatEvent::text("Noon.")],
        ]);
        answer(&layer, &model, request).await.unwrap();
        assert_eq!((model.times(), counted.started()), (1, 0), "{spans_turns}");
        let asked = model.last();
        let place = spans_turns.then(|| json!({"turn": 7}));
        assert_eq!(asked.reattach, spans_turns);
        assert_eq!(stream_state(&asked), place);
    }
}
