//! Runs the program as somebody would.

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

/// As few as the program's documentation asks for.
const RUNNING: usize = 64;

/// A server of its own for each test, until it is dropped.
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
        Some(Owner::new(user))
    });
    DurableLayer::new(sessions, access).client_fields(ClientFields::nothing().field("script"))
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conformance"));
    command.args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn complained(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_server_that_keeps_the_rules_is_told_so() {
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
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for case in CASES {
        let verdicts = ["passed  ", "n/a     "].map(|verdict| format!("{verdict}{}\n", case.name));
        assert!(verdicts.iter().any(|it| said.contains(it)), "{}", case.name);
    }
    assert!(said.contains(&format!(
        "n/a     {waived}\n  rule: {}\n  why:  not today\n",
        CASES[1].rule
    )));
    assert!(said.contains("was not told how to make the server give up"));
    let summary = said.lines().last().unwrap();
    assert!(summary.contains(" passed, 0 failed, "), "{summary}");
}

#[test]
fn a_server_that_breaks_a_rule_is_a_failure_that_says_which() {
    let closed = |sessions| DurableLayer::new(sessions, AnyoneWithTheId::new());
    let server = Server::start(closed);
    let case = &CASES[0];
    let output = run(&[&server.url(), "--case", case.name]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1));
    let failed = format!("FAILED  {}\n  rule: {}\n  seen: ", case.name, case.rule);
    assert!(said.starts_with(&failed), "{said}");
    assert!(
        said.ends_with("0 passed, 1 failed, 0 not applicable\n"),
        "{said}"
    );
}

#[test]
fn the_command_that_makes_the_server_give_up_is_run() {
    let server = Server::start(owned);
    let last = CASES.last().unwrap().name;
    let caller = ["--caller", "Authorization: Bearer a"];
    let give_up = ["--give-up", "echo I give up; exit 3", "--case", last];
    let output = run(&[&[&*server.url()], &caller[..], &give_up].concat());
    assert_eq!(output.status.code(), Some(1), "it didn't, after all");
    assert!(said(&output).starts_with("I give up\nFAILED"), "{output:?}");
    assert!(complained(&output).contains("exit status: 3"));
}

#[test]
fn a_server_that_is_not_there_is_said_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let output = run(&[&format!("http://{addr}/api/chat")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).is_empty());
    let complained = complained(&output);
    assert!(complained.starts_with(&format!("nothing listens at {addr}: ")));
    assert_eq!(complained.lines().count(), 1, "{complained}");
}

#[test]
fn a_command_line_that_can_not_be_followed_is_a_usage_error() {
    for arguments in [&[][..], &["--nonsense"], &["http://a/", "--case", "none"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said(&output).is_empty());
        assert!(complained(&output).contains("\nusage: conformance "));
    }
}

#[test]
fn help_and_the_list_of_cases_are_no_errors() {
    let help = run(&["--help"]);
    assert!(help.status.success() && said(&help).starts_with("usage: conformance "));
    let list = run(&["--list"]);
    assert!(list.status.success());
    assert_eq!(said(&list).lines().count(), 2 * CASES.len());
}
