use std::{
    future::poll_fn,
    sync::{Arc, Mutex},
};

use futures_util::stream;

use super::*;
use crate::chat::{
    Complete, ConversationState, FinishReason, InputAction, InputRequest, InputResolved, Message,
    ToolCall, ToolProgress, TurnEnd, Usage, provider_fn,
};

#[derive(Debug, thiserror::Error)]
#[error("a layer between")]
struct LayeredError(#[source] BoxError);

/// Returns the records of a provider with these events, and the mark of each.
async fn records(events: Vec<Result<ChatEvent, BoxError>>) -> Vec<(Mark, serde_json::Value)> {
    records_for(ChatRequest::default(), events).await
}

async fn records_for(
    request: ChatRequest,
    events: Vec<Result<ChatEvent, BoxError>>,
) -> Vec<(Mark, serde_json::Value)> {
    let events = Arc::new(Mutex::new(Some(events)));
    let provider = provider_fn(move |_| {
        let events = events.lock().unwrap().take();
        stream::iter(events.expect("the provider is called once"))
    });
    let mut source = Box::pin(ProviderSource::new(provider, request));
    let mut records = Vec::new();
    let mut out = BytesMut::new();
    while let Some(mark) = poll_fn(|cx| source.as_mut().poll_record(cx, &mut out)).await {
        records.push((mark, serde_json::from_slice(&out.split()).unwrap()));
    }
    assert!(out.is_empty());
    records
}

#[tokio::test]
async fn the_end_of_the_stream_is_the_end_of_the_source() {
    let records = records(vec![Ok(ChatEvent::text("a")), Ok(ChatEvent::text("b"))]).await;
    let marks: Vec<_> = records.iter().map(|(mark, _)| *mark).collect();
    assert_eq!(marks, [Mark::Event, Mark::Event]);
}

#[tokio::test]
async fn each_terminal_event_has_its_outcome() {
    for (event, outcome) in [
        (ChatEvent::complete(), Outcome::Complete),
        (ChatEvent::aborted(), Outcome::Aborted),
        (
            ChatEvent::error(ErrorCode::Limit, "too much"),
            Outcome::Error(ErrorCode::Limit),
        ),
    ] {
        let records = records(vec![Ok(event.clone())]).await;
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].0, Mark::Terminal(outcome));
        assert_eq!(records[0].1["type"], event.kind());
    }
}

#[tokio::test]
async fn events_with_effects_are_barriers() {
    let call = ToolCall::new("1", "pay", serde_json::json!({}));
    let started = ToolProgress::new("1", "pay");
    let half = started.clone().progress(0.5, None);
    let events = vec![
        Ok(ChatEvent::tool_calls([call])),
        Ok(started.into()),
        Ok(half.into()),
        Ok(ChatEvent::tool_result("1", "pay", "done")),
        Ok(ChatEvent::tool_error("2", "pay", "no")),
        Ok(ChatEvent::isomorphic_handoff(
            "3",
            "map",
            serde_json::json!({}),
        )),
    ];
    let marks: Vec<_> = records(events)
        .await
        .into_iter()
        .map(|(mark, _)| mark)
        .collect();
    let barrier = Mark::Barrier;
    let expected = [barrier, barrier, Mark::Event, barrier, barrier, barrier];
    assert_eq!(marks, expected);
}

#[test]
fn the_messages_of_a_state_are_left_out_where_they_do_not_fit() {
    let mut state = ConversationState::new([Message::user("Hi")]);
    state.assistant_content = "Let me see.".into();
    let event = ChatEvent::conversation_state(state.clone());
    let whole = event.to_json().len();
    for (most, messages) in [(whole, state.messages.clone()), (whole - 1, Vec::new())] {
        let mut out = BytesMut::from("before");
        let sizes = RecordSizes {
            event: most,
            value: most,
        };
        event_record::write(event.clone(), sizes, &mut out);
        let record = out.split_off("before".len());
        assert!(record.len() <= most);
        let json: serde_json::Value = serde_json::from_slice(&record).unwrap();
        let written = &json["conversationState"];
        assert_eq!(written.get("messages").is_some(), !messages.is_empty());
        let read: ConversationState = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(read.messages, messages);
        assert_eq!(read.assistant_content, "Let me see.");
    }
}

#[tokio::test]
async fn long_text_is_several_records() {
    let most = Limits::default().event_bytes;
    let text = "é\n".repeat(most);
    let mut events = vec![ChatEvent::thinking(text.clone()), ChatEvent::text(text)];
    events.push(ChatEvent::complete());
    let records = records(events.iter().cloned().map(Ok).collect()).await;
    // Five each, and the end.
    assert_eq!(records.len(), 11);
    let read = |record: &(_, serde_json::Value)| serde_json::from_value(record.1.clone());
    let read: Vec<ChatEvent> = records.iter().map(read).collect::<Result<_, _>>().unwrap();
    assert!(read.iter().all(|event| event.to_json().len() <= most));
    let whole: crate::chat::Transcript = events.iter().collect();
    assert!(read.iter().collect::<crate::chat::Transcript>() == whole);
}

#[tokio::test]
async fn the_session_waits_while_any_question_is_open() {
    let id = |id: &str| id.parse::<InputId>().unwrap();
    let resolved = |name| InputResolved::new(id(name), InputAction::Decline);
    let events = vec![
        Ok(InputRequest::approval(id("a"), "May I?").into()),
        Ok(ChatEvent::text("meanwhile")),
        Ok(InputRequest::question(id("b"), "When?").into()),
        Ok(resolved("a").into()),
        Ok(resolved("never-asked").into()),
        Ok(resolved("b").into()),
        Ok(ChatEvent::text("on")),
        Ok(InputRequest::question(id("c"), "Why?").into()),
        Ok(ChatEvent::restarted("again")),
    ];
    let marks: Vec<_> = records(events)
        .await
        .into_iter()
        .map(|(mark, _)| mark)
        .collect();
    let mut expected = vec![Mark::Waiting; 5];
    expected.extend([Mark::Barrier, Mark::Event, Mark::Waiting, Mark::Event]);
    assert_eq!(marks, expected);
}

#[tokio::test]
async fn questions_of_the_partial_answer_are_open_after_a_takeover() {
    let id = InputId::random();
    let asked = InputRequest::question(id.clone(), "When?").into();
    let request = ChatRequest {
        so_far: Some(std::sync::Arc::new([asked].iter().collect())),
        ..ChatRequest::default()
    };
    let events = [
        ChatEvent::text("meanwhile"),
        InputResolved::new(id, InputAction::Accept).into(),
    ];
    let provider = provider_fn(move |_| stream::iter(events.clone().map(Ok::<_, BoxError>)));
    let mut source = Box::pin(ProviderSource::new(provider, request));
    let mut marks = Vec::new();
    let mut out = BytesMut::new();
    while let Some(mark) = poll_fn(|cx| source.as_mut().poll_record(cx, &mut out)).await {
        marks.push(mark);
    }
    assert_eq!(marks, [Mark::Waiting, Mark::Barrier]);
}

#[tokio::test]
async fn every_end_has_the_usage_of_the_turns_that_are_over() {
    let turn = |input| TurnEnd::new(FinishReason::ToolCalls).usage(Usage::new(input, 1));
    let turns = || vec![Ok(turn(3).into()), Ok(turn(4).into())];
    let sum = serde_json::json!({"inputTokens": 7, "outputTokens": 2});
    let own = Complete::new().usage(Usage::new(9, 9));
    for (end, usage) in [
        (Ok(ChatEvent::complete()), sum.clone()),
        (
            Ok(own.into()),
            serde_json::json!({"inputTokens": 9, "outputTokens": 9}),
        ),
        (Ok(ChatEvent::aborted()), sum.clone()),
        (Ok(ChatEvent::error(ErrorCode::Limit, "no")), sum.clone()),
        (Err("lost".into()), sum),
        (
            Err(ProviderError::new("lost")
                .with_usage(Usage::new(5, 1))
                .into()),
            serde_json::json!({"inputTokens": 12, "outputTokens": 3}),
        ),
    ] {
        let mut events = turns();
        events.push(end);
        let records = records(events).await;
        assert_eq!(records[2].1["usage"], usage);
    }
}

#[tokio::test]
async fn an_end_that_the_registry_decides_has_the_usage_too() {
    let turn = TurnEnd::new(FinishReason::ToolCalls).usage(Usage::new(3, 1));
    let so_far: crate::chat::Transcript = [turn.clone().into()].iter().collect();
    let request = ChatRequest {
        so_far: Some(Arc::new(so_far)),
        ..ChatRequest::default()
    };
    let provider =
        provider_fn(move |_| stream::iter([Ok::<ChatEvent, BoxError>(turn.clone().into())]));
    let mut source = Box::pin(ProviderSource::new(provider.clone(), request));
    let mut out = BytesMut::new();
    poll_fn(|cx| source.as_mut().poll_record(cx, &mut out)).await;
    for ending in [
        Ending::Idle,
        Ending::Aborted {
            reason: Some("enough".into()),
        },
    ] {
        let record = source.ending(&ending).unwrap();
        let event: serde_json::Value = serde_json::from_slice(&record).unwrap();
        let usage = serde_json::json!({"inputTokens": 6, "outputTokens": 2});
        assert_eq!(event["usage"], usage, "{event}");
    }
    let fresh = ProviderSource::new(provider, ChatRequest::default());
    assert_eq!(fresh.ending(&Ending::Idle), None);
}

/// Returns the records of a provider that reports a usage before some of its events.
async fn reported(
    steps: Vec<(Option<u64>, Result<ChatEvent, BoxError>)>,
) -> Vec<serde_json::Value> {
    let steps = Arc::new(Mutex::new(Some(steps)));
    let provider = provider_fn(move |request: ChatRequest| {
        let steps = steps.lock().unwrap().take().unwrap();
        stream::iter(steps.into_iter().map(move |(input, event)| {
            if let Some(input) = input {
                request.turn_usage.report(&Usage::new(input, 1));
            }
            event
        }))
    });
    let mut source = Box::pin(ProviderSource::new(provider, ChatRequest::default()));
    let (mut records, mut out) = (Vec::new(), BytesMut::new());
    loop {
        let ending = source.ending(&Ending::Idle);
        let known = ending.map(|it| serde_json::from_slice::<serde_json::Value>(&it).unwrap());
        let known = known.map_or(serde_json::Value::Null, |it| {
            it["usage"]["inputTokens"].clone()
        });
        if poll_fn(|cx| source.as_mut().poll_record(cx, &mut out))
            .await
            .is_none()
        {
            return records;
        }
        let mut record: serde_json::Value = serde_json::from_slice(&out.split()).unwrap();
        record["before"] = known;
        records.push(record);
    }
}

#[tokio::test]
async fn a_reported_usage_counts_until_its_turn_ends_and_never_twice() {
    let turn = |usage: Option<u64>| {
        let mut end = TurnEnd::new(FinishReason::Stop);
        end.usage = usage.map(|input| Usage::new(input, 1));
        Ok(end.into())
    };
    let text = || Ok(ChatEvent::text("a"));
    let records = reported(vec![
        (None, text()),
        (Some(3), text()),
        (Some(5), text()),
        (None, turn(Some(6))),
        (Some(20), text()),
        (None, turn(None)),
        (None, text()),
        (None, turn(None)),
        (Some(100), Err("lost".into())),
    ])
    .await;
    let before: Vec<_> = records.iter().map(|it| it["before"].as_u64()).collect();
    let expected = [
        None,
        None,
        Some(3),
        Some(5),
        Some(6),
        Some(26),
        Some(26),
        Some(26),
        Some(26),
    ];
    assert_eq!(before, expected);
    let usage = records.iter().filter(|it| it["type"] != "text");
    let usage: Vec<_> = usage
        .map(|it| it["usage"]["inputTokens"].as_u64())
        .collect();
    assert_eq!(usage, [Some(6), Some(20), None, Some(126)]);
}

#[tokio::test]
async fn an_error_that_tells_its_usage_does_not_count_the_report_too() {
    let error = ProviderError::new("no").with_usage(Usage::new(9, 1));
    let records = reported(vec![
        (Some(3), Ok(ChatEvent::text("a"))),
        (Some(9), Err(error.into())),
    ])
    .await;
    assert_eq!(records[1]["usage"]["inputTokens"], 9);
}

#[tokio::test]
async fn an_end_whose_usage_can_not_be_written_goes_without() {
    let mut deep = Usage::new(3, 1);
    let lists = (0..=ChatEvent::MAX_DEPTH).fold(serde_json::Value::Null, |inner, _| {
        serde_json::json!([inner])
    });
    deep.extra.insert("deep".into(), lists);
    let provider = provider_fn(move |request: ChatRequest| {
        request.turn_usage.report(&deep);
        stream::iter([Ok::<_, BoxError>(ChatEvent::text("a"))])
    });
    let mut source = Box::pin(ProviderSource::new(provider, ChatRequest::default()));
    poll_fn(|cx| source.as_mut().poll_record(cx, &mut BytesMut::new())).await;
    assert_eq!(source.ending(&Ending::Idle), None);
}

#[tokio::test]
async fn nothing_follows_an_error() {
    let error = ProviderError::new("no more");
    let records = records(vec![Err(error.into()), Ok(ChatEvent::text("more"))]).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].1["message"], "no more");
}

#[tokio::test]
async fn a_public_message_is_found_behind_other_errors() {
    let public: BoxError = ProviderError::new("overloaded").recoverable(true).into();
    let wrapped = LayeredError(LayeredError(public).into());
    let found = &records(vec![Err(wrapped.into())]).await[0].1;
    assert_eq!(found["message"], "overloaded");
    assert_eq!(found["recoverable"], true);
    let private = LayeredError("10.0.0.7 refused".into());
    let hidden = &records(vec![Err(private.into())]).await[0].1;
    assert_eq!(hidden["message"], "The provider failed. Try again.");
    assert_eq!(hidden["code"], "provider");
}

#[tokio::test]
async fn an_error_after_the_terminal_event_changes_nothing() {
    let records = records(vec![Ok(ChatEvent::complete()), Err("late".into())]).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].0, Mark::Terminal(Outcome::Complete));
}

#[tokio::test]
async fn an_event_after_the_terminal_one_is_an_internal_error() {
    let events = vec![Ok(ChatEvent::complete()), Ok(ChatEvent::complete())];
    let records = records(events).await;
    let internal = Outcome::Error(ErrorCode::Internal);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].0, Mark::Terminal(internal));
}

#[tokio::test]
async fn streamed_arguments_are_split_where_they_are_larger_than_a_record() {
    let long = "\"x\\".repeat(200_000);
    let input = crate::chat::ToolInput::new("a", &long).name("t");
    let records = records(vec![Ok(input.into()), Ok(ChatEvent::complete())]).await;
    assert!(records.len() > 4, "{}", records.len());
    let pieces = &records[..records.len() - 1];
    for (at, (mark, record)) in pieces.iter().enumerate() {
        assert_eq!(*mark, Mark::Event);
        assert_eq!(record["id"], "a");
        assert_eq!(record.get("name").is_some(), at == 0);
        assert!(record.to_string().len() <= Limits::default().event_bytes);
    }
    let deltas = pieces.iter().map(|(_, it)| it["delta"].as_str().unwrap());
    assert_eq!(deltas.collect::<String>(), long);
}

#[tokio::test]
async fn streamed_arguments_leave_room_for_their_calls() {
    use crate::chat::ToolInput;
    let most = usize::try_from(Limits::default().session_bytes).unwrap();
    let piece = "x".repeat(100_000);
    let many: Vec<_> = (0..most / 100_000)
        .map(|at| Ok(ToolInput::new(format!("c{at}"), &piece).name("t").into()))
        .chain([
            Ok(ChatEvent::tool_calls([])),
            Ok(ToolInput::new("z", "{}").name("t").into()),
        ])
        .collect();
    let many = records(many).await;
    let kinds: Vec<_> = many
        .iter()
        .map(|it| it.1["type"].as_str().unwrap())
        .collect();
    // An eighth; and then nothing but the calls.
    assert_eq!(kinds.len(), most / 8 / 100_100 + 1);
    assert_eq!(kinds.last(), Some(&"tool_calls"));

    // An id that each piece would repeat.
    let id = "i".repeat(Limits::default().event_bytes / 4);
    let long = ToolInput::new(id, "{}").name("t");
    let long = records(vec![Ok(long.into()), Ok(ChatEvent::complete())]).await;
    assert_eq!(long.len(), 1);
}

#[tokio::test]
async fn after_a_takeover_open_arguments_are_cut_and_their_ids_are_not_used_again() {
    use crate::chat::{
        InputId, IsomorphicHandoff, ProviderState, ProviderStateEvent, StateOf, ToolInput,
    };
    let piece = |id: &str| ToolInput::new(id, "{").name("t").into();
    let log = [
        ChatEvent::tool_calls([ToolCall::new("called", "t", serde_json::json!({}))]),
        piece("a"),
        piece("b"),
    ];
    let call = || ToolCall::new("a", "t", serde_json::json!({}));
    let state = ProviderState::new("p", serde_json::json!(1));
    let asks = InputRequest::approval(InputId::random(), "May I?");
    let mut conversation = ConversationState::new([
        Message::assistant("").tool_calls([call()]),
        Message::tool("a", "x"),
    ]);
    conversation.tool_calls = vec![call()];
    conversation.server_tool_results = vec![crate::chat::ToolResult::new("a", "t", "x")];
    let events: Vec<ChatEvent> = vec![
        ProviderStateEvent::new(StateOf::Call("b".into()), state).into(),
        piece("a"),
        ToolInput::new("a", "}").into(),
        piece("a-2"),
        ChatEvent::tool_calls([call(), ToolCall::new("new", "t", serde_json::json!({}))]),
        ToolProgress::new("a", "t").into(),
        asks.tool_call("a", "t", serde_json::json!({})).into(),
        ChatEvent::tool_error("a", "t", "no"),
        ChatEvent::tool_result("called", "t", "x"),
        IsomorphicHandoff::new("a", "t", serde_json::json!({})).into(),
        ChatEvent::conversation_state(conversation),
        ChatEvent::complete(),
    ];
    let request = ChatRequest {
        runs: Arc::new(log.iter().collect()),
        ..ChatRequest::default()
    };
    let events = events.into_iter().map(Ok).collect();
    let written = records_for(request, events).await;
    for ((_, record), id) in written.iter().zip(["a", "b"]) {
        let cut = serde_json::json!({"type": "tool_input", "id": id, "delta": "", "cut": true});
        assert_eq!(*record, cut);
    }
    let records: Vec<_> = written[2..].iter().map(|(_, record)| record).collect();
    assert_eq!(records[0]["of"], "b-2");
    let ids = |records: &[&serde_json::Value]| -> Vec<String> {
        let id = |record: &&serde_json::Value| record["id"].as_str().unwrap().to_owned();
        records.iter().map(id).collect()
    };
    assert_eq!(ids(&records[1..4]), ["a-2", "a-2", "a-2-2"]);
    assert_eq!(records[4]["calls"][0]["id"], "a-2");
    assert_eq!(records[4]["calls"][1]["id"], "new");
    assert_eq!(
        ids(&[records[5], records[7], records[8]]),
        ["a-2", "a-2", "called"]
    );
    assert_eq!(records[6]["callId"], "a-2");
    assert_eq!(records[9]["callId"], "a-2");
    let state = &records[10]["conversationState"];
    assert_eq!(state["toolCalls"][0]["id"], "a-2");
    assert_eq!(state["serverToolResults"][0]["id"], "a-2");
    assert_eq!(state["messages"][0]["tool_calls"][0]["id"], "a-2");
    assert_eq!(state["messages"][1]["tool_call_id"], "a-2");
    assert_eq!(records[11]["type"], "complete");
}
