use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a client may expect of a session: `session_info`. Always the first event of a log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionInfo {
    /// What the session can do.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// Whom the model plays, as the application names it; `null` if nobody in particular.
    #[serde(default)]
    pub persona: Option<Value>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What a session can do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Capabilities {
    /// Whether thinking may be among its events.
    pub thinking: bool,
    /// Whether its answer comes piece by piece.
    pub streaming: bool,
    /// The names of the tools that may be called.
    pub tools: Vec<String>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Drop everything before this event: `restarted`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Restarted {
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl SessionInfo {
    /// What the session can do, and nobody in particular to speak as.
    pub fn new(capabilities: Capabilities) -> Self {
        Self {
            capabilities,
            ..Self::default()
        }
    }

    /// The same, with a persona.
    pub fn persona(mut self, persona: impl Into<Value>) -> Self {
        self.persona = Some(persona.into());
        self
    }
}

impl Capabilities {
    /// Streams, may think, has no tools.
    pub fn new() -> Self {
        Self {
            thinking: true,
            streaming: true,
            tools: Vec::new(),
            extra: Map::new(),
        }
    }

    /// The same, with or without thinking.
    pub fn thinking(mut self, thinking: bool) -> Self {
        self.thinking = thinking;
        self
    }

    /// The same, with these tools.
    pub fn tools<T>(mut self, tools: impl IntoIterator<Item = T>) -> Self
    where
        T: Into<String>,
    {
        self.tools = tools.into_iter().map(Into::into).collect();
        self
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::new()
    }
}

impl Restarted {
    /// For this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            extra: Map::new(),
        }
    }
}
