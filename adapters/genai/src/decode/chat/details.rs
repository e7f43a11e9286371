use serde_json::{Map, Value, json};
use unbroken::chat::ChatEvent;

use crate::decode::state_event;

/// The name of the details of reasoning, in deltas, in messages and in the state.
pub(crate) const REASONING_DETAILS: &str = "reasoning_details";
/// The fields of a detail that come in pieces.
const PIECES: [&str; 2] = ["text", "summary"];

/// The details of reasoning that the server must be handed back, joined from their pieces.
#[derive(Debug, Default)]
pub(super) struct ReasoningDetails {
    details: Vec<Map<String, Value>>,
}

impl ReasoningDetails {
    /// Takes a list of `reasoning_details`. Returns false if one can't be handed back: genai sends those alone
    /// whose type begins with `reasoning.`.
    pub(super) fn take(&mut self, list: &Value) -> bool {
        let Value::Array(list) = list else {
            return list.is_null();
        };
        let mut all = true;
        for detail in list {
            match detail {
                Value::Object(detail) if is_sent(detail) => self.push(detail),
                _ => all = false,
            }
        }
        all
    }

    /// Returns the state of the turn, if there is any.
    pub(super) fn finish(&mut self, state_name: &str) -> Option<ChatEvent> {
        let details: Vec<_> = self.details.drain(..).map(Value::Object).collect();
        (!details.is_empty()).then(|| state_event(state_name, json!({REASONING_DETAILS: details})))
    }

    /// Adds a piece to the last detail if it continues that, as OpenRouter's own client joins them.
    fn push(&mut self, piece: &Map<String, Value>) {
        let has_pieces = |detail: &Map<String, Value>| {
            PIECES.iter().any(|name| detail.contains_key(*name))
                || detail.get("type").and_then(Value::as_str) == Some("reasoning.text")
        };
        let continued = self.details.last_mut().filter(|last| {
            let same = |name: &str| last.get(name) == piece.get(name);
            same("type") && same("index") && has_pieces(last) && has_pieces(piece)
        });
        let Some(last) = continued else {
            self.details.push(piece.clone());
            return;
        };
        for (name, value) in piece {
            match (last.get_mut(name), value) {
                (_, Value::Null) => {}
                (Some(Value::String(text)), Value::String(piece))
                    if PIECES.contains(&name.as_str()) =>
                {
                    text.push_str(piece);
                }
                (_, value) => {
                    last.insert(name.clone(), value.clone());
                }
            }
        }
    }
}

fn is_sent(detail: &Map<String, Value>) -> bool {
    let kind = detail.get("type").and_then(Value::as_str);
    kind.is_some_and(|kind| kind.starts_with("reasoning."))
}
