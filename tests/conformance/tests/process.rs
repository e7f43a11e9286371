//! Tests of the binary `conformance`, run as a process.

use std::{
    net::{SocketAddr, TcpListener},
    process::{Command, Output},
};

use axum::Router;
use tokio::runtime::Runtime;
use tower_layer::Layer as _;
use unbroken::{
    access::{AnyoneWithTheId, OnlyTheOwner},
    durable::{ClientFields, DurableLayer},
    log::Owner,
    provider::Scripted,
    session::{Limits, Sessions},
    store::Memory,
};
use unbroken_conformance::http::CASES;

/// The number of running sessions that the program's documentation asks for.
const RUNNING: usize = 64;

/// A server that runs until it is dropped.
struct Server {
    addr: SocketAddr,
    _runtime: Runtime,
}

impl Server {
    fn start(layer: impl FnOnce(Sessions) -> DurableLayer) -> Self {
        let limits = Limits::default()
            .running(RUNNING)
            .running_per_owner(RUNNING);
        let sessions = Sessions::builder(Memory::new()).limits(limits).build();
        let chat = layer(sessions).layer(Scripted::default());
        let app: Router = unbroken_axum::mount("/api/chat", chat);
        let runtime = Runtime::new().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0");
        let listener = runtime.block_on(listener).unwrap();
        let addr = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self {
            addr,
            _runtime: runtime,
        }
    }

    fn url(&self) -> String {
        format!("http://{}/api/chat", self.addr)
    }
}

fn owned(sessions: Sessions) -> DurableLayer {
    let access = OnlyTheOwner::new(|head: &mut axum::http::request::Parts| {
        let user = head.headers.get("authorization")?.to_str().ok()?;
        Owner::try_from(user).ok()
    });
    DurableLayer::new(sessions, access).client_fields(
        ClientFields::nothing()
            .field("script")
            .history(64 * 1024)
            .client_tools(4, 4096),
    )
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conformance"));
    command.args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_server_that_keeps_the_rules_passes() {
    let server = Server::start(owned);
    let waived = CASES[1].name;
    let output = run(&[
        &server.url(),
        "--caller",
        "Authorization: Bearer a",
        "--stranger",
        "Authorization: Bearer b",
        "--running",
        &RUNNING.to_string(),
        "--waive",
        &format!("{waived}=not today"),
    ]);
    let stdout = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    for case in CASES {
        let verdicts = ["passed  ", "n/a     "].map(|verdict| format!("{verdict}{}\n", case.name));
        assert!(
            verdicts.iter().any(|it| stdout.contains(it)),
            "{}",
            case.name
        );
    }
    assert!(stdout.contains(&format!(
        "n/a     {waived}\n  rule: {}\n  why:  not today\n",
        CASES[1].rule
    )));
    assert!(stdout.contains("the target has no way to shut the server down"));
    let summary = stdout.lines().last().unwrap();
    assert!(summary.contains(" passed, 0 failed, "), "{summary}");
}

#[test]
fn a_broken_rule_is_reported_and_exits_with_1() {
    let closed = |sessions| DurableLayer::new(sessions, AnyoneWithTheId::new());
    let server = Server::start(closed);
    let case = &CASES[0];
    let output = run(&[&server.url(), "--case", case.name]);
    let stdout = stdout(&output);
    assert_eq!(output.status.code(), Some(1));
    let failed = format!("FAILED  {}\n  rule: {}\n  seen: ", case.name, case.rule);
    assert!(stdout.starts_with(&failed), "{stdout}");
    assert!(
        stdout.ends_with("0 passed, 1 failed, 0 not applicable\n"),
        "{stdout}"
    );
}

#[test]
fn the_shutdown_command_is_run() {
    let server = Server::start(owned);
    let last = CASES.last().unwrap().name;
    let caller = ["--caller", "Authorization: Bearer a"];
    let shutdown = ["--shutdown", "echo shutting down; exit 3", "--case", last];
    let output = run(&[&[&*server.url()], &caller[..], &shutdown].concat());
    assert_eq!(output.status.code(), Some(1), "the command failed");
    assert!(
        stdout(&output).starts_with("shutting down\nFAILED"),
        "{output:?}"
    );
    assert!(stderr(&output).contains("exit status: 3"));
}

#[test]
fn an_absent_server_is_reported_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let output = run(&[&format!("http://{addr}/api/chat")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).is_empty());
    let stderr = stderr(&output);
    assert!(stderr.starts_with(&format!("nothing listens at {addr}: ")));
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn a_wrong_command_line_exits_with_2_and_the_usage() {
    for arguments in [&[][..], &["--nonsense"], &["http://a/", "--case", "none"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stdout(&output).is_empty());
        assert!(stderr(&output).contains("\nusage: conformance "));
    }
}

#[test]
fn help_and_the_list_of_cases_succeed() {
    let help = run(&["--help"]);
    assert!(help.status.success() && stdout(&help).starts_with("usage: conformance "));
    let list = run(&["--list"]);
    assert!(list.status.success());
    assert_eq!(stdout(&list).lines().count(), 2 * CASES.len());
}
