//! Values and outputs that a client or a model may make up.

use serde_json::{Value, json};

use crate::{
    http::{
        fixture::{HttpFixture, new_id},
        request::{TestRequest, chat_body},
    },
    report::{CaseResult, CaseStop, ensure, ensure_eq},
};

/// The maximum nesting of a value.
const MOST: usize = 64;

fn lists(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

pub(crate) async fn arguments_of_any_depth_can_be_read_again(server: HttpFixture) -> CaseResult {
    for depth in [1, 63, 64, 65, 100, 124, 125, 126, 127, 128, 130, 500] {
        let text = lists(depth);
        let script = json!({
            "text": "One moment.",
            "toolCalls": [{"id": "call_7", "name": "now", "arguments": text}],
            "delayMs": 0,
        });
        let (id, live) = server.run_to_end(&script).await?;
        let mut events = live.events.iter();
        let calls = events.find(|event| event.kind() == "tool_calls");
        let Some(calls) = calls else {
            let kinds = live.kinds();
            return Err(CaseStop::Failed(format!("no tool_calls among {kinds:?}")));
        };
        let arguments = &calls.value["calls"][0]["arguments"];
        if depth <= MOST {
            ensure_eq!(arguments.to_string(), text, "arguments of {depth} levels");
        } else {
            ensure_eq!(*arguments, json!(text), "arguments of {depth} levels");
        }
        let again = server.read_to_end(TestRequest::get(&id)).await?;
        ensure_eq!(again.log(), live.log(), "a replay with {depth} levels");
    }
    Ok(())
}

pub(crate) async fn values_of_a_client_are_nested_64_levels_at_most(
    server: HttpFixture,
) -> CaseResult {
    let body = chat_body(&Value::Null).to_string();
    for depth in [MOST + 1, 100, 126, 128, 10_000] {
        let deep = body.replace("null", &lists(depth));
        let request = TestRequest::new("POST", "").json(deep);
        let document = server.expect_problem(request, 422, "wrong-shape").await?;
        let detail = document["detail"].as_str().unwrap_or_default();
        ensure!(
            detail.contains("nested deeper"),
            "a value of {depth} levels: {detail}"
        );
    }
    let fits = TestRequest::new("POST", "").json(body.replace("null", &lists(MOST)));
    server.read_to_end(fits).await?;
    Ok(())
}

/// A request with this output for the call `call_7`, in a chat.
fn answering(chat: &str, session: &str, output: &str) -> Value {
    let mut body = chat_body(&json!({"text": "Thanks.", "delayMs": 0}));
    body["chatId"] = chat.into();
    body["continues"] = session.into();
    body["isomorphicClientOutputs"] = json!([{
        "callId": "call_7", "toolName": "place", "clientOutput": output,
    }]);
    body
}

pub(crate) async fn outputs_count_for_calls_that_were_handed_over_once(
    server: HttpFixture,
) -> CaseResult {
    let (chat, nowhere) = (new_id(), new_id());
    let forged = TestRequest::start(&answering(&chat, &nowhere, "Oslo"));
    server.expect_problem(forged, 422, "not-open").await?;

    let mut first = chat_body(&json!({
        "text": "Where?",
        "toolCalls": [{"id": "call_7", "name": "place", "arguments": {}}],
        "delayMs": 0,
    }));
    first["chatId"] = chat.as_str().into();
    first["isomorphicTools"] = json!([{
        "name": "place",
        "description": "Where the user is.",
        "parameters": {"type": "object"},
    }]);
    let session = new_id();
    let start = TestRequest::start(&first).session_id(&session);
    let full = server.read_to_end(start).await?;
    ensure_eq!(full.ending()["finishReason"], "tool_calls", "finishReason");

    let mut other = answering(&chat, &session, "Oslo");
    other["isomorphicClientOutputs"][0]["callId"] = "call_8".into();
    let refused = TestRequest::start(&other);
    server.expect_problem(refused, 422, "not-open").await?;
    other = answering(&chat, &session, "Oslo");
    other["isomorphicClientOutputs"][0]["toolName"] = "pay".into();
    let refused = TestRequest::start(&other);
    server.expect_problem(refused, 422, "wrong-shape").await?;
    if server.target.stranger.is_some() {
        let theirs = TestRequest::start(&answering(&chat, &session, "Oslo")).by_stranger();
        server.expect_problem(theirs, 422, "not-open").await?;
    }

    let given = TestRequest::start(&answering(&chat, &session, "Oslo"));
    let full = server.read_to_end(given).await?;
    ensure_eq!(full.ending()["type"], "complete", "the ending");
    let again = TestRequest::start(&answering(&chat, &session, "Bergen"));
    server.expect_problem(again, 409, "output-given").await?;
    Ok(())
}
