//! Clients that have the beginning of an answer, and then another answer in its place, have the second one alone, in
//! each dialect and wherever they read from. It holds for each beginning to which the dialect names no obstacle.

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Map, Value, json};
use unbroken::{
    chat::{Capabilities, ChatEvent, SessionInfo},
    dialect::{AgUi, AiSdk, Dialect, Encoder, OpenAiResponses},
};

use crate::{
    ag_ui,
    ai_sdk_messages::Folded,
    encoders::{Stream, reading},
    logs, openai_responses,
};

/// A log with a restart, and the log of the second answer alone.
#[derive(Debug)]
struct Logs {
    former: Vec<ChatEvent>,
    both: Vec<ChatEvent>,
    second: Vec<ChatEvent>,
}

fn first() -> ChatEvent {
    let mut info = SessionInfo::new(Capabilities::new());
    let parts = json!([{"type": "step-start"}, {"type": "text", "text": "Before."}]);
    let notes = json!({"messageId": "message-1", "calls": [], "parts": parts});
    info.extra.insert("aiSdk".into(), notes);
    info.extra
        .insert("agUi".into(), json!({"messages": history()}));
    info.capabilities.client_tools = vec!["map".to_owned()];
    info.into()
}

/// The conversation before the answer.
fn history() -> Vec<Value> {
    vec![
        json!({"id": "u1", "role": "user", "content": "Earlier?"}),
        json!({"id": "a1", "role": "assistant", "content": "Yes."}),
        json!({"id": "u2", "role": "user", "content": "Hi"}),
    ]
}

fn restarted_logs() -> impl Strategy<Value = Logs> {
    (logs::log(), logs::log(), 0..16_usize).prop_map(|(before, after, length)| {
        let said = |events: &[ChatEvent]| -> Vec<_> {
            let is_said = |it: &&ChatEvent| {
                !matches!(it, ChatEvent::SessionInfo(_) | ChatEvent::Restarted(_))
            };
            events.iter().filter(is_said).cloned().collect()
        };
        let before = said(&before[..before.len() - 1]);
        let former = [&[first()], &before[..length.min(before.len())]].concat();
        let second = said(&after);
        Logs {
            both: [&former[..], &[ChatEvent::restarted("again")], &second].concat(),
            second: [&[first()], &second[..]].concat(),
            former,
        }
    })
}

/// Checks logs to whose former answers the dialect names no obstacle, of which there must be many.
fn check(dialect: &dyn Dialect, holds: impl Fn(&Logs, &[bool]) -> Result<(), TestCaseError>) {
    let config = Config {
        cases: 1024,
        failure_persistence: None,
        ..Config::default()
    };
    let checked = std::cell::Cell::new(0);
    let strategy = (restarted_logs(), vec(any::<bool>(), 1..8));
    let outcome = TestRunner::new(config).run(&strategy, |(logs, cuts)| {
        let former = logs::chunks(&logs.former, &[false]);
        if dialect.restart_obstacle(&former).is_some() {
            return Ok(());
        }
        checked.set(checked.get() + 1);
        holds(&logs, &cuts)
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    assert!(checked.get() > 100, "{} logs were checked", checked.get());
}

fn read(encoder: Box<dyn Encoder>, events: &[ChatEvent], cuts: &[bool]) -> Vec<Value> {
    let mut stream = Stream::new(encoder);
    for chunk in logs::chunks(events, cuts) {
        stream.write(&chunk);
    }
    let bytes = stream.finish();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|json| serde_json::from_str(json).unwrap())
        .collect()
}

#[test]
fn the_ai_sdk_has_the_second_answer_alone() {
    let dialect = AiSdk::new().restarts(true);
    let folded = |path: &str, events: &[ChatEvent], cuts: &[bool]| {
        let mut stream = Stream::new(reading(&dialect, path, "*/*"));
        for chunk in logs::chunks(events, cuts) {
            stream.write(&chunk);
        }
        Folded::of(&stream.finish())
    };
    check(&dialect, |logs, cuts| {
        let live = folded("/chat/stream?startIndex=0", &logs.both, cuts);
        let second = folded("/chat/stream?startIndex=0", &logs.second, cuts);
        prop_assert_eq!(&live.parts, &second.parts);
        for cuts in [cuts, &[false]] {
            let replayed = folded("/chat/stream", &logs.both, cuts);
            prop_assert_eq!(&live, &replayed);
        }
        Ok(())
    });
}

#[test]
fn ag_ui_has_the_second_answer_alone() {
    type Make = fn() -> Box<dyn Encoder>;

    let encoders: [(Make, bool); 2] = [(ag_ui::whole, true), (ag_ui::message_first, false)];
    for (encoder, keeps_reasoning) in encoders {
        check(&AgUi::new().restarts(true), |logs, cuts| {
            let folded = |events: &[ChatEvent], cuts: &[bool]| {
                let mut page = Conversation::new(keeps_reasoning);
                for event in read(encoder(), events, cuts) {
                    page.push(&event);
                }
                page
            };
            let live = folded(&logs.both, cuts);
            prop_assert_eq!(&live.messages[..3], &history()[..]);
            prop_assert_eq!(live.without_ids(), folded(&logs.second, cuts).without_ids());
            prop_assert_eq!(&live.messages, &folded(&logs.both, &[false]).messages);
            Ok(())
        });
    }
}

/// The messages of a client of AG-UI. Written after `defaultApplyEvents` of `@ag-ui/client`.
struct Conversation {
    messages: Vec<Value>,
    keeps_reasoning: bool,
}

impl Conversation {
    fn new(keeps_reasoning: bool) -> Self {
        Self {
            messages: history(),
            keeps_reasoning,
        }
    }

    fn push(&mut self, event: &Value) {
        let id = &event["messageId"];
        match event["type"].as_str().unwrap() {
            "TEXT_MESSAGE_START" | "REASONING_MESSAGE_START" if self.at(id).is_none() => {
                let message = json!({"id": id, "role": event["role"], "content": ""});
                self.messages.push(message);
            }
            "TEXT_MESSAGE_CONTENT" | "REASONING_MESSAGE_CONTENT" => {
                let at = self.at(id).expect("a known message");
                append(&mut self.messages[at]["content"], &event["delta"]);
            }
            "TOOL_CALL_START" if self.call(&event["toolCallId"]).is_none() => {
                let parent = &event["parentMessageId"];
                let at = self.at(parent).unwrap_or_else(|| {
                    let message = json!({"id": parent, "role": "assistant"});
                    self.messages.push(message);
                    self.messages.len() - 1
                });
                let function = json!({"name": event["toolCallName"], "arguments": ""});
                let call = json!({"id": event["toolCallId"], "function": function});
                match &mut self.messages[at]["toolCalls"] {
                    Value::Array(calls) => calls.push(call),
                    calls => *calls = json!([call]),
                }
            }
            "TOOL_CALL_ARGS" => {
                let call = self.call(&event["toolCallId"]).expect("a known call");
                append(&mut call["function"]["arguments"], &event["delta"]);
            }
            "TOOL_CALL_RESULT" => {
                let result = ["messageId", "toolCallId", "content", "metadata"];
                let result = result.map(|name| (name.to_owned(), event[name].clone()));
                self.messages.push(Value::Object(Map::from_iter(result)));
            }
            "MESSAGES_SNAPSHOT" => {
                let snapshot = event["messages"].as_array().unwrap();
                let is_reasoning = |it: &Value| it["role"] == "reasoning";
                let keeps = self.keeps_reasoning && !snapshot.iter().any(is_reasoning);
                let of_id = |id: &Value| snapshot.iter().find(|it| &it["id"] == id);
                let kept = self.messages.iter();
                let kept = kept.filter_map(|it| match of_id(&it["id"]) {
                    Some(theirs) => Some(theirs.clone()),
                    None => (keeps && is_reasoning(it)).then(|| it.clone()),
                });
                self.messages = kept.collect();
                for message in snapshot {
                    if self.at(&message["id"]).is_none() {
                        self.messages.push(message.clone());
                    }
                }
            }
            _ => {}
        }
    }

    fn at(&self, id: &Value) -> Option<usize> {
        self.messages.iter().position(|it| &it["id"] == id)
    }

    fn call(&mut self, id: &Value) -> Option<&mut Value> {
        let calls = self.messages.iter_mut();
        let calls = calls.filter_map(|it| it.get_mut("toolCalls")?.as_array_mut());
        calls.flatten().find(|call| &call["id"] == id)
    }

    fn without_ids(&self) -> Vec<Value> {
        let mut messages = self.messages.clone();
        for message in &mut messages {
            for name in ["id", "messageId"] {
                message.as_object_mut().unwrap().remove(name);
            }
        }
        messages
    }
}

fn append(text: &mut Value, delta: &Value) {
    let whole = format!("{}{}", text.as_str().unwrap_or(""), delta.as_str().unwrap());
    *text = whole.into();
}

#[test]
fn openai_responses_has_the_second_answer_alone() {
    check(&OpenAiResponses::new().restarts(true), |logs, cuts| {
        let last = |events: &[ChatEvent]| {
            let mut last = read(openai_responses::whole(), events, cuts).pop().unwrap();
            last.as_object_mut().unwrap().remove("sequence_number");
            drop_ids(&mut last);
            last
        };
        prop_assert_eq!(last(&logs.both), last(&logs.second));
        let events = read(openai_responses::whole(), &logs.both, cuts);
        let begins = |it: &Value| it["type"] == "response.created";
        prop_assert_eq!(events.iter().filter(|it| begins(it)).count(), 2);
        let again = events.iter().rposition(begins).unwrap();
        prop_assert_eq!(&events[again]["response"]["output"], &json!([]));
        // What a client reads after it is what the response has at its end; no index is one of the former items.
        let of = |events: &[Value], kind: &str| -> Vec<Value> {
            let of_kind = events.iter().filter(|it| it["type"] == kind);
            of_kind.map(|it| it["output_index"].clone()).collect()
        };
        let (former, second) = events.split_at(again);
        let added = of(second, "response.output_item.added");
        let done = of(former, "response.output_item.done");
        let mut before = of(former, "response.output_item.added");
        prop_assert!(added.iter().all(|at| !before.contains(at)));
        // Python's SDK refuses a response with an item that never ended.
        let number = |at: &Value| at.as_u64();
        let mut done: Vec<_> = done.into_iter().collect();
        before.sort_by_key(number);
        done.sort_by_key(number);
        done.dedup();
        prop_assert_eq!(before, done);
        Ok(())
    });
}

/// Removes the ids of items, which count those of the former answer too, and what holds one.
fn drop_ids(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for name in ["id", "item_id", "encrypted_content"] {
                fields.remove(name);
            }
            fields.values_mut().for_each(drop_ids);
        }
        Value::Array(values) => values.iter_mut().for_each(drop_ids),
        _ => {}
    }
}

#[test]
fn an_obstacle_is_named() {
    use unbroken::chat::{InputId, InputRequest, ToolCall, ToolInput, ToolProgress};

    let call = || ChatEvent::tool_calls([ToolCall::new("a", "now", json!({}))]);
    let result = || ChatEvent::tool_result("a", "now", "noon");
    let approval = InputRequest::approval(InputId::random(), "May I?");
    let approval: ChatEvent = approval.tool_call("a", "now", json!({})).into();
    let handoff = || ChatEvent::isomorphic_handoff("a", "map", json!({}));
    let (ai, ag_ui, v1) = (
        AiSdk::new().restarts(true),
        AgUi::new().restarts(true),
        OpenAiResponses::new().restarts(true),
    );
    let dialects: [&dyn Dialect; 3] = [&ai, &ag_ui, &v1];
    let began = || ToolProgress::new("a", "now").into();
    let input = |name: &str| {
        let mut input = ToolInput::new("b", "{");
        input.name = Some(name.into());
        input.into()
    };
    let again = || ChatEvent::restarted("again");
    let text = || ChatEvent::text("a");
    for (said, obstacles) in [
        (vec![text()], [None; 3]),
        (vec![call(), result()], [None; 3]),
        (
            vec![call(), result(), text()],
            [Some("several"), None, None],
        ),
        (vec![call(), approval], [Some("approval"), None, None]),
        (
            vec![call()],
            [Some("tool of its own"), None, Some("tool of its own")],
        ),
        (vec![call(), began()], [None; 3]),
        (
            vec![input("map")],
            [Some("tool of its own"), None, Some("tool of its own")],
        ),
        (vec![input("now")], [None; 3]),
        (vec![call(), handoff()], [Some("tool of its own"); 3]),
        (vec![call(), handoff(), again(), text()], [None; 3]),
    ] {
        let log = logs::chunks(&[&[first()], &said[..]].concat(), &[false]);
        for (dialect, expected) in dialects.iter().zip(obstacles) {
            let obstacle = dialect.restart_obstacle(&log);
            let name = dialect.name();
            assert_eq!(obstacle.is_some(), expected.is_some(), "{name}: {said:?}");
            let words = obstacle.unwrap_or_default();
            assert!(words.contains(expected.unwrap_or_default()), "{words}");
        }
    }
    let bare = ChatEvent::session_info(Capabilities::new());
    let bare = logs::chunks(&[bare, text()], &[false]);
    let unkept = ag_ui.restart_obstacle(&bare);
    assert_eq!(unkept, Some("the conversation isn't kept with the answer"));
    // The note of a conversation that doesn't fit into a record.
    let mut large = SessionInfo::new(Capabilities::new());
    large.extra.insert("agUi".into(), json!({}));
    let large = logs::chunks(&[large.into(), text()], &[false]);
    let unkept = ag_ui.restart_obstacle(&large).unwrap_or_default();
    assert!(unkept.contains("too large"), "{unkept}");
    for dialect in [
        &AiSdk::new() as &dyn Dialect,
        &AgUi::new(),
        &OpenAiResponses::new(),
    ] {
        assert!(!dialect.can_restart(), "{}", dialect.name());
        assert!(dialect.restart_obstacle(&bare).is_some());
    }
}
