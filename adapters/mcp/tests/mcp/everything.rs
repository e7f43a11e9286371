//! The reference server from npm, over both transports.

use std::{path::PathBuf, process::Stdio, time::Duration};

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};
use unbroken::store::Memory;
use unbroken_mcp::{Mcp, McpTools};

use crate::{
    calls::call,
    chat::{Chat, error, of, result},
    media, run,
    scene::until,
    trial_with,
};

pub(crate) fn trials() -> impl IntoIterator<Item = Trial> {
    [
        trial_with("everything::its_tools_over_stdio", missing(), || {
            run(over_stdio());
        }),
        trial_with("everything::its_tools_over_http", missing(), || {
            run(over_http());
        }),
        trial_with(
            "everything::a_server_that_comes_back_has_forgotten_the_session",
            missing(),
            || {
                run(forgotten());
            },
        ),
    ]
}

fn program() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/everything");
    folder.join("node_modules/@modelcontextprotocol/server-everything/dist/index.js")
}

fn missing() -> Option<String> {
    let node = std::process::Command::new("node")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if !node.is_ok_and(|status| status.success()) {
        return Some("there is no Node".into());
    }
    let installed = program().exists();
    (!installed).then(|| "`npm ci` was not run in adapters/mcp/tests/everything".into())
}

async fn over_stdio() {
    let mut command = Command::new("node");
    command.arg(program()).arg("stdio").stderr(Stdio::null());
    uses(&Mcp::stdio(command).prefix("e_").connect().await.unwrap()).await;
}

async fn over_http() {
    let (_server, url) = serve(free_port()).await;
    uses(&Mcp::http(url).prefix("e_").connect().await.unwrap()).await;
}

/// Returns a free port. It is below those that the system assigns, so that no connection of the tests
/// takes it before the server does.
fn free_port() -> u16 {
    let first = 10_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let is_free = |port: &u16| std::net::TcpListener::bind(("::", *port)).is_ok();
    (first..u16::MAX).find(is_free).unwrap()
}

/// Starts the server on a free port.
async fn serve(port: u16) -> (Child, String) {
    let mut command = Command::new("node");
    command
        .arg(program())
        .arg("streamableHttp")
        .env("PORT", port.to_string());
    command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut server = command.spawn().unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("listening") {
            break;
        }
    }
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (server, format!("http://127.0.0.1:{port}/mcp"))
}

/// Its server answers 400 to the session of its former life, not 404, and without the id of the
/// request: nothing tells that the call is refused.
async fn forgotten() {
    let port = free_port() + 500;
    let (mut server, url) = serve(port).await;
    let tools = Mcp::http(url).connect().await.unwrap();
    let within = Duration::from_secs(20);
    let chat = Chat::on(&Memory::new(), &tools, |layer| layer.timeout(within));
    let weather = call("get-structured-content", &json!({"location": "Chicago"}));
    let events = chat.whole("before", &weather).await;
    assert!(result(&events).contains("drizzle"), "{events:?}");
    server.kill().await.unwrap();
    let (_server, _) = serve(port).await;
    let events = chat.whole("lost", &weather).await;
    assert!(error(&events).contains("longer than"), "{events:?}");
    let events = chat.whole("after", &weather).await;
    assert!(result(&events).contains("drizzle"), "{events:?}");
}

async fn uses(tools: &McpTools) {
    let chat = Chat::new(tools);
    let events = chat
        .whole("echo", &call("e_echo", &json!({"message": "Hi"})))
        .await;
    assert_eq!(result(&events), "Echo: Hi");

    let weather = json!({"location": "New York"});
    let events = chat
        .whole("weather", &call("e_get-structured-content", &weather))
        .await;
    let given: Value = serde_json::from_str(result(&events)).unwrap();
    assert_eq!(given["conditions"], "Cloudy");

    let long = json!({"duration": 1, "steps": 4});
    let events = chat
        .whole("long", &call("e_trigger-long-running-operation", &long))
        .await;
    let steps = of(&events, "tool_progress");
    assert!(steps.iter().any(|it| it["total"] == 4.0), "{events:?}");
    assert!(result(&events).contains("completed"), "{events:?}");

    let events = chat
        .whole("links", &call("e_get-resource-links", &json!({"count": 2})))
        .await;
    assert!(result(&events).contains("resource"), "{events:?}");

    let file = program().with_file_name("tools").join("get-tiny-image.js");
    media::reaches_claude(tools, "e_get-tiny-image", &file).await;

    let unfit = json!({"message": 7});
    let events = chat.whole("unfit", &call("e_echo", &unfit)).await;
    assert!(error(&events).contains("/message"), "{events:?}");

    // It has this tool once it knows that its client can ask.
    until("the list is renewed", async || {
        tools
            .tools()
            .names()
            .any(|name| name == "e_trigger-elicitation-request")
    })
    .await;
    let mut reader = chat
        .start("ask", &call("e_trigger-elicitation-request", &json!({})))
        .await;
    let asked = reader.until("input_request").await;
    assert_eq!(asked["schema"]["required"], json!(["name"]));
    assert_eq!(asked["schema"]["properties"]["name"]["title"], "String");
    let input = asked["inputId"].as_str().unwrap();
    let unfit = json!({"action": "accept", "content": {"check": true}});
    assert_eq!(chat.answer("ask", input, &unfit).await, 422);
    let fit = json!({"action": "accept", "content": {"name": "Ada", "check": true}});
    assert_eq!(chat.answer("ask", input, &fit).await, 202);
    let events = reader.whole().await;
    assert!(result(&events).contains("Ada"), "{events:?}");
}
