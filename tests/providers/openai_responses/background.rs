//! Responses that the model's server goes on with in the background.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tower::Layer;
use unbroken::{
    BoxError,
    chat::{Liveness, StateOf, ToolRuns},
    tools::{Call, ToolLayer, Tools, tool_fn},
};

use super::{
    server::{Hold, Rules, Server},
    *,
};

pub(super) fn delta(text: &str) -> Value {
    json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": text})
}

#[allow(clippy::needless_pass_by_value, reason = "the callers are shorter")]
pub(super) fn done(item: Value) -> Value {
    json!({"type": "response.output_item.done", "output_index": 0, "item": item})
}

const WORDS: [&str; 6] = ["Noon", ", Paris", " time", ", 20 °C", ", 😀", "."];
pub(super) const ALL: &str = "Noon, Paris time, 20 °C, 😀.";

pub(super) fn text() -> Vec<Value> {
    let mut events: Vec<_> = WORDS.into_iter().map(delta).collect();
    let content = json!([{"type": "output_text", "text": ALL, "annotations": []}]);
    events.push(done(
        json!({"id": "msg_1", "type": "message", "content": content}),
    ));
    events
}

/// A turn with a word, thinking that is kept, and a call.
pub(super) fn call() -> Vec<Value> {
    let mut events = vec![
        json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "Hm."}),
        done(
            json!({"id": "rs_1", "type": "reasoning", "encrypted_content": "gA",
                    "summary": [{"type": "summary_text", "text": "Hm."}]}),
        ),
        delta("Let me "),
        delta("look. "),
        done(json!({"id": "msg_1", "type": "message",
                    "content": [{"type": "output_text", "text": "Let me look. "}]})),
        json!({"type": "response.output_item.added", "item": {"id": "fc_1", "type": "function_call",
               "call_id": "call_a", "name": "now", "arguments": ""}}),
    ];
    for piece in ["{\"zo", "ne\":\"U", "TC\"}"] {
        events.push(json!({"type": "response.function_call_arguments.delta", "delta": piece}));
    }
    events.push(done(
        json!({"id": "fc_1", "type": "function_call", "call_id": "call_a", "name": "now",
                            "arguments": "{\"zone\":\"UTC\"}"}),
    ));
    for (at, event) in events.iter_mut().enumerate() {
        event["output_index"] = json!([0, 0, 1, 1, 1, 2, 2, 2, 2, 2][at]);
    }
    events
}

pub(super) fn provider(server: &Server) -> ResponsesUpstream {
    let provider = builder(server.base_url()).background(true);
    provider.retries(0).build().unwrap()
}

pub(super) fn hi() -> ChatRequest {
    let mut request = ChatRequest::from_user("Hi");
    // As in a session.
    request.liveness = Liveness::new();
    request
}

/// Returns what clients see: texts joined, and no positions.
fn seen(events: &[ChatEvent]) -> Vec<Value> {
    let mut seen: Vec<Value> = Vec::new();
    for event in events {
        let value = serde_json::to_value(event).unwrap();
        if value["of"] == "stream" {
            continue;
        }
        if let Some(last) = seen.last_mut() {
            let joins = match value["type"].as_str().unwrap() {
                "text" | "thinking" if last["type"] == value["type"] => "content",
                "tool_input" if last["id"] == value["id"] && value.get("name").is_none() => "delta",
                _ => "",
            };
            if !joins.is_empty() {
                let joined = [&last[joins], &value[joins]]
                    .map(|it| it.as_str().unwrap())
                    .concat();
                last[joins] = joined.into();
                continue;
            }
        }
        seen.push(value);
    }
    seen
}

async fn uninterrupted(answers: Vec<Value>) -> Vec<ChatEvent> {
    let server = Server::start(vec![answers], Rules::default()).await;
    let events = ask(&provider(&server), hi()).await.unwrap();
    assert!(server.reads().is_empty());
    events
}

/// The length of the first event of a response, and more.
const CREATED: usize = 190;

#[tokio::test]
async fn a_connection_that_breaks_anywhere_is_resumed_without_a_second_post() {
    for answer in [text(), call()] {
        let expected = seen(&uninterrupted(answer.clone()).await);
        // As the server writes them.
        let bytes = answer.iter().map(|event| event.to_string().len() + 60);
        let last = CREATED + bytes.sum::<usize>();
        let mut resumed = 0;
        for at in (CREATED..last).step_by(13) {
            let cut = move |number| (number == 0).then_some(at);
            let rules = Rules {
                cut: Some(Box::new(cut)),
                ..Rules::default()
            };
            let server = Server::start(vec![answer.clone()], rules).await;
            let events = ask(&provider(&server), hi()).await.unwrap();
            assert_eq!(seen(&events), expected, "cut at {at}");
            assert_eq!(server.posts(), 1, "cut at {at}");
            resumed += server.reads().len();
        }
        assert!(resumed > 30, "{resumed}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_again_and_again_goes_on_while_something_comes() {
    let rules = Rules {
        // An event and a half, of each.
        cut: Some(Box::new(|_| Some(300))),
        ..Rules::default()
    };
    let server = Server::start(vec![text()], rules).await;
    let events = ask(&provider(&server), hi()).await.unwrap();
    assert_eq!(events.iter().collect::<Transcript>().text(), ALL);
    assert_eq!(server.posts(), 1);
    let reads = server.reads();
    assert!(reads.len() > 3 && reads.is_sorted(), "{reads:?}");
}

#[tokio::test]
async fn a_response_that_is_queued_is_waited_for() {
    let rules = Rules {
        cut: Some(Box::new(|number| (number == 0).then_some(250))),
        refusals: vec![("409 Conflict", "")],
        ..Rules::default()
    };
    let server = Server::start(vec![text()], rules).await;
    let events = ask(&provider(&server), hi()).await.unwrap();
    assert_eq!(events.iter().collect::<Transcript>().text(), ALL);
    assert_eq!((server.posts(), server.reads().len()), (1, 2));
}

#[tokio::test]
async fn a_response_that_is_gone_is_cut_here_and_declined_elsewhere() {
    let rules = Rules {
        cut: Some(Box::new(|number| (number == 0).then_some(500))),
        gone: true,
        ..Rules::default()
    };
    let server = Server::start(vec![text()], rules).await;
    let mut answer = provider(&server).oneshot(hi()).await.unwrap();
    let mut log = Vec::new();
    let error = loop {
        match answer.next().await.unwrap() {
            Ok(event) => log.push(event),
            Err(error) => break error,
        }
    };
    assert!(error.is_recoverable() && !error.is_cannot_continue());
    assert!(answer.next().await.is_none());
    let error = ask(&provider(&server), reattached(hi(), &log))
        .await
        .unwrap_err();
    assert!(error.is_cannot_continue(), "{error}");
    assert!(!format!("{error:?}").contains("Sekret"));
    assert_eq!(server.posts(), 1);
}

pub(super) fn reattached(mut request: ChatRequest, log: &[ChatEvent]) -> ChatRequest {
    request.so_far = Some(Arc::new(log.iter().collect()));
    request.runs = Arc::new(log.iter().collect::<ToolRuns>());
    request.reattach = true;
    request
}

#[tokio::test]
async fn a_successor_reads_on_after_any_event_of_the_log() {
    let many: Vec<_> = (0..200).map(|at| delta(&format!("{at} "))).collect();
    let many = [many, call()].concat();
    for answer in [text(), call(), many] {
        let is_many = answer.len() > 200;
        let whole = uninterrupted(answer.clone()).await;
        let server = Server::start(vec![answer], Rules::default()).await;
        ask(&provider(&server), hi()).await.unwrap();
        let over = |event: &ChatEvent| matches!(event, ChatEvent::Turn(_));
        let most = whole.iter().position(over).unwrap();
        let is_position = |event: &&ChatEvent| matches!(event, ChatEvent::ProviderState(state) if state.of == StateOf::Stream);
        let count = whole.iter().filter(is_position).count();
        assert_eq!(count, if is_many { 4 } else { 1 }, "they cost little");
        let step = if is_many { 7 } else { 1 };
        for kept in (1..=most).step_by(step) {
            let mut log = whole[..kept].to_vec();
            let rest = ask(&provider(&server), reattached(hi(), &log))
                .await
                .unwrap();
            log.extend(rest);
            assert_eq!(seen(&log), seen(&whole), "after {kept} events");
        }
        assert_eq!(server.posts(), 1);
        let reads = server.reads();
        assert_eq!(reads.iter().any(|after| *after > 150), is_many, "{reads:?}");
    }
}

#[tokio::test]
async fn a_dropped_answer_is_cancelled_unless_a_session_may_go_on_elsewhere() {
    let rules = || Rules {
        hold: Some((Hold::All, 3)),
        ..Rules::default()
    };
    let server = Server::start(vec![text()], rules()).await;
    for ends in [false, true] {
        let request = hi();
        let liveness = request.liveness.clone();
        let mut answer = provider(&server).oneshot(request).await.unwrap();
        answer.next().await.unwrap().unwrap();
        if ends {
            liveness.end();
        }
        drop(answer);
    }
    let mut changed = server.changed.clone();
    changed.wait_for(|count| *count > 0).await.unwrap();
    assert_eq!(server.counts.lock().unwrap().cancelled, ["resp_1"]);

    // Without a session nothing could read on.
    let mut answer = provider(&server)
        .oneshot(ChatRequest::from_user("Hi"))
        .await
        .unwrap();
    answer.next().await.unwrap().unwrap();
    drop(answer);
    changed.wait_for(|count| *count > 1).await.unwrap();
    assert_eq!(
        server.counts.lock().unwrap().cancelled,
        ["resp_1", "resp_2"]
    );

    // An answer that has ended isn't.
    let server = Server::start(vec![text()], Rules::default()).await;
    ask(&provider(&server), ChatRequest::from_user("Hi"))
        .await
        .unwrap();
    let held = Server::start(vec![text()], rules()).await;
    drop(
        provider(&held)
            .oneshot(ChatRequest::from_user("Hi"))
            .await
            .unwrap(),
    );
    held.changed
        .clone()
        .wait_for(|count| *count > 0)
        .await
        .unwrap();
    assert!(server.counts.lock().unwrap().cancelled.is_empty());
}

#[tokio::test]
async fn two_rounds_of_tools_are_read_on_in_whichever_the_server_was_lost() {
    let runs = Arc::new(AtomicUsize::new(0));
    let layer = {
        let runs = Arc::clone(&runs);
        let now = tool_fn("now", "The time.", move |_: Value, _: Call| {
            runs.fetch_add(1, Ordering::Relaxed);
            async { Ok::<_, BoxError>("noon") }
        });
        ToolLayer::new(Tools::new().with(now))
    };
    let collect = async |server: &Server, request: ChatRequest| -> Vec<ChatEvent> {
        let answer = layer
            .layer(provider(server))
            .oneshot(request)
            .await
            .unwrap();
        answer.map(Result::unwrap).collect().await
    };
    let server = Server::start(vec![call(), text()], Rules::default()).await;
    let whole = collect(&server, hi()).await;
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    {
        let counts = server.counts.lock().unwrap();
        let input = counts.posts[1]["input"].as_array().unwrap();
        let classes: Vec<_> = input[1..]
            .iter()
            .map(|item| item.get("type").cloned())
            .collect();
        let classes: Vec<_> = classes
            .iter()
            .map(|class| class.as_ref().and_then(Value::as_str))
            .collect();
        let expected = ["reasoning", "", "function_call", "function_call_output"];
        assert_eq!(
            classes,
            expected.map(|it| Some(it).filter(|it| !it.is_empty()))
        );
    }
    let is_turn = |event: &ChatEvent| matches!(event, ChatEvent::Turn(_));
    let is_calls = |event: &ChatEvent| matches!(event, ChatEvent::ToolCalls(_));
    let asked = whole.iter().position(is_calls).unwrap();
    let result = |event: &ChatEvent| matches!(event, ChatEvent::ToolResult(_));
    let after = whole.iter().position(result).unwrap() + 2;
    let last = whole.iter().rposition(is_turn).unwrap();
    for stored in (1..=asked).chain(after..=last) {
        let mut log = whole[..stored].to_vec();
        // The server that was lost has asked as often as the log says.
        let begun = if stored > asked { 2 } else { 1 };
        let server = Server::start(vec![call(), text()], Rules::default()).await;
        for _ in 0..begun {
            ask(&provider(&server), hi()).await.unwrap();
        }
        let rest = collect(&server, reattached(hi(), &log)).await;
        log.extend(rest);
        assert_eq!(server.posts(), 2, "after {stored} events");
        assert_eq!(turns(&log), turns(&whole), "after {stored} events");
    }
}

/// Returns what clients see without the end, whose usage lacks that of the turns of the server before.
fn turns(events: &[ChatEvent]) -> Vec<Value> {
    let mut seen = seen(events);
    assert_eq!(seen.pop().unwrap()["type"], "complete");
    seen
}
