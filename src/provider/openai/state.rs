//! The state that a server must be handed back, in the pieces of its stream.
//!
//! Kept as [`ProviderState`] of the provider `openai`:
//!
//! | of | data | from |
//! |---|---|---|
//! | the turn | `{"reasoning_details": [...]}` | OpenRouter, MiniMax: the pieces of the stream, joined |
//! | the turn | `{"extra_content": {...}}` | Gemini: the signature of a text |
//! | a call | `{"extra_content": {...}}` | Gemini: the signature of a call |

use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    chat::{ProviderError, ProviderState, ProviderStateEvent, StateOf, json_bytes},
    provider::http::{json::each_element, kept_object, too_long},
};

/// The name under which the state is kept.
pub(super) const PROVIDER: &str = "openai";
pub(super) const REASONING_DETAILS: &str = "reasoning_details";
pub(super) const EXTRA_CONTENT: &str = "extra_content";
/// The fields of a detail that come in pieces.
const PIECES: [&str; 2] = ["text", "summary"];

/// The state of one turn, assembled from its pieces.
#[derive(Debug)]
pub(super) struct TurnState {
    details: Vec<Map<String, Value>>,
    extra: Option<Value>,
    bytes: usize,
    max_bytes: usize,
}

impl TurnState {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            details: Vec::new(),
            extra: None,
            bytes: 0,
            max_bytes,
        }
    }

    /// Takes the field `reasoning_details` of a delta. Returns false if it is no list.
    ///
    /// # Errors
    ///
    /// If the state is larger than an event may be.
    pub(super) fn take_details(&mut self, value: &RawValue) -> Result<bool, ProviderError> {
        let Some(details) = details(value) else {
            return Ok(false);
        };
        self.count(value.get().len())?;
        for detail in details {
            self.push(detail);
        }
        Ok(true)
    }

    /// Takes the field `extra_content` of a delta. Returns false if it is no object that can be kept.
    ///
    /// # Errors
    ///
    /// If the state is larger than an event may be.
    pub(super) fn take_extra(&mut self, value: &RawValue) -> Result<bool, ProviderError> {
        let extra = kept_object(value);
        self.count(extra.as_ref().map_or(0, json_bytes))?;
        let is_kept = extra.is_some();
        self.extra = extra.or_else(|| self.extra.take());
        Ok(is_kept)
    }

    /// Returns the event with the state so far, if there is any. To be sent after the reasoning and text
    /// of the turn.
    pub(super) fn finish(&mut self) -> Option<ProviderStateEvent> {
        let mut data = Map::new();
        if !self.details.is_empty() {
            let details = self.details.drain(..).map(Value::Object).collect();
            data.insert(REASONING_DETAILS.into(), Value::Array(details));
        }
        if let Some(extra) = self.extra.take() {
            data.insert(EXTRA_CONTENT.into(), extra);
        }
        self.bytes = 0;
        (!data.is_empty()).then(|| event(StateOf::Turn, data.into()))
    }

    /// Adds a piece to the last detail if it continues that, as OpenRouter's own client joins them.
    fn push(&mut self, piece: Map<String, Value>) {
        let continued = self.details.last_mut().filter(|last| {
            let same = |name: &str| last.get(name) == piece.get(name);
            let has_pieces = |detail: &Map<String, Value>| {
                PIECES.iter().any(|name| detail.contains_key(*name))
                    || detail.get("type").and_then(Value::as_str) == Some("reasoning.text")
            };
            same("type") && same("index") && has_pieces(last) && has_pieces(&piece)
        });
        let Some(last) = continued else {
            self.details.push(piece);
            return;
        };
        for (name, value) in piece {
            match (last.get_mut(&name), value) {
                (_, Value::Null) => {}
                (Some(Value::String(text)), Value::String(piece))
                    if PIECES.contains(&name.as_str()) =>
                {
                    text.push_str(&piece);
                }
                (_, value) => {
                    last.insert(name, value);
                }
            }
        }
    }

    fn count(&mut self, bytes: usize) -> Result<(), ProviderError> {
        self.bytes += bytes;
        if self.bytes > self.max_bytes {
            return Err(too_long(self.max_bytes));
        }
        Ok(())
    }
}

/// Reads the details in a list of objects, without those that aren't.
fn details(value: &RawValue) -> Option<Vec<Map<String, Value>>> {
    let mut found = Vec::new();
    let is_list = each_element(value, |detail| {
        if let Some(Value::Object(detail)) = kept_object(detail) {
            found.push(detail);
        }
        Ok(())
    });
    is_list.ok()?.then_some(found)
}

/// Returns the event for a call, by the id that it has in `tool_calls`. To be sent after that event.
pub(super) fn call_event(id: impl Into<String>, extra: &Value) -> ProviderStateEvent {
    event(StateOf::Call(id.into()), json!({EXTRA_CONTENT: extra}))
}

fn event(of: StateOf, data: Value) -> ProviderStateEvent {
    ProviderStateEvent::new(of, ProviderState::new(PROVIDER, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(value: &Value) -> Box<RawValue> {
        serde_json::value::to_raw_value(value).unwrap()
    }

    fn take(state: &mut TurnState, delta: &Value) -> Result<(), ProviderError> {
        if let Some(details) = delta.get(REASONING_DETAILS) {
            state.take_details(&raw(details))?;
        }
        if let Some(extra) = delta.get(EXTRA_CONTENT) {
            state.take_extra(&raw(extra))?;
        }
        Ok(())
    }

    fn state(deltas: &[Value]) -> Option<Value> {
        let mut state = TurnState::new(1_000);
        for delta in deltas {
            take(&mut state, delta).unwrap();
        }
        state.finish().map(|event| {
            assert_eq!(event.of, StateOf::Turn);
            event.state.of("openai").unwrap().clone()
        })
    }

    #[test]
    fn details_are_joined_from_their_pieces_and_encrypted_ones_stay_apart() {
        let text = |index: u32, text: &str| {
            json!({"reasoning_details": [
                {"type": "reasoning.text", "text": text, "format": "anthropic-claude-v1", "index": index}
            ]})
        };
        let signed = json!({"reasoning_details": [
            {"type": "reasoning.text", "signature": "s", "text": null, "index": 0}
        ]});
        let encrypted = |data: &str| {
            json!({"reasoning_details": [
                {"type": "reasoning.encrypted", "data": data, "index": 2}
            ]})
        };
        let deltas = [
            text(0, "H"),
            json!({"content": ""}),
            text(0, "m."),
            signed,
            text(1, "More."),
            encrypted("a"),
            encrypted("b"),
        ];
        let expected = json!({"reasoning_details": [
            {"type": "reasoning.text", "text": "Hm.", "format": "anthropic-claude-v1", "index": 0,
             "signature": "s"},
            {"type": "reasoning.text", "text": "More.", "format": "anthropic-claude-v1", "index": 1},
            {"type": "reasoning.encrypted", "data": "a", "index": 2},
            {"type": "reasoning.encrypted", "data": "b", "index": 2},
        ]});
        assert_eq!(state(&deltas), Some(expected));
    }

    #[test]
    fn the_signatures_of_a_text_and_of_a_call_are_kept() {
        let extra = json!({"google": {"thought_signature": "s"}});
        let delta = json!({"content": "Hi", "extra_content": extra});
        assert_eq!(state(&[delta]), Some(json!({"extra_content": extra})));
        let piece = json!({"index": 0, "id": "c", "extra_content": extra});
        let event = call_event("c", &kept_object(&raw(&piece["extra_content"])).unwrap());
        assert_eq!(event.of, StateOf::Call("c".into()));
        assert_eq!(event.state.of("openai").unwrap()["extra_content"], extra);
    }

    #[test]
    fn what_is_no_state_is_ignored() {
        for delta in [
            json!(null),
            json!([]),
            json!({"content": "Hi"}),
            json!({"reasoning_details": null, "extra_content": null}),
            json!({"reasoning_details": {}, "extra_content": "s"}),
            json!({"reasoning_details": [null, "s", 7]}),
        ] {
            assert_eq!(state(&[delta]), None);
        }
        assert_eq!(kept_object(&raw(&json!(7))), None);
    }

    #[test]
    fn state_that_is_larger_than_an_event_is_an_error() {
        let delta =
            json!({"reasoning_details": [{"type": "reasoning.text", "text": "x".repeat(60)}]});
        let mut state = TurnState::new(200);
        take(&mut state, &delta).unwrap();
        let error = (0..9).find_map(|_| take(&mut state, &delta).err()).unwrap();
        assert_eq!(error.code(), crate::log::ErrorCode::Limit);
    }
}
