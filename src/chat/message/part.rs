use std::fmt;

use serde::{Deserialize, Serialize};

use super::Media;
use crate::chat::ProviderState;

/// A part of a message's [`Content`](super::Content).
///
/// Calls of tools are no parts; they follow the content of an assistant's message
/// ([`Message::tool_calls`](field@super::Message::tool_calls)).
///
/// `Debug` shows lengths instead of contents.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Part {
    /// A text.
    Text {
        /// The text.
        text: String,
    },
    /// A picture, a sound or a file.
    Media(Media),
    /// Reasoning of the model, in messages of the role `assistant`.
    Reasoning(Reasoning),
}

/// Reasoning of the model, as a part of a message: what it streamed as `thinking`.
///
/// `Debug` shows its length instead of its content.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Reasoning {
    /// The text. It is empty if the provider shows none, or only a part that it has encrypted.
    #[serde(default)]
    pub text: String,
    /// The data that the provider must be handed back with this reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_state: Option<ProviderState>,
}

impl Part {
    /// Returns the number of bytes of its texts, addresses and data.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Text { text } => text.len(),
            Self::Media(media) => media.bytes(),
            Self::Reasoning(reasoning) => {
                let state = reasoning.provider_state.as_ref();
                reasoning.text.len() + state.map_or(0, ProviderState::bytes)
            }
        }
    }
}

impl From<Media> for Part {
    fn from(media: Media) -> Self {
        Self::Media(media)
    }
}

impl From<Reasoning> for Part {
    fn from(reasoning: Reasoning) -> Self {
        Self::Reasoning(reasoning)
    }
}

impl Reasoning {
    /// Creates reasoning without provider state.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            provider_state: None,
        }
    }

    /// Sets the data that the provider must be handed back.
    pub fn provider_state(mut self, state: ProviderState) -> Self {
        self.provider_state = Some(state);
        self
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { text } => f.debug_struct("Text").field("bytes", &text.len()).finish(),
            Self::Media(media) => media.fmt(f),
            Self::Reasoning(reasoning) => reasoning.fmt(f),
        }
    }
}

impl fmt::Debug for Reasoning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reasoning")
            .field("bytes", &self.text.len())
            .field("provider_state", &self.provider_state)
            .finish()
    }
}
