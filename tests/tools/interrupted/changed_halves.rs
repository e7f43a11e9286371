//! The tools of the server that takes a follow-up over are others than those of the server that died.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;
use unbroken::{
    chat::{ChatEvent, ChatRequest, EnabledTools, IsomorphicClientOutput, Message},
    tools::{Call, ToolLayer, Tools, client_tool, handoff_fn, tool_fn},
};

use super::fixture::Fixture;
use crate::support::{Model, Nothing, answer, call, start};

#[derive(Deserialize, schemars::JsonSchema)]
struct Args {
    #[expect(dead_code, reason = "only the schema counts")]
    of: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Seat {
    Absent,
    OtherSchema,
    WithoutSecondHalf,
    ClientTool,
    TwoHalves { idempotent: bool },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Logged {
    Nothing,
    Begin,
    Outcome,
}

impl Seat {
    fn tools(self, runs: &Arc<AtomicUsize>) -> Tools {
        let second = |runs: &Arc<AtomicUsize>| {
            let runs = Arc::clone(runs);
            move |_: IsomorphicClientOutput, _: Call| {
                runs.fetch_add(1, SeqCst);
                async {
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                    Ok("booked")
                }
            }
        };
        match self {
            Self::Absent => Tools::new(),
            Self::ClientTool => Tools::new().with(client_tool("seat", "", json!({}))),
            Self::WithoutSecondHalf => {
                let whole = |_: Nothing, _: Call| async { Ok("whole") };
                Tools::new().with(tool_fn("seat", "", whole).idempotent())
            }
            Self::OtherSchema => {
                let first = |_: Args, _: Call| async { Ok(()) };
                Tools::new().with(handoff_fn("seat", "", first, second(runs)).idempotent())
            }
            Self::TwoHalves { idempotent } => {
                let first = |_: Nothing, _: Call| async { Ok(()) };
                let tool = handoff_fn("seat", "", first, second(runs));
                Tools::new().with(if idempotent { tool.idempotent() } else { tool })
            }
        }
    }
}

fn follow_up(mut request: ChatRequest) -> ChatRequest {
    let turn = Message::assistant("").tool_calls([call("1", "seat", json!({}))]);
    request.messages.push(turn);
    let mut output = IsomorphicClientOutput::new("1", "seat", json!("2C"));
    output.params = json!({});
    output.uses_handoff = true;
    request.isomorphic_client_outputs = vec![output];
    request
}

async fn check(logged: Logged, then: bool, now: Seat, restarts: bool) {
    let fixture = Fixture::new();
    let model = Model::new([vec![ChatEvent::text("Done.")]]);
    let (ran, runs) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
    let first = Seat::TwoHalves { idempotent: then };
    let layer = ToolLayer::new(first.tools(&ran));
    let mut stream = start(&layer, &model, follow_up(fixture.request())).await;
    let mut log = Vec::new();
    let most = [Logged::Nothing, Logged::Begin, Logged::Outcome];
    let most = most.iter().position(|it| *it == logged).unwrap();
    while log.len() < most {
        log.push(stream.next().await.unwrap().unwrap());
    }
    if logged != Logged::Nothing {
        let more = std::time::Duration::from_millis(500);
        let _ = tokio::time::timeout(more, stream.next()).await;
    }
    drop(stream);
    let began = usize::from(logged != Logged::Nothing);
    assert_eq!(ran.load(SeqCst), began, "{log:?}");

    let layer = ToolLayer::new(now.tools(&runs));
    let again = if restarts {
        log.push(ChatEvent::restarted("again"));
        fixture.restarted(&log)
    } else {
        fixture.resumed(&log)
    };
    let rest = answer(&layer, &model, follow_up(again)).await.unwrap();
    if restarts {
        log.clear();
    }
    log.extend(rest);
    let what = format!("{logged:?}, then {then}, now {now:?}, restarts {restarts}: {log:?}");
    let outcomes = log.iter().filter_map(|event| match event {
        ChatEvent::ToolResult(result) => Some(result.content.to_text().into_owned()),
        ChatEvent::ToolError(error) => Some(error.message.clone()),
        _ => None,
    });
    let outcomes: Vec<_> = outcomes.collect();
    let [outcome] = &outcomes[..] else {
        panic!("{what}");
    };
    let repeats = then && now == Seat::TwoHalves { idempotent: true };
    let (expected, times) = match (logged, now) {
        (Logged::Outcome, _) => ("booked", 0),
        (Logged::Nothing, Seat::TwoHalves { .. }) => ("booked", 1),
        (Logged::Nothing, Seat::OtherSchema) => ("the params don't fit", 0),
        (Logged::Nothing, _) => ("not there any more", 0),
        (Logged::Begin, _) if repeats => ("booked", 1),
        (Logged::Begin, _) => ("is unknown", 0),
    };
    assert!(outcome.contains(expected), "{what}");
    assert_eq!(runs.load(SeqCst), times, "{what}");
    let told = model.last().messages;
    let told = told
        .iter()
        .filter(|it| it.tool_call_id.as_deref() == Some("1"));
    let told: Vec<_> = told.map(|it| it.text().into_owned()).collect();
    assert_eq!(told.len(), 1, "{what}");
    assert!(told[0].contains(expected), "{told:?}, {what}");
}

#[tokio::test(start_paused = true)]
async fn every_case_of_a_second_half_that_changed() {
    let mut cases = 0;
    for restarts in [false, true] {
        for now in [
            Seat::Absent,
            Seat::OtherSchema,
            Seat::WithoutSecondHalf,
            Seat::ClientTool,
            Seat::TwoHalves { idempotent: false },
            Seat::TwoHalves { idempotent: true },
        ] {
            for then in [false, true] {
                for logged in [Logged::Nothing, Logged::Begin, Logged::Outcome] {
                    check(logged, then, now, restarts).await;
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, 2 * 6 * 2 * 3);
}

#[tokio::test(start_paused = true)]
async fn a_follow_up_that_disables_a_tool_has_its_second_half_run() {
    let runs = Arc::default();
    let layer = ToolLayer::new(Seat::TwoHalves { idempotent: false }.tools(&runs));
    let model = Model::new([vec![ChatEvent::text("Done.")]]);
    let mut request = follow_up(Fixture::new().request());
    request.enabled_tools = Some(EnabledTools::Named(Vec::new()));
    let events = answer(&layer, &model, request).await.unwrap();
    assert!(
        events.contains(&ChatEvent::tool_result("1", "seat", "booked")),
        "{events:?}"
    );
    assert!(model.last().tools.is_empty());
    assert_eq!(runs.load(SeqCst), 1);
}
