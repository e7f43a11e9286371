//! A model that sends text after its calls, and a server that dies during or after it.

use std::sync::Arc;

use futures_util::StreamExt;
use serde_json::json;
use unbroken::{
    chat::{ChatEvent, ChatRequest, Message, Role, Transcript},
    tools::ToolLayer,
};

use crate::support::{Counted, Model, answer, call, request, start};

fn resumed(log: &[ChatEvent]) -> ChatRequest {
    let mut request = request();
    let so_far: Transcript = log.iter().collect();
    if !so_far.text().is_empty() {
        request.messages.push(Message::assistant(so_far.text()));
    }
    request.so_far = Some(Arc::new(so_far));
    request.runs = Arc::new(log.iter().collect());
    request
}

/// Models refuse a conversation in which a call has no result, or one after something else.
fn check(messages: &[Message], what: &str) {
    for (at, message) in messages.iter().enumerate() {
        let results = messages[at + 1..]
            .iter()
            .take_while(|it| it.role == Role::Tool);
        let ids: Vec<_> = results.filter_map(|it| it.tool_call_id.as_ref()).collect();
        let calls: Vec<_> = message.tool_calls.iter().map(|it| &it.id).collect();
        if !calls.is_empty() {
            assert_eq!(ids, calls, "{what}: {messages:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn resumed_at_every_event_each_call_has_its_outcome_before_the_model_is_called() {
    let wait = |id: &str| ChatEvent::tool_calls([call(id, "wait", json!({"seconds": 1}))]);
    let model = || {
        Model::new([
            vec![
                wait("1"),
                ChatEvent::text("I look. "),
                wait("2"),
                ChatEvent::text("Twice. "),
            ],
            vec![ChatEvent::text("Done.")],
        ])
    };
    let layer = ToolLayer::new(Counted::default().tools());
    let whole = answer(&layer, &model(), request()).await.unwrap().len();
    for read in 1..whole {
        let counted = Counted::default();
        let layer = ToolLayer::new(counted.tools());
        let mut stream = start(&layer, &model(), request()).await;
        let mut log = Vec::new();
        while log.len() < read {
            log.push(stream.next().await.unwrap().unwrap());
        }
        drop(stream);
        let model = model();
        log.extend(answer(&layer, &model, resumed(&log)).await.unwrap());
        let what = format!("{read} read: {log:?}");
        for request in model.asked.lock().unwrap().iter() {
            check(&request.messages, &what);
        }
        let transcript: Transcript = log.iter().collect();
        assert_eq!(log.last().unwrap().kind(), "complete", "{what}");
        assert!(transcript.text().ends_with("Done."), "{what}");
        let outcomes = transcript.tool_results().len() + transcript.tool_errors().len();
        assert_eq!(outcomes, transcript.tool_calls().len(), "{what}");
        assert!(counted.started() <= 2, "{what}");
    }
}
