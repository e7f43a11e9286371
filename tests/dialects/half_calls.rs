//! A call whose arguments are no whole JSON: each client is told that it failed, and none runs it.

use serde_json::{Value, json};
use unbroken::{
    chat::{
        Capabilities, ChatEvent, Complete, FinishReason, SessionInfo, ToolCall, ToolInput, TurnEnd,
    },
    dialect::{AiSdk, Encoder},
};

use crate::{
    ag_ui,
    encoders::{Stream, reading},
    logs, openai_responses,
};

const TEXT: &str = "{\"zoom\": ";

/// Returns a log with a whole call and one that isn't: whether its arguments were streamed, and whether a tool
/// layer answered it.
fn log(streamed: bool, answered: bool) -> Vec<ChatEvent> {
    let mut info = SessionInfo::new(Capabilities::new().tools(["map"]));
    info.capabilities.client_tools.push("map".to_owned());
    let half = ToolCall::from_text("half", "map", TEXT);
    assert!(half.is_half());
    let whole = ToolCall::new("whole", "map", json!({"zoom": 3}));
    let mut events = vec![info.into()];
    if streamed {
        events.push(ToolInput::new("half", TEXT).name("map").into());
    }
    events.push(ChatEvent::tool_calls([half, whole]));
    if answered {
        events.push(ChatEvent::tool_error("half", "map", "no JSON"));
    }
    let end = Complete::new().finish_reason(FinishReason::ToolCalls);
    events.extend([TurnEnd::new(FinishReason::ToolCalls).into(), end.into()]);
    events
}

fn frames(encoder: Box<dyn Encoder>, log: &[ChatEvent]) -> Vec<Value> {
    let mut stream = Stream::new(encoder);
    for chunk in logs::chunks(log, &[true]) {
        stream.write(&chunk);
    }
    let body = String::from_utf8(stream.finish().to_vec()).unwrap();
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    let data = data.filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn each_log(check: impl Fn(&[ChatEvent])) {
    for streamed in [false, true] {
        for answered in [false, true] {
            check(&log(streamed, answered));
        }
    }
}

fn of<'a>(frames: &'a [Value], kind: &str, id: (&str, &str)) -> Vec<&'a Value> {
    let is = |frame: &&Value| frame["type"] == kind && frame[id.0] == id.1;
    frames.iter().filter(is).collect()
}

#[test]
fn a_page_with_the_ai_sdk_gets_an_error_of_the_input() {
    each_log(|log| {
        let chunks = frames(
            reading(&AiSdk::new(), "/chat/stream?startIndex=0", "*/*"),
            log,
        );
        let half = ("toolCallId", "half");
        assert_eq!(of(&chunks, "tool-input-available", half).len(), 0);
        let errors = of(&chunks, "tool-input-error", half);
        assert_eq!((errors.len(), &errors[0]["input"]), (1, &json!(TEXT)));
        assert!(errors[0]["errorText"].as_str().unwrap().contains("JSON"));
        let whole = ("toolCallId", "whole");
        assert_eq!(of(&chunks, "tool-input-available", whole).len(), 1);
    });
}

#[test]
fn a_client_of_ag_ui_gets_a_failed_result_after_the_arguments() {
    each_log(|log| {
        let events = frames(ag_ui::whole(), log);
        let half = ("toolCallId", "half");
        assert_eq!(of(&events, "TOOL_CALL_ARGS", half)[0]["delta"], TEXT);
        let results = of(&events, "TOOL_CALL_RESULT", half);
        assert_eq!(results.len(), 1, "{events:?}");
        assert_eq!(results[0]["metadata"]["tanstack"]["state"], "output-error");
        let place = |kind: &str| {
            let is = |event: &Value| event["type"] == kind && event["toolCallId"] == "half";
            events.iter().position(is).unwrap()
        };
        assert!(place("TOOL_CALL_END") < place("TOOL_CALL_RESULT"));
        let custom = events.iter().filter(|event| event["type"] == "CUSTOM");
        let handed: Vec<_> = custom.map(|it| &it["value"]["toolCallId"]).collect();
        assert_eq!(handed, ["whole"]);
        let end = events.last().unwrap();
        assert_eq!(end["outcome"]["pendingToolCallIds"], json!(["whole"]));
    });
}

#[test]
fn a_client_of_responses_gets_an_incomplete_item() {
    each_log(|log| {
        let events = frames(openai_responses::whole(), log);
        let done: Vec<_> = events
            .iter()
            .filter(|event| event["type"] == "response.output_item.done")
            .map(|event| &event["item"])
            .filter(|item| item["call_id"] == "half")
            .collect();
        assert_eq!(done.len(), 1, "{events:?}");
        assert_eq!(done[0]["type"], "function_call");
        assert_eq!(done[0]["status"], "incomplete");
        assert_eq!(done[0]["arguments"], TEXT);
        let whole_arguments = "response.function_call_arguments.done";
        let item = ("item_id", done[0]["id"].as_str().unwrap());
        assert_eq!(of(&events, whole_arguments, item).len(), 0);
        let output = events.last().unwrap()["response"]["output"].clone();
        let calls: Vec<_> = (output.as_array().unwrap().iter())
            .map(|item| &item["call_id"])
            .collect();
        assert_eq!(calls, ["whole"]);
    });
}
