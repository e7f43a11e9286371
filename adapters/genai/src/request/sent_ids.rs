use std::collections::{HashMap, HashSet};

use genai::adapter::AdapterKind;
use unbroken::chat::Message;

use super::Scene;
use crate::wire_format::WireFormat;

/// The ids of a conversation's calls, in a form that the server takes.
///
/// Another vendor may have given them: those of Gemini's calls have a `#`, which Claude refuses.
#[derive(Debug, Default)]
pub(super) struct SentIds {
    changed: HashMap<String, String>,
}

impl SentIds {
    pub(super) fn of(scene: &Scene<'_>, messages: &[Message]) -> Self {
        let (max, marks) = match scene.wire {
            // Its own go back as they came, and those of others are taken.
            WireFormat::Gemini => return Self::default(),
            WireFormat::Chat if scene.model.adapter_kind == AdapterKind::OpenAI => (40, "_-"),
            // Kimi's own have them, and Kimi wants them back.
            WireFormat::Chat => (64, "_-.:"),
            _ => (64, "_-"),
        };
        Self::within(max, marks, messages)
    }

    fn within(max: usize, marks: &str, messages: &[Message]) -> Self {
        let is_taken = |it: char| it.is_ascii_alphanumeric() || marks.contains(it);
        let fits = |id: &str| (1..=max).contains(&id.len()) && id.chars().all(is_taken);
        let all = || {
            messages.iter().flat_map(|message| {
                let calls = message.tool_calls.iter().map(|call| call.id.as_str());
                calls.chain(message.tool_call_id.as_deref())
            })
        };
        let mut used: HashSet<String> = all().filter(|id| fits(id)).map(str::to_owned).collect();
        let mut changed = HashMap::new();
        let mut number = 1;
        for id in all().filter(|id| !fits(id)) {
            if changed.contains_key(id) {
                continue;
            }
            let near = id.chars().map(|it| if is_taken(it) { it } else { '_' });
            let near: String = near.take(max).collect();
            let mut free = near.clone();
            while free.is_empty() || used.contains(&free) {
                number += 1;
                let end = format!("_{number}");
                free = near.chars().take(max - end.len()).collect::<String>() + &end;
            }
            used.insert(free.clone());
            changed.insert(id.to_owned(), free);
        }
        Self { changed }
    }

    /// Returns the form of an id.
    pub(super) fn get(&self, id: &str) -> String {
        self.changed.get(id).map_or(id, String::as_str).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use unbroken::chat::ToolCall;

    use super::*;

    #[test]
    fn ids_that_fit_stay_and_others_become_like_no_other() {
        let long = "x".repeat(41);
        let ids = [
            "call#now#1",
            "call_now_1",
            "call.now#1",
            long.as_str(),
            "",
            "toolu_1",
        ];
        let calls = ids.map(|id| ToolCall::new(id, "now", Value::Null));
        let messages = [
            Message::assistant("").tool_calls(calls),
            Message::tool("lost#1", ""),
        ];
        let sent = SentIds::within(40, "_-", &messages);
        assert_eq!(sent.get("call#now#1"), "call_now_1_2");
        assert_eq!(sent.get("call_now_1"), "call_now_1");
        assert_eq!(sent.get("call.now#1"), "call_now_1_3");
        assert_eq!(sent.get(&long), "x".repeat(40));
        assert_eq!(sent.get(""), "_4");
        assert_eq!(sent.get("toolu_1"), "toolu_1");
        assert_eq!(sent.get("lost#1"), "lost_1");
    }
}
