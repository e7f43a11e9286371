//! The message that a client of the AI SDK folds from the chunks of an answer equals the message that the
//! application stores, and the one that a later reader folds.

use std::collections::{HashMap, HashSet};

use bytes::BytesMut;
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Map, Value, json};
use unbroken::{
    chat::{Capabilities, ChatEvent, InputKind, SessionInfo, ToolInput, Transcript},
    dialect::{AiSdk, ai_sdk::UiMessage},
};

use crate::{
    encoders::{Stream, reading},
    logs,
};

/// Generates logs of one answer without a restart, in which arguments stream right before their calls, some
/// calls are announced and never come, and the model says nothing while an approval is open.
fn answer() -> impl Strategy<Value = Vec<ChatEvent>> {
    logs::log().prop_map(|events| {
        let info = SessionInfo::new(Capabilities::new()).into();
        let mut answer = vec![info];
        let mut approvals = HashSet::new();
        for event in events {
            match &event {
                ChatEvent::SessionInfo(_) | ChatEvent::Restarted(_) => continue,
                ChatEvent::Text(_) | ChatEvent::Thinking(_) if !approvals.is_empty() => continue,
                ChatEvent::InputRequest(request) if request.kind == InputKind::Approval => {
                    approvals.insert(request.input_id.clone());
                }
                ChatEvent::InputResolved(resolved) => {
                    approvals.remove(&resolved.input_id);
                }
                ChatEvent::ToolInput(input) => {
                    // Elsewhere it would begin a step, which the stored message hasn't.
                    let in_text = matches!(answer.last(), Some(ChatEvent::Text(text)) if !text.content.is_empty());
                    if in_text {
                        let never = format!("never-{}", input.id);
                        let never = ToolInput::new(never, &input.delta).name("now");
                        answer.push(never.into());
                    }
                    continue;
                }
                ChatEvent::ToolCalls(asked) => {
                    for call in &asked.calls {
                        let json = call.arguments.to_string();
                        let (begin, rest) = json.split_at(json.len() / 2);
                        let begin = ToolInput::new(&call.id, begin).name(&call.name);
                        answer.push(begin.into());
                        answer.push(ToolInput::new(&call.id, rest).into());
                    }
                }
                _ => {}
            }
            answer.push(event);
        }
        answer
    })
}

/// Returns the metadata of a chunk with the outcome of a call, under its name in the part.
fn result_metadata(chunk: &mut Map<String, Value>) -> Option<(String, Value)> {
    let metadata = chunk.remove("providerMetadata")?;
    Some(("resultProviderMetadata".to_owned(), metadata))
}

/// A message as a client folds it. Written after `processUIMessageStream` of `ai` 7.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Folded {
    pub(crate) parts: Vec<Map<String, Value>>,
    pub(crate) metadata: Option<Value>,
    open: HashMap<String, usize>,
}

impl Folded {
    pub(crate) fn of(stream: &[u8]) -> Self {
        let mut folded = Self::default();
        let text = std::str::from_utf8(stream).unwrap();
        let chunks = text.split_terminator("\n\n");
        for chunk in chunks.filter_map(|frame| frame.strip_prefix("data: ")) {
            if chunk != "[DONE]" {
                folded.push(serde_json::from_str(chunk).unwrap());
            }
        }
        assert!(folded.open.is_empty(), "open parts: {text}");
        let open = |part: &Map<_, _>| part.get("state") == Some(&json!("input-streaming"));
        assert!(!folded.parts.iter().any(open), "open calls: {text}");
        // The client shows that a call never came, in a step of its own if nothing else is in it.
        let error = json!("The call was not completed.");
        folded.parts =
            without_empty_steps(folded.parts, |part| part.get("errorText") != Some(&error));
        folded
    }

    fn push(&mut self, mut chunk: Map<String, Value>) {
        let kind = chunk["type"].as_str().unwrap().to_owned();
        let text =
            |chunk: &Map<String, Value>, name: &str| chunk[name].as_str().unwrap().to_owned();
        if let Some(more) = chunk.get("messageMetadata") {
            self.tell(more);
        }
        match kind.as_str() {
            "start-step" => self.part(json!({"type": "step-start"})),
            "reset-step" => self.reset_step(),
            "text-start" | "reasoning-start" => {
                let id = text(&chunk, "id");
                self.open.insert(id.clone(), self.parts.len());
                self.part(if kind == "text-start" {
                    json!({"type": "text", "text": ""})
                } else {
                    json!({"type": "reasoning", "id": id, "text": ""})
                });
            }
            "text-delta" | "reasoning-delta" => {
                let part = &mut self.parts[self.open[&text(&chunk, "id")]];
                let joined = format!("{}{}", text(part, "text"), text(&chunk, "delta"));
                part.insert("text".into(), joined.into());
            }
            "text-end" | "reasoning-end" => {
                let at = self.open.remove(&text(&chunk, "id")).unwrap();
                self.parts[at].insert("state".into(), "done".into());
                if let Some(metadata) = chunk.remove("providerMetadata") {
                    self.parts[at].insert("providerMetadata".into(), metadata);
                }
            }
            "file" | "source-url" | "source-document" => self.parts.push(chunk),
            "tool-input-delta" => {
                let id = chunk.remove("toolCallId");
                let part = self
                    .step()
                    .find(|part| part.get("toolCallId") == id.as_ref());
                assert_eq!(part.unwrap()["state"], "input-streaming");
            }
            "tool-input-start" | "tool-input-available" | "tool-input-error" => {
                let id = chunk.remove("toolCallId").unwrap();
                if !self.step().any(|part| part.get("toolCallId") == Some(&id)) {
                    self.part(json!({"toolCallId": id}));
                }
                let state = match kind.as_str() {
                    "tool-input-start" => "input-streaming",
                    "tool-input-available" => "input-available",
                    _ => "output-error",
                };
                let of_call = |part: &&mut Map<_, _>| part.get("toolCallId") == Some(&id);
                let part = self.step().find(of_call).unwrap();
                part.insert(
                    "type".into(),
                    format!("tool-{}", text(&chunk, "toolName")).into(),
                );
                part.insert("state".into(), state.into());
                part.extend(chunk.remove_entry("input"));
                part.extend(chunk.remove_entry("errorText"));
                if let Some(metadata) = chunk.remove("providerMetadata") {
                    let result = state == "output-error";
                    let of = if result {
                        "resultProviderMetadata"
                    } else {
                        "callProviderMetadata"
                    };
                    part.insert(of.into(), metadata);
                }
            }
            "tool-output-available" | "tool-output-error" | "tool-approval-request" => {
                let id = chunk.remove("toolCallId").unwrap();
                let of_call = |part: &&mut Map<_, _>| part.get("toolCallId") == Some(&id);
                let part = self.parts.iter_mut().rfind(of_call).expect("a known call");
                let state = match &*kind {
                    "tool-output-available" => "output-available",
                    "tool-output-error" => "output-error",
                    _ => "approval-requested",
                };
                part.insert("state".into(), state.into());
                if let Some(id) = chunk.remove("approvalId") {
                    part.insert("approval".into(), json!({"id": id}));
                } else {
                    part.remove("output");
                    part.remove("errorText");
                }
                part.extend(chunk.remove_entry("output"));
                part.extend(chunk.remove_entry("errorText"));
                part.extend(result_metadata(&mut chunk));
            }
            _ if kind.starts_with("data-") => self.data(chunk),
            _ => {}
        }
    }

    fn data(&mut self, mut chunk: Map<String, Value>) {
        let known = self.parts.iter_mut().find(|part| {
            chunk.contains_key("id")
                && part.get("id") == chunk.get("id")
                && part.get("type") == chunk.get("type")
        });
        match known {
            Some(part) => part.extend(chunk.remove_entry("data")),
            None if chunk.contains_key("transient") => {}
            None => self.parts.push(chunk),
        }
    }

    fn reset_step(&mut self) {
        let step = self.step().count();
        self.parts.truncate(self.parts.len() - step);
        self.open.clear();
    }

    /// Merges metadata.
    fn tell(&mut self, more: &Value) {
        let all = self.metadata.get_or_insert_with(|| json!({}));
        for (name, value) in more.as_object().unwrap() {
            match (all.get_mut(name).and_then(Value::as_object_mut), value) {
                (Some(all), Value::Object(more)) => all.extend(more.clone()),
                _ => all[name] = value.clone(),
            }
        }
    }

    fn part(&mut self, part: Value) {
        let Value::Object(part) = part else { panic!() };
        self.parts.push(part);
    }

    /// Returns the parts of the last step, the last one first.
    fn step(&mut self) -> impl Iterator<Item = &mut Map<String, Value>> {
        let parts = self.parts.iter_mut().rev();
        parts.take_while(|part| part.get("type") != Some(&json!("step-start")))
    }
}

/// Returns the parts that are kept, without steps that have none.
pub(crate) fn without_empty_steps(
    parts: Vec<Map<String, Value>>,
    keep: impl Fn(&Map<String, Value>) -> bool,
) -> Vec<Map<String, Value>> {
    let is_step = |part: &Map<_, _>| part.get("type") == Some(&json!("step-start"));
    let mut kept: Vec<Map<_, _>> = Vec::new();
    for part in parts.into_iter().filter(keep) {
        if kept.last().is_some_and(is_step) && is_step(&part) {
            continue;
        }
        kept.push(part);
    }
    if kept.last().is_some_and(is_step) {
        kept.pop();
    }
    kept
}

fn read(path: &str, events: &[ChatEvent], cuts: &[bool]) -> BytesMut {
    let mut stream = Stream::new(reading(&AiSdk::new(), path, "*/*"));
    for chunk in logs::chunks(events, cuts) {
        stream.write(&chunk);
    }
    stream.finish()
}

#[test]
fn the_folded_the_stored_and_the_replayed_message_are_one() {
    let config = Config {
        cases: 512,
        failure_persistence: None,
        ..Config::default()
    };
    let logs = (answer(), vec(any::<bool>(), 1..8));
    let outcome = TestRunner::new(config).run(&logs, |(events, cuts)| {
        let transcript: Transcript = events.iter().collect();
        let stored = UiMessage::from_transcript("m", &transcript);
        let live = Folded::of(&read("/chat/stream?startIndex=0", &events, &cuts));
        let parts = without_empty_steps(stored.parts.clone(), |_| true);
        prop_assert_eq!(&parts, &live.parts);
        prop_assert_eq!(&stored.metadata, &live.metadata);
        let replayed = Folded::of(&read("/chat/stream", &events, &cuts));
        prop_assert_eq!(&live, &replayed);
        let whole = read("/chat/stream", &events, &[false]);
        prop_assert_eq!(&live, &Folded::of(&whole));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
