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
