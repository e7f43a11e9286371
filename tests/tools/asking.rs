//! Approvals, and questions in the middle of a run.

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
use tokio::time::{Instant, timeout};
use unbroken::{
    BoxFuture,
    chat::{
        ChatEvent, ChatRequest, InputAnswer, InputAnswers, InputId, InputKind, InputOutcome,
        InputRequest, InputResolved, InputSource, Inputs, Transcript,
    },
    tools::{Call, Question, ToolLayer, Tools, Unanswered, tool_fn},
};

use crate::support::{
    Counted, DropCounter, Model, Nothing, answer, call, kinds, request, start, wait_for_drops,
};

#[derive(Deserialize, schemars::JsonSchema)]
struct Pay {
    sum: u64,
}

/// A tool that pays. Large sums need an approval.
fn paying(paid: &Arc<AtomicUsize>) -> Tools {
    let paid = Arc::clone(paid);
    let pay = tool_fn("pay", "Pays.", move |pay: Pay, _: Call| {
        let paid = Arc::clone(&paid);
        async move {
            paid.fetch_add(1, SeqCst);
            tokio::time::sleep(Duration::from_secs(2)).await;
            Ok(format!("paid {}", pay.sum))
        }
    });
    Tools::new().with(pay.approved_if(|arguments| {
        let sum = arguments["sum"].as_u64()?;
        (sum > 10).then(|| format!("Pay {sum}?"))
    }))
}

fn asked_for(inputs: Inputs) -> ChatRequest {
    let mut request = request();
    request.inputs = inputs;
    request
}

/// Reads an answer, and answers each question with the next of these.
async fn with_answers(
    layer: &ToolLayer,
    model: &Model,
    given: impl IntoIterator<Item = InputAnswer>,
) -> Vec<ChatEvent> {
    let answers = InputAnswers::new();
    let mut given = given.into_iter();
    let mut stream = start(layer, model, asked_for(answers.inputs())).await;
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        let event = event.unwrap();
        if let ChatEvent::InputRequest(asked) = &event
            && let Some(answer) = given.next()
        {
            answers.submit(asked.input_id.clone(), answer).unwrap();
        }
        events.push(event);
    }
    events
}

fn asked(events: &[ChatEvent]) -> Vec<&InputRequest> {
    let requests = events.iter().filter_map(|event| match event {
        ChatEvent::InputRequest(request) => Some(&**request),
        _ => None,
    });
    requests.collect()
}

fn resolved(events: &[ChatEvent]) -> Vec<InputOutcome> {
    let resolved = events.iter().filter_map(|event| match event {
        ChatEvent::InputResolved(resolved) => Some(resolved.action.clone()),
        _ => None,
    });
    resolved.collect()
}

fn big() -> Model {
    Model::calling([call("1", "pay", json!({"sum": 70}))])
}

#[tokio::test(start_paused = true)]
async fn an_approved_call_runs() {
    let (model, paid) = (big(), Arc::default());
    let layer = ToolLayer::new(paying(&paid)).input_timeout(Duration::from_secs(30));
    let events = with_answers(&layer, &model, [InputAnswer::accept(Value::Null)]).await;
    assert_eq!(
        kinds(&events),
        [
            "tool_calls",
            "turn",
            "input_request",
            "input_resolved",
            "tool_result",
            "text",
            "complete"
        ]
    );
    let request = asked(&events)[0];
    assert_eq!(
        (&request.kind, request.message.as_str()),
        (&InputKind::Approval, "Pay 70?")
    );
    assert_eq!(request.call_id.as_deref(), Some("1"));
    assert_eq!(request.tool_name.as_deref(), Some("pay"));
    assert_eq!(request.params, Some(json!({"sum": 70})));
    assert_eq!(request.timeout, Some(Duration::from_secs(30)));
    assert_eq!(resolved(&events), [InputOutcome::Accept]);
    assert_eq!(paid.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_allowed_does_not_run_and_the_model_gets_an_error() {
    for (given, outcome, message) in [
        (
            vec![InputAnswer::decline()],
            InputOutcome::Decline,
            Unanswered::Declined,
        ),
        (
            vec![InputAnswer::cancel()],
            InputOutcome::Cancel,
            Unanswered::Cancelled,
        ),
        (vec![], InputOutcome::Timeout, Unanswered::TimedOut),
    ] {
        let (model, paid) = (big(), Arc::default());
        let layer = ToolLayer::new(paying(&paid)).input_timeout(Duration::from_secs(30));
        let began = Instant::now();
        let events = with_answers(&layer, &model, given).await;
        assert_eq!(resolved(&events), std::slice::from_ref(&outcome));
        assert_eq!(
            events[4],
            ChatEvent::tool_error("1", "pay", message.to_string())
        );
        assert_eq!(paid.load(SeqCst), 0);
        let waited = Duration::from_secs(if outcome == InputOutcome::Timeout {
            30
        } else {
            0
        });
        assert_eq!(began.elapsed(), waited);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_approval_asks_no_question() {
    let (model, paid) = (
        Model::calling([call("1", "pay", json!({"sum": 7}))]),
        Arc::default(),
    );
    let events = answer(&ToolLayer::new(paying(&paid)), &model, request())
        .await
        .unwrap();
    assert_eq!(
        kinds(&events),
        ["tool_calls", "tool_result", "text", "complete"]
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_before_the_approval_is_taken_from_the_stream() {
    let (model, paid) = (big(), Arc::default());
    let answers = InputAnswers::new();
    let layer = ToolLayer::new(paying(&paid));
    let mut stream = start(&layer, &model, asked_for(answers.inputs())).await;
    let request = loop {
        if let ChatEvent::InputRequest(request) = stream.next().await.unwrap().unwrap() {
            break request;
        }
    };
    answers
        .submit(request.input_id.clone(), InputAnswer::accept(Value::Null))
        .unwrap();
    let next = stream.next().await.unwrap().unwrap();
    assert_eq!(
        next,
        InputResolved::new(request.input_id, InputOutcome::Accept).into()
    );
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(paid.load(SeqCst), 0, "the event is not stored yet");
    assert_eq!(stream.next().await.unwrap().unwrap().kind(), "tool_result");
    assert_eq!(paid.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_the_user_does_not_count_as_time_of_the_tool() {
    let asks = tool_fn("ask", "", |_: Nothing, call: Call| async move {
        tokio::time::sleep(Duration::from_secs(4)).await;
        let name: String = call.ask_for("Who are you?").await?;
        tokio::time::sleep(Duration::from_secs(4)).await;
        Ok(name)
    });
    let tools = Tools::new().with(asks.timeout(Duration::from_secs(10)));
    let model = Model::calling([call("1", "ask", json!({}))]);
    let layer = ToolLayer::new(tools).input_timeout(Duration::from_secs(300));
    let answers = InputAnswers::new();
    let mut stream = start(&layer, &model, asked_for(answers.inputs())).await;
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        let event = event.unwrap();
        if let ChatEvent::InputRequest(asked) = &event {
            tokio::time::sleep(Duration::from_secs(200)).await;
            let given = InputAnswer::accept(json!("Ada"));
            answers.submit(asked.input_id.clone(), given).unwrap();
        }
        events.push(event);
    }
    assert!(
        events.contains(&ChatEvent::tool_result("1", "ask", "Ada")),
        "{events:?}"
    );
    assert_eq!(asked(&events)[0].schema, Some(json!({"type": "string"})));
}

#[tokio::test(start_paused = true)]
async fn a_tool_may_ask_again_after_an_answer() {
    let tools = Tools::new().with(tool_fn("ask", "", |_: Nothing, call: Call| async move {
        let seat = json!({"type": "string", "pattern": "^[0-9]+[A-F]$"});
        let mut question = "Which seat?";
        loop {
            let asked = Question::new(question).schema(seat.clone());
            match call.ask(asked).await?.as_str() {
                Some("13A") => question = "There is no row 13. Which seat?",
                seat => return Ok(json!({"seat": seat})),
            }
        }
    }));
    let model = Model::calling([call("1", "ask", json!({}))]);
    let given = ["13A", "14A"].map(|seat| InputAnswer::accept(json!(seat)));
    let events = with_answers(&ToolLayer::new(tools), &model, given).await;
    let asked = asked(&events);
    assert_eq!(asked.len(), 2);
    assert_ne!(asked[0].input_id, asked[1].input_id);
    assert_eq!(asked[1].message, "There is no row 13. Which seat?");
    assert!(events.contains(&ChatEvent::tool_result("1", "ask", r#"{"seat":"14A"}"#)));
    assert!(
        !format!("{events:?}").contains("13A"),
        "answers are not in the log"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_fit_the_schema_is_a_cancellation() {
    let tools = Tools::new().with(tool_fn("ask", "", |_: Nothing, call: Call| async move {
        let age: u8 = call.ask_for("How old are you?").await?;
        Ok(age)
    }));
    let model = Model::calling([call("1", "ask", json!({}))]);
    let layer = ToolLayer::new(tools);
    let events = with_answers(&layer, &model, [InputAnswer::accept(json!("old"))]).await;
    assert_eq!(resolved(&events), [InputOutcome::Cancel]);
    let message = Unanswered::Cancelled.to_string();
    assert!(events.contains(&ChatEvent::tool_error("1", "ask", message)));
}

#[tokio::test(start_paused = true)]
async fn a_question_whose_future_is_dropped_is_cancelled_when_the_tool_ends() {
    let tools = Tools::new().with(tool_fn("ask", "", |_: Nothing, call: Call| async move {
        let waited = timeout(Duration::from_secs(1), call.ask(Question::new("Well?"))).await;
        Ok(waited.is_err())
    }));
    let model = Model::calling([call("1", "ask", json!({}))]);
    let events = with_answers(&ToolLayer::new(tools), &model, []).await;
    assert_eq!(
        kinds(&events),
        [
            "tool_calls",
            "turn",
            "input_request",
            "input_resolved",
            "tool_result",
            "text",
            "complete"
        ]
    );
    assert_eq!(resolved(&events), [InputOutcome::Cancel]);
    let all_but_the_end: Transcript = events[..events.len() - 1].iter().collect();
    assert_eq!(all_but_the_end.open_inputs().count(), 0);
}

/// Answers that arrive only when the question is closed.
struct AtTheVeryLast;

impl InputSource for AtTheVeryLast {
    fn answer<'a>(&'a self, _: &'a InputId) -> BoxFuture<'a, Option<InputAnswer>> {
        Box::pin(std::future::pending())
    }

    fn close<'a>(&'a self, _: &'a InputId) -> BoxFuture<'a, Option<InputAnswer>> {
        Box::pin(std::future::ready(Some(InputAnswer::accept(Value::Null))))
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_arrives_as_the_question_is_closed_counts() {
    let (model, paid) = (big(), Arc::default());
    let layer = ToolLayer::new(paying(&paid)).input_timeout(Duration::from_secs(30));
    let request = asked_for(Inputs::new(AtTheVeryLast));
    let events: Vec<ChatEvent> = start(&layer, &model, request)
        .await
        .map(Result::unwrap)
        .collect()
        .await;
    assert_eq!(resolved(&events), [InputOutcome::Accept]);
    assert_eq!(paid.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_answer_during_a_question_drops_the_tool() {
    let counted = Counted::default();
    let dropped = Arc::clone(&counted.dropped);
    let tools = Tools::new().with(tool_fn("ask", "", move |_: Nothing, call: Call| {
        let guard = DropCounter(Arc::clone(&dropped));
        async move {
            let _guard = guard;
            call.approve("May I?").await?;
            Ok(())
        }
    }));
    let model = Model::calling([call("1", "ask", json!({}))]);
    let mut stream = start(&ToolLayer::new(tools), &model, request()).await;
    while stream.next().await.unwrap().unwrap().kind() != "input_request" {}
    drop(stream);
    wait_for_drops(&counted, 1).await;
}

#[tokio::test(start_paused = true)]
async fn two_calls_ask_at_once_and_each_gets_its_own_answer() {
    let (model, paid) = (
        Model::calling([
            call("1", "pay", json!({"sum": 70})),
            call("2", "pay", json!({"sum": 80})),
        ]),
        Arc::default(),
    );
    let answers = InputAnswers::new();
    let layer = ToolLayer::new(paying(&paid));
    let mut stream = start(&layer, &model, asked_for(answers.inputs())).await;
    let (mut ids, mut events): (Vec<(InputId, Option<String>)>, Vec<_>) = (Vec::new(), Vec::new());
    while let Some(event) = stream.next().await {
        let event = event.unwrap();
        if let ChatEvent::InputRequest(asked) = &event {
            ids.push((asked.input_id.clone(), asked.call_id.clone()));
        }
        events.push(event);
        if ids.len() == 2 {
            for (id, call) in ids.drain(..) {
                let no = InputAnswer::decline();
                let yes = InputAnswer::accept(Value::Null);
                let given = if call.as_deref() == Some("1") {
                    no
                } else {
                    yes
                };
                answers.submit(id, given).unwrap();
            }
        }
    }
    assert!(events.contains(&ChatEvent::tool_result("2", "pay", "paid 80")));
    assert!(events.contains(&ChatEvent::tool_error("1", "pay", "the user declined")));
}

#[tokio::test(start_paused = true)]
async fn a_question_that_differs_from_the_one_in_the_log_is_asked_and_resolved() {
    let runs = Arc::new(AtomicUsize::new(0));
    let moody = tool_fn("moody", "", {
        let runs = runs.clone();
        move |_: Nothing, call: Call| {
            let run = runs.fetch_add(1, SeqCst);
            async move {
                let given = call.ask(Question::new(format!("Run {run}?"))).await?;
                call.ask(Question::new("Sure?")).await?;
                Ok(given.to_string())
            }
        }
    });
    let layer = ToolLayer::new(Tools::new().with(moody.idempotent()));
    let model = Model::calling([call("1", "moody", json!({}))]);
    let yes = |run: u64| InputAnswer::accept(json!(run));
    // The first is answered, the second isn't.
    let answers = InputAnswers::new();
    let mut stream = start(&layer, &model, asked_for(answers.inputs())).await;
    let mut before = Vec::new();
    while asked(&before).len() < 2 {
        let event = stream.next().await.unwrap().unwrap();
        if let ChatEvent::InputRequest(asked) = &event
            && resolved(&before).is_empty()
        {
            answers.submit(asked.input_id.clone(), yes(0)).unwrap();
        }
        before.push(event);
    }
    drop(stream);

    let mut again = request();
    again.so_far = Some(Arc::new(before.iter().collect::<Transcript>()));
    let answers = InputAnswers::new();
    again.inputs = answers.inputs();
    let open = asked(&before)[1].input_id.clone();
    answers.submit(open, yes(1)).unwrap();
    let mut stream = start(&layer, &model, again).await;
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        let event = event.unwrap();
        if let ChatEvent::InputRequest(asked) = &event {
            assert_eq!(asked.message, "Run 1?");
            answers.submit(asked.input_id.clone(), yes(2)).unwrap();
        }
        events.push(event);
    }
    let settled = events.iter().filter_map(|event| match event {
        ChatEvent::InputResolved(it) => Some(&it.input_id),
        _ => None,
    });
    let settled: Vec<_> = settled.collect();
    let expected = [&asked(&events)[0].input_id, &asked(&before)[1].input_id];
    assert_eq!(settled, expected, "each is resolved once");
}
