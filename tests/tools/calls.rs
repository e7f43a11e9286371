//! The tools of the server.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use tokio::time::Instant;
use unbroken::{
    chat::{ChatEvent, Complete, EnabledTools, Message, ProviderError, Transcript, Usage},
    log::{ChatId, ErrorCode, Owner},
    tools::{Call, ToolFailure, ToolLayer, Tools, tool_fn},
};

use crate::support::{
    Counted, Model, Nothing, Wait, answer, call, kinds, request, start, wait_for_drops,
};

#[tokio::test(start_paused = true)]
async fn the_result_of_a_tool_goes_to_the_model_and_into_the_answer() {
    let model = Model::calling([call("1", "wait", json!({"seconds": 1}))]);
    let layer = ToolLayer::new(Counted::default().tools());
    let events = answer(&layer, &model, request()).await.unwrap();
    assert_eq!(
        events,
        [
            ChatEvent::tool_calls([call("1", "wait", json!({"seconds": 1}))]),
            ChatEvent::tool_result("1", "wait", r#"{"waited":1}"#),
            ChatEvent::text("Done."),
            Complete::new().usage(Usage::new(20, 4)).into(),
        ]
    );
    assert_eq!(
        model.last().messages,
        [
            Message::user("Hi"),
            Message::assistant("").tool_calls([call("1", "wait", json!({"seconds": 1}))]),
            Message::tool("1", r#"{"waited":1}"#),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_model_gets_the_tools_that_the_request_enables() {
    let (model, tools) = (Model::new([vec![]]), Counted::default().tools());
    let layer = ToolLayer::new(tools);
    for (enabled, names) in [
        (Some(EnabledTools::All), vec!["wait", "panic", "fail"]),
        (
            Some(EnabledTools::Named(vec![
                "fail".into(),
                "no such tool".into(),
            ])),
            vec!["fail"],
        ),
        (None, vec!["wait", "panic", "fail"]),
        (Some(EnabledTools::Named(vec![])), vec![]),
    ] {
        let mut request = request();
        request.enabled_tools = enabled;
        answer(&layer, &model, request).await.unwrap();
        let asked = model.last();
        let offered: Vec<_> = asked.tools.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(offered, names);
    }
    let mut request = request();
    request.enabled_tools = Some(EnabledTools::All);
    answer(&layer, &model, request).await.unwrap();
    let wait = &model.last().tools[0];
    assert_eq!(wait.description, "Waits.");
    assert_eq!(wait.parameters["type"], "object");
    let seconds = &wait.parameters["properties"]["seconds"];
    assert_eq!(
        seconds["description"],
        "The duration of the call, in seconds."
    );
    assert!(wait.parameters.get("$schema").is_none());
}

#[tokio::test(start_paused = true)]
async fn calls_run_concurrently_and_results_come_as_they_are_ready() {
    let model = Model::calling([
        call("1", "wait", json!({"seconds": 3})),
        call("2", "wait", json!({"seconds": 1})),
        call("3", "wait", json!({"seconds": 2})),
    ]);
    let layer = ToolLayer::new(Counted::default().tools());
    let began = Instant::now();
    let events = answer(&layer, &model, request()).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(3));
    let results: Transcript = events.iter().collect();
    let order: Vec<_> = results
        .tool_results()
        .iter()
        .map(|it| it.id.as_str())
        .collect();
    assert_eq!(order, ["2", "3", "1"]);
    let messages = model.last().messages;
    let order: Vec<_> = messages[2..]
        .iter()
        .map(|it| it.tool_call_id.as_deref())
        .collect();
    assert_eq!(
        order,
        [Some("1"), Some("2"), Some("3")],
        "in the order of the calls"
    );
}

#[tokio::test(start_paused = true)]
async fn the_number_of_concurrent_calls_is_limited() {
    let seconds = |id: &str| call(id, "wait", json!({"seconds": 1}));
    let model = Model::calling(["1", "2", "3", "4", "5"].map(seconds));
    for (parallel, takes) in [(1, 5), (2, 3), (8, 1), (0, 5)] {
        let layer = ToolLayer::new(Counted::default().tools()).parallel(parallel);
        let began = Instant::now();
        let events = answer(&layer, &model, request()).await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_secs(takes), "{parallel}");
        assert_eq!(
            kinds(&events)
                .iter()
                .filter(|it| **it == "tool_result")
                .count(),
            5
        );
    }
}

#[tokio::test(start_paused = true)]
async fn every_failure_of_a_call_goes_to_the_model_and_the_answer_continues() {
    for (asked, part) in [
        (call("1", "panic", json!({})), "the tool failed"),
        (call("1", "fail", json!({})), "the tool failed"),
        (
            call("1", "wait", json!({"seconds": 100})),
            "the tool took longer than 10s",
        ),
        (
            call("1", "no such tool", json!({})),
            "there is no tool \"no such tool\"; there are fail, panic, wait",
        ),
        (call("1", "wait", json!({"seconds": "soon"})), "/seconds"),
        (call("1", "wait", json!({})), "seconds"),
        (call("1", "wait", json!("{\"seconds\": 1")), "no whole JSON"),
    ] {
        let (model, counted) = (Model::calling([asked.clone()]), Counted::default());
        let layer = ToolLayer::new(counted.tools()).timeout(Duration::from_secs(10));
        let events = answer(&layer, &model, request()).await.unwrap();
        assert_eq!(
            kinds(&events),
            ["tool_calls", "tool_error", "text", "complete"],
            "{asked:?}"
        );
        let ChatEvent::ToolError(error) = &events[1] else {
            panic!("{events:?}");
        };
        assert!(error.message.contains(part), "{}", error.message);
        assert!(!error.message.contains("10.0.0.7"), "{}", error.message);
        assert_eq!((error.id.as_str(), &error.name), ("1", &asked.name));
        let message = &model.last().messages[2];
        assert_eq!(*message, Message::tool_failed("1", &error.message));
        assert_eq!(counted.started(), counted.dropped());
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_arguments_do_not_fit_does_not_run() {
    let (model, counted) = (
        Model::calling([call("1", "wait", json!({"seconds": -1}))]),
        Counted::default(),
    );
    answer(&ToolLayer::new(counted.tools()), &model, request())
        .await
        .unwrap();
    assert_eq!(counted.started(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_too_large_becomes_an_error_for_the_model() {
    let tools = || {
        let text = |args: Wait, _: Call| async move {
            Ok("\"".repeat(usize::try_from(args.seconds).unwrap()))
        };
        Tools::new().with(tool_fn("text", "", text))
    };
    // Two quotes, and two bytes for each character.
    for (length, kind) in [(49, "tool_result"), (50, "tool_error")] {
        let model = Model::calling([call("1", "text", json!({"seconds": length}))]);
        let layer = ToolLayer::new(tools()).result_bytes(100);
        let events = answer(&layer, &model, request()).await.unwrap();
        assert_eq!(events[1].kind(), kind);
    }
}

#[tokio::test(start_paused = true)]
async fn the_number_of_turns_is_limited() {
    let again = vec![ChatEvent::tool_calls([call(
        "1",
        "wait",
        json!({"seconds": 0}),
    )])];
    let (model, counted) = (Model::new([again]), Counted::default());
    let layer = ToolLayer::new(counted.tools()).max_iterations(3);
    let error = answer(&layer, &model, request()).await.unwrap_err();
    let error = ProviderError::find(&*error).unwrap();
    assert_eq!(error.code(), ErrorCode::Limit);
    assert!(error.message().contains('3'), "{error}");
    assert_eq!((model.times(), counted.started()), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn the_last_allowed_turn_may_answer() {
    let again = vec![ChatEvent::tool_calls([call(
        "1",
        "wait",
        json!({"seconds": 0}),
    )])];
    let model = Model::new([again.clone(), again, vec![ChatEvent::text("Done.")]]);
    let layer = ToolLayer::new(Counted::default().tools()).max_iterations(3);
    let events = answer(&layer, &model, request()).await.unwrap();
    assert_eq!(events.last().unwrap().kind(), "complete");
    assert_eq!(model.times(), 3);
}

#[tokio::test(start_paused = true)]
async fn no_two_calls_have_one_id() {
    let nameless = || call("", "wait", json!({"seconds": 0}));
    let twice = || call("1", "wait", json!({"seconds": 0}));
    let turn = || vec![ChatEvent::tool_calls([nameless(), twice(), nameless()])];
    let model = Model::new([turn(), turn(), vec![]]);
    let mut request = request();
    request.messages.insert(
        0,
        Message::assistant("").tool_calls([call("1-2", "wait", json!({}))]),
    );
    let layer = ToolLayer::new(Counted::default().tools());
    let events = answer(&layer, &model, request).await.unwrap();
    let transcript: Transcript = events.iter().collect();
    let ids: Vec<_> = transcript
        .tool_calls()
        .iter()
        .map(|it| it.id.as_str())
        .collect();
    assert_eq!(ids, ["call", "1", "call-2", "call-3", "1-3", "call-4"]);
    let mut results: Vec<_> = transcript.tool_results().iter().map(|it| &it.id).collect();
    results.sort_unstable();
    let mut ids = ids;
    ids.sort_unstable();
    assert_eq!(results, ids);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_answer_drops_the_running_tools() {
    let model = Model::calling([
        call("1", "wait", json!({"seconds": 1000})),
        call("2", "wait", json!({"seconds": 1000})),
    ]);
    let counted = Counted::default();
    let layer = ToolLayer::new(counted.tools());
    let mut stream = start(&layer, &model, request()).await;
    for _ in ["tool_calls", "turn"] {
        stream.next().await.unwrap().unwrap();
    }
    let waits = tokio::time::timeout(Duration::from_secs(5), stream.next()).await;
    assert!(waits.is_err());
    assert_eq!((counted.started(), counted.dropped()), (2, 0));
    drop(stream);
    wait_for_drops(&counted, 2).await;
    assert_eq!(model.times(), 1);
}

#[tokio::test(start_paused = true)]
async fn progress_comes_before_the_result() {
    let tools = Tools::new().with(tool_fn("look", "", |_: Nothing, call: Call| async move {
        call.progress("looking");
        tokio::time::sleep(Duration::from_secs(1)).await;
        call.progress_of(1.0, Some(2.0));
        call.progress_of(f64::NAN, None);
        call.progress_step("half", 1.0, Some(f64::INFINITY));
        Ok("found")
    }));
    let model = Model::calling([call("1", "look", json!({}))]);
    let events = answer(&ToolLayer::new(tools), &model, request())
        .await
        .unwrap();
    let events: Vec<_> = events
        .iter()
        .map(|it| serde_json::to_value(it).unwrap())
        .collect();
    assert_eq!(
        events[1..5],
        [
            json!({"type": "tool_progress", "id": "1", "name": "look", "message": "looking"}),
            json!({"type": "tool_progress", "id": "1", "name": "look", "progress": 1.0, "total": 2.0}),
            json!({"type": "tool_progress", "id": "1", "name": "look", "message": "half", "progress": 1.0}),
            json!({"type": "tool_result", "id": "1", "name": "look", "content": "found"}),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_reports_without_pause_costs_no_memory_and_starves_no_call() {
    let tools = Tools::new().with(tool_fn("talk", "", |_: Nothing, call: Call| async move {
        for n in 0..100_000 {
            call.progress_of(f64::from(n), None);
        }
        Ok("done")
    }));
    let model = Model::calling([call("1", "talk", json!({}))]);
    let events = answer(&ToolLayer::new(tools), &model, request())
        .await
        .unwrap();
    assert!(events.len() < 100, "{}", events.len());
    assert!(kinds(&events).contains(&"tool_result"));
}

#[tokio::test(start_paused = true)]
async fn a_call_has_the_owner_session_and_chat() {
    let tools = Tools::new().with(tool_fn("who", "", |_: Nothing, call: Call| async move {
        let known = (call.owner(), call.session_id(), call.chat_id());
        let (Some(owner), Some(session), Some(chat)) = known else {
            return Err(ToolFailure::new("nobody").into());
        };
        let plan = call.extensions().get::<&str>();
        Ok(format!(
            "{owner} {session} {chat} {plan:?} {} {}",
            call.tool(),
            call.id()
        ))
    }));
    let model = Model::calling([call("1", "who", json!({}))]);
    let mut request = request();
    request.owner = Some(Owner::new("ada"));
    request.session_id = Some("session-of-ada-0000001".parse().unwrap());
    request.chat_id = Some(ChatId::new("c"));
    request.extensions.insert("paid");
    let events = answer(&ToolLayer::new(tools), &model, request)
        .await
        .unwrap();
    assert_eq!(
        events[1],
        ChatEvent::tool_result(
            "1",
            "who",
            "ada session-of-ada-0000001 c Some(\"paid\") who 1"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn the_text_of_a_complete_event_counts_in_every_turn() {
    let whole = |text: &str| ChatEvent::from(Complete::new().text(text));
    let calls = ChatEvent::tool_calls([call("1", "wait", json!({"seconds": 0}))]);
    let model = Model::new([vec![calls, whole("Let me see. ")], vec![whole("Seen.")]]);
    let layer = ToolLayer::new(Counted::default().tools());
    let events = answer(&layer, &model, request()).await.unwrap();
    let transcript: Transcript = events.iter().collect();
    assert_eq!(transcript.text(), "Let me see. Seen.");
    assert_eq!(model.last().messages[1].content, "Let me see. ");
    assert_eq!(events.iter().filter(|it| it.is_terminal()).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_model_ends_the_answer_in_any_turn() {
    let failed = ChatEvent::error(ErrorCode::Provider, "overloaded");
    let calls = ChatEvent::tool_calls([call("1", "wait", json!({"seconds": 0}))]);
    let model = Model::new([vec![calls], vec![failed.clone()]]);
    let layer = ToolLayer::new(Counted::default().tools());
    let mut stream = start(&layer, &model, request()).await;
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        let event = event.unwrap();
        let ends = event.is_terminal();
        events.push(event);
        if ends {
            break;
        }
    }
    assert_eq!(events.last(), Some(&failed));
}
