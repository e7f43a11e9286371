//! The tools that run after another server takes an answer over. The log is any part of the answer that
//! ends at or after its last barrier.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use unbroken::{
    chat::{
        ChatEvent, ChatRequest, FinishReason, InputAnswer, InputAnswers, InputRequest,
        IsomorphicClientOutput, Message, ToolRuns, Transcript,
    },
    tools::{Call, Question, ToolLayer, Tools, client_tool, handoff_fn, tool_fn},
};

use crate::support::{Model, Nothing, answer, call, request, start};

const SESSION: &str = "session-of-tools-00001";

#[derive(Deserialize, schemars::JsonSchema)]
struct Args {
    of: String,
}

/// The number of runs, and the idempotency keys, of each tool with each argument.
#[derive(Clone, Default)]
struct RunCounter {
    times: Arc<Mutex<HashMap<String, usize>>>,
    keys: Arc<Mutex<HashMap<String, Vec<String>>>>,
}

impl RunCounter {
    fn times(&self, what: &str) -> usize {
        self.times.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    fn count(&self, call: &Call, of: &str) {
        let what = format!("{} {of}", call.tool());
        *self.times.lock().unwrap().entry(what.clone()).or_default() += 1;
        let mut keys = self.keys.lock().unwrap();
        let key = call.idempotency_key().to_owned();
        keys.entry(what).or_default().push(key);
    }

    /// `pay` and `allowed` must not run twice, `look` may.
    fn tools(&self) -> Tools {
        let run = |runs: &Self| {
            let runs = runs.clone();
            move |args: Args, call: Call| {
                runs.count(&call, &args.of);
                async move {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Ok(format!("{} {}", call.tool(), args.of))
                }
            }
        };
        Tools::new()
            .with(tool_fn("pay", "", run(self)))
            .with(tool_fn("allowed", "", run(self)).approved("May I?"))
            .with(tool_fn("look", "", run(self)).idempotent())
    }
}

/// Three turns, each with text, five calls in all.
fn model() -> Model {
    let of = |id: &str, name: &str, of: &str| call(id, name, json!({"of": of}));
    Model::new([
        vec![
            ChatEvent::text("One. "),
            ChatEvent::tool_calls([of("1", "pay", "a"), of("2", "look", "a")]),
        ],
        vec![
            ChatEvent::text("Two. "),
            ChatEvent::tool_calls([
                of("1", "pay", "b"),
                of("2", "allowed", "a"),
                of("3", "pay", "a"),
            ]),
        ],
        vec![ChatEvent::text("Three. "), ChatEvent::text("Four.")],
    ])
}

const NEVER_TWICE: [&str; 3] = ["pay b", "allowed a", "pay a"];

struct Fixture {
    layer: ToolLayer,
    model: Model,
    runs: RunCounter,
    answers: InputAnswers,
}

impl Fixture {
    fn new() -> Self {
        let runs = RunCounter::default();
        Self {
            layer: ToolLayer::new(runs.tools()),
            model: model(),
            runs,
            answers: InputAnswers::new(),
        }
    }

    fn request(&self) -> ChatRequest {
        let mut request = request();
        request.inputs = self.answers.inputs();
        request.session_id = Some(SESSION.parse().unwrap());
        request
    }

    /// Returns the request of a server that resumes after this log.
    fn resumed(&self, log: &[ChatEvent]) -> ChatRequest {
        let mut request = self.request();
        let so_far: Transcript = log.iter().collect();
        if !so_far.text().is_empty() {
            request.messages.push(Message::assistant(so_far.text()));
        }
        request.so_far = Some(Arc::new(so_far));
        request.runs = Arc::new(log.iter().collect());
        request
    }

    fn restarted(&self, log: &[ChatEvent]) -> ChatRequest {
        let mut request = self.request();
        request.runs = Arc::new(log.iter().collect());
        request
    }

    /// Reads this number of events, or all, and accepts every request for an approval. Also returns the
    /// number of events that are stored at least if the server dies then.
    async fn read(&self, request: ChatRequest, most: usize) -> (Vec<ChatEvent>, usize) {
        let mut stream = start(&self.layer, &self.model, request).await;
        let (mut events, mut stored) = (Vec::new(), 0);
        while events.len() < most
            && let Some(event) = stream.next().await
        {
            let event = event.unwrap();
            if let ChatEvent::InputRequest(asked) = &event {
                self.allow(asked);
            }
            events.push(event);
            if events.last().unwrap().is_barrier() {
                stored = events.len();
            }
        }
        if events.len() < most {
            stored = events.len();
        }
        (events, stored)
    }

    fn allow(&self, asked: &InputRequest) {
        let yes = InputAnswer::accept(Value::Null);
        // The next server asks again if the log lacks the resolution.
        let _ = self.answers.submit(asked.input_id.clone(), yes);
    }
}

fn check(log: &[ChatEvent], what: &str) {
    assert_eq!(
        log.iter().filter(|it| it.is_terminal()).count(),
        1,
        "{what}"
    );
    assert_eq!(log.last().unwrap().kind(), "complete", "{what}");
    let transcript: Transcript = log.iter().collect();
    assert_eq!(transcript.text(), "One. Two. Three. Four.", "{what}");
    assert_eq!(transcript.tool_calls().len(), 5, "{what}");
    for call in transcript.tool_calls() {
        let results = transcript.tool_results().iter();
        let errors = transcript.tool_errors().iter();
        let outcomes = results.filter(|it| it.id == call.id).count()
            + errors.filter(|it| it.id == call.id).count();
        assert_eq!(outcomes, 1, "{what}: {}", call.id);
    }
    let all_but_the_end: Transcript = log[..log.len() - 1].iter().collect();
    assert_eq!(all_but_the_end.open_inputs().count(), 0, "{what}");
}

async fn length() -> usize {
    let fixture = Fixture::new();
    let (events, _) = fixture.read(fixture.request(), usize::MAX).await;
    check(&events, "without a fault");
    assert_eq!(fixture.runs.times("pay a"), 2, "two calls of their own");
    assert_eq!(
        (fixture.runs.times("pay b"), fixture.runs.times("look a")),
        (1, 1)
    );
    events.len()
}

// Returns the number of times that a tool may run: once for each call of the model.
fn may_run(what: &str) -> usize {
    if what == "pay a" { 2 } else { 1 }
}

#[tokio::test(start_paused = true)]
async fn resumed_at_every_event_no_tool_runs_twice_that_must_not() {
    for read in 0..length().await {
        let fixture = Fixture::new();
        let (events, stored) = fixture.read(fixture.request(), read).await;
        for stored in stored..=events.len() {
            let fixture = Fixture::new();
            let (mut log, _) = fixture.read(fixture.request(), read).await;
            log.truncate(stored);
            let what = format!("{read} read and {stored} stored");
            let (rest, _) = fixture.read(fixture.resumed(&log), usize::MAX).await;
            log.extend(rest);
            check(&log, &what);
            for never in NEVER_TWICE {
                assert!(
                    fixture.runs.times(never) <= may_run(never),
                    "{what}: {never}"
                );
            }
            assert!(fixture.runs.times("look a") >= 1, "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn resumed_twice_no_tool_runs_twice_that_must_not() {
    let length = length().await;
    for read in 0..length {
        for more in 0..length - read {
            let fixture = Fixture::new();
            let (mut log, _) = fixture.read(fixture.request(), read).await;
            for most in [more, usize::MAX] {
                let (rest, _) = fixture.read(fixture.resumed(&log), most).await;
                log.extend(rest);
                if log.last().is_some_and(ChatEvent::is_terminal) {
                    break;
                }
            }
            let what = format!("{read} and {more} read");
            check(&log, &what);
            for never in NEVER_TWICE {
                assert!(
                    fixture.runs.times(never) <= may_run(never),
                    "{what}: {never}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn restarted_at_every_event_no_tool_runs_twice_that_must_not() {
    let length = length().await;
    for read in 0..length {
        for more in [0, 1, 3, 6, length] {
            let fixture = Fixture::new();
            let (mut log, _) = fixture.read(fixture.request(), read).await;
            for most in [more, usize::MAX] {
                log.push(ChatEvent::restarted("again"));
                let (rest, _) = fixture.read(fixture.restarted(&log), most).await;
                log.extend(rest);
                if log.last().is_some_and(ChatEvent::is_terminal) {
                    break;
                }
            }
            let what = format!("{read} and {more} read");
            let last = log.iter().rposition(|it| it.kind() == "restarted").unwrap();
            check(&log[last + 1..], &what);
            for never in NEVER_TWICE {
                assert!(
                    fixture.runs.times(never) <= may_run(never),
                    "{what}: {never}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_idempotent_call_is_repeated_with_its_key_and_any_other_has_an_unknown_outcome() {
    let fixture = Fixture::new();
    let calls = ChatEvent::tool_calls([
        call("1", "pay", json!({"of": "a"})),
        call("2", "look", json!({"of": "a"})),
    ]);
    // Both run, and only their calls are stored.
    let (log, _) = fixture.read(fixture.request(), 2).await;
    assert_eq!(log[1], calls);
    let mut stream = start(&fixture.layer, &fixture.model, fixture.request()).await;
    for _ in 0..2 {
        stream.next().await;
    }
    let waits = tokio::time::timeout(Duration::from_millis(500), stream.next()).await;
    assert!(waits.is_err());
    drop(stream);
    assert_eq!(
        (fixture.runs.times("pay a"), fixture.runs.times("look a")),
        (1, 1)
    );

    let (rest, _) = fixture.read(fixture.resumed(&log), 3).await;
    let ChatEvent::ToolError(error) = &rest[0] else {
        panic!("{rest:?}");
    };
    assert_eq!(error.id, "1");
    assert!(error.message.contains("unknown"), "{}", error.message);
    assert_eq!(rest[1], ChatEvent::tool_result("2", "look", "look a"));
    assert_eq!(rest[2], ChatEvent::text("Two. "));
    assert_eq!(
        (fixture.runs.times("pay a"), fixture.runs.times("look a")),
        (1, 2)
    );
    let keys = fixture.runs.keys.lock().unwrap();
    assert_eq!(
        keys["look a"],
        [format!("{SESSION}/1"), format!("{SESSION}/1")]
    );
    assert_eq!(keys["pay a"], [format!("{SESSION}/0")]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_an_approval_waits_for_the_same_question_after_a_take_over() {
    let fixture = Fixture::new();
    let layer = &fixture.layer;
    let model = Model::calling([call("1", "allowed", json!({"of": "a"}))]);
    let mut stream = start(layer, &model, fixture.request()).await;
    let mut log = Vec::new();
    while log.len() < 2 {
        log.push(stream.next().await.unwrap().unwrap());
    }
    drop(stream);
    let ChatEvent::InputRequest(asked) = log[1].clone() else {
        panic!("{log:?}");
    };
    // Answered while no server has the session.
    fixture.allow(&asked);
    let rest = answer(layer, &model, fixture.resumed(&log)).await.unwrap();
    let kinds: Vec<_> = rest.iter().map(ChatEvent::kind).collect();
    assert_eq!(kinds, ["input_resolved", "tool_result", "text", "complete"]);
    assert_eq!(fixture.runs.times("allowed a"), 1);
}

#[tokio::test(start_paused = true)]
async fn questions_that_were_answered_are_not_asked_again() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let ask = tool_fn("ask", "", move |_: Nothing, call: Call| {
        let seen = Arc::clone(&seen);
        async move {
            let mut outputs = Vec::new();
            for question in ["One?", "Two?"] {
                outputs.push(call.ask(Question::new(question)).await?);
                seen.lock().unwrap().push(question);
            }
            Ok(json!(outputs))
        }
    });
    let layer = ToolLayer::new(Tools::new().with(ask.idempotent()));
    let model = Model::calling([call("1", "ask", json!({}))]);
    let fixture = Fixture::new();
    // Calls, question, resolved, question, resolved.
    for read in 2..6 {
        let fixture = Fixture::new();
        let give = |event: &ChatEvent| {
            if let ChatEvent::InputRequest(asked) = event {
                let input = InputAnswer::accept(json!(asked.message));
                let _ = fixture.answers.submit(asked.input_id.clone(), input);
            }
        };
        let mut log = Vec::new();
        for request in [fixture.request(), fixture.resumed(&[])] {
            let request = if log.is_empty() {
                request
            } else {
                fixture.resumed(&log)
            };
            let most = if log.is_empty() { read } else { usize::MAX };
            let mut stream = start(&layer, &model, request).await;
            while log.len() < most
                && let Some(event) = stream.next().await
            {
                let event = event.unwrap();
                give(&event);
                log.push(event);
            }
        }
        let questions = log.iter().filter(|it| it.kind() == "input_request").count();
        let resolved = log
            .iter()
            .filter(|it| it.kind() == "input_resolved")
            .count();
        assert_eq!((questions, resolved), (2, 2), "{read}: {log:?}");
        let result = ChatEvent::tool_result("1", "ask", r#"["One?","Two?"]"#);
        assert!(log.contains(&result), "{read}: {log:?}");
    }
    drop(fixture);
    assert!(asked.lock().unwrap().len() >= 8);
}

#[tokio::test(start_paused = true)]
async fn a_handoff_that_is_interrupted_anywhere_is_made_once() {
    let runs = RunCounter::default();
    let layer = ToolLayer::new(runs.tools().with(client_tool("map", "", json!({}))));
    let calls = [
        call("1", "map", json!({"x": 1})),
        call("2", "pay", json!({"of": "a"})),
        call("3", "map", json!({"x": 1})),
    ];
    let model = Model::calling(calls.clone());
    let fixture = Fixture::new();
    let whole = answer(&layer, &model, fixture.request()).await.unwrap();
    for restarts in [true, false] {
        for read in 1..whole.len() {
            runs.times.lock().unwrap().clear();
            let mut stream = start(&layer, &model, fixture.request()).await;
            let mut log = Vec::new();
            while log.len() < read {
                log.push(stream.next().await.unwrap().unwrap());
            }
            drop(stream);
            let request = if restarts {
                log.push(ChatEvent::restarted("again"));
                fixture.restarted(&log)
            } else {
                fixture.resumed(&log)
            };
            log.extend(answer(&layer, &model, request).await.unwrap());
            let what = format!("restarts {restarts}, {read} read: {log:?}");
            let transcript: Transcript = log.iter().collect();
            let mut handed: Vec<_> = transcript.handoffs().iter().map(|it| &it.call_id).collect();
            handed.sort_unstable();
            assert_eq!(handed, ["1", "3"], "{what}");
            assert!(runs.times("pay a") <= 1, "{what}");
            let outcomes = transcript.tool_results().len() + transcript.tool_errors().len();
            assert_eq!(outcomes, 1, "{what}");
            let state = transcript.conversation_state().unwrap();
            assert_eq!(state.tool_calls, calls, "{what}");
            assert_eq!(state.server_tool_results.len(), 1, "{what}");
            let reason = transcript.finish_reason();
            assert_eq!(reason, Some(&FinishReason::ToolCalls), "{what}");
            let last = log
                .iter()
                .rposition(|it| it.kind() == "restarted")
                .unwrap_or(0);
            let states = log[last..]
                .iter()
                .filter(|it| it.kind() == "conversation_state");
            assert_eq!(states.count(), 1, "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_half_runs_once_wherever_the_follow_up_is_interrupted() {
    let runs = RunCounter::default();
    let counted = runs.clone();
    let tools = Tools::new().with(handoff_fn(
        "seat",
        "",
        |_: Nothing, _: Call| async { Ok(()) },
        move |given: IsomorphicClientOutput, call: Call| {
            counted.count(&call, given.client_output.as_str().unwrap());
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok("booked")
            }
        },
    ));
    let layer = ToolLayer::new(tools);
    let model = Model::new([vec![ChatEvent::text("Done.")]]);
    let request = || {
        let mut request = request();
        let turn = [call("1", "seat", json!({})), call("2", "seat", json!({}))];
        request
            .messages
            .push(Message::assistant("").tool_calls(turn));
        request.isomorphic_client_outputs = ["1", "2"]
            .map(|id| {
                let mut output = IsomorphicClientOutput::new(id, "seat", json!(id));
                output.params = json!({});
                output
            })
            .into();
        request
    };
    let whole = answer(&layer, &model, request()).await.unwrap();
    for restarts in [true, false] {
        for read in 0..whole.len() {
            runs.times.lock().unwrap().clear();
            let mut stream = start(&layer, &model, request()).await;
            let mut log = Vec::new();
            while log.len() < read {
                log.push(stream.next().await.unwrap().unwrap());
            }
            drop(stream);
            let mut again = request();
            if restarts {
                log.push(ChatEvent::restarted("again"));
            } else {
                let so_far: Transcript = log.iter().collect();
                if !so_far.text().is_empty() {
                    again.messages.push(Message::assistant(so_far.text()));
                }
                again.so_far = Some(Arc::new(so_far));
            }
            again.runs = Arc::new(log.iter().collect::<ToolRuns>());
            let rest = answer(&layer, &model, again).await.unwrap();
            if restarts {
                log.clear();
            }
            log.extend(rest);
            let what = format!("restarts {restarts}, {read} read");
            for id in ["1", "2"] {
                assert!(runs.times(&format!("seat {id}")) <= 1, "{what}");
                let is_result = |event: &&ChatEvent| match event {
                    ChatEvent::ToolResult(it) => it.id == id,
                    ChatEvent::ToolError(it) => it.id == id,
                    _ => false,
                };
                assert_eq!(log.iter().filter(is_result).count(), 1, "{what}: {log:?}");
            }
            let transcript: Transcript = log.iter().collect();
            assert_eq!(transcript.text(), "Done.", "{what}");
            let has_text = model.last().so_far.is_some();
            assert_eq!(
                model.last().messages.len(),
                4 + usize::from(has_text),
                "{what}"
            );
        }
    }
}
