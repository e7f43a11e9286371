//! The tools of the server that takes an answer over are others than those of the server that died: every
//! case of the table in the documentation of `tools`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use unbroken::{
    chat::{ChatEvent, ChatRequest, InputAnswer, InputRequest, IsomorphicTool, ToolCall},
    tools::{Call, ToolLayer, Tools, client_tool, tool_fn},
};

use super::fixture::Fixture;
use crate::support::{Answered, Model, Nothing, answer, call, start};

#[derive(Deserialize, schemars::JsonSchema)]
struct Args {
    #[expect(dead_code, reason = "only the schema counts")]
    of: String,
}

#[derive(Deserialize, schemars::JsonSchema)]
struct OtherArgs {
    #[expect(dead_code, reason = "only the schema counts")]
    to: String,
}

/// The tool `act` of a server.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    Absent,
    OtherSchema,
    Server {
        idempotent: bool,
        approval: Option<&'static str>,
    },
    /// Of the application.
    ClientTool,
    /// Brought with the request.
    ClientFunction,
}

/// The content of the log of the server that died.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Logged {
    Calls,
    OpenApproval,
    Accepted,
    Declined,
    Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Expected {
    /// The outcome of the first server.
    Kept,
    Unknown,
    /// The tool runs here.
    Runs,
    /// Another error than that the outcome is unknown.
    Fails,
    HandedOver,
}

impl Act {
    /// Returns the tools, which count their runs.
    fn tools(self, runs: &Arc<AtomicUsize>) -> Tools {
        let runs = Arc::clone(runs);
        let count = move || {
            runs.fetch_add(1, SeqCst);
            async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok("acted")
            }
        };
        match self {
            Self::Absent | Self::ClientFunction => {
                Tools::new().with(tool_fn("other", "", |_: Nothing, _: Call| async { Ok(()) }))
            }
            Self::ClientTool => Tools::new().with(client_tool("act", "", json!({}))),
            Self::OtherSchema => {
                let tool = tool_fn("act", "", move |_: OtherArgs, _: Call| count());
                Tools::new().with(tool.idempotent())
            }
            Self::Server {
                idempotent,
                approval,
            } => {
                let mut tool = tool_fn("act", "", move |_: Args, _: Call| count());
                if idempotent {
                    tool = tool.idempotent();
                }
                if let Some(message) = approval {
                    tool = tool.approved(message);
                }
                Tools::new().with(tool)
            }
        }
    }

    fn bring(self, mut request: ChatRequest) -> ChatRequest {
        if self == Self::ClientFunction {
            request.isomorphic_tools = vec![IsomorphicTool::new("act", "", json!({}))];
        }
        request
    }

    fn is_idempotent(self) -> bool {
        matches!(
            self,
            Self::Server {
                idempotent: true,
                ..
            }
        )
    }

    fn is_client(self) -> bool {
        matches!(self, Self::ClientFunction | Self::ClientTool)
    }
}

impl Logged {
    fn expected(self, then: Act, now: Act) -> Expected {
        let runs_here = matches!(now, Act::Server { .. });
        match self {
            Self::Outcome => Expected::Kept,
            Self::Declined if runs_here || now == Act::ClientTool => Expected::Fails,
            Self::OpenApproval | Self::Declined => match now {
                Act::Server { .. } => Expected::Runs,
                Act::ClientTool => Expected::HandedOver,
                _ => Expected::Fails,
            },
            Self::Calls | Self::Accepted => {
                if then.is_idempotent() && now.is_client() {
                    Expected::HandedOver
                } else if then.is_idempotent() && now.is_idempotent() {
                    Expected::Runs
                } else {
                    Expected::Unknown
                }
            }
        }
    }
}

fn model() -> Model {
    Model::calling([call("1", "act", json!({"of": "a"}))])
}

fn answered(events: &[ChatEvent], fixture: &Fixture, accepts: bool) {
    let asked = |event: &ChatEvent| match event {
        ChatEvent::InputRequest(asked) => Some(InputRequest::clone(asked)),
        _ => None,
    };
    if let Some(asked) = events.iter().find_map(asked) {
        let input = if accepts {
            InputAnswer::accept(Value::Null)
        } else {
            InputAnswer::decline()
        };
        let _ = fixture.answers.submit(asked.input_id, input);
    }
}

/// Reads this number of events, and then lets the tools run for less than they need.
async fn read(mut stream: Answered, most: usize, each: impl Fn(&[ChatEvent])) -> Vec<ChatEvent> {
    let mut log = Vec::new();
    while log.len() < most {
        log.push(stream.next().await.unwrap().unwrap());
        each(&log);
    }
    let more = tokio::time::timeout(Duration::from_millis(500), stream.next()).await;
    drop(more); // not in the log
    log
}

/// Returns the log of a server that died.
async fn died(
    fixture: &Fixture,
    then: Act,
    runs: &Arc<AtomicUsize>,
    logged: Logged,
) -> Vec<ChatEvent> {
    let layer = ToolLayer::new(then.tools(runs));
    let asks = matches!(then, Act::Server { approval, .. } if approval.is_some());
    let most = match logged {
        Logged::Calls => 2,
        Logged::OpenApproval => 3,
        Logged::Accepted | Logged::Declined => 4,
        Logged::Outcome => 3 + 2 * usize::from(asks),
    };
    let stream = start(&layer, &model(), then.bring(fixture.request())).await;
    read(stream, most, |log| {
        if logged != Logged::OpenApproval {
            answered(log, fixture, logged != Logged::Declined);
        }
    })
    .await
}

/// Returns the events of a server that takes the answer over, whose user allows everything.
async fn continued(
    fixture: &Fixture,
    now: Act,
    runs: &Arc<AtomicUsize>,
    request: ChatRequest,
) -> Vec<ChatEvent> {
    let layer = ToolLayer::new(now.tools(runs));
    let mut stream = start(&layer, &model(), now.bring(request)).await;
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        let event = event.unwrap();
        answered(std::slice::from_ref(&event), fixture, true);
        events.push(event);
    }
    events
}

fn outcome(log: &[ChatEvent]) -> &ChatEvent {
    let mut outcomes = log.iter().filter(|event| {
        let kinds = ["tool_result", "tool_error", "isomorphic_handoff"];
        kinds.contains(&event.kind())
    });
    let outcome = outcomes.next().unwrap_or_else(|| panic!("{log:?}"));
    assert!(outcomes.next().is_none(), "{log:?}");
    outcome
}

fn is_unknown(event: &ChatEvent) -> bool {
    matches!(event, ChatEvent::ToolError(error) if error.message.contains("is unknown"))
}

async fn check(logged: Logged, then: Act, now: Act, restarts: bool) {
    let what = format!("{logged:?}, then {then:?}, now {now:?}, restarts {restarts}");
    let fixture = Fixture::new();
    let (ran_then, runs_now) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
    let mut log = died(&fixture, then, &ran_then, logged).await;
    let began = matches!(logged, Logged::Calls | Logged::Accepted | Logged::Outcome);
    let expected_then = usize::from(
        began
            && matches!(then, Act::Server { approval, .. }
        if approval.is_none() || logged != Logged::Calls),
    );
    assert_eq!(ran_then.load(SeqCst), expected_then, "{what}: {log:?}");
    let request = if restarts {
        log.push(ChatEvent::restarted("again"));
        fixture.restarted(&log)
    } else {
        // Answered while no server has the session.
        answered(&log, &fixture, true);
        fixture.resumed(&log)
    };
    let rest = continued(&fixture, now, &runs_now, request).await;
    if restarts {
        log.clear();
    }
    log.extend(rest);
    let what = format!("{what}: {log:?}");
    let expected = logged.expected(then, now);
    let outcome = outcome(&log);
    let kind = match expected {
        Expected::Kept | Expected::Runs => "tool_result",
        Expected::Unknown | Expected::Fails => "tool_error",
        Expected::HandedOver => "isomorphic_handoff",
    };
    assert_eq!(outcome.kind(), kind, "{what}");
    assert_eq!(is_unknown(outcome), expected == Expected::Unknown, "{what}");
    let runs = usize::from(expected == Expected::Runs);
    assert_eq!(runs_now.load(SeqCst), runs, "{what}");
    let count = |kind: &str| log.iter().filter(|event| event.kind() == kind).count();
    assert_eq!(count("input_request"), count("input_resolved"), "{what}");
}

fn servers(approvals: &[Option<&'static str>]) -> Vec<Act> {
    let with = |approval: Option<&'static str>| {
        [false, true].map(|idempotent| Act::Server {
            idempotent,
            approval,
        })
    };
    approvals.iter().copied().flat_map(with).collect()
}

#[tokio::test(start_paused = true)]
async fn every_case_of_tools_that_changed() {
    let mut others = vec![
        Act::Absent,
        Act::OtherSchema,
        Act::ClientTool,
        Act::ClientFunction,
    ];
    others.extend(servers(&[None, Some("May I?"), Some("Please?")]));
    let mut cases = 0;
    for restarts in [false, true] {
        for &now in &others {
            for then in servers(&[None, Some("May I?")]) {
                for logged in [Logged::Calls, Logged::Outcome] {
                    check(logged, then, now, restarts).await;
                    cases += 1;
                }
            }
            for then in servers(&[Some("May I?")]) {
                for logged in [Logged::OpenApproval, Logged::Accepted, Logged::Declined] {
                    check(logged, then, now, restarts).await;
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, 2 * 10 * (4 * 2 + 2 * 3));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_no_tool_of_the_server_ran_for_is_a_new_one() {
    for then in [Act::Absent, Act::OtherSchema, Act::ClientFunction] {
        for now in servers(&[None]) {
            for restarts in [false, true] {
                let fixture = Fixture::new();
                let (none, runs) = (Arc::default(), Arc::default());
                let layer = ToolLayer::new(then.tools(&none));
                let stream = start(&layer, &model(), then.bring(fixture.request())).await;
                // Not the outcome, which is the next event.
                let mut log: Vec<_> = stream.take(2).map(Result::unwrap).collect().await;
                let request = if restarts {
                    log.push(ChatEvent::restarted("again"));
                    fixture.restarted(&log)
                } else {
                    fixture.resumed(&log)
                };
                let rest = continued(&fixture, now, &runs, request).await;
                let what = format!("then {then:?}, now {now:?}, restarts {restarts}");
                assert_eq!(outcome(&rest).kind(), "tool_result", "{what}: {rest:?}");
                assert_eq!((none.load(SeqCst), runs.load(SeqCst)), (0, 1), "{what}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_a_running_call_asks_for_does_not_show_that_it_has_not_begun() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let asking = tool_fn("act", "", move |_: Args, call: Call| {
        counted.fetch_add(1, SeqCst);
        async move { Ok(call.approve("Go on?").await?) }
    });
    let layer = ToolLayer::new(Tools::new().with(asking));
    let fixture = Fixture::new();
    let stream = start(&layer, &model(), fixture.request()).await;
    let log = read(stream, 3, |_| {}).await;
    assert_eq!(log[2].kind(), "input_request", "{log:?}");
    let now = servers(&[Some("Go on?")])[0];
    answered(&log, &fixture, true);
    let rest = continued(&fixture, now, &runs, fixture.resumed(&log)).await;
    assert!(is_unknown(outcome(&rest)), "{rest:?}");
    assert_eq!(runs.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_call_that_waits_for_an_approval_may_have_begun_before() {
    let (fixture, runs) = (Fixture::new(), Arc::new(AtomicUsize::new(0)));
    let [_, first, once, second] = servers(&[None, Some("May I?")])[..] else {
        panic!("four tools");
    };
    let mut log = died(&fixture, first, &runs, Logged::Calls).await;
    let layer = ToolLayer::new(second.tools(&runs));
    let stream = start(&layer, &model(), fixture.resumed(&log)).await;
    log.extend(read(stream, 1, |_| {}).await);
    assert_eq!(log[2].kind(), "input_request", "{log:?}");
    let rest = continued(&fixture, once, &runs, fixture.resumed(&log)).await;
    assert!(is_unknown(outcome(&rest)), "{rest:?}");
    assert_eq!(runs.load(SeqCst), 1, "on the first server");
}

#[tokio::test(start_paused = true)]
async fn a_call_in_a_log_without_marks_is_not_repeated() {
    let (fixture, runs) = (Fixture::new(), Arc::new(AtomicUsize::new(0)));
    let asked: ToolCall = call("1", "act", json!({"of": "a"}));
    let log = [ChatEvent::tool_calls([asked])];
    let layer = ToolLayer::new(servers(&[None])[1].tools(&runs));
    let rest = answer(&layer, &model(), fixture.resumed(&log))
        .await
        .unwrap();
    assert!(is_unknown(outcome(&rest)), "{rest:?}");
    assert_eq!(runs.load(SeqCst), 0);
}
