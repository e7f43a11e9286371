use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::chat::{FinishReason, ProviderState, Usage};

/// The end of a turn of the model: `turn`. What stands before it, after the last one, belongs together.
///
/// A provider sends it after the calls of the turn and before [`Complete`](super::Complete). Where it
/// doesn't, the tool layer does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TurnEnd {
    /// The reason why the model stopped.
    #[serde(default)]
    pub finish_reason: FinishReason,
    /// The tokens that the turn used, if the provider reported them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The model that answered, as the provider names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Data that the provider must be handed back: `provider_state`.
///
/// It follows what it belongs to. Clients get it only where their protocol hands it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProviderStateEvent {
    /// The data, and the provider that it belongs to.
    #[serde(flatten)]
    pub state: ProviderState,
    /// The piece of the answer that the data belongs to.
    pub of: StateOf,
    /// True of the state of a stream that has the whole answer: its turns, and the tools between them, which the
    /// provider's server runs. The state isn't over with a turn. Absent in the JSON if false.
    #[serde(
        default,
        rename = "spansTurns",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub spans_turns: bool,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The piece of an answer that [`ProviderState`] belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StateOf {
    /// The reasoning before it, or the turn if there is none: `turn` on the wire.
    Turn,
    /// The provider's stream, for a server that reads on: `stream` on the wire.
    Stream,
    /// The call with this id, which is the word on the wire.
    Call(String),
}

impl TurnEnd {
    /// Creates the end of a turn.
    pub fn new(finish_reason: FinishReason) -> Self {
        Self {
            finish_reason,
            ..Self::default()
        }
    }

    /// Sets the usage.
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }

    /// Sets the model that answered.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }
}

impl ProviderStateEvent {
    /// Creates the event for data that belongs to `of`.
    pub fn new(of: StateOf, state: ProviderState) -> Self {
        Self {
            state,
            of,
            spans_turns: false,
            extra: Map::new(),
        }
    }

    /// Sets whether the state is that of a stream that has the whole answer.
    pub fn spans_turns(mut self, spans_turns: bool) -> Self {
        self.spans_turns = spans_turns;
        self
    }
}

impl Serialize for StateOf {
    fn serialize<S>(&self, serializer: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
    {
        serializer.serialize_str(match self {
            Self::Turn => "turn",
            Self::Stream => "stream",
            Self::Call(id) => id,
        })
    }
}

impl<'de> Deserialize<'de> for StateOf {
    fn deserialize<D>(deserializer: D) -> Result<Self, D::Error>
    where
        D: Deserializer<'de>,
    {
        let of = String::deserialize(deserializer)?;
        Ok(match &*of {
            "turn" => Self::Turn,
            "stream" => Self::Stream,
            _ => Self::Call(of),
        })
    }
}
