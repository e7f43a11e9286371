//! The arguments of calls as they come, from a model's server to the clients of each dialect.

use std::{
    env,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use http_body_util::BodyExt;
use tower::{ServiceBuilder, util::BoxCloneSyncService};
use unbroken::{
    dialect::{AgUi, AiSdk, Dialect, Native, OpenAiResponses},
    tools::{Call, ToolLayer, Tools, tool_fn},
};

use super::*;
use crate::stub::{Step, delta, done, finish, ok, serve_in_turn, text};

type Chat = BoxCloneSyncService<http::Request<String>, http::Response<SessionBody>, Infallible>;

const CITY: &str = r#"{"city":"Köln \ud83d\ude00","days":[1,2]}"#;
const ZOOM: &str = r#"{"zoom":3,"name":"Ländle"}"#;

/// A call in pieces of a few characters, the first with its id and name.
fn call(index: u32, id: &str, name: &str, arguments: &str) -> Vec<Step> {
    let first = json!({"tool_calls": [
        {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}
    ]});
    let mut steps = vec![delta(&first.to_string())];
    let characters: Vec<_> = arguments.chars().collect();
    for piece in characters.chunks(3) {
        let piece: String = piece.iter().collect();
        let more = json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]});
        steps.push(delta(&more.to_string()));
    }
    steps
}

fn turn(calls: Vec<Vec<Step>>) -> Vec<Step> {
    // What the server must be handed back is told at the end of the turn, among the open calls.
    let thinking = json!({"reasoning": "Hm.", "reasoning_details": [
        {"type": "reasoning.encrypted", "data": "e", "index": 0}
    ]});
    let mut steps = vec![ok(), delta(&thinking.to_string()), text("Look: ")];
    steps.extend(calls.into_iter().flatten());
    steps.extend([finish("tool_calls"), done(), Step::End]);
    steps
}

/// Returns a chat whose model calls a tool of the server, and then one of the server and one of the client
/// under the ids that it used before.
async fn chat(dialect: impl Dialect) -> Chat {
    let stub = serve_in_turn(vec![
        turn(vec![call(0, "a", "weather", CITY)]),
        turn(vec![
            call(0, "a", "weather", "{}"),
            call(1, "b", "map", ZOOM),
        ]),
    ])
    .await;
    let weather = tool_fn("weather", "The weather.", async |_: Value, _: Call| {
        Ok("sun")
    });
    let provider = ServiceBuilder::new()
        .layer(ToolLayer::new(Tools::new().with(weather)))
        .service(model(&stub));
    let layer = layer().secret_chat_ids().dialect(dialect);
    BoxCloneSyncService::new(layer.layer(provider))
}

async fn ask(chat: &Chat, request: http::Request<String>) -> (http::HeaderMap, String) {
    let response = chat.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    assert!(head.status.is_success(), "{head:?}");
    let body = timeout(GUARD, body.collect()).await.expect("an end");
    let body = String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap();
    (head.headers, body)
}

fn post(path: &str, body: &Value) -> http::Request<String> {
    let request = http::Request::post(path).header(header::CONTENT_TYPE, "application/json");
    request.body(body.to_string()).unwrap()
}

fn get(path: &str) -> http::request::Builder {
    http::Request::get(path).header(header::ACCEPT, "text/event-stream")
}

/// The data of server-sent events, without what has none.
fn frames(stream: &str) -> Vec<Value> {
    let data = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

/// The calls that a client sees: id, name, and arguments in pieces, in the order of their beginnings.
#[derive(Debug, Default)]
struct Shown(Vec<(String, String, Vec<String>)>);

impl Shown {
    fn begin(&mut self, id: &Value, name: &Value) {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        assert!(
            self.0.iter().all(|call| call.0 != text(id)),
            "{id} begins again"
        );
        self.0.push((text(id), text(name), Vec::new()));
    }

    fn piece(&mut self, id: &Value, piece: &Value) {
        let id = id.as_str().unwrap();
        let call = self.0.iter_mut().find(|call| call.0 == id);
        let piece = piece.as_str().unwrap().to_owned();
        call.expect("a call that began").2.push(piece);
    }

    /// Checks that a call is whole, and equals what was shown of it.
    fn check(&self, id: &str, arguments: &Value) {
        let (_, _, pieces) = self.0.iter().find(|call| call.0 == id).unwrap();
        let read: Value = serde_json::from_str(&pieces.concat()).unwrap();
        assert_eq!(read, *arguments);
    }

    fn calls(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|call| (&*call.0, &*call.1)).collect()
    }

    fn pieces(&self) -> Vec<usize> {
        self.0.iter().map(|call| call.2.len()).collect()
    }
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn use_chat() -> http::Request<String> {
    let body = json!({
        "id": "a-chat-that-is-long-enough", "trigger": "submit-message",
        "messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}],
        "enabledTools": true,
        "isomorphicTools": [{"name": "map", "description": "", "parameters": {}, "authority": "client"}],
    });
    post("/", &body)
}

fn run_agent() -> http::Request<String> {
    let body = json!({
        "threadId": "t", "runId": "a-run-that-is-long-enough-1",
        "messages": [{"id": "1", "role": "user", "content": "Hi"}],
        "tools": [{"name": "map", "description": "Shows a map", "parameters": {"type": "object"}}],
    });
    post("/", &body)
}

fn create_response() -> http::Request<String> {
    let body = json!({
        "model": "assistant", "input": "Hi", "stream": true,
        "tools": [{"type": "function", "name": "map", "parameters": {"type": "object"}}],
    });
    post("/responses", &body)
}

const PIECES: [usize; 3] = [14, 1, 9];

#[tokio::test]
async fn the_log_holds_pieces_under_the_id_of_their_call() {
    let chat = chat(Native::new()).await;
    let mut request = hello();
    request["enabledTools"] = true.into();
    request["isomorphicTools"] =
        json!([{"name": "map", "description": "", "parameters": {}, "authority": "client"}]);
    let (head, body) = ask(&chat, post("/", &request)).await;
    let lines: Vec<_> = body.lines().filter(|line| !line.is_empty()).collect();
    let mut shown = Shown::default();
    let mut called = Vec::new();
    for line in &lines {
        let event = value(line)["event"].take();
        match event["type"].as_str().unwrap() {
            "tool_input" => {
                if !event["name"].is_null() {
                    shown.begin(&event["id"], &event["name"]);
                }
                if event["delta"] != "" {
                    shown.piece(&event["id"], &event["delta"]);
                }
            }
            "tool_calls" => {
                for call in event["calls"].as_array().unwrap() {
                    let id = call["id"].as_str().unwrap();
                    shown.check(id, &call["arguments"]);
                    called.push((id.to_owned(), call["name"].as_str().unwrap().to_owned()));
                }
            }
            _ => {}
        }
    }
    let called: Vec<_> = called.iter().map(|call| (&*call.0, &*call.1)).collect();
    assert_eq!(
        called,
        [("a", "weather"), ("call_2", "weather"), ("b", "map")]
    );
    assert_eq!(shown.calls(), called);
    assert_eq!(shown.pieces(), PIECES);
    shown.check("a", &value(CITY));

    let id = head["x-session-id"].to_str().unwrap();
    for (had, _) in lines.iter().enumerate() {
        let resumed = http::Request::get(format!("/{id}?after={had}"));
        let (_, rest) = ask(&chat, resumed.body(String::new()).unwrap()).await;
        let rest: Vec<_> = rest.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(rest, lines[had..], "after {had}");
    }
    let compact = http::Request::get(format!("/{id}?replay=compact"));
    let (_, compact) = ask(&chat, compact.body(String::new()).unwrap()).await;
    assert!(!compact.contains("tool_input") && compact.contains("tool_calls"));
}

#[tokio::test]
async fn use_chat_gets_start_deltas_and_the_whole_input_in_order() {
    let chat = chat(AiSdk::new()).await;
    let (head, body) = ask(&chat, use_chat()).await;
    let whole = frames(&body);
    let mut shown = Shown::default();
    let mut available = Vec::new();
    for chunk in &whole {
        let id = &chunk["toolCallId"];
        match chunk["type"].as_str().unwrap() {
            "tool-input-start" => shown.begin(id, &chunk["toolName"]),
            "tool-input-delta" => shown.piece(id, &chunk["inputTextDelta"]),
            "tool-input-available" => {
                shown.check(id.as_str().unwrap(), &chunk["input"]);
                available.push(id.as_str().unwrap());
            }
            "tool-input-error" => panic!("{chunk}"),
            _ => {}
        }
    }
    assert_eq!(available, ["a", "call_2", "b"], "{body}");
    assert_eq!(
        shown.calls(),
        [("a", "weather"), ("call_2", "weather"), ("b", "map")]
    );

    let run = head["x-workflow-run-id"].to_str().unwrap();
    for had in 0..whole.len() {
        let path = format!("/{run}/stream?startIndex={had}");
        let (_, rest) = ask(&chat, get(&path).body(String::new()).unwrap()).await;
        assert_eq!(frames(&rest), whole[had..], "after {had}");
    }
}

#[tokio::test]
async fn ag_uis_clients_get_start_arguments_and_end_of_each_call() {
    let chat = chat(AgUi::new()).await;
    let (_, body) = ask(&chat, run_agent()).await;
    let whole = frames(&body);
    let mut shown = Shown::default();
    let mut ended = Vec::new();
    for event in &whole {
        let id = &event["toolCallId"];
        match event["type"].as_str().unwrap() {
            "TOOL_CALL_START" => shown.begin(id, &event["toolCallName"]),
            "TOOL_CALL_ARGS" => {
                assert!(!ended.contains(&id.as_str().unwrap()));
                shown.piece(id, &event["delta"]);
            }
            "TOOL_CALL_END" => ended.push(id.as_str().unwrap()),
            // The arguments were streamed as the call has them.
            "CUSTOM" => assert_ne!(event["name"], "tool_calls"),
            _ => {}
        }
    }
    assert_eq!(ended, ["a", "call_2", "b"], "{body}");
    assert_eq!(
        shown.calls(),
        [("a", "weather"), ("call_2", "weather"), ("b", "map")]
    );
    assert_eq!(shown.pieces(), PIECES);
    shown.check("a", &value(CITY));
    shown.check("b", &value(ZOOM));

    let ids: Vec<_> = body
        .lines()
        .filter_map(|it| it.strip_prefix("id: "))
        .collect();
    assert!(ids.len() > 20);
    for id in ids {
        let path = "/?runId=a-run-that-is-long-enough-1";
        let resumed = get(path).header("last-event-id", id).body(String::new());
        let response = chat.clone().oneshot(resumed.unwrap()).await.unwrap();
        let rest = response.into_body().collect().await.unwrap().to_bytes();
        let rest = frames(std::str::from_utf8(&rest).unwrap());
        let (_, after) = body.split_once(&format!("id: {id}\n")).unwrap();
        // The id stands before the data of its own event, but for the last one, which has none of its own.
        let after = frames(after);
        let had = usize::from(after[0]["type"] != "RUN_FINISHED");
        assert_eq!(rest, after[had..], "after {id}");
    }
}

#[tokio::test]
async fn the_clients_of_responses_get_the_arguments_of_their_functions() {
    let chat = chat(OpenAiResponses::new().model("assistant")).await;
    let (_, body) = ask(&chat, create_response()).await;
    let whole = frames(&body);
    let mut pieces = Vec::new();
    let mut order = Vec::new();
    for event in &whole {
        let kind = event["type"].as_str().unwrap();
        match kind {
            "response.output_item.added" | "response.output_item.done"
                if event["item"]["type"] == "function_call" =>
            {
                assert_eq!(event["item"]["call_id"], "b");
                order.push(kind);
            }
            "response.function_call_arguments.delta" => {
                pieces.push(event["delta"].as_str().unwrap());
            }
            "response.function_call_arguments.done" => {
                assert_eq!(event["arguments"], pieces.concat());
                order.push(kind);
            }
            _ => {}
        }
    }
    // The server's own calls are items of their own, with their results.
    assert_eq!(pieces.concat(), ZOOM, "{body}");
    assert_eq!(pieces.len(), PIECES[2]);
    let added = "response.output_item.added";
    let whole_arguments = "response.function_call_arguments.done";
    assert_eq!(order, [added, whole_arguments, "response.output_item.done"]);

    let id = whole[0]["response"]["id"].as_str().unwrap();
    for event in &whole {
        let number = event["sequence_number"].as_u64().unwrap();
        let path = format!("/responses/{id}?stream=true&starting_after={number}");
        let resumed = get(&path).body(String::new()).unwrap();
        let response = chat.clone().oneshot(resumed).await.unwrap();
        let rest = response.into_body().collect().await.unwrap().to_bytes();
        let rest = frames(std::str::from_utf8(&rest).unwrap());
        let at = usize::try_from(number).unwrap();
        assert_eq!(rest, whole[at + 1..], "after {number}");
    }
}

#[tokio::test]
async fn the_packages_of_the_clients_read_the_arguments_as_they_grow() {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let node = clients.join("node_modules/node/bin/node");
    if !node.exists() {
        assert!(env::var_os("CI").is_none(), "the packages are missing");
        eprintln!("the packages aren't installed");
        return;
    }
    let (_, ai) = ask(&chat(AiSdk::new()).await, use_chat()).await;
    let (_, ag_ui) = ask(&chat(AgUi::new()).await, run_agent()).await;
    let responses = OpenAiResponses::new().model("assistant");
    let (_, responses) = ask(&chat(responses).await, create_response()).await;
    let bodies = json!({"ai": ai, "agUi": ag_ui, "responses": responses});
    let script = clients.join("inputs.mjs");
    let output = tokio::task::spawn_blocking(move || {
        let mut child = Command::new(node)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(bodies.to_string().as_bytes()).unwrap();
        drop(input);
        child.wait_with_output().unwrap()
    });
    let output = output.await.unwrap();
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}");
    let seen = value(std::str::from_utf8(&output.stdout).unwrap());
    let all = [("a", CITY), ("call_2", "{}"), ("b", ZOOM)];
    for (package, calls) in [("ai", &all[..]), ("agUi", &all), ("responses", &all[2..])] {
        let found = seen[package].as_array().unwrap();
        assert_eq!(found.len(), calls.len(), "{package}: {found:?}");
        for (found, (id, arguments)) in found.iter().zip(calls) {
            assert_eq!(
                (&found[0], &found[1]),
                (&json!(id), &value(arguments)),
                "{package}"
            );
            // The package of the AI SDK shows what can be read of unfinished JSON.
            let grown = found[2].as_u64().unwrap();
            assert!(grown > 3 || *arguments == "{}", "{package}: {found}");
        }
    }
}
