//! Every client ends with the arguments that the log has, whatever was streamed of them.

use std::{
    collections::HashMap,
    env,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

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

fn arguments() -> Value {
    json!({"city": "Köln", "days": [1, 2], "zoom": 3.5})
}

/// The pieces before a budget was spent, in a model's own words.
const BEGINNINGS: [&[&str]; 5] = [
    &[r#"{"city":"Kö"#, r#"ln","days":[1,2],"zoom":3.5}"#],
    &[r#"{"city":"Kö"#],
    &[
        "{ \"zoom\" : 3.50, ",
        "\"days\": [ 1,\n",
        " 2 ], \"city\": \"K\\u00f",
    ],
    &["{ \"zoom\": 3.5, \"days\": [1, 2], \"ci"],
    &[],
];

fn session_info() -> ChatEvent {
    let mut info = SessionInfo::new(Capabilities::new().tools(["map"]));
    info.capabilities.client_tools.push("map".to_owned());
    info.into()
}

fn streamed(id: &str, pieces: &[&str]) -> Vec<ChatEvent> {
    let first = ToolInput::new(id, "").name("map").into();
    let more = pieces.iter().map(|it| ToolInput::new(id, *it).into());
    std::iter::once(first).chain(more).collect()
}

fn called(id: &str) -> ChatEvent {
    ChatEvent::tool_calls([ToolCall::new(id, "map", arguments())])
}

fn log(events: impl IntoIterator<Item = ChatEvent>) -> Vec<ChatEvent> {
    let end = Complete::new().finish_reason(FinishReason::ToolCalls);
    std::iter::once(session_info())
        .chain(events)
        .chain([TurnEnd::new(FinishReason::ToolCalls).into(), end.into()])
        .collect()
}

fn body(encoder: Box<dyn Encoder>, log: &[ChatEvent]) -> String {
    let mut stream = Stream::new(encoder);
    for chunk in logs::chunks(log, &[true]) {
        stream.write(&chunk);
    }
    String::from_utf8(stream.finish().to_vec()).unwrap()
}

fn ai_sdk(log: &[ChatEvent]) -> String {
    let path = "/chat/stream?startIndex=0";
    body(reading(&AiSdk::new(), path, "*/*"), log)
}

fn frames(body: &str) -> Vec<Value> {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    let data = data.filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn of<'a>(frames: &'a [Value], kind: &str) -> Vec<&'a Value> {
    frames.iter().filter(|it| it["type"] == kind).collect()
}

/// Returns the deltas of each call, put together.
fn joined(deltas: &[&Value], id: &str) -> HashMap<String, String> {
    let mut joined: HashMap<_, String> = HashMap::new();
    for delta in deltas {
        let text = joined.entry(delta[id].as_str().unwrap().to_owned());
        text.or_default().push_str(delta["delta"].as_str().unwrap());
    }
    joined
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_rest_of_the_arguments_follows_whatever_was_streamed() {
    for pieces in BEGINNINGS {
        let log = log(streamed("a", pieces).into_iter().chain([called("a")]));

        let events = frames(&body(ag_ui::whole(), &log));
        let shown = joined(&of(&events, "TOOL_CALL_ARGS"), "toolCallId");
        assert_eq!(read(&shown["a"]), arguments(), "{pieces:?}");
        assert!(shown["a"].starts_with(&pieces.concat()));
        assert_eq!(of(&events, "TOOL_CALL_RESULT"), Vec::<&Value>::new());
        let other = |it: &&Value| it["type"] == "CUSTOM" && it["name"] == "tool_calls";
        assert_eq!(events.iter().find(other), None, "{pieces:?}");

        let events = frames(&body(openai_responses::whole(), &log));
        let deltas = of(&events, "response.function_call_arguments.delta");
        let shown = joined(&deltas, "item_id").into_values().next().unwrap();
        let done = of(&events, "response.function_call_arguments.done");
        assert_eq!((done.len(), &done[0]["arguments"]), (1, &json!(shown)));
        assert_eq!(read(&shown), arguments(), "{pieces:?}");
        let item = &of(&events, "response.output_item.done")[0]["item"];
        assert_eq!(item["arguments"], shown);

        let chunks = frames(&ai_sdk(&log));
        let available = of(&chunks, "tool-input-available");
        assert_eq!(available[0]["input"], arguments());
    }
}

#[test]
fn arguments_that_no_text_completes_come_once_more() {
    for other in [r#"{"city":"Bonn""#, r#"{"zoom":3.5}"#, "no JSON"] {
        let log = log(streamed("a", &[other]).into_iter().chain([called("a")]));

        let events = frames(&body(ag_ui::whole(), &log));
        let end = of(&events, "TOOL_CALL_END")[0];
        assert_eq!(end["metadata"]["tanstack"]["input"], arguments(), "{other}");
        let other = |it: &&Value| it["type"] == "CUSTOM" && it["name"] == "tool_calls";
        let custom = events.iter().find(other).unwrap();
        assert_eq!(custom["value"]["calls"][0]["arguments"], arguments());

        let events = frames(&body(openai_responses::whole(), &log));
        let done = of(&events, "response.function_call_arguments.done")[0];
        assert_eq!(read(done["arguments"].as_str().unwrap()), arguments());

        let chunks = frames(&ai_sdk(&log));
        assert_eq!(of(&chunks, "tool-input-available")[0]["input"], arguments());
    }
}

/// A log whose first server was lost in the middle of the arguments, and whose turn announces another call
/// that never comes.
fn taken_over() -> Vec<ChatEvent> {
    let before = [ChatEvent::text("Look: ")];
    let before = before.into_iter().chain(streamed("a", BEGINNINGS[1]));
    let after = [ToolInput::cut("a").into()];
    let after = after.into_iter().chain(streamed("a-2", BEGINNINGS[2]));
    let after = after.chain(streamed("never", &["{\"ci"]));
    log(before.chain(after).chain([called("a-2")]))
}

#[test]
fn a_call_that_never_comes_is_over_for_every_client() {
    let log = taken_over();
    let events = frames(&body(ag_ui::whole(), &log));
    let at = |kind: &str, id: &str| {
        let is = |it: &Value| it["type"] == kind && it["toolCallId"] == id;
        events.iter().position(is)
    };
    for (id, next) in [("a", "a-2"), ("never", "")] {
        let result = at("TOOL_CALL_RESULT", id).unwrap();
        assert_eq!(at("TOOL_CALL_END", id), Some(result - 1));
        let metadata = &events[result]["metadata"];
        assert_eq!(metadata["tanstack"]["state"], "output-error");
        assert_eq!(metadata["unbroken"]["incomplete"], true);
        // Before the events of the successor.
        assert!(at("TOOL_CALL_START", next).is_none_or(|begin| result < begin));
    }
    assert_eq!(at("TOOL_CALL_RESULT", "a-2"), None);
    let end = events.last().unwrap();
    assert_eq!(end["outcome"]["pendingToolCallIds"], json!(["a-2"]));

    let events = frames(&body(openai_responses::whole(), &log));
    let done = of(&events, "response.output_item.done");
    let calls = done
        .iter()
        .filter(|it| it["item"]["type"] == "function_call")
        .map(|it| json!([it["item"]["call_id"], it["item"]["status"]]));
    let expected = json!([
        ["a", "incomplete"],
        ["a-2", "completed"],
        ["never", "incomplete"]
    ]);
    assert_eq!(calls.collect::<Value>(), expected);

    let chunks = frames(&ai_sdk(&log));
    let errors = of(&chunks, "tool-input-error");
    let errors: Vec<_> = errors.iter().map(|it| &it["toolCallId"]).collect();
    assert_eq!(errors, ["a", "never"]);
    let at = |kind: &str, id: &str| {
        let is = |it: &Value| it["type"] == kind && it["toolCallId"] == id;
        chunks.iter().position(is).unwrap()
    };
    assert!(at("tool-input-error", "a") < at("tool-input-start", "a-2"));
}

/// Returns the calls that the clients' own packages make of a log: `[id, arguments, times]` of each.
fn by_packages(log: &[ChatEvent]) -> Option<Value> {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let node = clients.join("node_modules/node/bin/node");
    if !node.exists() {
        assert!(env::var_os("CI").is_none(), "the packages are missing");
        eprintln!("the packages aren't installed");
        return None;
    }
    let bodies = json!({
        "ai": ai_sdk(log),
        "agUi": body(ag_ui::whole(), log),
        "responses": body(openai_responses::whole(), log),
    });
    let mut child = Command::new(node)
        .arg(clients.join("inputs.mjs"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(bodies.to_string().as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn id_and_arguments(calls: &Value) -> Vec<(&str, &Value)> {
    let calls = calls.as_array().unwrap().iter();
    calls
        .map(|call| (call[0].as_str().unwrap(), &call[1]))
        .collect()
}

#[test]
fn the_packages_of_the_clients_end_with_the_arguments_of_the_log() {
    for pieces in BEGINNINGS {
        let log = log(streamed("a", pieces).into_iter().chain([called("a")]));
        let Some(seen) = by_packages(&log) else {
            return;
        };
        for package in ["ai", "ai6", "agUi", "responses"] {
            let calls = id_and_arguments(&seen[package]);
            assert_eq!(calls, [("a", &arguments())], "{package}: {pieces:?}");
        }
    }
}

#[test]
fn the_packages_of_the_clients_know_a_call_that_never_comes() {
    let Some(seen) = by_packages(&taken_over()) else {
        return;
    };
    let (never, whole) = (Value::Null, arguments());
    for package in ["ai", "ai6", "agUi", "responses"] {
        let calls = id_and_arguments(&seen[package]);
        let expected = [("a", &never), ("a-2", &whole), ("never", &never)];
        assert_eq!(calls, expected, "{package}");
    }
}
