//! The limit of concurrent calls, while some wait for the user.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};
use unbroken::{
    chat::{ChatEvent, InputAnswer, InputAnswers, InputId, Transcript},
    tools::{Call, Question, ToolLayer, Tools, Unanswered, tool_fn},
};

use crate::support::{Answered, Model, Nothing, Wait, call, request, start};

const SECOND: Duration = Duration::from_secs(1);

/// The number of running calls, and its maximum.
#[derive(Clone, Default)]
struct Count {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Count {
    async fn run(&self, time: Duration) {
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(now, SeqCst);
        tokio::time::sleep(time).await;
        self.now.fetch_sub(1, SeqCst);
    }
}

/// Tools that take their time: at once, after an approval, and before and after a question.
fn tools(count: &Count) -> Tools {
    let (plain, approved, asking, hasty) =
        (count.clone(), count.clone(), count.clone(), count.clone());
    let wait = move |wait: Wait, _: Call| {
        let count = plain.clone();
        async move {
            count.run(Duration::from_secs(wait.seconds)).await;
            Ok("waited")
        }
    };
    let pay = move |_: Nothing, _: Call| {
        let count = approved.clone();
        async move {
            count.run(SECOND).await;
            Ok("paid")
        }
    };
    let ask = move |_: Nothing, call: Call| {
        let count = asking.clone();
        async move {
            count.run(SECOND).await;
            // Two at once: it holds no slot while one of them is open.
            let both = tokio::join!(call.ask(Question::new("A?")), call.ask(Question::new("B?")));
            count.run(SECOND).await;
            both.0?;
            both.1?;
            Ok("asked")
        }
    };
    let hasty = move |_: Nothing, call: Call| {
        let count = hasty.clone();
        async move {
            let question = call.ask(Question::new("Quick?"));
            assert!(timeout(SECOND, question).await.is_err());
            count.run(SECOND).await;
            Ok("didn't wait")
        }
    };
    // One question after the other, the second one whatever the outcome of the first.
    let overlap = |_: Nothing, call: Call| async move {
        let later = async {
            tokio::time::sleep(SECOND).await;
            call.ask(Question::new("B?")).await
        };
        let both = tokio::join!(call.ask(Question::new("A?")), later);
        both.0?;
        both.1?;
        Ok("asked")
    };
    // Another task asks with its call, even after the call has ended.
    let behind = |wait: Wait, call: Call| async move {
        let asks = call.clone();
        let allowed = tokio::spawn(async move { asks.approve("Delete?").await });
        call.extensions()
            .get::<Behind>()
            .unwrap()
            .0
            .lock()
            .unwrap()
            .push(allowed);
        tokio::time::sleep(Duration::from_secs(wait.seconds)).await;
        Ok("left")
    };
    Tools::new()
        .with(tool_fn("wait", "", wait).idempotent())
        .with(tool_fn("pay", "", pay).approved_if(|_| Some("Pay?".into())))
        .with(tool_fn("ask", "", ask).idempotent())
        .with(tool_fn("hasty", "", hasty))
        .with(tool_fn("overlap", "", overlap))
        .with(tool_fn("behind", "", behind))
}

/// Observations of tasks that use a call which may have ended.
#[derive(Clone, Default)]
struct Behind(Arc<Mutex<Vec<Allowed>>>);

type Allowed = JoinHandle<Result<(), Unanswered>>;

/// One call runs at once.
fn layer(count: &Count) -> ToolLayer {
    let long = Duration::from_secs(10_000);
    ToolLayer::new(tools(count)).parallel(1).timeout(long)
}

fn calling<const N: usize>(calls: [(&str, Value); N]) -> Model {
    let calls = calls.into_iter().enumerate();
    let calls = calls.map(|(at, (name, arguments))| call(&at.to_string(), name, arguments));
    Model::calling(calls)
}

/// Starts an answer with these calls.
async fn one_by_one<const N: usize>(
    count: &Count,
    calls: [(&str, Value); N],
) -> (Answered, InputAnswers) {
    let answers = InputAnswers::new();
    let mut request = request();
    request.inputs = answers.inputs();
    request.extensions.insert(Behind::default());
    let answer = start(&layer(count), &calling(calls), request).await;
    (answer, answers)
}

/// Reads events until there are no more for now.
async fn until_silent(answer: &mut Answered) -> Vec<ChatEvent> {
    let mut events = Vec::new();
    while let Ok(Some(event)) = timeout(100 * SECOND, answer.next()).await {
        events.push(event.unwrap());
    }
    events
}

fn questions(events: &[ChatEvent]) -> Vec<InputId> {
    let asked = events.iter().filter_map(|event| match event {
        ChatEvent::InputRequest(request) => Some(request.input_id.clone()),
        _ => None,
    });
    asked.collect()
}

/// The calls in the order in which they ended.
fn ended(events: &[ChatEvent]) -> Vec<String> {
    let transcript: Transcript = events.iter().collect();
    let ended = transcript.tool_results().iter().map(|it| it.id.clone());
    ended.collect()
}

#[tokio::test(start_paused = true)]
async fn all_approvals_are_asked_for_at_once_and_other_calls_run_meanwhile() {
    let count = Count::default();
    let pay = || ("pay", json!({}));
    let calls = [pay(), pay(), ("wait", json!({"seconds": 1})), pay()];
    let (mut answer, answers) = one_by_one(&count, calls).await;
    let events = until_silent(&mut answer).await;
    let asked = questions(&events);
    assert_eq!(asked.len(), 3, "{events:?}");
    assert_eq!(ended(&events), ["2"]);
    // Allowed in another order, and all at once: they run one by one in this order.
    let order = [2, 0, 1];
    for at in order {
        answers
            .submit(asked[at].clone(), InputAnswer::accept(Value::Null))
            .unwrap();
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    let events: Vec<_> = answer.by_ref().map(Result::unwrap).collect().await;
    assert_eq!(began.elapsed(), 3 * SECOND);
    assert_eq!(ended(&events).len(), 3, "{events:?}");
    assert_eq!(count.most.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_gives_its_slot_up_during_a_question_and_then_waits_for_one() {
    let count = Count::default();
    let calls = [("ask", json!({})), ("wait", json!({"seconds": 1000}))];
    let (mut answer, answers) = one_by_one(&count, calls).await;
    let began = Instant::now();
    let events = until_silent(&mut answer).await;
    let asked = questions(&events);
    assert_eq!(asked.len(), 2, "{events:?}");
    assert_eq!(count.now.load(SeqCst), 1, "the other one runs");
    for id in asked {
        answers
            .submit(id, InputAnswer::accept(json!("yes")))
            .unwrap();
    }
    let events: Vec<_> = answer.by_ref().map(Result::unwrap).collect().await;
    assert_eq!(ended(&events), ["1", "0"]);
    // A second, the other one's thousand, a second.
    assert_eq!(began.elapsed(), 1002 * SECOND);
    assert_eq!(count.most.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_with_two_open_questions_waits_for_both_answers() {
    let count = Count::default();
    let calls = [("ask", json!({})), ("wait", json!({"seconds": 1}))];
    let (mut answer, answers) = one_by_one(&count, calls).await;
    let asked = questions(&until_silent(&mut answer).await);
    let yes = || InputAnswer::accept(json!("yes"));
    answers.submit(asked[0].clone(), yes()).unwrap();
    let events = until_silent(&mut answer).await;
    assert!(ended(&events).is_empty(), "{events:?}");
    answers.submit(asked[1].clone(), yes()).unwrap();
    let events: Vec<_> = answer.by_ref().map(Result::unwrap).collect().await;
    assert_eq!(ended(&events), ["0"]);
}

#[tokio::test(start_paused = true)]
async fn a_question_from_before_a_take_over_holds_no_slot() {
    let count = Count::default();
    let pay = || ("pay", json!({}));
    let (mut answer, _) = one_by_one(&count, [pay(), pay()]).await;
    let before = until_silent(&mut answer).await;
    let asked = questions(&before);
    drop(answer);

    let answers = InputAnswers::new();
    let mut request = request();
    request.inputs = answers.inputs();
    request.so_far = Some(Arc::new(before.iter().collect()));
    let mut answer = start(&layer(&count), &calling([pay(), pay()]), request).await;
    let events = until_silent(&mut answer).await;
    assert!(questions(&events).is_empty(), "nothing is asked again");
    for at in [1, 0] {
        let yes = InputAnswer::accept(Value::Null);
        answers.submit(asked[at].clone(), yes).unwrap();
        let events = until_silent(&mut answer).await;
        assert_eq!(ended(&events), [at.to_string()]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_dropped_its_question_holds_no_slot() {
    let count = Count::default();
    let calls = [("hasty", json!({})), ("wait", json!({"seconds": 10}))];
    let (answer, _answers) = one_by_one(&count, calls).await;
    let events: Vec<_> = answer.map(Result::unwrap).collect().await;
    assert_eq!(ended(&events), ["0", "1"]);
}

#[tokio::test(start_paused = true)]
async fn the_limit_may_be_above_the_number_of_calls() {
    let count = Count::default();
    let layer = ToolLayer::new(tools(&count)).parallel(usize::MAX);
    let calls = ["1", "2", "3"].map(|id| call(id, "wait", json!({"seconds": 1})));
    let answer = start(&layer, &Model::calling(calls), request()).await;
    // The calls, the end of the turn, three results, the text, the end.
    assert_eq!(answer.count().await, 7);
    assert_eq!(count.most.load(SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_holds_one_slot_for_all_its_requests() {
    let count = Count::default();
    let calls = [("overlap", json!({})), ("wait", json!({"seconds": 1000}))];
    let (mut answer, answers) = one_by_one(&count, calls).await;
    let mut events = Vec::new();
    for asked in 1..=2 {
        while questions(&events).len() < asked {
            events.push(answer.next().await.unwrap().unwrap());
        }
        // Each is answered before the next is asked, and while the other call holds the slot.
        let id = questions(&events)[asked - 1].clone();
        answers
            .submit(id, InputAnswer::accept(json!("yes")))
            .unwrap();
    }
    events.extend(until_silent(&mut answer).await);
    assert!(ended(&events).is_empty(), "{events:?}");
    let rest = timeout(
        2000 * SECOND,
        answer.map(Result::unwrap).collect::<Vec<_>>(),
    );
    let rest = rest.await.expect("none waits for itself");
    assert_eq!(ended(&rest), ["1", "0"]);
}

/// Starts an answer in which another task asks with the first call, gets its answer, and waits for
/// a slot that another call holds.
async fn behind<const N: usize>(calls: [(&str, Value); N]) -> (Answered, InputAnswers, Allowed) {
    let answers = InputAnswers::new();
    let behind = Behind::default();
    let mut request = request();
    request.inputs = answers.inputs();
    request.extensions.insert(behind.clone());
    let mut answer = start(&layer(&Count::default()), &calling(calls), request).await;
    loop {
        let event = timeout(SECOND / 10, answer.next()).await;
        match event.map(|event| event.unwrap().unwrap()) {
            Ok(ChatEvent::InputRequest(asked)) => {
                let yes = InputAnswer::accept(Value::Null);
                answers.submit(asked.input_id, yes).unwrap();
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    let allowed = behind.0.lock().unwrap().pop().unwrap();
    assert!(!allowed.is_finished(), "control: another one has the place");
    (answer, answers, allowed)
}

#[tokio::test(start_paused = true)]
async fn a_task_that_outlives_its_call_takes_no_slot() {
    let (mut answer, answers, allowed) = behind([
        ("behind", json!({"seconds": 1})),
        ("wait", json!({"seconds": 3})),
        ("ask", json!({})),
    ])
    .await;
    let events = until_silent(&mut answer).await;
    assert_eq!(allowed.await.unwrap(), Ok(()));
    for id in questions(&events) {
        answers
            .submit(id, InputAnswer::accept(json!("yes")))
            .unwrap();
    }
    let rest = timeout(100 * SECOND, answer.map(Result::unwrap).collect::<Vec<_>>());
    let rest = rest.await.expect("there is a place");
    assert_eq!(
        (ended(&events), ended(&rest)),
        (vec!["0".into(), "1".into()], vec!["2".into()])
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_that_outlives_its_call_continues_once_the_end_is_in_the_log() {
    let (mut answer, _answers, allowed) = behind([
        ("behind", json!({"seconds": 30})),
        ("wait", json!({"seconds": 60})),
    ])
    .await;
    let end = answer.next().await.unwrap().unwrap();
    assert_eq!(ended(&[end]), ["0"]);
    // Not acknowledged: the stream isn't polled, since another server may own the session by now.
    tokio::time::sleep(SECOND).await;
    assert!(!allowed.is_finished());
    assert!(timeout(SECOND, answer.next()).await.is_err());
    assert_eq!(allowed.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_slot_fails_when_the_answer_ends() {
    let long = || json!({"seconds": 1000});
    let (answer, _answers, allowed) = behind([("behind", long()), ("wait", long())]).await;
    drop(answer);
    assert_eq!(allowed.await.unwrap(), Err(Unanswered::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_kept_during_a_question_that_is_in_the_log_already() {
    // The question is in the log from before the take-over: no new event shows that this server still
    // owns the session.
    let count = Count::default();
    let calls = || [("ask", json!({})), ("wait", json!({"seconds": 1000}))];
    let (mut answer, _) = one_by_one(&count, calls()).await;
    let before = until_silent(&mut answer).await;
    let asked = questions(&before);
    assert_eq!(asked.len(), 2, "{before:?}");
    drop(answer);
    count.now.store(0, SeqCst);

    let answers = InputAnswers::new();
    let mut request = request();
    request.inputs = answers.inputs();
    request.so_far = Some(Arc::new(before.iter().collect()));
    let mut answer = start(&layer(&count), &calling(calls()), request).await;
    until_silent(&mut answer).await;
    assert_eq!(count.now.load(SeqCst), 0, "it waits, and has the place");
    for id in asked {
        let yes = InputAnswer::accept(json!("yes"));
        answers.submit(id, yes).unwrap();
    }
    let rest: Vec<_> = answer.map(Result::unwrap).collect().await;
    assert_eq!(ended(&rest), ["0", "1"]);
    assert_eq!(count.most.load(SeqCst), 1);
}
