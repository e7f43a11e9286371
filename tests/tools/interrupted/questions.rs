use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use serde_json::json;
use unbroken::{
    chat::{ChatEvent, InputAnswer},
    tools::{Call, Question, ToolLayer, Tools, tool_fn},
};

use super::fixture::Fixture;
use crate::support::{Model, Nothing, answer, call, start};

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_an_approval_waits_for_the_same_question_after_a_take_over() {
    let fixture = Fixture::new();
    let layer = &fixture.layer;
    let model = Model::calling([call("1", "allowed", json!({"of": "a"}))]);
    let mut stream = start(layer, &model, fixture.request()).await;
    let mut log = Vec::new();
    while log.len() < 3 {
        log.push(stream.next().await.unwrap().unwrap());
    }
    drop(stream);
    let ChatEvent::InputRequest(asked) = log[2].clone() else {
        panic!("{log:?}");
    };
    // Answered while no server has the session.
    fixture.allow(&asked);
    let rest = answer(layer, &model, fixture.resumed(&log)).await.unwrap();
    let kinds: Vec<_> = rest.iter().map(ChatEvent::kind).collect();
    assert_eq!(kinds, ["input_resolved", "tool_result", "text", "complete"]);
    assert_eq!(fixture.runs.times("allowed a"), 1);
}

#[tokio::test(start_paused = true)]
async fn questions_that_were_answered_are_not_asked_again() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let ask = tool_fn("ask", "", move |_: Nothing, call: Call| {
        let seen = Arc::clone(&seen);
        async move {
            let mut outputs = Vec::new();
            for question in ["One?", "Two?"] {
                outputs.push(call.ask(Question::new(question)).await?);
                seen.lock().unwrap().push(question);
            }
            Ok(json!(outputs))
        }
    });
    let layer = ToolLayer::new(Tools::new().with(ask.idempotent()));
    let model = Model::calling([call("1", "ask", json!({}))]);
    let fixture = Fixture::new();
    // Calls, question, resolved, question, resolved.
    for read in 2..6 {
        let fixture = Fixture::new();
        let give = |event: &ChatEvent| {
            if let ChatEvent::InputRequest(asked) = event {
                let input = InputAnswer::accept(json!(asked.message));
                let _ = fixture.answers.submit(asked.input_id.clone(), input);
            }
        };
        let mut log = Vec::new();
        for request in [fixture.request(), fixture.resumed(&[])] {
            let request = if log.is_empty() {
                request
            } else {
                fixture.resumed(&log)
            };
            let most = if log.is_empty() { read } else { usize::MAX };
            let mut stream = start(&layer, &model, request).await;
            while log.len() < most
                && let Some(event) = stream.next().await
            {
                let event = event.unwrap();
                give(&event);
                log.push(event);
            }
        }
        let questions = log.iter().filter(|it| it.kind() == "input_request").count();
        let resolved = log
            .iter()
            .filter(|it| it.kind() == "input_resolved")
            .count();
        assert_eq!((questions, resolved), (2, 2), "{read}: {log:?}");
        let result = ChatEvent::tool_result("1", "ask", r#"["One?","Two?"]"#);
        assert!(log.contains(&result), "{read}: {log:?}");
    }
    drop(fixture);
    assert!(asked.lock().unwrap().len() >= 8);
}

/// A question that was open when the answer began anew is asked under its id, so that an answer which was
/// given in between counts. What was decided stays decided.
#[tokio::test(start_paused = true)]
async fn after_a_restart_questions_keep_their_ids_and_answers() {
    let ask = tool_fn("ask", "", move |_: Nothing, call: Call| async move {
        let mut outputs = Vec::new();
        for question in ["One?", "Two?"] {
            outputs.push(call.ask(Question::new(question)).await?);
        }
        Ok(json!(outputs))
    });
    let layer = ToolLayer::new(Tools::new().with(ask.idempotent()));
    let model = Model::calling([call("1", "ask", json!({}))]);
    let asked = |events: &[ChatEvent]| -> Vec<_> {
        let of = |event: &ChatEvent| match event {
            ChatEvent::InputRequest(asked) => Some(asked.input_id.clone()),
            _ => None,
        };
        events.iter().filter_map(of).collect()
    };
    // Restarted with the first question open, and with the second one.
    for open in 1..=2 {
        let fixture = Fixture::new();
        let yes = |at: usize| InputAnswer::accept(json!(format!("yes {at}")));
        let mut log = Vec::new();
        let mut stream = start(&layer, &model, fixture.request()).await;
        while asked(&log).len() < open {
            let event = stream.next().await.unwrap().unwrap();
            log.push(event);
            if let [id] = asked(&log[log.len() - 1..]).as_slice()
                && asked(&log).len() < open
            {
                fixture.answers.submit(id.clone(), yes(1)).unwrap();
            }
        }
        drop(stream);
        // Answered while no server has the session, which is killed twice before it goes on.
        let before = asked(&log);
        fixture
            .answers
            .submit(before[open - 1].clone(), yes(open))
            .unwrap();
        for _ in 0..2 {
            log.push(ChatEvent::restarted("again"));
        }
        let mut rest = Vec::new();
        let mut stream = start(&layer, &model, fixture.restarted(&log)).await;
        while let Some(event) = stream.next().await {
            let event = event.unwrap();
            if open == 1
                && let ChatEvent::InputRequest(asked) = &event
                && asked.message == "Two?"
            {
                fixture
                    .answers
                    .submit(asked.input_id.clone(), yes(2))
                    .unwrap();
            }
            rest.push(event);
        }
        let again = asked(&rest);
        assert_eq!(again.len(), 2, "the log of the attempt is whole: {rest:?}");
        assert_eq!(again[..open], before);
        let result = ChatEvent::tool_result("1", "ask", r#"["yes 1","yes 2"]"#);
        assert!(rest.contains(&result), "{rest:?}");
        let resolved = rest.iter().filter(|it| it.kind() == "input_resolved");
        assert_eq!(resolved.count(), 2);
    }
}

/// An approval that was given, or refused, before the answer began anew.
#[tokio::test(start_paused = true)]
async fn after_a_restart_a_decision_on_an_open_approval_counts() {
    for (accepts, runs) in [(true, 1), (false, 0)] {
        let fixture = Fixture::new();
        let layer = &fixture.layer;
        let model = Model::calling([call("1", "allowed", json!({"of": "a"}))]);
        let mut stream = start(layer, &model, fixture.request()).await;
        let mut log = Vec::new();
        let asked = loop {
            let event = stream.next().await.unwrap().unwrap();
            log.push(event.clone());
            if let ChatEvent::InputRequest(asked) = event {
                break asked;
            }
        };
        drop(stream);
        let answer_of = if accepts {
            InputAnswer::accept(json!(null))
        } else {
            InputAnswer::decline()
        };
        fixture
            .answers
            .submit(asked.input_id.clone(), answer_of)
            .unwrap();
        log.push(ChatEvent::restarted("again"));
        let rest = answer(layer, &model, fixture.restarted(&log))
            .await
            .unwrap();
        let again = rest.iter().find_map(|event| match event {
            ChatEvent::InputRequest(again) => Some(again.input_id.clone()),
            _ => None,
        });
        assert_eq!(again, Some(asked.input_id.clone()));
        assert_eq!(fixture.runs.times("allowed a"), runs, "{rest:?}");
    }
}
