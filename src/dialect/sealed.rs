use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::chat::{ProviderState, is_decodable, values_in_text};

/// The text in which a client keeps what the provider must be handed back: the `encrypted_content` of a
/// reasoning item, the `encryptedValue` of AG-UI. It is not encrypted by this library; where it has to be,
/// the provider does it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SealedState {
    /// The call that it belongs to, by its `call_id` or the `id` of its item; else it belongs to the
    /// reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) call: Option<String>,
    #[serde(flatten)]
    pub(super) state: ProviderState,
}

const PREFIX: &str = "unbroken.";

impl SealedState {
    pub(super) fn of_turn(state: ProviderState) -> Self {
        Self { call: None, state }
    }

    #[cfg(feature = "openai-responses")]
    pub(super) fn of_call(call: impl Into<String>, state: ProviderState) -> Self {
        Self {
            call: Some(call.into()),
            state,
        }
    }

    pub(super) fn write(&self) -> String {
        let json = serde_json::to_vec(self).expect("the keys are strings");
        let mut text = String::with_capacity(PREFIX.len() + json.len() * 4 / 3 + 4);
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(json, &mut text);
        text
    }

    /// Returns the number of JSON values that [`read`](Self::read) decodes of a text.
    pub(super) fn values(text: &str) -> usize {
        Self::json(text).map_or(0, values_in_text)
    }

    /// Reads what [`write`](Self::write) wrote; `None` for anything else.
    pub(super) fn read(text: &str) -> Option<Self> {
        let json = Self::json(text)?;
        // The checks of the body don't see into the text.
        is_decodable(&json).then(|| serde_json::from_slice(&json).ok())?
    }

    fn json(text: &str) -> Option<Vec<u8>> {
        URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()
    }
}

#[cfg(all(test, feature = "openai-responses"))]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::chat::ToolCall;

    #[test]
    fn state_goes_out_and_comes_back() {
        let state = ProviderState::new("anthropic", json!({"signature": "s\u{e9}"}));
        for sealed in [
            SealedState::of_turn(state.clone()),
            SealedState::of_call("c", state),
        ] {
            assert_eq!(SealedState::read(&sealed.write()), Some(sealed));
        }
    }

    #[test]
    fn what_this_library_did_not_write_is_no_state() {
        let deep = (0..=ToolCall::MAX_DEPTH).fold(Value::Null, |inner, _| json!([inner]));
        let deep = SealedState::of_turn(ProviderState::new("p", deep)).write();
        for text in [
            "",
            "gAAAA",
            "unbroken.",
            "unbroken.AA",
            "unbroken.e30",
            &deep,
        ] {
            assert_eq!(SealedState::read(text), None, "{text}");
        }
    }
}
