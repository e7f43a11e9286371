use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use serde_json::json;
use unbroken::{
    chat::{ChatEvent, FinishReason, IsomorphicClientOutput, Message, ToolRuns, Transcript},
    tools::{Call, ToolLayer, Tools, client_tool, handoff_fn},
};

use super::fixture::{Fixture, RunCounter};
use crate::support::{Model, Nothing, answer, call, request, start};

#[tokio::test(start_paused = true)]
async fn a_handoff_that_is_interrupted_anywhere_is_made_once() {
    let runs = RunCounter::default();
    let layer = ToolLayer::new(runs.tools().with(client_tool("map", "", json!({}))));
    let calls = [
        call("1", "map", json!({"x": 1})),
        call("2", "pay", json!({"of": "a"})),
        call("3", "map", json!({"x": 1})),
    ];
    let model = Model::calling(calls.clone());
    let fixture = Fixture::new();
    let whole = answer(&layer, &model, fixture.request()).await.unwrap();
    for restarts in [true, false] {
        for read in 1..whole.len() {
            runs.times.lock().unwrap().clear();
            let mut stream = start(&layer, &model, fixture.request()).await;
            let mut log = Vec::new();
            while log.len() < read {
                log.push(stream.next().await.unwrap().unwrap());
            }
            drop(stream);
            let request = if restarts {
                log.push(ChatEvent::restarted("again"));
                fixture.restarted(&log)
            } else {
                fixture.resumed(&log)
            };
            log.extend(answer(&layer, &model, request).await.unwrap());
            let what = format!("restarts {restarts}, {read} read: {log:?}");
            let transcript: Transcript = log.iter().collect();
            let mut handed: Vec<_> = transcript.handoffs().iter().map(|it| &it.call_id).collect();
            handed.sort_unstable();
            assert_eq!(handed, ["1", "3"], "{what}");
            assert!(runs.times("pay a") <= 1, "{what}");
            let outcomes = transcript.tool_results().len() + transcript.tool_errors().len();
            assert_eq!(outcomes, 1, "{what}");
            let state = transcript.conversation_state().unwrap();
            assert_eq!(state.tool_calls, calls, "{what}");
            assert_eq!(state.server_tool_results.len(), 1, "{what}");
            let reason = transcript.finish_reason();
            assert_eq!(reason, Some(&FinishReason::ToolCalls), "{what}");
            let last = log
                .iter()
                .rposition(|it| it.kind() == "restarted")
                .unwrap_or(0);
            let states = log[last..]
                .iter()
                .filter(|it| it.kind() == "conversation_state");
            assert_eq!(states.count(), 1, "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_half_runs_once_wherever_the_follow_up_is_interrupted() {
    let runs = RunCounter::default();
    let counted = runs.clone();
    let tools = Tools::new().with(handoff_fn(
        "seat",
        "",
        |_: Nothing, _: Call| async { Ok(()) },
        move |given: IsomorphicClientOutput, call: Call| {
            counted.count(&call, given.client_output.as_str().unwrap());
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok("booked")
            }
        },
    ));
    let layer = ToolLayer::new(tools);
    let model = Model::new([vec![ChatEvent::text("Done.")]]);
    let request = || {
        let mut request = request();
        let turn = [call("1", "seat", json!({})), call("2", "seat", json!({}))];
        request
            .messages
            .push(Message::assistant("").tool_calls(turn));
        request.isomorphic_client_outputs = ["1", "2"]
            .map(|id| {
                let mut output = IsomorphicClientOutput::new(id, "seat", json!(id));
                output.params = json!({});
                output
            })
            .into();
        request
    };
    let whole = answer(&layer, &model, request()).await.unwrap();
    for restarts in [true, false] {
        for read in 0..whole.len() {
            runs.times.lock().unwrap().clear();
            let mut stream = start(&layer, &model, request()).await;
            let mut log = Vec::new();
            while log.len() < read {
                log.push(stream.next().await.unwrap().unwrap());
            }
            drop(stream);
            let mut again = request();
            if restarts {
                log.push(ChatEvent::restarted("again"));
            } else {
                let so_far: Transcript = log.iter().collect();
                if !so_far.text().is_empty() {
                    again.messages.push(Message::assistant(so_far.text()));
                }
                again.so_far = Some(Arc::new(so_far));
            }
            again.runs = Arc::new(log.iter().collect::<ToolRuns>());
            let rest = answer(&layer, &model, again).await.unwrap();
            if restarts {
                log.clear();
            }
            log.extend(rest);
            let what = format!("restarts {restarts}, {read} read");
            for id in ["1", "2"] {
                assert!(runs.times(&format!("seat {id}")) <= 1, "{what}");
                let is_result = |event: &&ChatEvent| match event {
                    ChatEvent::ToolResult(it) => it.id == id,
                    ChatEvent::ToolError(it) => it.id == id,
                    _ => false,
                };
                assert_eq!(log.iter().filter(is_result).count(), 1, "{what}: {log:?}");
            }
            let transcript: Transcript = log.iter().collect();
            assert_eq!(transcript.text(), "Done.", "{what}");
            let has_text = model.last().so_far.is_some();
            assert_eq!(
                model.last().messages.len(),
                4 + usize::from(has_text),
                "{what}"
            );
        }
    }
}
