use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::chat::{ProviderState, ProviderStateEvent, StateOf};

/// The name under which the state is kept.
pub(super) const PROVIDER: &str = "openai-responses";

/// The position in the stream of a response that runs in the background, and what a server must know to read
/// on from there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StreamPosition {
    /// The id of the response.
    pub(super) response: String,
    /// The sequence number of the last event that was read.
    pub(super) after: u64,
    /// The model, if the server named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<String>,
    /// The number of characters of the text so far.
    #[serde(default)]
    pub(super) chars: u64,
    /// The number of items that are done.
    #[serde(default)]
    pub(super) done: u64,
    /// The items that have begun and aren't done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) open: Vec<(u64, ItemTexts)>,
    /// The ids of those, by their keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) ids: Vec<(u64, String)>,
    /// The indexes under which several items began, each with the key of the last one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) keys: Vec<(u64, u64)>,
}

/// The texts of an item, as far as they were said. Of each kind, those before the last are whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ItemTexts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<SaidPart>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) summary: Option<SaidPart>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reasoning: Option<SaidPart>,
}

/// The last text of its kind in an item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SaidPart {
    /// Its index among those of its kind.
    pub(super) index: u64,
    /// The characters of the turn's text before it.
    pub(super) base: u64,
    /// Its length so far, in units of UTF-16.
    pub(super) units: u64,
    /// The number of its annotations that were told.
    #[serde(default)]
    pub(super) cited: u64,
}

impl StreamPosition {
    /// Reads the position from the state of a stream. `None` if it isn't one of this provider.
    pub(super) fn read(state: &ProviderState) -> Option<Self> {
        let position: Self = serde_json::from_value(state.of(PROVIDER)?.clone()).ok()?;
        is_id(&position.response).then_some(position)
    }

    /// Writes the event that keeps the position.
    pub(super) fn event(&self) -> ProviderStateEvent {
        let data = serde_json::to_value(self).unwrap_or(Value::Null);
        ProviderStateEvent::new(StateOf::Stream, ProviderState::new(PROVIDER, data))
    }
}

/// Returns true for an id that can stand in a path.
pub(super) fn is_id(id: &str) -> bool {
    const MAX_BYTES: usize = 512;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:~=".contains(&byte);
    (1..=MAX_BYTES).contains(&id.len())
        && id.bytes().all(is_plain)
        && !id.bytes().all(|byte| byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written_and_no_other_state_is() {
        let position = StreamPosition {
            response: "resp_1".into(),
            after: 7,
            chars: 3,
            done: 1,
            open: vec![(
                1,
                ItemTexts {
                    text: Some(SaidPart {
                        index: 0,
                        base: 1,
                        units: 2,
                        cited: 0,
                    }),
                    ..ItemTexts::default()
                },
            )],
            model: Some("m".into()),
            ids: vec![(1, "msg_2".into())],
            keys: vec![(0, 1)],
        };
        let state = position.event().state;
        assert_eq!(StreamPosition::read(&state), Some(position));
        let other = ProviderState::new("openai", state.data.clone());
        assert_eq!(StreamPosition::read(&other), None);
        for id in ["", "..", "../models", "a b", "a?b", &"a".repeat(513)] {
            let mut data = state.data.clone();
            data["response"] = id.into();
            let state = ProviderState::new(PROVIDER, data);
            assert_eq!(StreamPosition::read(&state), None, "{id}");
        }
    }
}
